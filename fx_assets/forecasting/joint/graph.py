"""Pairs as edges between currencies: which of them are legs, and how the others are made of these.

A pair's log return is that of its base less that of its quote, so in a connected group of pairs the returns of as many
pairs as there are currencies but one, the legs, give those of all: EURJPY = EURUSD + USDJPY.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PAIR = re.compile(r"[A-Z]{6}")
# Among equally well connected currencies the one that the market quotes most others in.
_PREFERRED = ("USD", "EUR")


@dataclass(frozen=True, eq=False)
class PairGraph:
    """A connected group of pairs, the P of them in alphabetical order, and their L legs in the same order.

    `matrix` (P, L), of -1, 0 and 1: log returns of pairs = `matrix` @ log returns of legs. `values` gives for each
    currency the row (L,) that makes the logarithm of its price in `numeraire` out of the legs' log prices.
    """

    pairs: tuple[str, ...]
    numeraire: str
    legs: tuple[str, ...]
    matrix: Floats
    values: Mapping[str, Floats]

    @property
    def crosses(self) -> tuple[str, ...]:
        """The pairs that are no legs."""
        return tuple(pair for pair in self.pairs if pair not in self.legs)

    @property
    def leg_columns(self) -> NDArray[np.int64]:
        """Where the legs stand among the pairs, (L,)."""
        return np.array([self.pairs.index(leg) for leg in self.legs], dtype=np.int64)

    @property
    def constraints(self) -> Floats:
        """One row a cross, (P - L, P): applied to log returns of pairs, the cross less what its legs make of it."""
        rows = np.zeros((len(self.crosses), len(self.pairs)))
        for row, cross in zip(rows, self.crosses, strict=True):
            column = self.pairs.index(cross)
            row[column] = 1.0
            row[self.leg_columns] -= self.matrix[column]
        return rows

    def recipe(self, pair: str) -> dict[str, int]:
        """The legs of a pair with their signs, such as {"EURUSD": 1, "USDJPY": 1} of EURJPY."""
        row = self.matrix[self.column(pair)]
        return {leg: int(sign) for leg, sign in zip(self.legs, row, strict=True) if sign}

    def column(self, pair: str) -> int:
        """Where a pair stands. Raises `ValueError` for one that is not in the group."""
        if pair not in self.pairs:
            raise ValueError(f"{pair} is not among {', '.join(self.pairs)}")
        return self.pairs.index(pair)

    def conversion(self, source: str, target: str) -> Floats:
        """(L,): log price of one unit of `source` in units of `target`, out of the legs' log prices.

        Raises `ValueError` for a currency that no pair of the group has.
        """
        for currency in (source, target):
            if currency not in self.values:
                raise ValueError(
                    f"no pair among {', '.join(self.pairs)} has {currency}, so nothing can be converted into or from "
                    f"it; choose one of {', '.join(sorted(self.values))}"
                )
        row: Floats = self.values[source] - self.values[target]
        return row


def pair_graph(pairs: Iterable[str], numeraire: str | None = None) -> PairGraph:
    """The graph of a connected group of pairs; the same whatever the order in which they are given.

    The numeraire is the currency of most pairs (of equals the dollar, the euro, then the first by name). Legs are the
    pairs on the shortest ways to it: all against it where they exist, so that none is a chain without need. Raises
    `ValueError` for a name that is no pair, one given twice, a group in several parts, or an unknown numeraire.
    """
    names = _checked(pairs)
    parts = connected(names)
    if len(parts) != 1:
        said = " and ".join(f"[{', '.join(part)}]" for part in parts)
        raise ValueError(f"pairs in {len(parts)} parts that share no currency: {said}; make a graph of each")
    counts = Counter(currency for name in names for currency in _currencies(name))
    if numeraire is not None and numeraire not in counts:
        raise ValueError(f"numeraire {numeraire}: no pair among {', '.join(names)} has it")
    root = numeraire or min(counts, key=lambda currency: (-counts[currency], _preference(currency)))
    ways = _ways(names, root)
    legs = tuple(sorted({leg for way in ways.values() for leg in way}))
    values = {currency: np.array([float(way.get(leg, 0)) for leg in legs]) for currency, way in ways.items()}
    rows = [values[base] - values[quote] for base, quote in map(_currencies, names)]
    return PairGraph(tuple(names), root, legs, np.array(rows), values)


def groups(keys: Mapping[str, str]) -> dict[str, PairGraph]:
    """Graphs of the pairs whose prices may be joined, by name: `key/numeraire`, in that order.

    `keys`: for each pair what must be alike, such as "1d/fixing/target" (frequency, kind of price, calendar). Pairs of
    different keys are never joined, and those of one key that share no currency are groups of their own.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for pair, key in keys.items():
        by_key[key].append(pair)
    found = {}
    for key, names in by_key.items():
        for part in connected(names):
            graph = pair_graph(part)
            found[f"{key}/{graph.numeraire}"] = graph
    return dict(sorted(found.items()))


def connected(pairs: Iterable[str]) -> list[list[str]]:
    """The pairs in parts that share no currency with each other, each part and the parts in alphabetical order."""
    parts: list[tuple[set[str], list[str]]] = []
    for name in _checked(pairs):
        currencies, members = set(_currencies(name)), [name]
        apart = []
        for part in parts:
            if part[0] & currencies:
                currencies |= part[0]
                members = [*part[1], *members]
            else:
                apart.append(part)
        parts = [*apart, (currencies, members)]
    return sorted(sorted(members) for _, members in parts)


def _ways(names: list[str], root: str) -> dict[str, dict[str, int]]:
    """For each currency the signed legs on its shortest way to the root, found breadth first."""
    ways: dict[str, dict[str, int]] = {root: {}}
    reached = [root]
    for currency in reached:
        edges = []
        for name in names:
            base, quote = _currencies(name)
            if currency in (base, quote):
                edges.append((quote if base == currency else base, name))
        for other, name in sorted(edges):
            if other not in ways:
                # One unit of a base is worth the price; one of a quote, its inverse.
                ways[other] = {**ways[currency], name: 1 if name.startswith(other) else -1}
                reached.append(other)
    return ways


def _checked(pairs: Iterable[str]) -> list[str]:
    names = sorted(pairs)
    if not names:
        raise ValueError("no pair is given; expected at least one")
    for name in names:
        if not _PAIR.fullmatch(name) or name[:3] == name[3:]:
            raise ValueError(f"{name!r} is no pair: expected two different currencies such as EURUSD")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}: given more than once")
    return names


def _currencies(name: str) -> tuple[str, str]:
    return name[:3], name[3:]


def _preference(currency: str) -> tuple[int, str]:
    return (_PREFERRED.index(currency) if currency in _PREFERRED else len(_PREFERRED)), currency
