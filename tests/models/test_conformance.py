"""What every kind must do, whoever wrote it: one test each, over the whole registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import BasePredictor, ModelMismatch
from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.inputs import PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.registry import check_model, kinds, predictor_class
from fx_assets.specs.schema import ModelSpec, Strict
from fx_assets.storage.artifacts import Artifact, ArtifactStore, new_version
from tests.models.example_drift import Drift
from tests.models.simulated import cuts, pair_history

HORIZON, WINDOW = 4, 40
PAIRS = ("EURUSD", "USDJPY")


def _shipped(cls: type[BasePredictor]) -> bool:
    """Leaves out the kinds that single tests define for themselves."""
    return cls is Drift or not cls.__module__.startswith("tests.")


ALL = [predictor_class(kind) for kind in kinds() if _shipped(predictor_class(kind))]
FITTED = [cls for cls in ALL if cls.trainer == "fit"]
each = pytest.mark.parametrize("cls", FITTED, ids=lambda cls: cls.kind)


def spec_of(cls: type[BasePredictor], **changes: Any) -> ModelSpec:
    values = {
        "model_id": "conformance",
        "kind": cls.kind,
        "pairs": list(PAIRS) if cls.scopes == {"panel"} else ["EURUSD"],
        "scope": "panel" if cls.scopes == {"panel"} else "pair",
        "target": sorted(cls.targets)[0],
        "features": "core" if cls.uses_features else None,
        "window": WINDOW,
        "horizon": HORIZON,
    }
    return ModelSpec.model_validate({**values, **changes})


def histories_of(cls: type[BasePredictor], seed: int = 1) -> dict[str, PairHistory]:
    pairs = PAIRS if cls.scopes == {"panel"} else PAIRS[:1]
    return {
        pair: pair_history(pair, n=320, seed=seed + number, features=2 * cls.uses_features)
        for number, pair in enumerate(pairs)
    }


def empty(cls: type[BasePredictor], **changes: Any) -> BasePredictor:
    columns = next(iter(histories_of(cls).values())).columns
    schema = "0a1b2c3d" if cls.uses_features else None
    return cls(spec_of(cls, **changes), columns, feature_schema=schema)


def published(cls: type[BasePredictor], root: Path) -> Artifact:
    """Fitted, calibrated on validation windows, stored and loaded back by the real store."""
    histories = histories_of(cls)
    history = histories["EURUSD"]
    window = cuts(history)
    predictor = empty(cls)
    files = predictor.fit(histories, window, seed=7)
    predictor.load_model(files, predictor.identity())
    origins = window.origins(history.ends, window=WINDOW, horizon=HORIZON, part="validation")
    prediction = predictor.predict(np.array([history.window(int(i), WINDOW) for i in origins]))
    log_closes = np.log(history.closes)
    y = log_closes[origins[:, None] + np.arange(1, HORIZON + 1)] - log_closes[origins, None]
    scores = np.abs(y - prediction.location) / prediction.scale
    files = {**files, CALIBRATION: dump_params({"EURUSD": fit_calibration(scores)})}
    store = ArtifactStore(root)
    scope = "panel" if cls.scopes == {"panel"} else "EURUSD"
    version = new_version(datetime(2026, 11, 21, tzinfo=UTC))
    store.stage("conformance", scope, version, files, predictor.identity()).publish()
    return store.load("conformance", scope, version)


def test_every_shipped_kind_is_covered() -> None:
    assert {"random_walk", "har", "example_drift"} <= {cls.kind for cls in FITTED}


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.kind)
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
def test_it_fits_stores_loads_and_predicts(cls: type[BasePredictor], tmp_path: Path) -> None:
    artifact = published(cls, tmp_path)
    predictor = empty(cls)
    assert predictor.load_model(artifact).skipped == []
    history = histories_of(cls)["EURUSD"]
    batch = np.array([history.window(row, WINDOW) for row in range(300, 306)])
    prediction = predictor.predict(batch)
    assert prediction.location.shape == prediction.scale.shape == (6, HORIZON)
    assert len(prediction.notes) == 6
    answers = predictor.postprocess(prediction, batch[:, -1, 0], "EURUSD")
    for number, answer in enumerate(answers):
        alone = predictor.run({"data": batch[number].tolist()}, "EURUSD")
        assert alone.quantiles.tobytes() == answer.quantiles.tobytes()
        assert alone.median.tobytes() == answer.median.tobytes()
        assert answer.quantiles.shape == (HORIZON, len(predictor.spec.quantiles))
        assert (answer.quantiles > 0).all()
        assert (np.diff(answer.quantiles, axis=1) >= 0).all()
    again = empty(cls)
    again.load_model(artifact)
    assert again.predict(batch).scale.tobytes() == prediction.scale.tobytes()
    assert again.predict(batch).location.tobytes() == prediction.location.tobytes()


@each
def test_equal_seeds_give_equal_bytes(cls: type[BasePredictor]) -> None:
    histories = histories_of(cls)
    window = cuts(histories["EURUSD"])
    assert empty(cls).fit(histories, window, seed=7) == empty(cls).fit(histories, window, seed=7)


@each
def test_rows_after_the_training_cut_change_no_byte(cls: type[BasePredictor]) -> None:
    histories = histories_of(cls)
    window = cuts(histories["EURUSD"])
    spoilt = {}
    for pair, history in histories.items():
        later = history.ends > np.datetime64(window.train_until.replace(tzinfo=None))
        spoilt[pair] = PairHistory(
            pair,
            history.ends,
            history.trading_dates,
            np.where(later, history.closes * 3, history.closes),
            np.where(later[:, None], 9.0, history.features),
            history.feature_names,
        )
    assert empty(cls).fit(spoilt, window, seed=7) == empty(cls).fit(histories, window, seed=7)


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
def test_a_checkpoint_is_plain_json(cls: type[BasePredictor]) -> None:
    histories = histories_of(cls)
    files = empty(cls).fit(histories, cuts(histories["EURUSD"]), seed=7)
    assert set(files) == {PARAMS}
    assert files[PARAMS].startswith(b"{")
