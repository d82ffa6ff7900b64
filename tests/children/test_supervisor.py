"""What must not survive a training: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fx_assets.children.supervisor import ChildFailed, Ended, living, supervise
from tests.training.helpers import alive, wait_until_gone

BOUND = """
import os, signal, subprocess, sys, time
from fx_assets.children.child import bind_to_parent
bind_to_parent(int(sys.argv[1]))
def say(*words):
    print(*words, flush=True)
"""
# Neither it nor its own child listens to SIGTERM; both print their id once they do not.
STUBBORN = (
    BOUND
    + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)"
subprocess.Popen([sys.executable, "-c", deaf + "; time.sleep(300)"])
say(os.getpid())
"""
)
SLEEP = "time.sleep(300)\n"


def run(
    folder: Path,
    script: str,
    on_line: Callable[[bytes], None] = lambda _: None,
    *,
    time_limit_s: float = 60,
    grace_s: float = 0.3,
) -> Ended:
    (folder / "script.py").write_text(script)
    return supervise(
        [sys.executable, str(folder / "script.py"), str(os.getpid())],
        folder=folder,
        environ=os.environ,
        time_limit_s=time_limit_s,
        grace_s=grace_s,
        on_line=on_line,
    )


class Stop(BaseException):
    """Like Dagster's interrupt, not an Exception."""


class StopAt:
    """Collects process ids from the lines and interrupts when there are enough."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pids: list[int] = []

    def __call__(self, line: bytes) -> None:
        self.pids.append(int(line))
        if len(self.pids) == self.count:
            raise Stop


def test_lines_arrive_whole_and_in_order(tmp_path: Path) -> None:
    script = (
        BOUND + "say('one'); sys.stdout.write('tw'); sys.stdout.flush(); time.sleep(.3); say('o'); say('x' * 200_000)"
    )
    lines: list[bytes] = []
    ended = run(tmp_path, script, lines.append)
    assert lines == [b"one", b"two", b"x" * 200_000]
    assert ended == Ended(0, "")


def test_the_end_of_stderr_is_kept(tmp_path: Path) -> None:
    script = BOUND + "sys.stderr.write('long ago ' * 100_000 + 'the cause'); sys.exit(3)"
    ended = run(tmp_path, script)
    assert ended.reason == "exit code 3"
    assert ended.stderr.endswith("the cause")
    assert len(ended.stderr) <= 8192


def test_a_child_that_is_killed_is_reported_with_its_signal(tmp_path: Path) -> None:
    assert run(tmp_path, BOUND + "os.kill(os.getpid(), signal.SIGKILL)").reason == "killed by SIGKILL"


def test_a_stubborn_child_and_grandchild_are_gone_after_an_interrupt(tmp_path: Path) -> None:
    stop = StopAt(2)
    with pytest.raises(Stop):
        run(tmp_path, STUBBORN + SLEEP, stop)
    assert not [pid for pid in stop.pids if alive(pid)]
    assert wait_until_gone(*stop.pids) == []


def test_time_limit(tmp_path: Path) -> None:
    pids: list[int] = []
    with pytest.raises(ChildFailed, match=r"time limit of 3 s passed"):
        run(tmp_path, BOUND + "say(os.getpid())\n" + SLEEP, lambda line: pids.append(int(line)), time_limit_s=3)
    assert len(pids) == 1
    assert wait_until_gone(*pids, seconds=0) == []


@pytest.mark.timeout(60)
def test_a_grandchild_does_not_outlive_a_child_that_ended_well(tmp_path: Path) -> None:
    # It also holds the pipes open: waiting for their end would last as long as it lives.
    script = STUBBORN + "while not os.path.exists('go'): time.sleep(.01)\n"
    pids: list[int] = []

    def on_line(line: bytes) -> None:
        pids.append(int(line))
        if len(pids) == 2:
            (tmp_path / "go").touch()

    assert run(tmp_path, script, on_line).exit_code == 0
    assert wait_until_gone(*pids, seconds=0) == []


@pytest.mark.timeout(60)
def test_a_polite_child_is_not_killed_and_not_waited_for(tmp_path: Path) -> None:
    script = BOUND + (
        "def bye(*_):\n    open('cleaned', 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, bye); say(os.getpid())\n" + SLEEP
    )
    with pytest.raises(Stop):
        run(tmp_path, script, StopAt(1), grace_s=10_000)
    assert (tmp_path / "cleaned").exists()


@pytest.mark.timeout(60)
def test_sigterm_reaches_the_child_of_a_parent_that_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(Stop):
            run(tmp_path, BOUND + "say(os.getpid())\n" + SLEEP, StopAt(1), grace_s=10_000)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 41), (signal.SIGTERM, 42)])
def test_a_signal_to_the_parent_ends_all_of_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    parent, pids = start_parent(tmp_path)
    parent.send_signal(number)
    assert parent.wait(60) == code
    assert wait_until_gone(*pids, seconds=0) == []


def test_the_child_of_a_parent_killed_by_sigkill_dies(tmp_path: Path) -> None:
    parent, (child, grandchild) = start_parent(tmp_path)
    parent.kill()
    parent.wait(60)
    assert wait_until_gone(child) == []
    wait_until_gone(grandchild, seconds=0)  # of a stubborn child; trainings have none


def start_parent(folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that supervises a stubborn child with a grandchild; their ids in this order."""
    (folder / "script.py").write_text(STUBBORN + SLEEP)
    (folder / "parent.py").write_text(
        "import os, signal, sys\nfrom pathlib import Path\nfrom fx_assets.children.supervisor import supervise\n"
        "class Stop(BaseException): pass\n"
        "def stop(*_): raise Stop\n"
        "signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    supervise([sys.executable, 'script.py', str(os.getpid())], folder=Path('.'), environ=os.environ,\n"
        "              time_limit_s=60, grace_s=.3, on_line=lambda line: print(line.decode(), flush=True))\n"
        "except KeyboardInterrupt: sys.exit(41)\n"
        "except Stop: sys.exit(42)\n"
    )
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.stdout.close()
    return parent, sorted(pids, key=lambda pid: os.getpgid(pid) != pid)


def test_a_child_whose_parent_is_gone_does_not_begin() -> None:
    # In a process of its own, for the bond would last.
    code = "from fx_assets.children.child import bind_to_parent; bind_to_parent(1); print('began')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert "parent 1 ended before its child began" in done.stderr


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    script = BOUND + "say(os.getpid())\nwhile True: sys.stdout.write('x' * 100_000)"
    pids: list[int] = []
    with pytest.raises(ChildFailed, match="a line of over 1048576 bytes"):
        run(tmp_path, script, lambda line: pids.append(int(line)))
    assert wait_until_gone(*pids, seconds=0) == []


def test_living_counts_no_zombies() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    try:
        assert living(process.pid) == [process.pid]
    finally:
        process.kill()
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        time.sleep(0.01)
    assert living(process.pid) == []
    process.wait()


def test_binding_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, fx_assets.children.child; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pydantic", "torch", "dagster"}.isdisjoint(done.stdout.split())
