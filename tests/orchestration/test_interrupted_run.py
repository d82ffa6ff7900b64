"""A run that a signal ends between two steps fails none of them, and ends the night all the same."""

import os
import signal

import dagster as dg

from fx_assets.commands.night import NightResult


@dg.success_hook
def told(_context: dg.HookContext) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@dg.op
def first() -> int:
    return 1


@dg.op
def second(first: int) -> int:
    return first


@dg.job
def untold_job() -> None:
    second(first())


@dg.job(hooks={told})
def told_job() -> None:
    second(first())


def test_a_signal_between_two_steps_is_noted() -> None:
    ended = told_job.execute_in_process(raise_on_error=False)
    assert [event.step_key for event in ended.all_events if event.is_step_success] == ["first"]
    assert not any(event.is_step_failure for event in ended.all_events)
    result = NightResult()
    result.record("wave 1", ended)
    assert (result.interrupted, result.failed) == (True, ["wave 1: ended between two steps"])


def test_a_run_that_is_left_alone_is_no_end() -> None:
    result = NightResult()
    result.record("wave 1", untold_job.execute_in_process(raise_on_error=False))
    assert (result.interrupted, result.failed) == (False, [])
