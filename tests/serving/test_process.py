"""The API as a process of its own: what it imports, how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from fx_assets.settings import project_root
from serving.main import AddressError, bind
from tests.serving.conftest import SECOND_NIGHT
from tests.serving.wire import Wire
from tests.support.tiny_lake import TinyLake

BANNED = {
    *("torch", "sklearn", "skops", "arch", "statsmodels", "dagster", "pytorch_lightning"),
    *("tsfresh", "featuretools", "autofeat", "matplotlib"),
}

_IMPORTS = """
import asyncio, json, sys
import httpx
from serving.app import app

async def ask():
    opened = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api")
    async with app.router.lifespan_context(app), opened as client:
        read = await client.get("/v1/forecasts/EURUSD/latest")
        made = await client.post("/random_walk/predict", json={"pair": "EURUSD"})
        ready = await client.get("/readyz")
    return [read.status_code, made.status_code, ready.status_code]

codes = asyncio.run(ask())
print(json.dumps({"codes": codes, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def environment(tiny: TinyLake, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FX_")}
    return {**kept, "FX_HOME": str(tiny.settings.home), "FX_CONFIGS": str(tiny.settings.configs), **more}


def test_the_reader_imports_no_training_library_and_no_dagster(built: TinyLake) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        env=environment(built),
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["codes"] == [200, 200, 200]
    assert sorted(BANNED.intersection(said["modules"])) == []


@contextmanager
def started(
    tiny: TinyLake, *arguments: str, through: Sequence[str] = (), **more: str
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*through, sys.executable, "-m", "serving.main", *arguments],
        env=environment(tiny, **more),
        cwd=project_root(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("forecast API on http://127.0.0.1:"), line
    return line.removeprefix("forecast API on ").strip()


def test_it_prints_its_address_serves_follows_the_lake_and_ends(tiny: TinyLake) -> None:
    with started(tiny, "--port", "0", FX_POLL_SECONDS="0.1") as process:
        url = address(process)
        with httpx.Client(base_url=url, timeout=20) as client:
            assert client.get("/readyz").status_code == 200
            first = client.get("/v1/forecasts/EURUSD/latest")
            issued_at = SECOND_NIGHT + timedelta(hours=1)
            tiny.forecast("random_walk", "EURUSD", issued_at=issued_at)
            deadline = time.monotonic() + 30
            while (newest := client.get("/v1/forecasts/EURUSD/latest")).headers["etag"] == first.headers["etag"]:
                assert time.monotonic() < deadline, "the poll never saw the new forecast"
                time.sleep(0.05)
            assert newest.json()["issued_at"] == "2026-10-30T22:30:00Z"
            assert client.post("/random_walk/predict", json={"pair": "EURUSD"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert [line for line in err.splitlines() if not line.startswith("no key is on record")] == []


def test_ctrl_c_ends_it_too(built: TinyLake) -> None:
    with started(built, "--port", "0") as process:
        address(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_said_and_exit_code_1(built: TinyLake) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with started(built, "--port", str(port)) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert f"port {port} on 127.0.0.1" in err
    assert "Traceback" not in err


def test_no_configs_are_said_and_exit_code_1(built: TinyLake, tmp_path: Path) -> None:
    with started(built, "--port", "0", FX_CONFIGS=str(tmp_path)) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "FX_CONFIGS" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_off_loopback_it_refuses_to_start_without_keys(workers: str, built: TinyLake) -> None:
    with started(built, "--port", "0", FX_HOST="192.0.2.1", FX_WORKERS=workers) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: FX_HOST is '192.0.2.1'")
    assert "fx-assets keys create" in err
    assert "Traceback" not in err


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(AddressError, match=r"port 0 on 192\.0\.2\.1 cannot be used"):
        bind("192.0.2.1", 0)


def test_a_request_that_was_half_sent_when_it_was_told_to_end_is_answered(built: TinyLake) -> None:
    body = b'{"pair": "EURUSD"}'
    head = b"POST /random_walk/predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with started(built, "--port", "0") as process:
        port = int(address(process).rpartition(":")[2])
        with Wire(port) as half, Wire(port) as idle:
            assert idle.get("/livez").status == 200
            half.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            assert idle.get("/livez").status == 200
            process.send_signal(signal.SIGTERM)
            while (last := idle.get("/livez")).headers.get("connection") != "close":
                assert last.status == 200
            answer = half.send(body[5:]).answer()
            assert half.rest() == b""
        assert process.wait(timeout=60) == 0
    assert last.status == 200
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_it_may_open_as_many_files_as_the_system_grants_and_takes_no_more_connections(built: TinyLake) -> None:
    limited = ["bash", "-c", 'ulimit -Sn 100; ulimit -Hn 160; exec "$@"', "bash"]
    with started(built, "--port", "0", through=limited) as process:
        port = int(address(process).rpartition(":")[2])
        opened = [Wire(port) for _ in range(32)]  # 160 less those that other things need
        assert {wire.get("/livez").status for wire in opened} == {200}
        with Wire(port) as one_more:
            assert one_more.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").answer().status == 503
        assert opened[0].get("/v1/forecasts/EURUSD/latest").status == 200
        for wire in opened:
            wire.__exit__()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_any_loopback_address_will_do(host: str) -> None:
    with bind(host, 0) as bound:
        assert bound.getsockname()[0].startswith("127.")
