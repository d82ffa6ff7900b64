"""Paths: triangles, moments, seeds, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fx_assets.forecasting.joint import simulate as module
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.simulate import content_seed, simulate, step_volatility

GRAPH = pair_graph(["AUDUSD", "CHFJPY", "EURGBP", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY"])
LEGS = len(GRAPH.legs)


def residuals(n: int = 1000, seed: int = 2) -> Any:
    """Whole dates of legs that move together."""
    rng = np.random.default_rng(seed)
    found = rng.standard_t(6, (n, LEGS)) + rng.standard_t(6, (n, 1))
    return (found - found.mean(axis=0)) / found.std(axis=0)


STEPS = np.linspace(0.003, 0.008, LEGS)[:, None] * np.sqrt(np.linspace(1, 1.5, 6))


def test_every_triangle_adds_up_on_every_path_and_step() -> None:
    location = GRAPH.matrix @ np.random.default_rng(5).normal(0, 1e-3, (LEGS, 6))
    paths = simulate(residuals(), GRAPH, steps=STEPS, seed=1, location=location, draws=500)
    assert paths.shape == (500, 6, 8)
    assert np.abs(paths @ GRAPH.constraints.T).max() < 1e-12
    at = {pair: paths[:, :, i] for i, pair in enumerate(GRAPH.pairs)}
    assert np.abs(at["EURJPY"] - at["EURUSD"] - at["USDJPY"]).max() < 1e-12
    assert np.abs(at["EURGBP"] - at["EURUSD"] + at["GBPUSD"]).max() < 1e-12
    assert np.abs(at["CHFJPY"] - at["USDJPY"] + at["USDCHF"]).max() < 1e-12


def test_each_step_is_one_whole_date_of_the_past() -> None:
    known = residuals(50)
    paths = simulate(known, GRAPH, steps=STEPS, seed=3, draws=40)
    steps = np.diff(paths[:, :, GRAPH.leg_columns], axis=1, prepend=0.0) / STEPS.T
    distance = np.abs(steps[:, :, None, :] - known).max(axis=3)  # to each date
    assert distance.min(axis=2).max() < 1e-12
    drawn = distance.argmin(axis=2)
    assert len(set(drawn.ravel().tolist())) > 45  # any of them
    assert len(np.unique(drawn[0])) > 1  # each step draws anew


def test_means_and_variances_are_the_forecasts_own() -> None:
    location = GRAPH.matrix @ np.random.default_rng(5).normal(0, 1e-3, (LEGS, 6))
    known = residuals(4000)
    draws = 20_000
    paths = simulate(known, GRAPH, steps=STEPS, seed=1, location=location, draws=draws)
    variance = np.cumsum(np.square(STEPS), axis=1)
    correlation = known.T @ known / len(known)
    for h in range(6):
        step = [np.outer(STEPS[:, k], STEPS[:, k]) * correlation for k in range(h + 1)]
        expected = GRAPH.matrix @ sum(step) @ GRAPH.matrix.T
        assert np.diag(expected)[GRAPH.leg_columns] == pytest.approx(variance[:, h])
        deviation = np.sqrt(np.diag(expected))
        assert np.abs((paths[:, h].mean(axis=0) - location[:, h]) / deviation).max() < 5 / np.sqrt(draws)
        # A sample covariance of t(6) sums errs by about sqrt((2 + kurtosis) / draws), .02 here.
        assert np.cov(paths[:, h], rowvar=False) == pytest.approx(expected, abs=0.08 * expected.max())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first, again, other = (simulate(residuals(), GRAPH, steps=STEPS, seed=seed, draws=200) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 0


def test_a_seed_tells_contents_apart() -> None:
    array = residuals(10)
    seed = content_seed("fixing/USD", array, 5000)
    assert 0 <= seed < 2**52
    assert seed == content_seed("fixing/USD", array.copy(), 5000)
    assert seed == content_seed("fixing/USD", np.asfortranarray(array), 5000)
    bent = array.copy()
    bent[3, 2] = np.nextafter(bent[3, 2], 9)
    others: list[tuple[Any, ...]] = [
        ("fixing/EUR", array, 5000),
        ("fixing/USD", bent, 5000),
        ("fixing/USD", array.T, 5000),
    ]
    others += [("fixing/USD", array, 5001), ("fixing/USD", array, 500, 0)]
    assert len({seed, *(content_seed(*parts) for parts in others)}) == 6


def test_steps_carry_the_variance_between_horizons() -> None:
    steps, falls = step_volatility(np.array([[3.0, 5.0, 13.0], [1.0, np.sqrt(2), np.sqrt(3)]]))
    assert steps == pytest.approx(np.array([[3.0, 4.0, 12.0], [1.0, 1.0, 1.0]]))
    assert falls == 0


def test_a_volatility_that_falls_with_the_horizon_stands_still_and_is_counted() -> None:
    steps, falls = step_volatility(np.array([[5.0, 4.0, 13.0]]))
    assert steps.tolist() == [[5.0, 0.0, 12.0]]
    assert falls == 1


@pytest.mark.parametrize("bad", [[[0.0]], [[-1.0]], [[np.nan]], [1.0]])
def test_steps_of_no_volatility_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="volatility: expected numbers above 0"):
        step_volatility(np.array(bad))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"residuals": residuals()[:, 1:]}, "one column for each of AUDUSD, EURUSD"),
        ({"residuals": residuals()[:0]}, "residuals: expected"),
        ({"residuals": residuals() * np.nan}, "residuals: a value is not finite"),
        ({"steps": STEPS[1:]}, "one row for each of AUDUSD, EURUSD"),
        ({"steps": STEPS * np.inf}, "steps: a value is not finite"),
        ({"location": np.zeros((8, 5))}, r"location: expected \(8, 6\)"),
        ({"location": np.outer(np.arange(8), np.ones(6))}, "crosses differ from the sum of their legs"),
        ({"draws": 0}, "at least one path"),
        ({"draws": 10_000_000}, "10000000 paths of 6 steps and 8 pairs are 480000000 numbers"),
    ],
)
def test_impossible_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"residuals": residuals(), "steps": STEPS, "seed": 1, **change}
    with pytest.raises(ValueError, match=message):
        simulate(arguments.pop("residuals"), GRAPH, **arguments)


def test_the_limit_is_of_numbers_not_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 100 * 6 * 8)
    assert len(simulate(residuals(), GRAPH, steps=STEPS, seed=1, draws=100)) == 100
    with pytest.raises(ValueError, match="draw fewer paths"):
        simulate(residuals(), GRAPH, steps=STEPS, seed=1, draws=101)
