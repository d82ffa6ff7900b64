"""MinT against its closed form, least squares and triangles worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg, optimize

from fx_assets.forecasting.joint.coherence import coherent, error_covariance
from fx_assets.forecasting.joint.graph import pair_graph

TRIANGLE = pair_graph(["EURJPY", "EURUSD", "USDJPY"])
WIDE = pair_graph(["AUDJPY", "AUDUSD", "CHFJPY", "EURGBP", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY"])
LEGS, CROSSES, HORIZON = len(WIDE.legs), len(WIDE.crosses), 4


def world(seed: int) -> Any:
    """Incoherent locations of WIDE, errors of legs that move together, their volatilities, and gaps of crosses."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_t(5, (400, LEGS)) @ rng.normal(size=(LEGS, LEGS))
    volatility = rng.uniform(0.003, 0.01, (LEGS, 1)) * np.sqrt(np.arange(1, HORIZON + 1))
    gaps = rng.normal(0, 0.002, (400, CROSSES)) @ rng.normal(size=(CROSSES, CROSSES))
    return rng.normal(0, 0.002, (9, HORIZON)), errors, volatility, gaps


def test_equal_independent_errors_share_the_gap_evenly() -> None:
    # EURJPY says 9 bp where its legs say 3 + 3: each gives way by a third of 3.
    location = np.array([[9e-4], [3e-4], [3e-4]])
    found = coherent(location, TRIANGLE, 2.5e-5 * np.eye(3)[None])
    assert found[:, 0] == pytest.approx([8e-4, 4e-4, 4e-4], abs=1e-16)


