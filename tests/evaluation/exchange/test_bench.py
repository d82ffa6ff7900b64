"""The benchmark as a whole: what its document says, and that nothing sees the test rows, or else is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.exchange import closed, published
from fx_assets.evaluation.exchange.bench import Result, Task, run
from fx_assets.evaluation.exchange.candidates import CLOSED, Family
from fx_assets.evaluation.exchange.learned import corrupted, learn_all, seen, steps
from fx_assets.evaluation.exchange.model import Fitted, Model, RepeatLast, score
from fx_assets.evaluation.exchange.neural import NetworkModel, itransformer
from fx_assets.evaluation.exchange.recipe import Recipe, label, other_cuts, scored
from fx_assets.evaluation.exchange.split import HORIZONS, Split
from fx_assets.evaluation.exchange.split import published as cut_as_published
from fx_assets.evaluation.exchange.table import FILE_NAME, Table, TableError, from_ecb, read_file
from tests.evaluation.exchange.helpers import SMALL, table

NETWORK = NetworkModel("itransformer", itransformer, epochs=1)


@dataclass(frozen=True)
class Peeking(Model):
    """Scales by rows that come after its own: the classical leak."""

    name: str = "peeking"

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        del seed
        level = split.table.values.mean()  # all rows, the test's among them

        return Fitted(lambda last: RepeatLast().fit(split, horizon, 0).forecast(last), {"level": np.array(level)})


@dataclass(frozen=True)
class PeekingForecast(Model):
    """Learns nothing, and forecasts by a number from the last test row."""

    name: str = "peeking_forecast"

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        del seed
        return Fitted(lambda last: np.full((len(last), 8, horizon), split.z[-1, 0]), {})


def done(family: Family = SMALL, *, seeds: int = 1, horizons: tuple[int, ...] = (5, 20)) -> Result:
    task = Task(table(800), from_ecb(), horizons=horizons, seeds=seeds, family=family)
    return run(task, lambda _: lambda _text: None)


@pytest.fixture(scope="module")
def result() -> Result:
    return done(Family(SMALL.closed, (NETWORK,)), seeds=2)


def test_the_document_has_the_contracts_keys(result: Result) -> None:
    document = result.document()
    assert [row["model"] for row in document["rows"]] == ["repeat_last", "itransformer", "chosen", Recipe.name]
    for row in document["rows"]:
        assert {"model", "published", "mse", "mae", "independent_windows", "verdict", "note"} <= row.keys()
        assert row["mse"].keys() == row["mae"].keys() == row["independent_windows"].keys() == {"5", "20"}
        assert row["published"] is False
    assert document["configurations_tried"] == 2 * len(document["choice"]["ranking"])
    assert document["test_rows_unseen"] is True
    assert document["as_published"] is False
    assert document["protocol"] is False
    assert document["test_windows"] == {"5": 156, "20": 141}
    assert document["rows"][0]["independent_windows"] == {"5": 32, "20": 8}


def test_seeds_are_spread_and_closed_forms_are_not(result: Result) -> None:
    rows = {row.model: row for row in result.rows}
    assert rows["itransformer"].seeds == 2
    assert rows["itransformer"].mse_spread[5] > 0
    assert (rows["repeat_last"].seeds, rows["repeat_last"].mse_spread[5]) == (1, 0.0)
    fits = result.learned.of("itransformer", 5)
    scores = [score(fitted, result.split, 5, result.split.origins("test", 5)).mse for fitted in fits]
    assert rows["itransformer"].mse[5] == pytest.approx(np.mean(scores), rel=1e-12)
    assert rows["itransformer"].mse_spread[5] == pytest.approx(np.std(scores, ddof=1), rel=1e-9)


def test_verdicts_stand_by_the_number_of_independent_windows(result: Result) -> None:
    rows = {row.model: row for row in result.rows}
    assert rows["repeat_last"].verdict == "reference"
    assert rows["itransformer"].verdicts[20] == "too little data"
    assert rows["itransformer"].verdicts[5] in {"no skill shown", "worse", "skill shown"}
    assert rows["itransformer"].verdict == "too little data"


def test_nothing_that_was_learned_saw_the_test(result: Result) -> None:
    assert result.leaks == ()
    assert result.document()["fits_compared"] == 2 * 3 + 1 + 2 * sum(
        name != "chosen" and name in {model.name for model in SMALL.closed}
        for name in result.learned.choice.best.candidate.members
    )


@pytest.mark.parametrize(
    ("peeking", "found"),
    [(Peeking(), "peeking at 5"), (PeekingForecast(), "peeking_forecast at 5")],
    ids=["parameters", "forecast"],
)
def test_a_model_that_peeks_is_found_out(peeking: Model, found: str) -> None:
    """It peeks as a row's own model, not among the folds, where it could be found by the choice."""
    split = cut_as_published(table(800))
    family = Family((), (peeking,))  # type: ignore[arg-type]  # a network's place gives it a row
    shown: list[str] = []
    first, again = (learn_all(part, family, (5,), [0], shown.append) for part in (split, corrupted(split)))
    assert len(shown) == 2 * steps(split, family, (5,), 1)
    assert found in seen(first, again)


