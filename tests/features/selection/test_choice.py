"""What the greedy choice promises, of columns that hypothesis thinks of: tied, constant, missing, of several pairs."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features.redundancy import Choice, choose
from fx_assets.features.stages.base import Sample
from tests.features.selection.samples import part, reference

THRESHOLDS = st.sampled_from([0.3, 0.6, 0.9, 1.0])


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    n, k = draw(st.integers(2, 25)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    base = rng.integers(-4, 5, (n, k)).astype(float)
    kind = rng.integers(0, 5, k)
    for j in range(1, k):
        if kind[j] == 0:
            base[:, j] = base[:, rng.integers(j)] ** 3 * rng.choice([-1.0, 1.0])
        elif kind[j] == 1:
            base[:, j] = base[:, rng.integers(j)] + rng.integers(-1, 2, n)
        elif kind[j] == 2:
            base[:, j] = rng.integers(3)
    base[rng.random((n, k)) < draw(st.sampled_from([0.0, 0.1, 0.4]))] = np.nan
    return Sample(
        names=tuple(f"c{i}" for i in rng.permutation(k)),
        values=base,
        target=np.zeros(n),
        groups=rng.integers(0, draw(st.integers(1, 3)), n),
        stages=rng.choice([10, 20, 40], k),
        costs=rng.choice([1.0, 3.0], k),
    )


def rank_of(given: Sample) -> dict[str, tuple[int, float, int, str]]:
    missing = (~np.isfinite(given.values)).sum(axis=0)
    return {
        name: (int(given.stages[j]), float(given.costs[j]), int(missing[j]), name) for j, name in enumerate(given.names)
    }


def chosen(given: Sample, threshold: float) -> Choice:
    return choose(given, threshold=threshold, max_missing=0.3)


@settings(deadline=None, max_examples=60)
@given(samples(), THRESHOLDS)
def test_what_is_kept_and_what_is_dropped(given: Sample, threshold: float) -> None:
    choice = chosen(given, threshold)
    found = np.abs(reference(given.values, given.groups))
    at = {name: j for j, name in enumerate(given.names)}
    order = rank_of(given)
    kept = list(choice.medians)
    assert kept == [name for name in given.names if name in choice.medians]
    assert sorted([*kept, *(entry.name for entry in choice.dropped)]) == sorted(given.names)
    assert [entry.name for entry in choice.dropped] == sorted((entry.name for entry in choice.dropped), key=order.get)  # type: ignore[arg-type]
    for place, name in enumerate(kept):
        for other in kept[:place]:
            assert found[at[name], at[other]] < threshold
    for entry in choice.dropped:
        column = given.values[:, at[entry.name]]
        share = np.mean(~np.isfinite(column))
        assert (entry.reason == "missing") == (share > 0.3)
        if entry.reason == "redundant":
            assert entry.keeper in choice.medians
            assert entry.correlation is not None
            assert abs(entry.correlation) >= threshold
            assert abs(abs(entry.correlation) - found[at[entry.name], at[entry.keeper]]) < 1e-12
            assert order[entry.keeper] < order[entry.name]
            before = [at[name] for name in kept if order[name] < order[entry.name]]
            assert found[at[entry.name], before].max() < abs(entry.correlation) + 1e-12
        else:
            assert (entry.keeper, entry.correlation) == (None, None)
            assert entry.reason == "missing" or np.isnan(found[at[entry.name]]).all()


@settings(deadline=None, max_examples=60)
@given(samples(), THRESHOLDS, st.integers(0, 2**32))
def test_order_does_not_count(given: Sample, threshold: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.permutation(len(given.names))
    first = chosen(given, threshold)
    second = chosen(part(given, rng.permutation(len(given.values)), columns), threshold)
    assert second.dropped == first.dropped
    assert second.medians == first.medians
    assert list(second.medians) == [given.names[j] for j in columns if given.names[j] in first.medians]


@settings(deadline=None, max_examples=60)
@given(samples(), THRESHOLDS, st.integers(1, 9), st.integers(1, 30), st.none() | st.integers(1, 4))
def test_blocks_do_not_count(
    given: Sample, threshold: float, column_block: int, row_block: int, cap: int | None
) -> None:
    whole = choose(given, threshold=threshold, max_missing=0.3, max_features=cap)
    blocks = choose(
        given,
        threshold=threshold,
        max_missing=0.3,
        max_features=cap,
        column_block=column_block,
        row_block=row_block,
    )
    assert blocks == whole


@settings(deadline=None, max_examples=60)
@given(samples(), THRESHOLDS)
def test_of_what_was_kept_all_is_kept(given: Sample, threshold: float) -> None:
    choice = chosen(given, threshold)
    columns = np.array([given.names.index(name) for name in choice.medians], dtype=np.int64)
    again = part(given, np.arange(len(given.values)), columns)
    assert chosen(again, threshold) == Choice(choice.medians, (), len(given.values))
    fill = np.array(list(choice.medians.values()))
    filled = Sample(
        again.names,
        np.where(np.isfinite(again.values), again.values, fill),
        again.target,
        again.groups,
        again.stages,
        again.costs,
    )
    assert list(chosen(filled, threshold).medians) == list(choice.medians)


@settings(deadline=None, max_examples=60)
@given(samples(), THRESHOLDS, st.integers(1, 4))
def test_a_cap_keeps_the_first(given: Sample, threshold: float, cap: int) -> None:
    order = rank_of(given)
    free = chosen(given, threshold)
    capped = choose(given, threshold=threshold, max_missing=0.3, max_features=cap)
    assert sorted(capped.medians, key=order.get) == sorted(free.medians, key=order.get)[:cap]  # type: ignore[arg-type]
    keepers = {entry.keeper for entry in capped.dropped if entry.reason == "redundant"}
    assert keepers <= set(capped.medians)
    assert any(entry.reason == "cap" for entry in capped.dropped) == (len(free.medians) > cap)
