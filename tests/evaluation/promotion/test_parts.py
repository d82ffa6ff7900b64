"""What promotion is made of: decision dates, losses on common origins, and capital that many candidates share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.inference.sequential import e_process
from fx_assets.evaluation.promotion.capital import log_capital, log_wanted
from fx_assets.evaluation.promotion.dates import decision_date, newest_decision_date
from fx_assets.evaluation.promotion.evidence import worse_at
from fx_assets.evaluation.promotion.losses import Gains, gains_at, losses_of
from fx_assets.metrics.losses import Floats
from fx_assets.timegrid.calendars import calendar
from tests.evaluation.promotion.worlds import fair_gains, losses, origins


@pytest.mark.parametrize(
    ("name", "year", "month", "expected"),
    [
        ("fx", 2026, 12, date(2026, 12, 15)),
        ("fx", 2024, 6, date(2024, 6, 17)),  # the 15th is a Saturday
        ("fx", 2026, 3, date(2026, 3, 16)),  # a Sunday
        ("24x7", 2026, 3, date(2026, 3, 15)),
        ("target", 2025, 9, date(2025, 9, 15)),
    ],
)
def test_decision_dates_are_the_first_open_ones_from_the_15th(name: str, year: int, month: int, expected: date) -> None:
    assert decision_date(year, month, calendar(name)) == expected  # type: ignore[arg-type]


def test_other_months_have_no_decision_date() -> None:
    with pytest.raises(ValueError, match="month 4 has no decision date"):
        decision_date(2026, 4, calendar("fx"))


def test_the_newest_decision_date_holds_until_the_next() -> None:
    days = [date(2024, 6, 14), date(2024, 6, 16), date(2024, 6, 17), date(2024, 9, 15), date(2024, 3, 14)]
    expected = [date(2024, 3, 15), date(2024, 3, 15), date(2024, 6, 17), date(2024, 6, 17), date(2023, 12, 15)]
    assert [newest_decision_date(day, calendar("fx")) for day in days] == expected


def test_gains_are_taken_on_common_origins_and_are_0_elsewhere() -> None:
    walk = losses("walk", np.array([10.0, 20.0, np.nan, 40.0, 50.0]))
    har = losses("har", np.array([19.0, 29.0, np.nan, 51.0]), first=1)
    found = gains_at(1, walk, [har, losses("young", np.array([1.0]), first=9)])
    assert found.origins.tolist() == walk.origins[[0, 1, 3, 4]].tolist()
    assert found.champion.tolist() == [10.0, 20.0, 40.0, 50.0]
    assert found.gains.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]
    assert found.counts.tolist() == [2, 0]
    assert found.own(0).tolist() == [1.0, -1.0]
    assert [found.share(0), found.share(1)] == [0.0, 0.0]
    assert gains_at(1, walk, []).gains.shape == (4, 0)


def test_a_gain_is_a_share_of_what_the_champion_lost_beside_it() -> None:
    found = gains_at(1, losses("walk", np.array([10.0, 20.0, 30.0])), [losses("har", np.array([19.0, 26.0]), first=1)])
    assert found.share(0) == pytest.approx(5 / 50)


def test_each_horizon_has_gains_of_its_own() -> None:
    walk = losses("walk", np.array([[1.0, 5.0], [2.0, 6.0], [3.0, np.nan]]))
    har = losses("har", np.array([[1.0, 4.0], [1.0, 7.0], [1.0, 1.0]]))
    assert gains_at(1, walk, [har]).gains[:, 0].tolist() == [0.0, 1.0, 2.0]
    assert gains_at(5, walk, [har]).gains[:, 0].tolist() == [1.0, -1.0]
    assert gains_at(5, walk, [losses("one", np.ones(3))]).counts.tolist() == [0]


def test_losses_between_two_moments() -> None:
    walk = losses("walk", np.arange(5.0))
    ends = [datetime.fromisoformat(f"{end}").replace(tzinfo=UTC) for end in walk.origins]
    assert walk.between(ends[0], ends[4]).crps[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert walk.between(None, None).crps[:, 0].tolist() == list(range(5))
    with pytest.raises(ValueError, match="no time zone"):
        walk.between(ends[0].replace(tzinfo=None), None)


def test_what_are_no_losses_is_refused() -> None:
    walk = losses("walk", np.arange(5.0))
    with pytest.raises(ValueError, match=r"walk: losses of shape \(4, 1\)"):
        replace(walk, crps=walk.crps[:4])
    with pytest.raises(ValueError, match="walk: expected increasing origins"):
        replace(walk, origins=walk.origins[::-1])
    with pytest.raises(ValueError, match=r"walk: horizons \(5,\)"):
        replace(walk, horizons=(5,))
    with pytest.raises(ValueError, match="walk: a loss is infinite"):
        replace(walk, crps=np.full((5, 1), np.inf))


def scores(*rows: tuple[str, int, int, float], pair: str = "EURUSD") -> pa.Table:
    ends = origins(9)
    return pa.table(
        {
            "pair": pa.array([pair] * len(rows), pa.string()),
            "model_id": pa.array([row[0] for row in rows], pa.string()),
            "origin": pa.array([ends[row[1]] for row in rows], pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
            "horizon": pa.array([row[2] for row in rows], pa.int32()),
            "loss_crps": pa.array([row[3] for row in rows], pa.float64()),
        }
    )


def test_losses_are_read_from_the_scores_in_any_order() -> None:
    table = scores(
        ("har", 1, 1, 2.0), ("walk", 0, 5, 9.0), ("har", 0, 1, 1.0), ("walk", 0, 1, 8.0), ("walk", 1, 1, 7.0)
    )
    found = losses_of(table)
    assert list(found) == ["har", "walk"]
    assert found["har"].crps.tolist() == [[1.0], [2.0]]
    assert found["walk"].horizons == (1, 5)
    np.testing.assert_array_equal(found["walk"].crps, [[8.0, 9.0], [7.0, np.nan]])
    np.testing.assert_array_equal(found["walk"].origins, origins(2))
    assert losses_of(table.slice(0, 0)) == {}


def test_two_losses_of_one_origin_are_refused() -> None:
    with pytest.raises(ValueError, match="har: several losses of one origin and horizon"):
        losses_of(scores(("har", 0, 1, 2.0), ("har", 0, 1, 2.0)))
    with pytest.raises(ValueError, match="one pair at a time"):
        losses_of(pa.concat_tables([scores(("har", 0, 1, 2.0)), scores(("har", 0, 1, 2.0), pair="USDJPY")]))


def shared(values: Floats, first: tuple[int, ...] = ()) -> Gains:
    """Gains (n, C) of candidates that come at `first`, 0 where not given."""
    n, candidates = values.shape
    begins = np.array(first or (0,) * candidates)
    present = np.arange(n)[:, None] >= begins
    return Gains(1, origins(n), np.full(n, 50.0), np.where(present, values, 0.0), present)


def test_candidates_that_begin_together_have_their_e_values() -> None:
    values = fair_gains(300, 3, np.random.default_rng(0))
    found = log_capital(shared(values))
    for candidate in range(3):
        np.testing.assert_allclose(found[:, candidate], e_process(values[:, candidate]), atol=1e-12)
    np.testing.assert_allclose(log_wanted(shared(values), 0.025), np.log(120))
    assert log_wanted(shared(values[:, :1]), 0.025)[-1] == pytest.approx(np.log(40))


def test_a_later_candidate_begins_with_the_mean_of_the_others_and_1_at_most() -> None:
    values = fair_gains(300, 3, np.random.default_rng(0))
    for shift in (-0.5, 2.0):
        begun = shared(values + shift, (0, 0, 200))
        capital = log_capital(begun)
        start = min(1.0, np.exp(capital[199, :2]).mean())
        assert (start < 0.5) == (shift < 0)
        later = e_process(values[200:, 2] + shift)
        np.testing.assert_allclose(capital[200:, 2], np.log(start) + later, atol=1e-9)
        assert np.isneginf(capital[:200, 2]).all()
        assert np.exp(log_wanted(begun, 0.025)).round(6)[[199, 200]].tolist() == [80, 120]


def test_candidates_that_come_at_once_do_not_count_each_other() -> None:
    values = np.zeros((10, 3))
    capital = log_capital(shared(values, (0, 4, 4)))
    np.testing.assert_allclose(capital[4:], 0.0, atol=1e-12)


def test_capital_waits_where_a_candidate_forecasts_nothing() -> None:
    values = fair_gains(300, 1, np.random.default_rng(2)) + 0.5
    holes = np.arange(300) % 3 == 1
    gapped = Gains(1, origins(300), np.full(300, 50.0), np.where(holes[:, None], 0.0, values), ~holes[:, None])
    capital = log_capital(gapped)[:, 0]
    np.testing.assert_allclose(capital[~holes], e_process(values[~holes, 0]), atol=1e-12)
    np.testing.assert_array_equal(capital[holes], capital[np.flatnonzero(holes) - 1])


def test_capital_of_a_night_does_not_depend_on_later_ones() -> None:
    values = shared(fair_gains(300, 3, np.random.default_rng(3)), (0, 40, 90))
    whole = log_capital(values)
    for night in (1, 41, 200):
        seen = slice(night)
        early = Gains(1, values.origins[seen], values.champion[seen], values.gains[seen], values.present[seen])
        np.testing.assert_allclose(log_capital(early), whole[:night], atol=1e-9)


def test_gains_of_longer_horizons_are_not_bet_on() -> None:
    with pytest.raises(ValueError, match="gains at horizon 5 overlap"):
        log_capital(replace(shared(np.zeros((9, 1))), horizon=5))


def test_worse_is_said_only_of_horizons_with_windows_enough() -> None:
    n = 399  # at 20 bars 20 separate windows
    noise = np.random.default_rng(0).normal(0, 0.1, (n, 3))
    walk, bad = losses("walk", 50 + noise), losses("bad", 60 + noise[::-1])
    assert worse_at(walk, bad) == [5, 20]
    short = [losses(one.model_id, one.crps[:380]) for one in (walk, bad)]
    assert worse_at(*short) == [5]
    assert worse_at(bad, walk) == []