def test_a_choice_that_peeks_is_found_out() -> None:
    family = Family((Peeking(), closed.Drift()), ())
    assert "choice" in done(family, horizons=(5,)).leaks
    assert done(family, horizons=(5,)).document()["test_rows_unseen"] is False


def test_only_test_rows_are_corrupted_and_all_of_them() -> None:
    split = cut_as_published(table(800))
    other = corrupted(split)
    known = split.rows("train") + split.rows("validation")
    assert (other.table.values[:known] == split.table.values[:known]).all()
    assert (other.table.values[known:] != split.table.values[known:]).all()
    assert (other.z[:known] == split.z[:known]).all()


def test_progress_is_called_as_often_as_it_was_said() -> None:
    calls: list[str] = []
    totals: list[int] = []

    def start(total: int) -> Callable[[str], None]:
        totals.append(total)
        return calls.append

    # A closed form in a network's place gets as many fits as a network does.
    family = Family(SMALL.closed[:1], SMALL.closed[1:])  # type: ignore[arg-type]
    run(Task(table(800), from_ecb(), horizons=(5, 20), seeds=2, family=family), start)
    assert totals == [len(calls)]


def test_ten_other_cuts_none_of_them_the_papers() -> None:
    cuts = other_cuts(table(7588), from_ecb())
    assert len(cuts) == 10
    assert len({name for name, _ in cuts}) == 10
    for _, split in cuts:
        assert len(split.origins("test", 720)) > 0
        assert [split.rows(part) for part in ("train", "validation", "test")] != list(published.FILE_ROWS)
    assert len(other_cuts(None, from_ecb())) == 5


def test_the_exhibits_label_counts_what_came_out() -> None:
    cuts = scored(other_cuts(None, from_ecb()), (96,), lambda _: None)
    losses = sum(cut.recipe[96] > cut.repeat_last[96] for cut in cuts)
    assert label(cuts) == f"recipe found on test, loses in {losses} of 5 other cuts"


def test_a_file_of_the_papers_size_with_other_figures_is_refused() -> None:
    with pytest.raises(TableError, match="it is another file"):
        run(Task(table(7588), from_ecb(), horizons=(96,), seeds=1, family=SMALL), lambda _: lambda _text: None)


def test_without_the_file_only_the_fresh_table_can_be_asked_for() -> None:
    with pytest.raises(TableError, match="--data"):
        _ = Task(None, from_ecb()).split
    assert Task(None, from_ecb(), fresh=True).split.table.dated


def test_quick_keeps_the_closed_forms_and_one_epoch_of_one_network() -> None:
    family = replace(Task(None, from_ecb(), quick=True)).models
    assert family.closed == CLOSED
    assert [(model.name, model.epochs) for model in family.networks] == [("itransformer", 1)]


def file(sample_data: Path) -> Table:
    return read_file(sample_data / FILE_NAME)


def test_repeat_last_on_the_published_file_is_the_anchors(sample_data: Path) -> None:
    split = cut_as_published(file(sample_data))
    for horizon in HORIZONS:
        last = split.origins("test", horizon)
        assert len(last) == published.TEST_WINDOWS[horizon]
        found = score(RepeatLast().fit(split, horizon, 0), split, horizon, last)
        assert found.mse == pytest.approx(published.REPEAT_LAST_MSE[horizon], abs=1e-6)
        assert found.mae == pytest.approx(published.REPEAT_LAST_MAE[horizon], abs=1e-6)


def test_the_exhibit_on_the_published_file_is_the_anchors(sample_data: Path) -> None:
    split = cut_as_published(file(sample_data))
    known = {96: (0.076, 0.194), 192: (0.148, 0.278), 336: (0.244, 0.367), 720: (0.449, 0.519)}
    for horizon in HORIZONS:
        found = score(Recipe().fit(split, horizon, 0), split, horizon, split.origins("test", horizon))
        assert (found.mse, found.mae) == pytest.approx(known[horizon], abs=5e-4)


@pytest.mark.slow
def test_the_exhibit_loses_in_seven_of_ten_other_cuts(sample_data: Path) -> None:
    cuts = scored(other_cuts(file(sample_data), from_ecb()), HORIZONS, lambda _: None)
    assert label(cuts) == "recipe found on test, loses in 7 of 10 other cuts"


def test_the_files_traps_are_in_the_report(sample_data: Path) -> None:
    from fx_assets.evaluation.exchange.sanity import sanity

    found = sanity(cut_as_published(file(sample_data)))
    assert len(found.frozen) == 182
    assert {3590, 3661, 6621, 6690} <= {tick.line for tick in found.bad_ticks}
    assert (found.frozen_in_test, found.bad_ticks_in_test) == (122, 2)
