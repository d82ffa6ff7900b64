"""One update after the other into a lake: what the second must know of the first."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fx_assets.prices.history import current_view
from fx_assets.prices.schema import RAW_TABLE
from fx_assets.prices.update import TAIL_ROWS, Update, fetch
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State

NEW_QUARTER = datetime(2026, 3, 31, 17)  # on HistData's clock, which is that of New York here


def minutes(first: datetime, closes: list[float]) -> str:
    """Lines of HistData."""
    return "".join(
        f"{first + timedelta(minutes=i):%Y%m%d %H%M%S};{close:.5f};{close:.5f};{close:.5f};{close:.5f};0\n"
        for i, close in enumerate(closes)
    )


def publish(home: Path, name: str, text: str) -> Update:
    """Put a file into the inbox and update the lake."""
    settings = Settings(home=home, live=False)
    inbox = settings.inbox_path / "EURUSD"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / name).write_text(text)
    spec = PairSpec(
        pair="EURUSD",
        pip=0.0001,
        source=SourceSpec(kind="histdata"),
        calendar="fx",
        history_start=datetime(2000, 1, 3).date(),
        plausible_range=(0.4, 3.0),
    )
    lake = Lake(settings.lake_path)
    last = lake.state(RAW_TABLE, "EURUSD")
    fetched = fetch(spec, last, lake, settings=settings, scratch=home, log=lambda _: None)
    update = Update.of(fetched, last, lake)
    moment = datetime.now(UTC)
    lake.write_blocks(
        RAW_TABLE,
        "EURUSD",
        update.blocks(),
        state=lambda _: State("prices/raw", "EURUSD", "f", "c", (), 0, "r", moment, update.facts()),
        guard=contextlib.nullcontext,
    )
    return update


@pytest.mark.parametrize("in_new_quarter", [5, TAIL_ROWS + 5])
def test_a_spike_at_the_end_is_measured_by_the_block_before_where_its_own_is_short(
    tmp_path: Path, in_new_quarter: int
) -> None:
    steps = np.random.default_rng(3).standard_normal(60 + in_new_quarter + 10) * 5e-5
    closes = [float(close) for close in 1.1 * np.exp(np.cumsum(steps))]
    held, spike = 60 + in_new_quarter, 60 + in_new_quarter - 1
    closes[spike] *= 1.02
    start = NEW_QUARTER - timedelta(minutes=60)
    first = publish(tmp_path, "a.csv", minutes(start, closes[:held]))
    assert sorted(first.rows) == ["2026q1", "2026q2"]
    assert first.rows["2026q2"] == in_new_quarter
    second = publish(tmp_path, "b.csv", minutes(start + timedelta(minutes=held), closes[held:]))
    assert second.fetched.collected.spikes == 1
    assert list(second.fetched.collected.blocks) == ["2026q2"]
    view = current_view(pl.DataFrame(Lake(tmp_path / "lake").read(RAW_TABLE, "EURUSD")))
    assert view["close"].to_list() == [round(close, 5) for at, close in enumerate(closes) if at != spike]
