"""The ensemble's trainer: what its weights are made from, what it keeps, and what it does about failures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION
from fx_assets.models.errors import FitFailed
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.members import ENSEMBLE
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.ensemble import EnsemblePredictor
from fx_assets.settings import get_settings
from fx_assets.specs.schema import ModelSpec, SearchSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.ensemble import Candidate, EnsembleTrainer, weigh
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.materials import Base, Materials, Trainer
from fx_assets.training.records import Event, Report, Step, TrainedModel, TrainingFailed, Trial
from fx_assets.training.search.coordinator import Objective, OptimizationCoordinator
from fx_assets.training.search.out_of_fold import OutOfFold
from fx_assets.training.trainers import train
from tests.models import example_drift  # noqa: F401 - registers its kind
from tests.models.simulated import cuts, day, model_spec, pair_history
from tests.training import helpers
from tests.training.search.helpers import Folds

HISTORY = pair_history(n=600, seed=2)
RNG = np.random.default_rng(8)
DRIFTING = pair_history(n=600, returns=RNG.normal(0.004, 0.005, 599))
CUTS = cuts(HISTORY)
ALPHAS = {"space": {"hyperparameters.alpha": {"low": 0.01, "high": 0.9}}, "trials": 4, "folds": 2}


def ensemble(*members: Mapping[str, Any] | str, folds: int = 3, picks: int = 10, **changes: Any) -> ModelSpec:
    listed = [{"kind": member} if isinstance(member, str) else member for member in members]
    return model_spec("ensemble", ensemble={"members": listed, "folds": folds, "picks": picks}, **changes)


def given(*histories: PairHistory, report: Report = lambda _: None) -> Materials:
    pairs = {history.pair: history for history in histories or (HISTORY,)}
    return Materials(histories=pairs, scratch=Path("unused"), report=report)


def fitted(_: ModelSpec, materials: Materials) -> Trainer:
    return FitTrainer(materials)


def fit(
    spec: ModelSpec,
    *histories: PairHistory,
    trainers: Callable[[ModelSpec, Materials], Trainer] = fitted,
    coordinator: OptimizationCoordinator | None = None,
    report: Report = lambda _: None,
) -> TrainedModel:
    materials = given(*histories, report=report)
    return EnsembleTrainer(materials, trainers=trainers, coordinator=coordinator).fit(CUTS, spec)


def members(trained: TrainedModel) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(trained.files[ENSEMBLE])["members"]
    return found


def loaded(spec: ModelSpec, trained: TrainedModel) -> EnsemblePredictor:
    predictor = EnsemblePredictor(spec)
    assert predictor.load_model(MemoryCheckpoint(predictor.identity(), trained.files)).skipped == []
    return predictor


@dataclass
class Drifts:
    """A trainer that notes what it was given and fails where it is told to; its drift is always the same."""

    fails: Callable[[ModelSpec, EvaluationWindow], Exception | None] = lambda _, __: None
    given: list[tuple[ModelSpec, Materials, EvaluationWindow]] = field(default_factory=list)

    def __call__(self, spec: ModelSpec, materials: Materials) -> Trainer:
        del spec
        self._materials = materials
        return self

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        self.given.append((spec, self._materials, window))
        if error := self.fails(spec, window):
            raise error
        if spec.kind != "example_drift":
            return FitTrainer(self._materials).fit(window, spec)
        files = {PARAMS: dump_params({"drift": 0.004, "deviation": 0.01})}
        return TrainedModel(files, {}, (), window.validate_until, 3)


class Listed:
    """A coordinator in memory: it tries listed values, and forgets them."""

    def __init__(self, *alphas: float) -> None:
        self.alphas = alphas
        self.studies: list[tuple[str, SearchSpec]] = []

    def search(self, study: str, spec: SearchSpec, objective: Objective, report: Report) -> Sequence[Trial]:
        self.studies.append((study, spec))
        trials = []
        for number, alpha in enumerate(self.alphas):
            values, judged = {"hyperparameters.alpha": alpha}, Folds()
            objective(values, judged)
            start, losses = day(HISTORY, 0), tuple(judged.losses)
            trial = Trial(study, number, values, "complete", float(np.mean(losses)), losses, start, start)
            report(trial)
            trials.append(trial)
        if not trials:
            raise TrainingFailed("no trial was completed")
        best = sorted(trials, key=lambda trial: trial.loss or 0.0)
        return [*best, dataclasses.replace(best[0], number=99, state="pruned", values={"hyperparameters.alpha": 0.5})]


def test_a_planted_member_is_found() -> None:
    trained = fit(ensemble("random_walk", "example_drift"), DRIFTING)
    assert [(member["kind"], member["member"]) for member in members(trained)] == [("example_drift", 1)]
    assert members(trained)[0]["weight"] == 1.0
    assert trained.metrics["weight_0_random_walk"] == 0.0
    assert trained.metrics["weight_1_example_drift"] == 1.0
    assert trained.metrics["loss_1_example_drift"] < trained.metrics["loss_0_random_walk"]
    # Without a drift the same member knows no better than the walk, and the walk keeps most of the weight.
    flat = fit(ensemble("random_walk", "example_drift"), HISTORY)
    assert flat.metrics["weight_0_random_walk"] > 0


def test_the_checkpoint_is_that_of_the_weighted_members_and_whole() -> None:
    spec = ensemble("random_walk", "har", "example_drift")
    trained = fit(spec)
    kept = members(trained)
    assert 2 <= len(kept) <= 3
    own = {f"m{number}.{PARAMS}" for number in range(len(kept))}
    assert set(trained.files) == {ENSEMBLE, CALIBRATION, GOLDEN, *own}
    for number, member in enumerate(kept):
        single = FitTrainer(given()).fit(CUTS, model_spec(member["kind"]))
        assert trained.files[f"m{number}.{PARAMS}"] == single.files[PARAMS]
    predictor = loaded(spec, trained)
    (history,) = given().histories.values()
    rows = np.array([500, 550, 590])
    prediction = predictor.predict(*windows(history, rows, spec))
    assert len(predictor.postprocess(prediction, history.closes[rows], "EURUSD")) == 3
    assert trained.trained_until == CUTS.validate_until
    assert trained.metrics["loss_ensemble"] <= trained.metrics["loss_best_member"]
    assert trained.metrics["candidates"] == 3
    stored = json.loads(trained.files[ENSEMBLE])
    assert stored["loss"] == trained.metrics["loss_ensemble"]
    assert len(stored["folds"]) == 3
    assert stored["left_out"] == {}


def test_a_golden_sample_that_the_ensemble_does_not_answer_is_noticed() -> None:
    spec = ensemble("random_walk", "example_drift")
    trained = fit(spec, DRIFTING)
    other = json.loads(trained.files["m0." + PARAMS]) | {"drift": 0.001}
    with pytest.raises(ValueError, match=r"golden\.json: location differs"):
        loaded(spec, dataclasses.replace(trained, files={**trained.files, "m0." + PARAMS: dump_params(other)}))


def spoilt(history: PairHistory, when: Any) -> PairHistory:
    later = history.ends > np.datetime64(when.replace(tzinfo=None), "us")
    rng = np.random.default_rng(1)
    return dataclasses.replace(history, closes=np.where(later, 5 * np.exp(rng.normal(size=600)), history.closes))


def test_rows_after_the_training_part_change_no_weight() -> None:
    spec = ensemble("random_walk", {"kind": "random_walk", "hyperparameters": {"alpha": 0.3}}, "example_drift", "har")
    whole = fit(spec)
    other = fit(spec, spoilt(HISTORY, CUTS.train_until))
    assert len(members(whole)) > 1
    assert other.files[ENSEMBLE] == whole.files[ENSEMBLE]
    assert other.files[CALIBRATION] != whole.files[CALIBRATION]
    assert fit(spec, spoilt(HISTORY, CUTS.validate_until)).files == whole.files


def test_equal_seeds_give_equal_bytes() -> None:
    spec = ensemble("random_walk", "har", "example_drift")
    assert fit(spec).files == fit(spec).files


def test_folds_train_on_rows_before_their_windows_and_members_on_the_whole_part() -> None:
    spy, wild = Drifts(), {"kind": "random_walk", "hyperparameters": {"alpha": 0.99}}
    materials = dataclasses.replace(given(DRIFTING), base=Base("v1", {}, day(DRIFTING, 9)), resume=Path("kept"))
    trained = EnsembleTrainer(materials, trainers=spy).fit(CUTS, ensemble("random_walk", "example_drift", wild))
    folds = CUTS.folds(DRIFTING.until(CUTS.train_until).ends, 3)
    judging, whole = spy.given[:9], spy.given[9:]
    assert [window for _, _, window in judging] == [*folds, *folds, *folds]
    assert [spec.kind for spec, _, _ in judging] == ["random_walk"] * 3 + ["example_drift"] * 3 + ["random_walk"] * 3
    for _, materials, window in judging:
        last = materials.histories["EURUSD"].ends[-1]
        assert last == np.datetime64(window.validate_until.replace(tzinfo=None), "us")
        assert window.test_until <= CUTS.train_until
    # Who has no weight is not trained again. One that is may resume, but an ensemble has no version to go on from.
    assert [spec.kind for spec, _, _ in whole] == [member["kind"] for member in members(trained)]
    assert {member["member"] for member in members(trained)} == {0, 1}
    for _, materials, window in whole:
        assert window == CUTS
        assert (materials.base, materials.resume) == (None, Path("kept"))
        last = materials.histories["EURUSD"].ends[-1]
        assert last == np.datetime64(CUTS.validate_until.replace(tzinfo=None), "us")
    assert all(spec.ensemble is None and spec.search is None for spec, _, _ in spy.given)


def test_a_failing_candidate_is_left_out_and_said() -> None:
    said: list[Event] = []

    def fails(spec: ModelSpec, window: EvaluationWindow) -> Exception | None:
        late = window.train_until > CUTS.folds(DRIFTING.ends, 3)[0].train_until
        return FitFailed("it went wrong") if spec.kind == "example_drift" and late else None

    spec = ensemble("random_walk", "example_drift")
    trained = fit(spec, DRIFTING, trainers=Drifts(fails=fails), report=said.append)
    assert [member["kind"] for member in members(trained)] == ["random_walk"]
    assert json.loads(trained.files[ENSEMBLE])["left_out"] == {"1_example_drift": "FitFailed: it went wrong"}
    assert trained.metrics["candidates"] == 2
    assert trained.metrics["candidates_left_out"] == 1
    assert [str(event) for event in said] == [
        "candidate 1 of 2 (0_random_walk): fold 1 of 3",
        "candidate 1 of 2 (0_random_walk): fold 2 of 3",
        "candidate 1 of 2 (0_random_walk): fold 3 of 3",
        "candidate 2 of 2 (1_example_drift): fold 1 of 3",
        "candidate 2 of 2 (1_example_drift): fold 2 of 3",
        "1_example_drift is left out: FitFailed: it went wrong",
        "0_random_walk: weight 1, training on all training rows",
    ]
    assert all(isinstance(event, Step) for event in said)


def test_a_member_that_fails_on_the_whole_part_gives_its_weight_to_the_others() -> None:
    def fails(spec: ModelSpec, window: EvaluationWindow) -> Exception | None:
        return TrainingFailed("diverged") if spec.kind == "example_drift" and window == CUTS else None

    trained = fit(ensemble("random_walk", "example_drift"), DRIFTING, trainers=Drifts(fails=fails))
    assert [(member["kind"], member["weight"]) for member in members(trained)] == [("random_walk", 1.0)]
    assert trained.metrics["loss_ensemble"] == trained.metrics["loss_0_random_walk"]
    assert trained.metrics["loss_best_member"] == trained.metrics["loss_0_random_walk"]
    assert trained.metrics["candidates"] == 2


def test_without_any_member_there_is_no_ensemble() -> None:
    spec = ensemble("random_walk", "example_drift")
    spy = Drifts(fails=lambda spec, _: FitFailed(f"{spec.kind} is spoilt"))
    with pytest.raises(TrainingFailed, match="0_random_walk: FitFailed: random_walk is spoilt; 1_example_drift: Fit"):
        fit(spec, trainers=spy)


def test_an_error_of_another_sort_is_not_hidden() -> None:
    spy = Drifts(fails=lambda _, __: ZeroDivisionError("a fault of the code"))
    with pytest.raises(ZeroDivisionError):
        fit(ensemble("random_walk", "example_drift"), trainers=spy)


def test_the_best_settings_of_a_search_are_candidates() -> None:
    searching = {"kind": "random_walk", "search": ALPHAS, "keep": 2}
    said: list[Event] = []
    coordinator = Listed(0.8, 0.05, 0.05, 0.9, 0.1)
    spec = ensemble("example_drift", searching)
    trained = fit(spec, coordinator=coordinator, report=said.append)
    ((study, asked),) = tuple(coordinator.studies)
    assert study.startswith("tried/random_walk/EURUSD/")
    assert asked == SearchSpec.model_validate(ALPHAS)
    judged = {name for name in trained.metrics if name.startswith("loss_1")}
    # The two that are calm and unlike; not the twin, not the wild ones, not the pruned one.
    assert judged == {"loss_1_random_walk_trial_1", "loss_1_random_walk_trial_4"}
    assert [event.number for event in said if isinstance(event, Trial)] == [0, 1, 2, 3, 4]
    all_of_them = fit(ensemble({**searching, "keep": 10}), coordinator=coordinator)
    assert sorted(name[-1] for name in all_of_them.metrics if name.startswith("loss_0")) == ["0", "1", "3", "4"]
    found = [member for member in members(trained) if member["member"] == 1]
    assert found
    assert all(member["values"]["hyperparameters.alpha"] in (0.05, 0.1) for member in found)
    loaded(spec, trained)


def test_a_search_that_finds_nothing_is_a_candidate_left_out() -> None:
    trained = fit(ensemble("example_drift", {"kind": "random_walk", "search": ALPHAS}), coordinator=Listed())
    assert list(json.loads(trained.files[ENSEMBLE])["left_out"]) == ["1_random_walk"]
    assert trained.metrics["candidates"] == 2


def test_what_it_depends_on_comes_by_the_constructor() -> None:
    with pytest.raises(ValueError, match=r"member 0 \(random_walk\) has a search, and this trainer no coordinator"):
        fit(ensemble({"kind": "random_walk", "search": ALPHAS}))
    with pytest.raises(ValueError, match="has no members"):
        fit(model_spec("random_walk"))


def test_predictions_of_other_windows_are_not_mixed() -> None:
    y, ones = np.zeros((4, 2)), np.ones((4, 2))
    first, second = (Candidate(name, at, model_spec()) for at, name in enumerate(("one", "two")))
    weights, loss = weigh([(first, OutOfFold(y, ones, y, ones)), (second, OutOfFold(y, ones, y, ones))], picks=4)
    assert (weights.tolist(), loss) == ([1.0, 0.0], OutOfFold(y, ones, y, ones).loss)
    with pytest.raises(RuntimeError, match="two predicted other windows than one"):
        weigh([(first, OutOfFold(y, ones, y, ones)), (second, OutOfFold(y, ones, y + 1, ones))], picks=4)


def test_a_panel_has_one_mixture_and_a_calibration_for_each_pair() -> None:
    yen = pair_history("USDJPY", n=600, seed=9, start=140.0)
    spec = ensemble("random_walk", {"kind": "random_walk", "hyperparameters": {"alpha": 0.3}}, scope="panel")
    trained = fit(spec, HISTORY, yen)
    assert set(json.loads(trained.files[CALIBRATION])) == {"EURUSD", "USDJPY"}
    predictor = loaded(spec, trained)
    assert set(predictor.calibrations) == {"EURUSD", "USDJPY"}
    # Both pairs' windows decide: alone, each gives another loss.
    alone = fit(spec, HISTORY)
    assert trained.metrics["loss_0_random_walk"] != alone.metrics["loss_0_random_walk"]


@pytest.mark.slow
def test_a_network_and_a_walk_in_a_process_of_their_own(tmp_path: Path) -> None:
    history = helpers.market(phi=0.5)
    network = {"kind": "itransformer", "hyperparameters": helpers.SMALL["hyperparameters"]}
    spec = helpers.spec(
        kind="ensemble",
        features="core",
        hyperparameters={},
        ensemble={"members": [{"kind": "random_walk"}, network], "folds": 1, "picks": 10},
        training={"max_epochs": 3, "learning_rate": 3e-3},
    )
    window, said = helpers.cuts(history, spec), list[Event]()
    materials = Materials(histories={"EURUSD": history}, scratch=tmp_path, report=said.append)
    trained = train(spec, materials, window, settings=get_settings(), supervised=True)
    kept = {member["kind"]: member["weight"] for member in members(trained)}
    assert kept["itransformer"] > 0.5
    number = list(kept).index("itransformer")
    assert {f"m{number}.model.onnx", f"m{number}.model.safetensors", f"m{number}.params.json"} <= set(trained.files)
    assert any(str(event).startswith("candidate 2 of 2 (1_itransformer): fold 1 of 1") for event in said)
    predictor = EnsemblePredictor(spec, history.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), trained.files))
    rows, came = helpers.held_out(history, spec, window)
    location = predictor.predict(rows).location
    assert np.mean((came[:, 0] - location[:, 0]) ** 2) < 0.95 * np.mean(came[:, 0] ** 2)
    assert list(tmp_path.iterdir()) == []
