"""Several workers: one address, replaced when they die or are told to, ended without losing a request."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from fx_assets.settings import Settings, child_environment, project_root
from tests.serving.test_process import address, environment, started
from tests.serving.wire import Wire, wait_until
from tests.support.tiny_lake import TinyLake

READ = "/v1/forecasts/EURUSD/latest"
Process = subprocess.Popen[str]


def workers_of(process: Process) -> set[int]:
    """Process ids of the workers that live."""
    return {child.pid for child in psutil.Process(process.pid).children() if _lives(child)}


def _lives(worker: psutil.Process) -> bool:
    """Whether it still runs: its parent may end it, and clear it away, between any two looks at it."""
    try:
        return worker.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def holder(wire: Wire, workers: set[int]) -> int:
    """The worker that holds the other end of a connection."""
    ours, theirs = wire.socket.getsockname()[1], wire.socket.getpeername()[1]
    for pid in workers:
        for connection in psutil.Process(pid).net_connections("tcp"):
            if connection.raddr and (connection.laddr.port, connection.raddr.port) == (theirs, ours):
                return pid
    raise AssertionError("no worker holds the connection")


@contextmanager
def several(tiny: TinyLake, **more: str) -> Iterator[tuple[Process, int]]:
    """Two workers, both of them up, and their port."""
    with started(tiny, "--port", "0", "--workers", "2", **more) as process:
        port = int(address(process).rpartition(":")[2])
        wait_until(lambda: all(map(_is_up, workers_of(process))), "a worker did not come up")
        yield process, port


def _is_up(pid: int) -> bool:
    """Whether its application is made: only then does a worker catch SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@dataclass
class Load:
    """Four clients that read all the time: two keep their connection, two take a new one for every request."""

    port: int
    outcomes: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._run, args=(keep,)) for keep in (False, False, True, True)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.outcomes["200"] > 20, "the clients are not served")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, keep: bool) -> None:
        while not self.stop.is_set():
            try:
                wire = Wire(self.port)
            except ConnectionRefusedError:
                self.outcomes["refused"] += 1
                return
            with wire:
                self._talk(wire, keep)

    def _talk(self, wire: Wire, keep: bool) -> None:
        while not self.stop.is_set():
            try:
                answer = wire.get(READ)
            except (ConnectionError, AssertionError) as error:
                self.outcomes[f"lost: {error!r}"] += 1
                return
            self.outcomes[str(answer.status)] += 1
            time.sleep(0.005)  # or the clients would leave no time for workers to start
            if not keep or answer.headers.get("connection") == "close":
                return


def test_one_address_several_processes_and_a_clean_end(built: TinyLake) -> None:
    with several(built) as (process, port):
        workers = workers_of(process)
        assert len(workers) == 2
        with Wire(port) as wire:
            assert wire.get(READ).status == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert [line for line in err.splitlines() if not line.startswith("no key is on record")] == []
        assert not any(psutil.pid_exists(pid) for pid in workers)


@pytest.mark.slow
def test_all_workers_count_together_whichever_is_asked(built: TinyLake) -> None:
    with several(built) as (process, port):
        wanted, asked = workers_of(process), 0
        met: set[int] = set()
        while met != wanted:
            with Wire(port) as wire:
                assert wire.get(READ).status == 200
                met.add(holder(wire, wanted))
                asked += 1
        for _ in range(8):
            told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
            line = next(line for line in told.splitlines() if "request_seconds_count" in line and "latest" in line)
            assert float(line.split()[-1]) == asked


@pytest.mark.slow
def test_ctrl_c_ends_all(built: TinyLake) -> None:
    with several(built) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_only_its_connections_break(built: TinyLake) -> None:
    with several(built) as (process, port):
        before = workers_of(process)
        wires = [Wire(port) for _ in range(12)]
        assert {wire.get(READ).status for wire in wires} == {200}
        held = [(wire, holder(wire, before)) for wire in wires]
        victim = held[0][1]
        with Load(port) as load:
            psutil.Process(victim).kill()
            wait_until(lambda: len(workers_of(process) - before) == 1, "the worker was not replaced")
            served = load.outcomes["200"]
            wait_until(lambda: load.outcomes["200"] > served + 50, "nobody is served")
        for wire, pid in held:
            if pid == victim:
                assert wire.rest() == b""
            else:
                assert wire.get(READ).status == 200
            wire.__exit__()
        # Four clients ask at a time: no more than those can have been with the worker that died.
        assert sum(number for name, number in load.outcomes.items() if name != "200") <= 4
        assert process.poll() is None


