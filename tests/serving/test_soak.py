"""Reads, predictions and streams while nights publish and models are swapped: nothing fails, nothing grows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from fx_assets.settings import project_root
from tests.serving.test_process import environment
from tests.support.tiny_lake import TinyLake

WORKERS = 2
# What a worker may grow by once it is warm: the history it reads gets longer, and allocators keep some pages.
MOST_MIB = 40
MOST_DESCRIPTORS = 16


@dataclass
class Load:
    """What was asked and what was answered, by several threads until `end`."""

    url: str
    end: float
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    versions: set[str] = field(default_factory=set)
    published: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, *work: Callable[[], None]) -> None:
        """All of it at once, to the end; raises what went wrong in any thread."""
        threads = [threading.Thread(target=self._guarded, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def read(self) -> None:
        """Latest, history and predictions, one after the other on one connection."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            tag = ""
            while time.monotonic() < self.end:
                latest = client.get("/v1/forecasts/EURUSD/latest", headers={"if-none-match": tag})
                tag = latest.headers["etag"]
                made = client.post("/solo/predict", json={"pair": "EURUSD"})
                listed = client.get("/v1/forecasts/EURUSD?limit=2")
                with self._lock:
                    self.statuses["latest", latest.status_code] += 1
                    self.statuses["history", listed.status_code] += 1
                    self.statuses["predict", made.status_code] += 1
                    if made.status_code == 200:
                        self.versions.add(made.json()["model_version"])

    def listen(self) -> None:
        """A stream that is left and taken up again every few seconds."""
        mark: str | None = None
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while time.monotonic() < self.end:
                until = min(self.end, time.monotonic() + 5)
                headers = {} if mark is None else {"last-event-id": mark}
                with client.stream("GET", "/v1/forecasts/stream?pairs=EURUSD&model=solo", headers=headers) as answer:
                    event: dict[str, str] = {}
                    for line in answer.iter_lines():
                        if line:
                            name, _, value = line.partition(": ")
                            event[name] = value
                            continue
                        # An event counts once it is whole: then its id is where to go on.
                        mark = event.get("id", mark)
                        if "id" in event and "data" in event:
                            self.events.append(json.loads(event["data"])["issued_at"])
                        event = {}
                        if time.monotonic() >= until:
                            break

    def hammer(self) -> None:
        """Reads of the latest over 16 connections by wrk, where it is installed; each answered, and by a 2xx."""
        wrk, left = shutil.which("wrk"), int(self.end - time.monotonic())
        if wrk is None or left < 1:
            return
        command = [wrk, "-t1", "-c16", f"-d{left}s", f"{self.url}/v1/forecasts/EURUSD/latest"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        asked = re.search(r"(\d+) requests in", said)
        assert asked is not None, said
        assert not re.search("Non-2xx|Socket errors", said), said
        with self._lock:
            self.statuses["wrk", 200] += int(asked[1])

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failures.append(error)


@contextmanager
def served(tiny: TinyLake) -> Iterator[tuple[str, psutil.Process]]:
    """Two workers in processes of their own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.main", "--port", "0", "--workers", str(WORKERS)],
        env=environment(tiny, FX_POLL_SECONDS="0.2"),
        cwd=project_root(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1], psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def held(parent: psutil.Process) -> list[tuple[float, int]]:
    """MiB and descriptors that each worker keeps: the fewest of several looks, since reading the log opens many."""
    looks: dict[int, list[tuple[float, int]]] = {}
    for _ in range(10):
        for child in parent.children():
            looks.setdefault(child.pid, []).append((child.memory_info().rss / 2**20, child.num_fds()))
        time.sleep(0.05)
    return [(min(mib for mib, _ in found), min(files for _, files in found)) for found in looks.values()]


def soak(tiny: TinyLake, seconds: float) -> Load:
    """Everything at once for so long."""
    with served(tiny) as (url, parent):
        warm: list[tuple[float, int]] = []
        began = time.monotonic()
        load = Load(url, began + seconds)

        def publish() -> None:
            nights = 0
            while time.monotonic() < load.end - 2:
                if nights % 4 == 3:
                    tiny.train("solo", "EURUSD")
                tiny.forecast("random_walk", "EURUSD", issued_at=datetime.now(UTC))
                made = tiny.forecast("solo", "EURUSD", issued_at=datetime.now(UTC))
                load.published.append(made.model_dump(mode="json")["issued_at"])
                nights += 1
                if not warm and time.monotonic() > began + seconds / 4:
                    warm.extend(held(parent))
                time.sleep(1)

        load.run(publish, load.read, load.read, load.read, load.listen, load.hammer)
        assert len(held(parent)) == WORKERS
        for (before, files), (after, more) in zip(sorted(warm), sorted(held(parent)), strict=True):
            assert after - before < MOST_MIB
            assert more - files < MOST_DESCRIPTORS
    return load


def check(load: Load) -> None:
    """Everything was answered; several versions forecast; the stream lost nothing and repeated nothing."""
    wrong = {key: count for key, count in load.statuses.items() if key[1] not in (200, 304)}
    assert not wrong, load.statuses
    assert len(load.versions) > 1
    first = load.published.index(load.events[0])
    assert load.events == load.published[first : first + len(load.events)]
    assert len(load.events) > len(load.published) / 2


@pytest.mark.slow
def test_a_short_soak(tiny: TinyLake) -> None:
    check(soak(tiny, 20))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_soak_of_minutes(tiny: TinyLake) -> None:
    check(soak(tiny, 60 * float(os.environ.get("FX_SOAK_MINUTES", "5"))))
