"""The registry of sources, and what the public `fetch` refuses of a source that breaks the contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import ClassVar, Literal

import polars as pl
import pytest

from fx_assets.prices.schema import REJECTS_SCHEMA, polars_schema
from fx_assets.prices.sources import base
from fx_assets.prices.sources.base import Fetched, PriceSource, kinds, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import CalendarName
from tests.prices.conftest import pair
from tests.prices.test_history import fixings


@pytest.fixture
def registry() -> Iterator[dict[str, type[PriceSource]]]:
    kinds()
    before = dict(base._REGISTRY)
    yield base._REGISTRY
    base._REGISTRY.clear()
    base._REGISTRY.update(before)


def make(kind: str, rows: pl.DataFrame) -> type[PriceSource]:
    class Given(PriceSource):
        calendar: ClassVar[CalendarName] = "fx"
        kind_of_price: ClassVar[Literal["fixing", "bar"]] = "fixing"

        def _fetch(
            self,
            pair: PairSpec,  # noqa: ARG002
            *,
            settings: Settings,  # noqa: ARG002
            log: Callable[[str], None],  # noqa: ARG002
            now: datetime,  # noqa: ARG002
        ) -> Fetched:
            return Fetched(rows, pl.DataFrame(schema=polars_schema(REJECTS_SCHEMA)))

    return type("Named", (Given,), {"kind": kind, "__module__": __name__})


def test_the_ecb_is_found_by_itself() -> None:
    assert "ecb" in kinds()
    found = source("ecb")
    assert (found.kind, found.calendar, found.kind_of_price) == ("ecb", "target", "fixing")


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'ecbb' is unknown. Did you mean 'ecb'"):
        source("ecbb")


def test_a_kind_is_taken_once(registry: dict[str, type[PriceSource]]) -> None:
    make("given", fixings([1.0]))
    assert "given" in registry
    with pytest.raises(TypeError, match=r"'given' is tests.prices.test_base.Named already"):
        make("given", fixings([1.0]))


@pytest.mark.usefixtures("registry")
def test_good_rows_pass() -> None:
    rows = fixings([1.1, 1.2])
    said: list[str] = []
    fetched = make("given", rows)().fetch(pair(), settings=Settings(), log=said.append)
    assert fetched.rows.equals(rows)
    assert said[0].startswith("EURUSD: 2 prices from given, 0 rejected")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (fixings([1.1, 1.2]).reverse(), "expected increasing times"),
        (pl.concat([fixings([1.1]), fixings([1.2])]), "expected increasing times, each once"),
        (fixings([1.1], pair="USDJPY"), "expected pair 'EURUSD' in each row"),
        (fixings([1.1]).with_columns(kind=pl.lit("bar")), "expected kind 'fixing' in each row"),
        (fixings([1.1]).with_columns(kind=pl.lit(None, pl.String)), "expected kind 'fixing' in each row"),
        (fixings([1.1]).drop("bid"), r"columns missing: \['bid'\]"),
        (fixings([1.1]).with_columns(x=1), r"too many: \['x'\]"),
        (fixings([1.1]).with_columns(pl.col("time").dt.replace_time_zone(None)), "time Datetime.*expected Datetime"),
    ],
)
def test_a_source_that_breaks_the_contract_is_named(rows: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=f"price source 'given' for EURUSD: .*{message}"):
        make("given", rows)().fetch(pair(), settings=Settings(), log=lambda _: None)


@pytest.mark.usefixtures("registry")
def test_a_column_of_nulls_takes_the_schemas_type() -> None:
    rows = fixings([1.1]).with_columns(bid=pl.lit(None))
    fetched = make("given", rows)().fetch(pair(), settings=Settings(), log=lambda _: None, now=datetime.now(UTC))
    assert fetched.rows["bid"].dtype == pl.Float64


def test_naming_the_kinds_imports_nothing_heavy() -> None:
    """Checking the configuration asks for the kinds, and must be quick."""
    code = (
        "import sys; from fx_assets.prices.sources.base import kinds; assert kinds();"
        "print([m for m in ('polars', 'pyarrow', 'httpx', 'pandas', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
