"""The client is light: importing and using it brings httpx, msgspec and orjson, and nothing of the service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fx_assets.settings import project_root
from tests.support.running_api import Api

FOLDER = project_root() / "serving" / "client"
_PROGRAM = """
import json, sys
import httpx, msgspec, orjson
from http.cookiejar import CookieJar
client = httpx.Client()
{warm}
before = set(sys.modules)
from serving.client.sync import ForecastClient
from serving.client.asynchronous import AsyncForecastClient
with ForecastClient({server!r}) as client:
    client.latest("EURUSD")
    client.predict("solo", pair="EURUSD")
    list(client.history("EURUSD"))
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_client_imports_what_it_says_and_no_more(shared_client: Api) -> None:
    server = f"http://127.0.0.1:{shared_client.port}"
    # What httpx itself imports for a first request is not counted.
    program = _PROGRAM.format(server=server, warm=f"client.get({server + '/livez'!r})")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout)
    own = {name for name in names if name.partition(".")[0] == "serving"}
    assert own == {"serving", "serving.client", *(f"serving.client.{path.stem}" for path in FOLDER.glob("[a-z]*.py"))}
    foreign = {name.partition(".")[0] for name in names} - {"serving"} - set(sys.stdlib_module_names)
    assert foreign == set()


def test_the_client_is_small() -> None:
    files = [path for path in Path(FOLDER).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.suffix for path in files} == {".py"}
    assert sum(path.stat().st_size for path in files) < 100_000
