"""The four phrases, the rule behind each, untradeable skill, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.verdict import Verdict, decided, observed_late, verdicts
from fx_assets.metrics.losses import Floats


def losses(n: int, gain: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Losses per window of a model and of its benchmark; the model's are lower by `gain` on average."""
    rng = np.random.default_rng(seed)
    benchmark = 1 + rng.normal(0, 0.1, n)
    return benchmark - gain + rng.normal(0, 0.1, n), benchmark


def said(n: int, gain: float, horizon: int = 1) -> Verdict:
    ours, theirs = losses(n, gain)
    return verdicts({horizon: ours}, {horizon: theirs})[horizon]


@pytest.mark.parametrize(
    ("n", "gain", "words"),
    [
        (19, 0.5, "too little data"),
        (20, 0.5, "skill shown"),
        (200, 0.0, "no skill shown"),
        (200, -0.5, "worse"),
        (200, 0.5, "skill shown"),
    ],
    ids=["few", "just_enough", "noise", "worse", "better"],
)
def test_words(n: int, gain: float, words: str) -> None:
    assert said(n, gain).words == words


@pytest.mark.parametrize(
    ("n", "words", "independent"), [(190, "too little data", 19), (191, "skill shown", 20), (200, "skill shown", 20)]
)
def test_windows_that_overlap_count_once(n: int, words: str, independent: int) -> None:
    found = said(n, 0.5, horizon=10)
    assert (found.words, found.independent_windows, found.n) == (words, independent, n)


def test_figures() -> None:
    ours, theirs = losses(100, 0.1)
    found = verdicts({1: ours}, {1: theirs})[1]
    assert found.ratio == pytest.approx(ours.mean() / theirs.mean())
    assert found.difference == pytest.approx(ours.mean() - theirs.mean())
    assert found.p_value == found.adjusted_p_value == diebold_mariano(theirs - ours, horizon=1).p_value
    assert found.adjusted_p_value_worse == pytest.approx(1 - diebold_mariano(theirs - ours, horizon=1).p_value)
    assert found.reason == ""


def test_too_little_data_has_no_p_value() -> None:
    found = said(5, 0.5)
    assert (found.p_value, found.adjusted_p_value, found.adjusted_p_value_worse) == (None, None, None)
    assert found.ratio is not None
    empty = verdicts({1: []}, {1: []})[1]
    assert (empty.words, empty.ratio, empty.difference, empty.n) == ("too little data", None, None, 0)


def test_holm_over_the_horizons_with_windows_enough() -> None:
    """A gain that one horizon alone would show is not shown among many; horizons without windows do not count."""
    ours, theirs = losses(400, 0.0)
    gain = theirs - ours
    shift = next(
        s for s in np.linspace(0, 0.1, 2000) if diebold_mariano(gain - gain.mean() + s, horizon=1).p_value < 0.03
    )
    near = theirs - (gain - gain.mean() + shift)
    assert verdicts({1: near}, {1: theirs})[1].words == "skill shown"
    noise = {horizon: losses(400, 0.0, seed=horizon) for horizon in (2, 3)}
    among = verdicts(
        {1: near} | {h: pair[0] for h, pair in noise.items()}, {1: theirs} | {h: pair[1] for h, pair in noise.items()}
    )
    assert among[1].words == "no skill shown"
    assert among[1].adjusted_p_value == pytest.approx(3 * among[1].p_value)  # type: ignore[operator]
    few = {h: losses(20, 0.0, seed=h) for h in (2, 3)}
    still = verdicts(
        {1: near} | {h: pair[0] for h, pair in few.items()}, {1: theirs} | {h: pair[1] for h, pair in few.items()}
    )
    assert [one.words for one in still.values()] == ["skill shown", "too little data", "too little data"]


def test_the_same_gains_say_less_at_a_longer_horizon() -> None:
    """Overlap is not evidence: 20 gains, each seen from 100 origins, say no more than 20 gains say."""
    gain = np.random.default_rng(3).normal(0.5, 1, 20)
    theirs = np.full(2000, 5.0)
    ours = theirs - np.repeat(gain, 100)
    few, as_if = (verdicts({h: ours}, {h: theirs})[h].p_value for h in (100, 1))
    assert few is not None
    assert as_if is not None
    assert few >= diebold_mariano(gain, horizon=1).p_value
    assert few > 10 * as_if


def test_losses_that_may_be_negative_are_judged_by_their_difference() -> None:
    """QLIKE around -.5: the better model has the larger ratio."""
    ours, theirs = losses(300, 0.1)
    ours, theirs = ours - 1.5, theirs - 1.5
    with pytest.raises(ValueError, match="losses at horizon 1: 300 windows are below 0"):
        verdicts({1: ours}, {1: theirs})
    found = verdicts({1: ours}, {1: theirs}, may_be_negative=True)[1]
    assert (found.words, found.ratio) == ("skill shown", None)
    assert ours.mean() / theirs.mean() > 1


