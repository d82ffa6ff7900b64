"""docs/client.md: its examples run, and it names what there is."""

from __future__ import annotations

import inspect
import re

import pytest

from fx_assets.settings import project_root
from serving.client import errors
from serving.client.asynchronous import AsyncForecastClient
from serving.client.options import DEADLINE, RETRIES, SILENCE, TIMEOUT
from serving.client.sync import ForecastClient
from tests.support.running_api import Api

PAGE = (project_root() / "docs" / "client.md").read_text()
METHODS = [name for name, _ in inspect.getmembers(ForecastClient, inspect.isfunction) if not name.startswith("_")]


def test_the_examples_run(shared_client: Api, capsys: pytest.CaptureFixture[str]) -> None:
    from matplotlib import pyplot

    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    program = "\n".join(blocks).replace("http://127.0.0.1:8000", f"http://127.0.0.1:{shared_client.port}")
    names: dict[str, object] = {"__name__": "page"}
    try:
        exec(compile(program, "docs/client.md", "exec"), names)
    finally:
        pyplot.close("all")
        client = names.get("client")
        if isinstance(client, ForecastClient):
            client.close()
    said = capsys.readouterr().out
    assert "<Forecast EURUSD by random_walk: 5 x 1d from 2026-10-30T21:00:00+00:00" in said
    assert "unknown_pair" in said
    assert "(29, 0)" in said
    assert names["mark"] is not None


def test_every_method_option_and_error_is_named() -> None:
    assert len(METHODS) == 14
    for name in METHODS:
        assert f"`{name}(" in PAGE, name
    for name, found in vars(errors).items():
        if inspect.isclass(found) and issubclass(found, errors.ForecastError):
            assert f"`{name}`" in PAGE, name
    for name, value in (("timeout", TIMEOUT), ("retries", RETRIES), ("deadline", DEADLINE), ("silence", SILENCE)):
        assert f"| `{name}` | {value:g} |" in PAGE
    assert PAGE.count("\n") < 150, "one page"


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_both_flavours_take_the_same(name: str) -> None:
    one, other = (inspect.signature(getattr(kind, name)) for kind in (ForecastClient, AsyncForecastClient))
    assert one.parameters == other.parameters
    assert getattr(ForecastClient, name).__doc__ is None or getattr(AsyncForecastClient, name).__doc__ is not None


def test_nothing_else_is_public_in_either() -> None:
    found = inspect.getmembers(AsyncForecastClient, inspect.isfunction)
    assert [name for name, _ in found if not name.startswith("_")] == METHODS
