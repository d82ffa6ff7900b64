"""The verdict's test: its size on noise, its power, its words."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.evaluation.exchange import skill
from fx_assets.evaluation.exchange.table import Floats
from fx_assets.evaluation.inference.multiple import holm


def losses(n: int, gain: float, seed: int = 0) -> tuple[dict[int, Floats], dict[int, Floats]]:
    """Losses per window of a model and of repeat-last at horizon 1; the model's are lower by `gain` on average."""
    rng = np.random.default_rng(seed)
    walk = 1 + rng.normal(0, 0.1, n)
    return {1: walk - gain + rng.normal(0, 0.1, n)}, {1: walk}


@pytest.mark.parametrize(
    ("n", "gain", "said"),
    [
        (19, 0.5, "too little data"),
        (20, 0.5, "skill shown"),
        (200, 0.0, "no skill shown"),
        (200, -0.5, "worse"),
        (200, 0.5, "skill shown"),
    ],
    ids=["few", "just_enough", "noise", "worse", "better"],
)
def test_words(n: int, gain: float, said: str) -> None:
    assert skill.verdicts(*losses(n, gain)) == {1: said}


def test_only_windows_that_do_not_overlap_count() -> None:
    ours, walk = losses(190, 0.5)
    assert skill.verdicts({10: ours[1]}, {10: walk[1]}) == {10: "too little data"}
    ours, walk = losses(200, 0.5)
    assert skill.verdicts({10: ours[1]}, {10: walk[1]}) == {10: "skill shown"}


def test_size_on_noise_is_the_level() -> None:
    rng = np.random.default_rng(1)
    for count in (20, 26, 100):
        share = np.mean([skill.p_value(rng.normal(size=count)) < 0.05 for _ in range(800)])
        assert 0.03 < share < 0.07


def test_p_of_nothing_is_one_and_the_two_sides_add_up() -> None:
    assert skill.p_value(np.zeros(30)) == 1.0
    gain = np.random.default_rng(2).normal(0.2, 1, 40)
    assert skill.p_value(gain) + skill.p_value(-gain) == pytest.approx(1)


def test_holm_by_hand() -> None:
    assert holm({1: 0.01, 2: 0.04, 3: 0.03}) == pytest.approx({1: 0.03, 3: 0.06, 2: 0.06})


def test_holm_is_part_of_the_verdict() -> None:
    """A gain that one horizon alone would show is not shown among many."""
    rng = np.random.default_rng(0)
    walk = np.ones(30)
    gain = rng.normal(0, 1, 30)
    gain += 0.03 - gain.mean()
    shift = next(shift for shift in np.linspace(0, 2, 400) if skill.p_value(gain + shift) < 0.03)
    ours = walk - gain - shift
    assert skill.verdicts({1: ours}, {1: walk}) == {1: "skill shown"}
    noise = {horizon: np.repeat(walk + rng.normal(0, 1, 30), horizon) for horizon in range(2, 6)}
    walks = {1: walk} | {horizon: np.repeat(walk, horizon) for horizon in noise}
    assert skill.verdicts({1: ours} | noise, walks)[1] == "no skill shown"


def test_a_row_claims_no_more_than_its_weakest_horizon() -> None:
    assert skill.overall({96: "skill shown", 720: "too little data"}) == "too little data"
    assert skill.overall({96: "skill shown", 192: "no skill shown"}) == "no skill shown"
    assert skill.overall({96: "skill shown", 192: "skill shown"}) == "skill shown"
