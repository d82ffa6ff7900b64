"""What is proposed, of which types, and what becomes of a trial."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import optuna
import pytest

from fx_assets.specs.schema import SearchSpec
from fx_assets.training.records import Event, TrainingFailed, Trial, silent
from fx_assets.training.search.coordinator import Judge, SearchUnavailable
from fx_assets.training.search.optuna_coordinator import OptunaCoordinator
from tests.training.search.helpers import STUDY, alike, bowl, of_losses, search_spec, url


def searched(folder: Path, spec: SearchSpec, objective: Any = bowl, report: Any = silent) -> list[Trial]:
    return OptunaCoordinator(url(folder)).search(STUDY, spec, objective, report)


def test_proposals_are_a_function_of_the_seed(tmp_path: Path) -> None:
    # Over ten trials, TPE proposes; before, chance does.
    spec = search_spec(trials=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none is silenced
        first = searched(tmp_path / "first", spec)
        searched(tmp_path / "again", search_spec(trials=3))
        again = searched(tmp_path / "again", spec)
    other = searched(tmp_path / "other", search_spec(trials=1, seed=4))
    assert alike(first) == alike(again)
    assert len({str(trial.values) for trial in first}) == 12
    assert str(other[0].values) not in {str(trial.values) for trial in first}


def test_the_order_of_keys_makes_no_difference(tmp_path: Path) -> None:
    spec = search_spec(trials=2)
    turned = spec.model_copy(update={"space": dict(reversed(spec.space.items()))})
    assert list(turned.space) != list(spec.space)
    assert alike(searched(tmp_path / "a", spec)) == alike(searched(tmp_path / "b", turned))


def test_values_have_the_types_of_the_spec(tmp_path: Path) -> None:
    space = {
        "hyperparameters.any": {"choices": [True, 1, 1.0, "1"]},
        "hyperparameters.one": {"choices": ["only"]},
        "hyperparameters.share": {"low": 0.0, "high": 1.0},
        "hyperparameters.count": {"low": -1, "high": 1, "whole": True},
        "hyperparameters.size": {"low": 1, "high": 1024, "log": True, "whole": True},
    }
    given: list[dict[str, Any]] = []

    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        given.append(dict(values))
        judge(float(len(given)))

    trials = searched(tmp_path, search_spec(trials=14, folds=1, space=space), objective)
    assert [(trial.number, repr(dict(trial.values))) for trial in trials] == list(enumerate(map(repr, given)))
    seen = {key: {repr(values[key]) for values in given} for key in space}
    assert seen["hyperparameters.any"] == {"True", "1", "1.0", "'1'"}
    assert seen["hyperparameters.one"] == {"'only'"}
    assert seen["hyperparameters.count"] == {"-1", "0", "1"}
    for values in given:
        assert type(values["hyperparameters.share"]) is float
        assert 0 <= values["hyperparameters.share"] <= 1
        assert type(values["hyperparameters.size"]) is int
        assert 1 <= values["hyperparameters.size"] <= 1024
    # By chance, half of the sizes lie under the middle of a logarithmic scale; of a linear one, a thirtieth.
    assert sum(values["hyperparameters.size"] < 32 for values in given[:10]) >= 3


def test_trials_come_best_first(tmp_path: Path) -> None:
    error = ValueError("too wide")
    losses = (3.0, error, 1.0, 2.0, 1.0, 4.0, 9.0, 2.0)
    reported: list[Event] = []
    trials = searched(tmp_path, search_spec(), of_losses(*losses), reported.append)
    found = [(trial.number, trial.state, trial.loss, len(trial.folds)) for trial in trials]
    complete = [(2, 1.0), (4, 1.0), (3, 2.0), (7, 2.0), (0, 3.0), (5, 4.0)]
    expected = [(number, "complete", loss, 3) for number, loss in complete]
    assert found == [*expected, (6, "pruned", 9.0, 1), (1, "failed", 1.0, 1)]
    assert trials[-1].reason == "ValueError: too wide"
    assert sorted(trials, key=lambda trial: trial.number) == reported
    assert all(trial.study.startswith(f"{STUDY}/") for trial in trials)
    for trial in trials:
        assert trial.started_at.tzinfo == trial.ended_at.tzinfo == UTC
        assert trial.started_at <= trial.ended_at


def test_no_trial_is_pruned_by_its_last_fold(tmp_path: Path) -> None:
    def late(values: Mapping[str, Any], judge: Judge) -> None:
        del values
        number.append(0)
        for loss in (1.0, 1.0, 9.0 if len(number) == 6 else 1.0):
            judge(loss)

    number: list[int] = []
    trials = searched(tmp_path / "late", search_spec(trials=6, folds=3), late)
    assert [trial.state for trial in trials] == ["complete"] * 6


@pytest.mark.parametrize("loss", [math.nan, -math.inf])
def test_a_loss_that_is_no_number_fails_the_trial(tmp_path: Path, loss: float) -> None:
    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        del values
        for found in (2.0, loss if spoilt else 2.0, 2.0):
            judge(found)

    spoilt = True
    with pytest.raises(TrainingFailed, match="none of 1 trials was completed"):
        searched(tmp_path, search_spec(trials=1), objective)
    spoilt = False
    best, failed = searched(tmp_path, search_spec(trials=2), objective)
    assert (best.number, best.loss) == (1, 2.0)
    assert (failed.state, failed.folds, failed.loss) == ("failed", (2.0,), 2.0)
    assert failed.reason == f"ValueError: fold 2 of 3: the loss is {loss}"


def test_where_nothing_was_completed_the_reasons_are_told(tmp_path: Path) -> None:
    losses = (ValueError("too wide"), TrainingFailed("no rows"), ValueError("too wide"))
    with pytest.raises(TrainingFailed) as failed:
        searched(tmp_path, search_spec(trials=3), of_losses(*losses))
    message = str(failed.value)
    assert message.startswith(
        "none of 3 trials was completed: ValueError: too wide; TrainingFailed: no rows. Mend the cause, then write "
        "another search.seed"
    )


def test_an_objective_that_judges_by_no_fold_has_failed(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match="judged by no fold"):
        searched(tmp_path, search_spec(trials=1), lambda *_: None)


def test_a_longer_search_goes_on_and_a_shorter_one_is_what_it_was(tmp_path: Path) -> None:
    short = searched(tmp_path, search_spec(trials=2))
    reported: list[Event] = []
    judged: list[Mapping[str, Any]] = []

    def counted(values: Mapping[str, Any], judge: Judge) -> None:
        judged.append(values)
        bowl(values, judge)

    assert len(searched(tmp_path, search_spec(trials=4), counted, reported.append)) == 4
    assert (len(judged), len(reported)) == (2, 4)
    reported.clear()
    assert searched(tmp_path, search_spec(trials=2), counted, reported.append) == short
    assert len(judged) == 2, "nothing was proposed"
    assert len(reported) == 4, "all that the study knows is reported"


def test_studies_in_one_database_are_apart(tmp_path: Path) -> None:
    coordinator = OptunaCoordinator(url(tmp_path))
    first = coordinator.search("a/k/p/1", search_spec(trials=1), bowl, silent)
    second = coordinator.search("a/k/p/2", search_spec(trials=1), bowl, silent)
    assert alike(first) == alike(second)
    assert {trial.study.rpartition("/")[0] for trial in first + second} == {"a/k/p/1", "a/k/p/2"}


def test_a_search_that_begins_anew_has_another_name(tmp_path: Path) -> None:
    """A lost database must not make trials of today those of yesterday."""
    first = searched(tmp_path / "before", search_spec(trials=1))
    again = searched(tmp_path / "after", search_spec(trials=1))
    assert first[0].study != again[0].study
    assert searched(tmp_path / "before", search_spec(trials=1)) == first


def test_levels_of_other_loggers_are_put_back(tmp_path: Path) -> None:
    levels = {name: logging.getLogger(name).level for name in ("optuna", "alembic")}
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    logging.getLogger("alembic").setLevel(logging.INFO)
    try:
        searched(tmp_path, search_spec(trials=1))
        assert logging.getLogger("alembic").level == logging.INFO
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def test_a_path_with_braces_is_a_path(tmp_path: Path) -> None:
    searched(tmp_path / "{SCHEMA_VERSION}", search_spec(trials=1))
    assert [path.name for path in (tmp_path / "{SCHEMA_VERSION}" / "home").iterdir()] == ["search.db"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///var/search.db", "expected an absolute path"),
        ("mysql+pymysql://u:secret@h/d", "SQLite or PostgreSQL, not mysql"),
    ],
)
def test_other_databases_are_refused(where: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        OptunaCoordinator(where)
    assert "secret" not in str(refused.value)


def test_a_broken_database_ends_the_search_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "search.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(SearchUnavailable, match=r"search\.db: .*not a database.*run again"):
        searched(tmp_path, search_spec())
