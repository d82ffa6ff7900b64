"""Four years of nights in worlds where nobody is better: how often somebody is promoted, and how often by p < .05."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.multiple import holm
from fx_assets.evaluation.promotion.capital import log_capital, log_wanted
from fx_assets.evaluation.promotion.dates import newest_decision_date
from fx_assets.evaluation.promotion.evidence import LEAST_ORIGINS, LEVEL
from fx_assets.evaluation.promotion.losses import ModelLosses, gains_at
from fx_assets.evaluation.promotion.rule import Ruling, rule
from fx_assets.evaluation.promotion.standing import Standing
from fx_assets.metrics.losses import Floats
from tests.evaluation.promotion.worlds import BEGAN, BEGAN_AT, FX, fair_gains, losses, moment, nights, until

pytestmark = pytest.mark.slow
NIGHTS = nights(4 * 260)
CANDIDATES = 3
BOUND = LEVEL + LEVEL * (len(NIGHTS) // LEAST_ORIGINS)
KEPT, WON = 0, 49  # worlds in which nobody, and somebody, is promoted
SERVES = Standing("walk", BEGAN_AT, BEGAN_AT, BEGAN)


def world(seed: int) -> tuple[ModelLosses, list[ModelLosses], Floats]:
    """The champion, candidates that are as good as it, and their gains."""
    gains = fair_gains(len(NIGHTS), CANDIDATES, np.random.default_rng([2, seed]))
    return losses("walk", np.full(len(NIGHTS), 50.0)), [losses(f"m{c}", 50 - gains[:, c]) for c in range(3)], gains


def ruled(at: int, stands: Standing, walk: ModelLosses, candidates: list[ModelLosses]) -> Ruling:
    known = [until(one, at) for one in candidates]
    return rule(stands, until(walk, at), known, today=NIGHTS[at], calendar=FX, trials=0)


def decided(asked: Iterable[int], seed: int) -> list[tuple[int, Ruling]]:
    """Rulings of those nights that decide something, up to the first promotion."""
    walk, candidates, _ = world(seed)
    stands, made = SERVES, []
    for at in asked:
        found = ruled(at, stands, walk, candidates)
        if found.kind is not None:
            made.append((at, found))
            stands = after(at)
        if found.champion_after != "walk":
            break
    return made


def after(at: int | None) -> Standing:
    """The champion kept by a scheduled decision on night `at`."""
    return SERVES if at is None else replace(SERVES, decided_at=moment(NIGHTS[at]), decision_date=NIGHTS[at])


@cache
def decision_nights() -> dict[int, int]:
    """Nights of scheduled decisions while nobody is promoted, each with the first origin that is new."""
    dates = [at for at, night in enumerate(NIGHTS) if newest_decision_date(night, FX) == night]
    found = [at for at, _ in decided(dates, seed=KEPT)]
    return dict(zip(found, [0, *(at + 1 for at in found)], strict=False))


def promoted(seed: int) -> tuple[int, str] | None:
    """The night and way of the first promotion; the ruling is asked only where it could promote.

    It needs a bet that has reached its mark, or on a decision date a p-value under the level after Holm.
    """
    walk, candidates, gains = world(seed)
    bets, scheduled = gains_at(1, walk, candidates), decision_nights()
    crossed = (log_capital(bets) >= log_wanted(bets, LEVEL)[:, None]).any(axis=1)
    possible = {at for at in (np.flatnonzero(crossed) + 1).tolist() if LEAST_ORIGINS <= at < len(NIGHTS)}
    for at, first in scheduled.items():
        plain = {c: diebold_mariano(gains[first:at, c], horizon=1).p_value for c in range(CANDIDATES)}
        if min(holm(plain).values()) < LEVEL:
            possible.add(at)
    for at in sorted(possible):
        newest = max((night for night in scheduled if night < at), default=None)
        found = ruled(at, after(newest), walk, candidates)
        if found.champion_after != "walk":
            return at, str(found.kind)
    return None


def test_the_decisions_of_four_years_have_origins_of_their_own() -> None:
    found = decision_nights()
    assert [NIGHTS[at].year for at in found] == [2023, 2024, 2025]
    assert all(at - first >= LEAST_ORIGINS for at, first in found.items())
    assert pytest.approx(0.125) == BOUND


@pytest.mark.parametrize("seed", [KEPT, WON])
def test_asking_only_where_it_matters_is_asking_every_night(seed: int) -> None:
    found = decided(range(LEAST_ORIGINS - 10, len(NIGHTS)), seed)
    assert [at for at, _ in found] == [at for at in decision_nights() if at <= found[-1][0]]
    last, ruling = found[-1]
    assert (ruling.champion_after == "walk") == (seed == KEPT)
    assert promoted(seed) == (None if seed == KEPT else (last, ruling.kind))


def test_nobody_is_promoted_more_often_than_the_bound() -> None:
    worlds = 200
    found = [one for seed in range(worlds) if (one := promoted(seed)) is not None]
    by_bets = sum(way == "sequential" for _, way in found)
    # One-sided 95 % binomial bounds: of all promotions in four years, and of those by bets alone.
    assert len(found) <= binom.ppf(0.95, worlds, BOUND)
    assert by_bets <= binom.ppf(0.95, worlds, LEVEL)
    naive = sum(by_p_values(world(seed)[2]) for seed in range(worlds))
    print(f"promoted {len(found)} ({by_bets} by bets), by p < .05 {naive} of {worlds}")
    assert naive > binom.ppf(0.999, worlds, BOUND)
    assert naive > 3 * len(found)


def by_p_values(gains: Floats) -> bool:
    """Whether a plain one-sided Diebold-Mariano test of any candidate ever has p < .05, asked on the same nights."""
    n = np.arange(1, len(gains) + 1)[:, None]
    mean = np.cumsum(gains, axis=0) / n
    deviation = np.sqrt(np.cumsum(np.square(gains), axis=0) / n - np.square(mean))
    statistic = np.sqrt(n[LEAST_ORIGINS - 1 :]) * mean[LEAST_ORIGINS - 1 :] / deviation[LEAST_ORIGINS - 1 :]
    return bool((statistic > 1.6449).any())
