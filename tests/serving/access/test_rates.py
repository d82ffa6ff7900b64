"""The token bucket of one key, on a clock of its own."""

from __future__ import annotations

import pytest

from fx_assets.storage.keys import Rate
from serving.access.rates import Bucket
from tests.serving.access.place import Clock


def test_a_full_bucket_lets_its_rate_through_at_once_and_fills_evenly() -> None:
    clock = Clock(50.0)
    bucket = Bucket(Rate(6, 60), clock)
    assert [bucket.take() for _ in range(6)] == [0.0] * 6
    assert bucket.take() == pytest.approx(10.0)
    clock.forward(4.0)
    assert bucket.take() == pytest.approx(6.0), "a refused request costs nothing"
    clock.forward(6.0)
    assert bucket.take() == 0.0
    assert bucket.take() == pytest.approx(10.0)


def test_a_pause_fills_it_once_and_not_more() -> None:
    clock = Clock(0.0)
    bucket = Bucket(Rate(3, 1), clock)
    clock.forward(3600.0)
    assert [bucket.take() > 0 for _ in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(7, 60), Rate(3000, 3600)], ids=str)
def test_in_the_long_run_it_lets_through_what_its_rate_says(rate: Rate) -> None:
    clock = Clock(0.0)
    bucket = Bucket(rate, clock)
    hours = 3
    passed = 0
    for _ in range(hours * 3600 * 2):
        passed += bucket.take() == 0.0
        clock.forward(0.5)
    assert passed == pytest.approx(
        min(rate.requests * 3600 * hours / rate.seconds + rate.requests, 7200 * hours), abs=2
    )