@pytest.mark.slow
def test_workers_that_die_one_after_the_other_are_replaced_every_time(built: TinyLake) -> None:
    with several(built) as (process, port):
        for _ in range(3):
            before = workers_of(process)
            for pid in before:
                psutil.Process(pid).kill()
            wait_until(lambda before=before: len(workers_of(process) - before) == 2, "they were not replaced")
            with Wire(port) as wire:  # it waits in the queue of the socket until one of them answers
                assert wire.get(READ).status == 200


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.slow
def test_sigterm_under_load_loses_no_request(count: str, built: TinyLake) -> None:
    with started(built, "--port", "0", "--workers", count) as process:
        port = int(address(process).rpartition(":")[2])
        with Load(port) as load:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            wait_until(lambda: load.outcomes["refused"] == 4, "a client hangs")
        assert set(load.outcomes) == {"200", "refused"}


@pytest.mark.slow
def test_sighup_replaces_all_workers_and_loses_no_request(built: TinyLake) -> None:
    with several(built) as (process, port):
        before = workers_of(process)
        with Load(port) as load:
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: not workers_of(process) & before, "old workers stay")
            wait_until(lambda: len(workers_of(process)) == 2, "there are not two")
        assert set(load.outcomes) == {"200"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_a_restart_that_fails_leaves_the_workers_that_are(tiny: TinyLake) -> None:
    with several(tiny) as (process, port):
        before = workers_of(process)
        moved = tiny.settings.configs.rename(tiny.settings.configs.with_name("away"))
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        for line in process.stderr:
            if "ended at its start" in line:
                break
        with Load(port) as load:
            time.sleep(1)  # a parent that went on trying would have started the next one
            assert workers_of(process) == before
        assert set(load.outcomes) == {"200"}
        moved.rename(tiny.settings.configs)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: not workers_of(process) & before, "old workers stay")
        with Wire(port) as wire:
            assert wire.get(READ).status == 200


def test_no_configs_are_said_and_exit_code_1(built: TinyLake, tmp_path: Path) -> None:
    with started(built, "--port", "0", "--workers", "2", FX_CONFIGS=str(tmp_path)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "FX_CONFIGS" in err
    assert "the workers of the forecast API cannot start" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_workers_that_always_die_at_their_start_end_the_parent(built: TinyLake) -> None:
    with started(built, "--port", "0", "--workers", "2") as process:
        killed: set[int] = set()
        while process.poll() is None:
            for pid in workers_of(process):
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
                    killed.add(pid)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "signal SIGKILL" in err
    assert "the workers of the forecast API cannot start" in err
    assert len(killed) >= 5


@pytest.mark.slow
def test_a_parent_that_is_killed_takes_its_workers_along(built: TinyLake) -> None:
    with several(built) as (process, _):
        workers = [psutil.Process(pid) for pid in workers_of(process)]
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert alive == []


def test_a_child_reads_the_very_settings_of_its_parent(built: TinyLake) -> None:
    given = {"control_url": "sqlite:////tmp/a b.db", "poll_seconds": 0.5, "live": False, "workers": 3}
    settings = Settings.model_validate({**built.settings.model_dump(), **given})
    code = "from fx_assets.settings import get_settings as g; s = g(); print(s.model_dump_json(), s.control_database)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(built, FX_CONTROL_URL="x", FX_WORKERS="7"), **child_environment(settings)},
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=True,
    )
    said, _, database = done.stdout.strip().rpartition(" sqlite:")
    assert json.loads(said) == json.loads(settings.model_dump_json())
    assert f"sqlite:{database}" == settings.control_database