def test_who_errs_more_gives_way_more() -> None:
    # Variances 4, 1, 1: of a gap of 6 bp the cross takes 4.
    location = np.array([[12e-4], [3e-4], [3e-4]])
    found = coherent(location, TRIANGLE, 2.5e-5 * np.diag([4.0, 1.0, 1.0])[None])
    assert found[:, 0] == pytest.approx([8e-4, 4e-4, 4e-4], abs=1e-16)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_closed_form_of_the_paper_and_the_nearest_point_that_adds_up(seed: int) -> None:
    location, errors, volatility, gaps = world(seed)
    covariance = error_covariance(errors, WIDE, volatility, gaps)
    found = coherent(location, WIDE, covariance)
    summing = WIDE.matrix
    for h in range(HORIZON):
        weights = linalg.inv(covariance[h])
        closed = summing @ linalg.inv(summing.T @ weights @ summing) @ summing.T @ weights @ location[:, h]
        assert found[:, h] == pytest.approx(closed, abs=1e-12)
        # The same as least squares of whitened locations on the legs, by another decomposition.
        root = linalg.cholesky(covariance[h], lower=True)
        white = linalg.solve_triangular(root, np.column_stack([summing, location[:, h]]), lower=True)
        legs = optimize.lsq_linear(white[:, :-1], white[:, -1], method="bvls").x
        assert found[WIDE.leg_columns, h] == pytest.approx(legs, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_result_adds_up_and_a_coherent_location_is_left_as_it_is(seed: int) -> None:
    location, errors, volatility, gaps = world(seed)
    for known in (gaps, None):
        covariance = error_covariance(errors, WIDE, volatility, known)
        found = coherent(location, WIDE, covariance)
        assert np.abs(WIDE.constraints @ found).max() < 1e-12
        assert (found == WIDE.matrix @ found[WIDE.leg_columns]).all()  # to the last bit
        assert np.abs(found - location).max() > 1e-5
        assert np.abs(coherent(found, WIDE, covariance) - found).max() < 1e-15


@pytest.mark.parametrize("seed", range(5))
def test_without_gaps_each_pair_gives_way_by_its_variance_whatever_the_shrinkage(seed: int) -> None:
    location, errors, volatility, _ = world(seed)
    covariance = error_covariance(errors, WIDE, volatility)
    diagonal = np.stack([np.diag(np.diag(each)) for each in covariance])
    assert coherent(location, WIDE, covariance) == pytest.approx(coherent(location, WIDE, diagonal), abs=1e-12)
    scaled = errors * volatility[:, 1]
    assert np.diag(covariance[1]) == pytest.approx(np.square(scaled @ WIDE.matrix.T).mean(axis=0))


def test_a_pair_whose_past_locations_alone_were_off_gives_way() -> None:
    # Only EURJPY's own forecasts ever erred beyond its legs: it takes nearly the whole of the gap.
    rng = np.random.default_rng(2)
    errors, volatility = rng.normal(size=(5000, 2)), np.array([[0.0005], [0.0005]])
    location = np.array([[12e-4], [3e-4], [3e-4]])
    found = coherent(location, TRIANGLE, error_covariance(errors, TRIANGLE, volatility, rng.normal(0, 0.01, (5000, 1))))
    assert found[:, 0] == pytest.approx([6e-4, 3e-4, 3e-4], abs=2e-5)


def test_outcomes_that_add_up_need_the_shrinkage() -> None:
    location, errors, volatility, _ = world(3)
    covariance = error_covariance(errors, WIDE, volatility)
    assert np.linalg.eigvalsh(covariance).min() > 0
    scaled = (errors * volatility[:, 0]) @ WIDE.matrix.T
    unshrunk = np.repeat((scaled.T @ scaled / len(scaled))[None], HORIZON, axis=0)
    with pytest.raises(ValueError, match="never differ from their legs"):
        coherent(location, WIDE, unshrunk)


def test_the_covariance_is_that_of_ledoit_and_wolf_with_their_intensity_written_out() -> None:
    rng = np.random.default_rng(11)
    errors, gaps = rng.standard_t(6, (150, 2)), rng.normal(0, 0.01, (150, 1))
    volatility = np.array([[0.005, 0.01], [0.01, 0.02]])
    found = error_covariance(errors, TRIANGLE, volatility, gaps)
    for h, factor in enumerate((1.0, 2.0)):
        legs = errors * volatility[:, h]
        pairs = np.column_stack([legs.sum(axis=1) + factor * gaps[:, 0], legs])
        size = np.sqrt((pairs**2).mean(axis=0))
        x = pairs / size
        sample = x.T @ x / 150
        # Ledoit and Wolf 2004, lemma 3.2 to 3.4: d^2 = |S - m I|^2, b^2 = mean |x x' - S|^2 / n, both over p.
        distance = ((sample - np.eye(3)) ** 2).sum() / 3
        noise = sum(((np.outer(row, row) - sample) ** 2).sum() for row in x) / 150**2 / 3
        shrinkage = min(noise, distance) / distance
        assert 0.01 < shrinkage < 0.99
        expected = np.outer(size, size) * ((1 - shrinkage) * sample + shrinkage * np.eye(3))
        assert found[h] == pytest.approx(expected, rel=1e-10)


def test_pairs_without_a_cross_are_left_alone() -> None:
    graph = pair_graph(["EURUSD", "USDJPY"])
    location = np.array([[1e-4, 2e-4], [-3e-4, 5e-4]])
    covariance = error_covariance(np.random.default_rng(1).normal(size=(50, 2)), graph, np.full((2, 2), 0.01))
    assert coherent(location, graph, covariance).tolist() == location.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"location": np.zeros((2, 1))}, "a row for each of EURJPY, EURUSD, USDJPY"),
        ({"location": np.array([[np.nan], [0.0], [0.0]])}, "location: a value is not finite"),
        ({"covariance": np.eye(3)}, "covariance: expected"),
        ({"covariance": np.eye(3)[None] * np.nan}, "covariance: a value is not finite"),
        ({"covariance": np.zeros((1, 3, 3))}, "never differ from their legs"),
    ],
)
def test_impossible_arguments_are_refused(change: dict[str, NDArray[np.float64]], message: str) -> None:
    good = {"location": np.zeros((3, 1)), "covariance": np.eye(3)[None]}
    with pytest.raises(ValueError, match=message):
        coherent(graph=TRIANGLE, **{**good, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"errors": np.ones((1, 2))}, "two rows or more"),
        ({"errors": np.ones((5, 3))}, "two rows or more"),
        ({"errors": np.array([[1.0, np.nan], [1.0, 1.0]])}, "that of USDJPY in row 0 is not finite"),
        ({"errors": np.array([[0.0, 1.0], [0.0, 2.0]])}, "errors of EURUSD are all 0"),
        ({"gaps": np.zeros((3, 1))}, r"gaps: expected \(2, 1\)"),
        ({"gaps": np.array([[0.0], [np.inf]])}, "that of EURJPY in row 1 is not finite"),
        ({"volatility": np.full((3, 1), 0.01)}, "a row for each of EURUSD, USDJPY"),
        ({"volatility": np.array([[0.01], [0.0]])}, "volatility of USDJPY at horizon 1"),
        ({"volatility": np.array([[np.nan], [0.01]])}, "volatility of EURUSD at horizon 1"),
    ],
)
def test_errors_that_say_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"errors": np.array([[1.0, 0.5], [-0.5, 1.0]]), "volatility": np.full((2, 1), 0.01)}
    with pytest.raises(ValueError, match=message):
        error_covariance(graph=TRIANGLE, **{**good, **change})
