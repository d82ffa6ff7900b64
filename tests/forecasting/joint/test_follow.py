"""Risk of a book that follows what came: the rule, what counts as an outcome, and what the document then says."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.backtest import replay
from fx_assets.forecasting.joint.book import profits, weighted
from fx_assets.forecasting.joint.document import JointForecast
from fx_assets.forecasting.joint.follow import MEMORY, Followed, followed, log_factors, moved
from fx_assets.forecasting.joint.risk import RISK_LEVELS
from fx_assets.forecasting.joint.words import to_row
from fx_assets.models.ranges import GAIN, MOST
from tests.forecasting.joint.test_backtest import market
from tests.forecasting.joint.test_joint_document import GRAPH, closes, history, issue, joint, served

__all__ = ["closes", "joint", "served"]

LEVELS = (0.01, 0.05)


def plain(losses: Any, said: Any, memory: int) -> Any:
    """The rule as it is written, row by row."""
    rows = []
    for origin in range(len(losses) + 1):
        logs = np.zeros(said.shape[1:])
        for past in range(max(0, origin - memory), origin):
            exceeded = losses[past][:, None] > said[past] * np.exp(logs)
            logs = np.clip(logs + GAIN * (exceeded - np.array(LEVELS)), -MOST, MOST)
        rows.append(logs)
    return np.array(rows)


@pytest.mark.parametrize("memory", [1, 7, 30, 500])
def test_factors_are_the_rule_from_row_to_row(memory: int) -> None:
    rng = np.random.default_rng(5)
    losses = rng.normal(size=(40, 2))
    said = np.abs(rng.normal(1.5, 0.3, size=(40, 2, 2)))
    assert np.array_equal(log_factors(losses, said, LEVELS, memory=memory), plain(losses, said, memory))


def test_one_loss_beyond_widens_and_each_day_within_narrows() -> None:
    said = np.ones((3, 2, 2))
    logs = log_factors(np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), said, LEVELS)
    assert logs[0].tolist() == [[0, 0], [0, 0]]
    assert logs[1, 0] == pytest.approx([0.99 * GAIN, 0.95 * GAIN])
    assert logs[1, 1] == pytest.approx([-0.01 * GAIN, -0.05 * GAIN])
    assert logs[3, 0] == pytest.approx([0.97 * GAIN, 0.85 * GAIN])


def test_no_later_outcome_changes_a_factor_and_none_before_the_memory() -> None:
    rng = np.random.default_rng(2)
    losses, said = rng.normal(size=(60, 2)), np.full((60, 2, 2), 1.2)
    before = log_factors(losses, said, LEVELS, memory=10)
    bent = losses.copy()
    bent[30] = 99.0
    after = log_factors(bent, said, LEVELS, memory=10)
    same = np.array([np.array_equal(one, other) for one, other in zip(before, after, strict=True)])
    assert same[:31].all()
    assert not same[31:41].any()
    assert same[41:].all()


def test_a_rarer_loss_is_never_the_smaller() -> None:
    assert moved(np.array([1.0, 0.9, 0.8]), np.log([0.5, 1.0, 1.0])).tolist() == pytest.approx([0.9, 0.9, 0.8])


def test_other_shapes_and_falling_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"said \(n, 2, 2\)"):
        log_factors(np.zeros((3, 2)), np.zeros((3, 2, 3)), LEVELS)
    with pytest.raises(ValueError, match="rarest first"):
        log_factors(np.zeros((3, 2)), np.zeros((3, 2, 2)), (0.05, 0.01))


def test_a_volatility_that_says_too_little_is_made_up_for_in_time() -> None:
    prices, volatility = market(1900, seed=4)
    # From here on everything moves half as much again, and no model says so.
    logs = np.diff(np.log(prices), axis=0)
    logs[700:] *= 1.5
    prices = np.exp(np.concatenate([np.log(prices[:1]), np.log(prices[0]) + np.cumsum(logs, axis=0)]))
    found = replay(prices, volatility, GRAPH, origins=range(600, 1899), draws=1000)
    off = {how: found.exceptions(how)[300:].mean(axis=0) - RISK_LEVELS for how in ("joint", "followed")}
    assert (off["joint"] > 0.003).all()
    assert (np.abs(off["followed"]) < off["joint"] / 2).all()
    with pytest.raises(ValueError, match="only outcomes one bar ahead"):
        replay(prices, volatility, GRAPH, origins=[600], horizon=2, draws=200).followed()


# -- what the nights have taught --------------------------------------------------------------------


def night(made: JointForecast, days: Any, row: int, **changes: Any) -> pa.Table:
    """The document as of another row of the history, issued half an hour after its bar ended."""
    day = days[row].astype("datetime64[D]").item()
    back = made.data_as_of - day
    horizons = tuple(each.model_copy(update={"target_time": each.target_time - back}) for each in made.horizons)
    update = {
        "data_as_of": day,
        "origin": made.origin - back,
        "issued_at": made.origin - back + timedelta(minutes=30),
        "horizons": horizons,
    }
    return to_row(made.model_copy(update={**update, **changes}))


def lost(closes: Any, row: int) -> float:
    book = weighted(GRAPH, closes[row], "USD")
    return -float(profits(np.log(closes[row + 1] / closes[row])[None, None], GRAPH, closes[row], book).sum())


def test_each_past_night_counts_once_with_what_came_a_bar_later(joint: JointForecast, closes: Any) -> None:
    days = np.datetime64(joint.data_as_of, "D") - np.arange(len(closes))[::-1]
    rows = [len(closes) - back for back in (6, 4, 3)]
    nights = [night(joint, days, row) for row in rows]
    late = night(joint, days, len(closes) - 5, issued_at=joint.issued_at + timedelta(days=30))
    again = night(joint, days, rows[0], issued_at=joint.origin - timedelta(days=4))
    tonight = night(joint, days, len(closes) - 1)
    others = night(joint, days, len(closes) - 2, account="EUR")
    table = pa.concat_tables([*nights[::-1], late, again, tonight, others])
    found = followed(table, GRAPH, days, closes, "USD")
    assert found.outcomes == 3
    losses = np.array([[lost(closes, row), -lost(closes, row)] for row in rows])
    book = joint.horizons[0].book
    said = [list(side.value_at_risk.values()) for side in (book.held, book.turned_round)]
    assert np.array_equal(found.factors, log_factors(losses, np.array([said] * 3), RISK_LEVELS)[-1])


def test_a_bar_that_a_pair_has_no_price_of_teaches_nothing(joint: JointForecast, closes: Any) -> None:
    days = np.datetime64(joint.data_as_of, "D") - np.arange(len(closes))[::-1]
    gone = closes.copy()
    gone[-3, 1] = np.nan
    table = pa.concat_tables([night(joint, days, len(closes) - back) for back in (6, 4, 3)])
    assert followed(table, GRAPH, days, gone, "USD").outcomes == 1
    assert followed(table.slice(0, 0), GRAPH, days, closes, "USD").outcomes == 0
    assert MEMORY > 1


def test_the_document_says_both_what_was_simulated_and_what_outcomes_made_of_it(
    joint: JointForecast, served: list[ForecastDocument], closes: Any
) -> None:
    logs = np.log([[1.5, 1.2, 1.0], [0.8, 1.0, 1.1]])
    made = issue(served, history(closes, served[0]), followed=Followed(logs, 40))
    assert (made.book_outcomes, joint.book_outcomes) == (40, 0)
    assert joint.horizons[0].book.simulated is None
    for after, before in zip(made.horizons, joint.horizons, strict=True):
        simulated = after.book.simulated
        assert simulated is not None
        assert (simulated.held, simulated.turned_round) == (before.book.held, before.book.turned_round)
        assert after.pairs == before.pairs
        assert after.book.summed == before.book.summed
        for key, factor in zip(("0.01", "0.025", "0.05"), (1.5, 1.2, 1.0), strict=True):
            assert math.isclose(after.book.held.value_at_risk[key], factor * before.book.held.value_at_risk[key])
            assert math.isclose(
                after.book.held.expected_shortfall[key], factor * before.book.held.expected_shortfall[key]
            )
    # It is what was simulated that the next nights learn from, not what was made of it.
    days = np.datetime64(joint.data_as_of, "D") - np.arange(len(closes))[::-1]
    by_simulated, by_plain = (
        followed(night(each, days, len(closes) - 6), GRAPH, days, closes, "USD") for each in (made, joint)
    )
    assert np.array_equal(by_simulated.factors, by_plain.factors)
    assert JointForecast.model_validate_json(made.model_dump_json()) == made


def test_without_outcomes_nothing_is_moved(joint: JointForecast, served: list[ForecastDocument], closes: Any) -> None:
    none = Followed(np.zeros((2, 3)), 0)
    assert issue(served, history(closes, served[0]), followed=none) == joint
