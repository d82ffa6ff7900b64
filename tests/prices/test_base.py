"""The registry of sources, what the base says of a source's keys, and how a feed is read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pydantic import Field

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.sources import base
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError, kinds, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec, Strict
from tests.prices.conftest import answer_of, pair, request


class GivenOptions(Strict):
    rows: int = Field(default=2, ge=0, le=10)


class Given(PriceSource):
    """Ticks of its own making; a subclass gives it a kind."""

    uses = frozenset({"symbol", "clock"})
    Options = GivenOptions

    def form(self, source: SourceSpec) -> Form:  # noqa: ARG002
        return Form("tick")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.symbol == "bad":
            yield "symbol", "bad is none"

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        n = GivenOptions.model_validate(request.source.options).rows
        for line in range(1, n + 1):
            rows = pl.DataFrame({"line": [line], "time": [datetime(2026, 1, 1, 0, line, tzinfo=UTC)], "bid": [1.1]})
            yield Batch("memory", self.form(request.source), rows, no_rejects())
        if n == 0:
            raise SourceError(f"{request.pair}: nothing")
        feed.cursor["lines"] = request.cursor.get("lines", 0) + n
        feed.notes["symbol"] = request.symbol


@pytest.fixture
def registry() -> Iterator[dict[str, type[PriceSource]]]:
    kinds()
    before = dict(base._REGISTRY)
    yield base._REGISTRY
    base._REGISTRY.clear()
    base._REGISTRY.update(before)


def make(kind: str) -> type[PriceSource]:
    return type("Named", (Given,), {"kind": kind, "__module__": __name__})


def test_the_sources_are_found_by_themselves() -> None:
    assert {"ecb", "oanda", "crypto"} <= set(kinds())
    assert kinds() == sorted(kinds())
    assert [type(source(kind)).kind for kind in kinds()] == kinds()


def test_every_source_says_what_it_is() -> None:
    """Keys that no `SourceSpec` has would be silently useless."""
    for kind in kinds():
        adapter = source(kind)
        assert adapter.uses <= SourceSpec.model_fields.keys() - {"kind", "options"}
        assert adapter.calendar in ("target", "fx", "24x7")
        assert isinstance(adapter.live, bool)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'ecbb' is unknown. Did you mean 'ecb'"):
        source("ecbb")


def test_a_kind_is_taken_once(registry: dict[str, type[PriceSource]]) -> None:
    make("given")
    assert "given" in registry
    with pytest.raises(TypeError, match=r"'given' is tests.prices.test_base.Named already"):
        make("given")


def test_a_base_for_several_sources_is_none_itself(registry: dict[str, type[PriceSource]]) -> None:
    assert Given not in registry.values()


def test_a_source_without_its_hooks_cannot_be_made() -> None:
    class Half(PriceSource): ...

    with pytest.raises(TypeError, match="abstract class Half with abstract methods _batches, form"):
        Half()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"symbol": "X", "clock": "UTC", "options": {"rows": 3}}, []),
        ({"points": 0.1}, [("points", "the source 'given' has no such key; it knows clock, symbol")]),
        (
            {"side": "bid", "files": "x"},
            [(key, "the source 'given' has no such key; it knows clock, symbol") for key in ("files", "side")],
        ),
        ({"options": {"row": 3}}, [("options.row", "unknown option. Did you mean 'rows'?")]),
        ({"options": {"rows": 11}}, [("options.rows", "Input should be less than or equal to 10")]),
        ({"symbol": "bad"}, [("symbol", "bad is none")]),
    ],
)
def test_what_is_wrong_with_the_keys(
    registry: dict[str, type[PriceSource]], keys: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    adapter = make("given")()
    assert "given" in registry
    assert list(adapter.problems(SourceSpec(kind="given", **keys))) == expected


def test_a_clock_that_is_none_is_said(registry: dict[str, type[PriceSource]]) -> None:
    ((where, message),) = make("given")().problems(SourceSpec(kind="given", clock="America/New_Yrok"))
    assert "given" in registry
    assert where == "clock"
    assert "America/New_York" in message


@pytest.mark.usefixtures("registry")
def test_a_feed_is_whole_when_it_was_read(offline: Settings) -> None:
    spec = pair(source=SourceSpec(kind="given", symbol="EUR/USD"))
    feed = make("given")().open(request(offline, spec, cursor={"lines": 5}))
    assert (feed.cursor, feed.notes) == ({}, {})
    assert [batch.rows["line"][0] for batch in feed.batches] == [1, 2]
    assert (feed.cursor, feed.notes) == ({"lines": 7}, {"symbol": "EUR/USD"})


@pytest.mark.usefixtures("registry")
def test_a_source_with_nothing_raises_as_it_is_read(offline: Settings) -> None:
    spec = pair(source=SourceSpec(kind="given", options={"rows": 0}))
    asked = request(offline, spec)
    assert asked.symbol == "EURUSD"
    make("empty")().open(asked)
    with pytest.raises(SourceError, match="EURUSD: nothing"):
        answer_of(source("empty"), asked)


def test_naming_the_kinds_imports_nothing_heavy() -> None:
    """Checking the configuration asks for the kinds and what is wrong with their keys, and must be quick."""
    code = (
        "import sys; from fx_assets.prices.sources.base import kinds, source;"
        "from fx_assets.specs.schema import SourceSpec;"
        "[(list(source(kind).problems(SourceSpec(kind=kind, clock='UTC')))) for kind in kinds()];"
        "heavy = ('polars', 'pyarrow', 'httpx', 'pandas', 'torch', 'ccxt', 'tenacity');"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
