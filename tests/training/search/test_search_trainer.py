"""A search over a real kind: what it leaves in the checkpoint, what it may see, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.predictors.random_walk import RandomWalk
from fx_assets.models.searched import FOUND, found_file
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec, SearchSpec
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.materials import Base, Materials, Trainer
from fx_assets.training.records import Event, Report, Trial
from fx_assets.training.search.coordinator import Objective
from fx_assets.training.search.study import ledger_entry, study_name
from fx_assets.training.search.trainer import SearchTrainer
from fx_assets.training.search.windows import packed_windows
from fx_assets.training.trainers import train
from tests.training.helpers import cuts, market, spec
from tests.training.search.helpers import STUDY, Folds, of_losses

SEARCH: dict[str, Any] = {"trials": 2, "folds": 2, "space": {"hyperparameters.alpha": {"low": 0.01, "high": 0.9}}}


def walker(**changes: Any) -> ModelSpec:
    """A random walk whose memory is searched for."""
    return spec(**{"kind": "random_walk", "hyperparameters": {}, "search": SEARCH, **changes})


def single(member: ModelSpec, materials: Materials) -> Trainer:
    del member
    return FitTrainer(materials)


class Fixed:
    """Tries given values in their order, in memory."""

    def __init__(self, *alphas: float) -> None:
        self.alphas = alphas
        self.studies: list[str] = []

    def search(self, study: str, spec: SearchSpec, objective: Objective, report: Report) -> Sequence[Trial]:
        del spec
        self.studies.append(study)
        trials = []
        for number, alpha in enumerate(self.alphas):
            judged = Folds()
            objective({"hyperparameters.alpha": alpha}, judged)
            moment = datetime(2026, 11, 21, tzinfo=UTC)
            values = {"hyperparameters.alpha": alpha}
            loss, series = sum(judged.losses) / len(judged.losses), packed_windows(judged.windows)
            folds = tuple(judged.losses)
            trials.append(Trial(study, number, values, "complete", loss, folds, moment, moment, "", series))
            report(trials[-1])
        return sorted(trials, key=lambda trial: (trial.loss or 0.0, trial.number))


def trained(history: PairHistory, folder: Path, coordinator: Fixed, **changes: Any) -> tuple[Any, list[Event]]:
    model, events = walker(), list[Event]()
    window = cuts(market(), model)
    materials = Materials({"EURUSD": history.until(window.validate_until)}, folder, report=events.append, **changes)
    return SearchTrainer(materials, trainers=single, coordinator=coordinator).fit(window, model), events


def predicted(files: dict[str, bytes], model: ModelSpec) -> Any:
    history = market().bare()
    predictor = RandomWalk(model, history.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    return predictor.predict(*windows(history, np.array([1000]), model)).scale


def test_the_checkpoint_has_the_best_values_and_the_predictor_uses_them(tmp_path: Path) -> None:
    coordinator = Fixed(0.9, 0.03, 0.5)
    result, events = trained(market(), tmp_path, coordinator)
    assert [event.number for event in events if isinstance(event, Trial)] == [0, 1, 2]
    best = min((event for event in events if isinstance(event, Trial)), key=lambda trial: trial.loss or 0.0)
    assert best.number == 1, "simulated volatility is constant, so a long memory is best"
    assert all(len(event.folds) == 2 for event in events if isinstance(event, Trial))
    assert {FOUND: result.files[FOUND]} == found_file({"hyperparameters.alpha": 0.03})
    numbers = {name: result.metrics[name] for name in ("trials", "trials_pruned", "trials_failed", "best_trial")}
    assert numbers == {"trials": 3, "trials_pruned": 0, "trials_failed": 0, "best_trial": 1}
    assert result.metrics["best_trial_loss"] == best.loss
    # The same as a model that was told the value; another than the default's.
    told = {name: content for name, content in result.files.items() if name != FOUND}
    chosen = walker(search=None, hyperparameters={"alpha": 0.03})
    np.testing.assert_array_equal(predicted(result.files, walker()), predicted(told, chosen))
    del told["golden.json"]
    assert not np.allclose(predicted(result.files, walker()), predicted(told, walker()))


def test_trials_see_no_row_after_the_training_rows(tmp_path: Path) -> None:
    """Validation rows calibrate the chosen model; what is chosen may not depend on them."""
    history, window = market(), cuts(market(), walker())
    after = history.ends > np.datetime64(window.train_until.replace(tzinfo=None))
    wild = replace(history, closes=np.where(after, history.closes * np.exp(np.arange(len(after)) % 2), history.closes))
    coordinator = Fixed(0.9, 0.03)
    (clean, events), (spoilt, again) = (trained(given, tmp_path, coordinator) for given in (history, wild))
    assert events == again
    assert len(set(coordinator.studies)) == 1
    assert clean.files["calibration.json"] != spoilt.files["calibration.json"]


def test_a_warm_update_goes_on_with_what_was_found(tmp_path: Path) -> None:
    base = Base("v", found_file({"hyperparameters.alpha": 0.25}), cuts(market(), walker()).train_until)
    coordinator = Fixed()
    result, events = trained(market(), tmp_path, coordinator, base=base)
    assert (coordinator.studies, events) == ([], [])
    assert result.files[FOUND] == base.files[FOUND]


def test_a_model_without_a_search_is_refused(tmp_path: Path) -> None:
    model = walker(search=None)
    trainer = SearchTrainer(Materials({"EURUSD": market()}, tmp_path), trainers=single, coordinator=Fixed())
    with pytest.raises(ValueError, match="has no search; take the trainer of its kind"):
        trainer.fit(cuts(market(), model), model)


def test_the_settings_say_where_trials_are_kept(tmp_path: Path) -> None:
    """All parts as they are put together, in this process; a second training finds the trials of the first."""
    model, events = walker(), list[Event]()
    settings = Settings(home=tmp_path / "home")
    materials = Materials({"EURUSD": market()}, tmp_path / "scratch", report=events.append)
    first, second = (
        train(model, materials, cuts(market(), model), settings=settings, supervised=False) for _ in range(2)
    )
    assert (tmp_path / "home" / "search.db").is_file()
    assert first.files == second.files
    assert FOUND in first.files
    assert events[:2] == events[2:]
    assert len(events) == 4


def named(model: ModelSpec, pairs: Sequence[str] = ("EURUSD",), **changes: Any) -> str:
    histories = {pair: replace(market(), pair=pair, **changes.pop("history", {})) for pair in pairs}
    window = cuts(market(), model)
    assert model.search is not None
    moved = replace(window, train_until=window.train_until + changes.pop("later", timedelta()))
    return study_name(model, model.search, Materials(histories, Path(), **changes), moved)


def test_a_search_has_the_name_of_all_that_decides_it() -> None:
    name = named(walker())
    assert name.startswith("small/random_walk/EURUSD/")
    assert len(name.rpartition("/")[2]) == 16
    longer = walker(search={**SEARCH, "trials": 9}, description="other", schedule={"nightly": False})
    assert named(longer) == name
    features = FeatureSetSpec.model_validate({"name": "core", "stages": [{"stage": "indicators"}]})
    others = [
        named(walker(search={**SEARCH, "seed": 8})),
        named(walker(search={**SEARCH, "folds": 3})),
        named(walker(search={**SEARCH, "space": {"hyperparameters.alpha": {"low": 0.02, "high": 0.9}}})),
        named(walker(training={"seed": 8})),
        named(walker(horizon=4)),
        named(walker(), history={"closes": market().closes * 2}),
        named(walker(), features=features),
        named(walker(), features=features.model_copy(update={"name": "other"})),
        named(walker(), later=timedelta(days=1)),
        named(walker(), ("EURUSD", "USDJPY")),
    ]
    assert len({name, *others}) == 11


def test_a_panel_of_many_pairs_is_named_by_their_number() -> None:
    assert named(walker(), ("USDJPY", "EURUSD")).split("/")[2] == "EURUSD+USDJPY"
    assert named(walker(), [f"EUR{letter}{letter}{letter}" for letter in "ABCDEFG"]).split("/")[2] == "7 pairs"


def test_the_ledger_is_told_of_the_kind_that_was_searched(tmp_path: Path) -> None:
    from fx_assets.training.search.optuna_coordinator import OptunaCoordinator

    spec = SearchSpec.model_validate({**SEARCH, "trials": 1})
    (trial,) = OptunaCoordinator(f"sqlite:///{tmp_path / 's.db'}").search(STUDY, spec, of_losses(1.0), lambda _: None)
    entry = ledger_entry(trial, "mixed", {"EURUSD": 0, "USDJPY": 0}, "run-1")
    assert (entry.model_id, entry.kind, entry.pairs) == ("mixed", "kind", ("EURUSD", "USDJPY"))
    assert (entry.study, entry.number, entry.folds, entry.loss) == (trial.study, 0, (1.0, 1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="expected MODEL/KIND/PAIRS/DIGEST"):
        ledger_entry(replace(trial, study="nameless"), "mixed", ("EURUSD",), "run-1")