def test_a_benchmark_that_never_errs() -> None:
    """A frozen price: the random walk loses nothing."""
    found = verdicts({1: np.full(50, 0.1), 5: np.zeros(100)}, {1: np.zeros(50), 5: np.zeros(100)})
    assert [(one.words, one.ratio) for one in found.values()] == [("worse", None), ("no skill shown", None)]
    assert (found[5].p_value, found[5].adjusted_p_value_worse) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (True, "untradeable: an input of the windows observed the market after the target began"),
        (np.arange(200) < 3, "untradeable: an input of 3 of 200 windows observed the market after the target began"),
    ],
    ids=["all", "three"],
)
def test_untradeable_skill_is_none(flags: bool, reason: str) -> None:
    ours, theirs = losses(200, 0.5)
    found = verdicts({1: ours, 5: ours}, {1: theirs, 5: theirs}, untradeable={1: flags})
    assert (found[1].words, found[1].reason) == ("no skill shown", reason)
    assert (found[5].words, found[5].reason) == ("skill shown", "")
    assert found[1].adjusted_p_value is not None
    assert found[1].adjusted_p_value < 0.001


def test_untradeable_changes_no_other_words() -> None:
    for n, gain in ((200, -0.5), (200, 0.0), (5, 0.5)):
        ours, theirs = losses(n, gain)
        plain, late = verdicts({1: ours}, {1: theirs}), verdicts({1: ours}, {1: theirs}, untradeable={1: True})
        assert plain == late
    assert verdicts({1: ours}, {1: theirs}, untradeable={1: np.zeros(5, dtype=bool)})[1].reason == ""


def test_observed_late() -> None:
    start = np.array(["2024-01-02T13:10", "2024-01-03T13:10"], dtype="datetime64[us]")
    hours = np.array([0, 7], dtype="timedelta64[h]")
    assert observed_late(start + hours, start).tolist() == [False, True]
    with pytest.raises(ValueError, match="observed_until: expected datetime64 without gaps"):
        observed_late(np.array([start[0], np.datetime64("NaT")]), start)
    with pytest.raises(ValueError, match=r"expected one shape, got observed \(1,\), target \(2,\)"):
        observed_late(start[:1], start)


def test_the_planted_stale_price_is_no_skill() -> None:
    """Half of each fixing's return is seen hours later in another market: a ratio far under 1, and nothing to trade."""
    rng = np.random.default_rng(5)
    seen, rest = rng.normal(size=600), rng.normal(size=600)
    start = np.datetime64("2022-01-03T13:10", "us") + np.arange(600).astype("timedelta64[D]")
    ours, walk = np.square(rest), np.square(seen + rest)
    late = observed_late(start + np.timedelta64(7, "h"), start)
    found = verdicts({1: ours}, {1: walk}, untradeable={1: late})[1]
    assert found.ratio is not None
    assert found.ratio < 0.6
    assert (found.words, found.reason[:11]) == ("no skill shown", "untradeable")


@pytest.mark.parametrize(
    ("difference", "better", "worse", "words"),
    [
        (-1.0, 0.049, 1.0, "skill shown"),
        (-1.0, 0.05, 1.0, "no skill shown"),
        (1.0, 0.01, 1.0, "no skill shown"),
        (1.0, 1.0, 0.049, "worse"),
        (1.0, 1.0, 0.05, "no skill shown"),
        (0.0, 0.0, 0.0, "no skill shown"),
    ],
)
def test_the_rule(difference: float, better: float, worse: float, words: str) -> None:
    assert decided(difference, better, worse) == words


def test_refusals() -> None:
    fine = np.ones(30)
    with pytest.raises(ValueError, match=r"expected the same horizons, got losses \[1\] and benchmark \[5\]"):
        verdicts({1: fine}, {5: fine})
    with pytest.raises(ValueError, match="benchmark at horizon 5: 1 of 30 windows are not finite, the first is 29"):
        verdicts({5: fine}, {5: np.append(fine[1:], np.inf)})
    with pytest.raises(ValueError, match="horizon 5: 30 losses but 29 of the benchmark; align them"):
        verdicts({5: fine}, {5: fine[1:]})
    with pytest.raises(ValueError, match=r"untradeable: has horizons \[9\] that losses have not"):
        verdicts({5: fine}, {5: fine}, untradeable={9: True})
    with pytest.raises(
        ValueError, match=r"untradeable at horizon 5: expected one bool or 30, got bool of shape \(29,\)"
    ):
        verdicts({5: fine}, {5: fine}, untradeable={5: np.zeros(29, dtype=bool)})
    with pytest.raises(ValueError, match="untradeable at horizon 5: expected one bool or 30, got float64"):
        verdicts({5: fine}, {5: fine}, untradeable={5: np.zeros(30)})
    with pytest.raises(ValueError, match="horizon: expected a whole number of 1 or more, got 0"):
        verdicts({0: fine}, {0: fine})
