"""Pairs as a graph: legs, crosses, conversions, groups."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.forecasting.joint.graph import connected, groups, pair_graph

ECB = ("AUDUSD", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY")
CURRENCIES = ("AUD", "CHF", "EUR", "GBP", "JPY", "NOK", "USD")


def test_the_ecbs_six_pairs_have_five_legs_against_the_dollar_and_one_cross() -> None:
    graph = pair_graph(ECB)
    assert graph.numeraire == "USD"
    assert graph.legs == ("AUDUSD", "EURUSD", "GBPUSD", "USDCHF", "USDJPY")
    assert graph.crosses == ("EURJPY",)
    assert graph.recipe("EURJPY") == {"EURUSD": 1, "USDJPY": 1}
    assert graph.constraints.tolist() == [[0, 1, -1, 0, 0, -1]]
    assert graph.leg_columns.tolist() == [0, 2, 3, 4, 5]


def test_crosses_are_sums_or_differences_as_the_market_quotes_them() -> None:
    graph = pair_graph(["CHFJPY", "EURGBP", "EURUSD", "GBPUSD", "JPYUSD", "USDCHF", "USDJPY"])
    assert graph.recipe("EURGBP") == {"EURUSD": 1, "GBPUSD": -1}
    # Of a pair and its inverse the first by name is the leg; the other is a cross of the opposite sign.
    assert graph.recipe("USDJPY") == {"JPYUSD": -1}
    assert graph.recipe("CHFJPY") == {"JPYUSD": -1, "USDCHF": -1}


def test_a_currency_without_a_pair_against_the_numeraire_is_reached_over_another() -> None:
    graph = pair_graph(["EURUSD", "USDJPY", "EURNOK", "NOKJPY", "GBPUSD"])
    assert graph.numeraire == "USD"
    assert graph.legs == ("EURNOK", "EURUSD", "GBPUSD", "USDJPY")
    assert graph.recipe("NOKJPY") == {"EURNOK": -1, "EURUSD": 1, "USDJPY": 1}


def test_values_and_conversions_are_prices_in_other_currencies() -> None:
    graph = pair_graph(ECB)
    prices = {"AUDUSD": 0.65, "EURUSD": 1.1, "GBPUSD": 1.3, "USDCHF": 0.9, "USDJPY": 150.0}
    logs = np.log([prices[leg] for leg in graph.legs])
    assert np.exp(graph.conversion("JPY", "USD") @ logs) == pytest.approx(1 / 150)
    assert np.exp(graph.conversion("EUR", "CHF") @ logs) == pytest.approx(1.1 * 0.9)
    assert graph.conversion("USD", "USD").tolist() == [0.0] * 5
    with pytest.raises(ValueError, match=r"no pair among .* has NOK"):
        graph.conversion("NOK", "USD")


@given(st.integers(2, 7), st.integers(0, 2**32))
def test_any_prices_of_currencies_satisfy_the_graph_and_the_order_does_not_matter(size: int, seed: int) -> None:
    rng = random.Random(seed)
    chosen = rng.sample(CURRENCIES, size)
    edges = {(chosen[rng.randrange(i)], chosen[i]) for i in range(1, size)}  # a tree, so that all are connected
    edges |= {edge for edge in itertools.combinations(chosen, 2) if rng.random() < 0.4}
    pairs = ["".join(edge if rng.random() < 0.5 else edge[::-1]) for edge in sorted(edges)]
    graph = pair_graph(pairs)
    assert len(graph.legs) == size - 1 == np.linalg.matrix_rank(graph.matrix)
    worth = {currency: rng.gauss(0, 1) for currency in chosen}
    returns = np.array([worth[pair[:3]] - worth[pair[3:]] for pair in graph.pairs])
    assert graph.matrix @ returns[graph.leg_columns] == pytest.approx(returns, abs=1e-14)
    assert graph.constraints @ returns == pytest.approx(np.zeros(len(graph.crosses)), abs=1e-14)
    again = pair_graph(rng.sample(pairs, len(pairs)))
    assert (again.pairs, again.legs, again.numeraire) == (graph.pairs, graph.legs, graph.numeraire)
    assert again.matrix.tolist() == graph.matrix.tolist()


def test_pairs_of_other_kinds_or_without_a_common_currency_are_groups_apart() -> None:
    keys = dict.fromkeys(("EURUSD", "USDJPY", "EURJPY", "AUDNZD"), "1d/fixing/target")
    found = groups({**keys, "BTCUSD": "1d/bar/24x7", "GBPUSD": "1d/bar/fx"})
    assert {name: graph.pairs for name, graph in found.items()} == {
        "1d/bar/24x7/USD": ("BTCUSD",),
        "1d/bar/fx/USD": ("GBPUSD",),
        "1d/fixing/target/AUD": ("AUDNZD",),
        "1d/fixing/target/USD": ("EURJPY", "EURUSD", "USDJPY"),
    }
    alone = found["1d/bar/24x7/USD"]
    assert (alone.legs, alone.crosses, alone.matrix.tolist()) == (("BTCUSD",), (), [[1.0]])
    assert alone.constraints.shape == (0, 1)


def test_a_late_pair_joins_two_parts() -> None:
    assert connected(["AUDNZD", "EURUSD", "NZDUSD", "GBPCHF"]) == [["AUDNZD", "EURUSD", "NZDUSD"], ["GBPCHF"]]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no pair is given"),
        (["EURUSD", "EURUSD"], "EURUSD: given more than once"),
        (["EUREUR"], "'EUREUR' is no pair"),
        (["eurusd"], "'eurusd' is no pair"),
        (["EURUSD", "GBPCHF"], r"2 parts that share no currency: \[EURUSD\] and \[GBPCHF\]"),
    ],
)
def test_what_is_no_connected_group_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pair_graph(pairs)


def test_a_numeraire_may_be_asked_for() -> None:
    graph = pair_graph(ECB, numeraire="EUR")
    assert graph.numeraire == "EUR"
    assert graph.legs == ("AUDUSD", "EURJPY", "EURUSD", "GBPUSD", "USDCHF")
    assert graph.recipe("USDJPY") == {"EURJPY": 1, "EURUSD": -1}
    with pytest.raises(ValueError, match="numeraire NOK: no pair"):
        pair_graph(ECB, numeraire="NOK")
