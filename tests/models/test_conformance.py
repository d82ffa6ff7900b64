"""What every kind must do, whoever wrote it: one test each, over the whole registry.

A kind is trained by the trainer that the nightly run would take, in this process, for one epoch where it has any.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest

from fx_assets.models.base import BasePredictor, InvalidCheckpoint, MemoryCheckpoint, ModelMismatch
from fx_assets.models.calibration import CALIBRATION
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.registry import check_model, kinds, predictor_class
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec, Strict, Target
from fx_assets.storage.artifacts import Artifact, ArtifactStore, new_version
from fx_assets.training.materials import Materials
from fx_assets.training.records import TrainedModel
from fx_assets.training.trainers import train
from tests.models.example_drift import Drift
from tests.models.simulated import cuts, pair_history

HORIZON, WINDOW, ROWS = 4, 40, 360
PAIRS = ("EURUSD", "USDJPY")
SAFE = (".json", ".onnx", ".safetensors")


def _shipped(cls: type[BasePredictor]) -> bool:
    """Leaves out the kinds that single tests define for themselves."""
    return cls is Drift or not cls.__module__.startswith("tests.")


ALL = [predictor_class(kind) for kind in kinds() if _shipped(predictor_class(kind))]
each = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.kind)


def spec_of(cls: type[BasePredictor], **changes: Any) -> ModelSpec:
    """The shortest file of a kind, with all inputs that it takes."""
    values = {
        "model_id": "conformance",
        "kind": cls.kind,
        "pairs": list(PAIRS) if cls.scopes == {"panel"} else ["EURUSD"],
        "scope": "panel" if cls.scopes == {"panel"} else "pair",
        "target": "log_return" if "log_return" in cls.targets else sorted(cls.targets)[0],
        "features": "core" if cls.uses_features else None,
        "known_ahead": ["weekday", "gap"] if cls.uses_ahead else [],
        "ensemble": {"members": [{"kind": "random_walk"}, {"kind": "linear"}], "folds": 1}
        if cls.trainer == "ensemble"
        else None,
        "window": WINDOW,
        "horizon": HORIZON,
        "training": {"max_epochs": 1, "batch_size": 64},
    }
    return ModelSpec.model_validate({**values, **changes})


def histories_of(cls: type[BasePredictor]) -> dict[str, PairHistory]:
    pairs = PAIRS if cls.scopes == {"panel"} else PAIRS[:1]
    return {
        pair: pair_history(pair, n=ROWS, seed=1 + number, features=2 * cls.uses_features)
        for number, pair in enumerate(pairs)
    }


def empty(cls: type[BasePredictor], **changes: Any) -> BasePredictor:
    columns = histories_of(cls)["EURUSD"].columns
    schema = "0a1b2c3d" if cls.uses_features else None
    return cls(spec_of(cls, **changes), columns, feature_schema=schema)


def trained(cls: type[BasePredictor], histories: dict[str, PairHistory], **changes: Any) -> TrainedModel:
    window = cuts(histories["EURUSD"])
    with TemporaryDirectory() as folder:
        materials = Materials(histories=histories, scratch=Path(folder))
        settings = Settings(home=Path(folder))
        return train(spec_of(cls, **changes), materials, window, settings=settings, supervised=False)


@cache
def first(cls: type[BasePredictor]) -> TrainedModel:
    """One training of a kind; the tests of this file share it."""
    return trained(cls, histories_of(cls))


def published(cls: type[BasePredictor], root: Path) -> Artifact:
    """Stored and loaded back by the real store."""
    store, predictor = ArtifactStore(root), empty(cls)
    scope = "panel" if cls.scopes == {"panel"} else "EURUSD"
    version = new_version(datetime(2026, 11, 21, tzinfo=UTC))
    store.stage("conformance", scope, version, first(cls).files, predictor.identity()).publish()
    return store.load("conformance", scope, version)


def test_every_shipped_kind_is_covered() -> None:
    shipped = {
        *("random_walk", "har", "garch", "egarch", "scale", "seasonal_ewma", "example_drift"),
        *("ridge", "elastic_net", "gradient_boosting", "itransformer", "linear", "patchtst", "ensemble"),
    }
    assert shipped <= {cls.kind for cls in ALL}


@each
def test_it_declares_itself(cls: type[BasePredictor]) -> None:
    assert issubclass(cls.Hyperparameters, Strict) or cls.Hyperparameters.model_config.get("extra") == "forbid"
    cls.Hyperparameters()  # every hyperparameter has a default: the shortest YAML works
    assert cls.targets
    assert cls.targets <= {"log_return", "level", "volatility"}
    assert cls.scopes
    assert cls.scopes <= {"pair", "panel"}
    assert cls.__doc__
    assert check_model(spec_of(cls)) == []
    typo = spec_of(cls, hyperparameters={"no_such_key": 1})
    assert [path for path, _ in check_model(typo)] == ["hyperparameters.no_such_key"]


@each
def test_what_it_cannot_do_is_refused_before_training(cls: type[BasePredictor]) -> None:
    asked: dict[str, tuple[bool, dict[str, Any]]] = {
        "features": (cls.uses_features, {"features": "core"}),
        "known_ahead": (cls.uses_ahead, {"known_ahead": ["weekday"]}),
        "scope": ("panel" in cls.scopes, {"scope": "panel", "pairs": list(PAIRS)}),
        "training.update": (cls.warm, {"training": {"update": "warm"}}),
    }
    targets: tuple[Target, ...] = ("log_return", "level", "volatility")
    for target in targets:
        asked[f"target {target}"] = (target in cls.targets, {"target": target})
    for field, (able, changes) in asked.items():
        problems = [message for path, message in check_model(spec_of(cls, **changes)) if path == field.split(" ")[0]]
        assert bool(problems) != able, f"{field}: {problems}"


@each
def test_it_trains_stores_loads_and_predicts(cls: type[BasePredictor], tmp_path: Path) -> None:
    artifact = published(cls, tmp_path)
    predictor = empty(cls)
    assert predictor.load_model(artifact).skipped == []
    history = histories_of(cls)["EURUSD"]
    batch, ahead = windows(history, np.arange(300, 306), predictor.spec)
    prediction = predictor.predict(batch, ahead)
    assert prediction.location.shape == prediction.scale.shape == (6, HORIZON)
    assert len(prediction.notes) == 6
    answers = predictor.postprocess(prediction, batch[:, -1, 0], "EURUSD")
    for number, answer in enumerate(answers):
        known = {} if ahead is None else {"ahead": ahead[number].tolist()}
        alone = predictor.run({"data": batch[number].tolist(), **known}, "EURUSD")
        assert alone.quantiles.tobytes() == answer.quantiles.tobytes()
        assert alone.median.tobytes() == answer.median.tobytes()
        assert answer.quantiles.shape == (HORIZON, len(predictor.spec.quantiles))
        assert (answer.quantiles > 0).all()
        assert (np.diff(answer.quantiles, axis=1) >= 0).all()
    again = empty(cls)
    again.load_model(artifact)
    assert again.predict(batch, ahead).scale.tobytes() == prediction.scale.tobytes()
    assert again.predict(batch, ahead).location.tobytes() == prediction.location.tobytes()


@each
def test_equal_seeds_give_equal_bytes_and_later_rows_change_none(cls: type[BasePredictor]) -> None:
    spoilt = {}
    for pair, history in histories_of(cls).items():
        later = history.ends > np.datetime64(cuts(history).validate_until.replace(tzinfo=None))
        assert later.any()
        spoilt[pair] = replace(
            history,
            closes=np.where(later, history.closes * 3, history.closes),
            features=np.where(later[:, None], 9.0, history.features),
        )
    assert trained(cls, spoilt).files == first(cls).files


@each
def test_it_refuses_another_schema_or_config(cls: type[BasePredictor], tmp_path: Path) -> None:
    artifact = published(cls, tmp_path)
    with pytest.raises(ModelMismatch, match=r"config\.horizon"):
        empty(cls, horizon=HORIZON + 1).load_model(artifact)
    manifest = {**artifact.manifest, "columns": ["close", "stranger"]}
    with pytest.raises(ModelMismatch, match="only in the checkpoint: stranger"):
        empty(cls).load_model(artifact.files, manifest)
    manifest = {**artifact.manifest, "feature_schema_hash": "ffffffff"}
    with pytest.raises(ModelMismatch, match="feature_schema_hash"):
        empty(cls).load_model(artifact.files, manifest)


@each
def test_a_checkpoint_is_safe_files_that_answer_their_golden_sample(cls: type[BasePredictor]) -> None:
    files = dict(first(cls).files)
    assert {CALIBRATION, GOLDEN} <= set(files)
    assert all(name.endswith(SAFE) for name in files), sorted(files)
    for name, content in files.items():
        if name.endswith(".onnx"):
            onnx.checker.check_model(onnx.load_from_string(content))
    predictor = empty(cls)
    sample = json.loads(files[GOLDEN])
    other = files | {GOLDEN: json.dumps({**sample, "scale": [2 * value for value in sample["scale"]]}).encode()}
    with pytest.raises(InvalidCheckpoint, match="golden"):
        predictor.load_model(MemoryCheckpoint(predictor.identity(), other))


@each
@pytest.mark.parametrize("lost", [CALIBRATION, "first"])
def test_a_lost_or_damaged_file_is_told(cls: type[BasePredictor], lost: str) -> None:
    files = dict(first(cls).files)
    name = lost if lost in files else sorted(set(files) - {CALIBRATION, GOLDEN})[0]
    predictor = empty(cls)
    damaged = MemoryCheckpoint(predictor.identity(), {**files, name: b"\x80\x04nonsense"})
    with pytest.raises(InvalidCheckpoint, match=name.replace(".", r"\.")):
        predictor.load_model(damaged)
    report = predictor.load_model(damaged, strict=False)
    assert any(name in line for line in report.skipped), report.skipped


def test_every_shipped_config_makes_its_predictor() -> None:
    from fx_assets.models.catalog import load
    from fx_assets.models.stored import predictor_of
    from fx_assets.settings import get_settings

    catalog = load(get_settings(), environ={})
    assert catalog.broken == {}
    for spec in catalog.models.values():
        assert predictor_of(spec, catalog.features).spec is spec
