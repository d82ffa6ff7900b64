"""Predictions in their thread or between reads: in order, each answered once, whoever went away."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serving.problems import ProblemError
from serving.queue import MOST_BETWEEN_READS, Predictions


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def blocked(by: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        assert by.wait(30)

    return wait


@in_a_loop
async def test_answers_come_in_order_and_from_one_thread_that_is_not_this_one() -> None:
    predictions = Predictions(10)
    order: list[int] = []

    def one(number: int) -> tuple[int, int]:
        order.append(number)
        return number, threading.get_ident()

    found = await asyncio.gather(*(predictions.run(functools.partial(one, n)) for n in range(8)))
    assert [number for number, _ in found] == order == list(range(8))
    assert len({thread for _, thread in found} | {threading.get_ident()}) == 2
    assert predictions.waiting == 0
    predictions.close()


@in_a_loop
async def test_what_is_raised_belongs_to_who_asked_and_the_thread_goes_on() -> None:
    predictions = Predictions(10)

    def fail() -> None:
        raise LookupError("this one")

    with pytest.raises(LookupError, match="this one"):
        await predictions.run(fail)
    assert await predictions.run(lambda: 7) == 7
    predictions.close()


@in_a_loop
async def test_a_full_queue_refuses_at_once_and_who_went_away_makes_room_when_done() -> None:
    predictions, gate = Predictions(2), threading.Event()
    held = [asyncio.create_task(predictions.run(blocked(gate))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError) as refused:
        await predictions.run(lambda: None)
    assert (refused.value.status, refused.value.code, predictions.refused) == (503, "too_busy", 1)
    assert int((refused.value.headers or {})["retry-after"]) >= 1
    held[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await held[1]
    gate.set()
    await held[0]
    assert await predictions.run(lambda: "next") == "next"
    assert predictions.waiting == 0
    predictions.close()


@in_a_loop
async def test_the_thread_ends_after_what_it_was_given() -> None:
    predictions, gate = Predictions(4), threading.Event()
    last = asyncio.create_task(predictions.run(blocked(gate)))
    await asyncio.sleep(0)
    predictions.close()
    gate.set()
    await last
    thread = predictions._thread
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()


@in_a_loop
async def test_quick_ones_run_here_and_whatever_else_came_is_served_in_between() -> None:
    predictions, order = Predictions(10), list[str]()

    async def reads() -> None:
        for _ in range(8):
            order.append("read")
            await asyncio.sleep(0)

    def one(name: str) -> int:
        order.append(name)
        return threading.get_ident()

    asked = [predictions.run(functools.partial(one, name), quick=True) for name in "abc"]
    *found, _ = await asyncio.gather(*asked, reads())
    assert set(found) == {threading.get_ident()}
    assert [name for name in order if name != "read"] == ["a", "b", "c"]
    assert order.index("read") < order.index("b")
    assert "read" in order[order.index("b") : order.index("c")]
    assert predictions.waiting == 0


@in_a_loop
async def test_quick_ones_that_are_many_go_to_the_thread() -> None:
    predictions = Predictions(100)
    asked = [predictions.run(threading.get_ident, quick=True) for _ in range(3 * MOST_BETWEEN_READS)]
    found = await asyncio.gather(*asked)
    # The first was done before the next one asked.
    assert found.count(threading.get_ident()) == 1 + MOST_BETWEEN_READS
    assert len(set(found)) == 2
    predictions.close()


@in_a_loop
async def test_a_quick_one_that_fails_or_whose_asker_went_away_leaves_its_turn_to_the_next() -> None:
    predictions = Predictions(10)

    def fail() -> None:
        raise LookupError("this one")

    failing, gone, last = (
        asyncio.create_task(predictions.run(what, quick=True)) for what in (fail, lambda: None, lambda: None)
    )
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(LookupError, match="this one"):
        await failing
    await last
    assert await predictions.run(lambda: 7, quick=True) == 7
    assert predictions.waiting == 0
