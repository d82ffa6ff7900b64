"""Nightly increments: what is written block by block is, bit for bit, what a full recompute of the same lake gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fx_assets.features.blocks import Inputs
from fx_assets.features.errors import FeatureError
from fx_assets.features.known import versions_of
from fx_assets.features.pipeline import block_of_set, build
from fx_assets.features.sets import lookback, stage_table, steps, table_name
from fx_assets.features.stored import StoredInputs
from fx_assets.features.update import SetUpdate, StageUpdate
from fx_assets.prices.exog import EXOG_SCHEMA
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from tests.features.conftest import SetMaker, add_stage
from tests.support.tiny_lake import TinyLake, tiny_lake

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime(2018, 1, 28, 22, tzinfo=UTC)
HOURS_A_NIGHT, NIGHTS, FIRST_NIGHT = 24, 30, 8
ZONED = pa.timestamp("us", tz="UTC")


class Market:
    """Hourly bars of two pairs and a daily mood, which come night by night, with corrections now and then."""

    def __init__(self, tiny: TinyLake) -> None:
        self.tiny = tiny
        self.draw = np.random.default_rng(7)
        self.bars: dict[str, list[dict[str, Any]]] = {"EURUSD": [], "USDJPY": []}
        self.mood: list[dict[str, Any]] = []
        self.hours = 0

    def night(self, hours: int = HOURS_A_NIGHT) -> None:
        """More hours, sometimes a late correction, a bar taken back, or one that is filled in."""
        for pair, rows in self.bars.items():
            price = rows[-1]["close"] or 1.0 if rows else 1.0
            for hour in range(self.hours, self.hours + hours):
                price = abs(price) * float(np.exp(self.draw.standard_normal() * 1e-3))
                start = BEGIN + hour * HOUR
                late = HOUR * 30 if hour % 97 == 13 else timedelta(0)
                rows.append(self._bar(pair, start, start + HOUR + late, price))
            if self.draw.random() < 0.4 and len(rows) > 60:
                old = rows[-int(self.draw.integers(2, 50))]
                close = None if self.draw.random() < 0.4 else old["time"].minute + 1.25
                rows.append({**old, "close": close, "known_at": BEGIN + (self.hours + hours) * HOUR})
        self.hours += hours
        now = BEGIN + self.hours * HOUR
        self.mood.append(
            {"time": now - DAY, "known_at": now - HOUR * 3, "date": now.date(), "value": float(self.hours)}
        )
        self._commit()

    def _held(self, pair: str) -> list[str]:
        try:
            return list(self.tiny.lake.snapshot("bars/1h").blocks(pair))
        except NoData:
            return []

    def _bar(self, pair: str, start: datetime, known_at: datetime, close: float) -> dict[str, Any]:
        day = (start + 2 * HOUR).date()
        times = {"time": start, "end": start + HOUR, "known_at": known_at, "trading_date": day}
        return {"pair": pair, "block": f"{day:%Y-%m}", **times, "kind": "bar", "close": close}

    def _commit(self) -> None:
        schema = pa.schema(
            [
                ("pair", pa.string()),
                ("block", pa.string()),
                *((name, ZONED) for name in ("time", "end", "known_at")),
                ("trading_date", pa.date32()),
                ("kind", pa.string()),
                ("close", pa.float64()),
            ]
        )
        for pair, rows in self.bars.items():
            table = pa.Table.from_pylist(sorted(rows, key=lambda r: (r["time"], r["known_at"])), schema=schema)
            # Shorter blocks than hours really have, so that a look-back reaches into the one before.
            names = table.column("block").unique().to_pylist()
            gone = set(self._held(pair)) - set(names)
            blocks = [(name, table.filter(pc.equal(table.column("block"), name))) for name in names]
            blocks += [(name, schema.empty_table()) for name in sorted(gone)]
            self.tiny.commit_blocks("bars/1h", pair, blocks, asset="bars/1h")
        rows = [{"pair": "CNN", "era": 0, "source": "", **row} for row in self.mood]
        self.tiny.commit("exog/mood", "CNN", pa.Table.from_pylist(rows, schema=EXOG_SCHEMA), asset="exog/mood")


class Nightly:
    """The assets of a set, run night after night on one lake, each from its last state."""

    def __init__(self, tiny: TinyLake, spec: FeatureSetSpec) -> None:
        self.tiny, self.spec = tiny, spec
        self.facts: dict[str, dict[str, Any]] = {}

    def run(self) -> dict[str, list[str]]:
        """Blocks written by each asset."""
        written = {}
        for step in steps(self.spec):
            update = StageUpdate(step, self._inputs([step]), self._last(step.name))
            written[step.name] = self._commit(stage_table(self.spec, step), step.name, update)
        joined = SetUpdate(self.spec, self.tiny.lake, "EURUSD", self._last("set"))
        written["set"] = self._commit(table_name(self.spec), "set", joined)
        return written

    def _commit(self, table: str, name: str, update: Any) -> list[str]:
        names: list[str] = []

        def blocks() -> Iterator[tuple[str, pa.Table]]:
            for block, rows in update.blocks():
                names.append(block)
                yield block, rows

        self.tiny.commit_blocks(table, "EURUSD", blocks(), asset=f"features/{name}")
        self.facts[name] = update.facts()
        return names

    def _inputs(self, chosen: Any) -> StoredInputs:
        pair = self.tiny.catalog.pairs["EURUSD"]
        return StoredInputs(self.tiny.lake, pair, ["EURUSD", "USDJPY"], chosen, self.spec.frequency)

    def _last(self, name: str) -> State | None:
        if name not in self.facts:
            return None
        now = datetime.now(UTC)
        return State("features/x", "EURUSD", "f", "c", (), 1, "run", now, metadata=self.facts[name])

    def full(self) -> pa.Table:
        """All of it from the bars alone, without lake, states and increments."""
        lake = Lake(self.tiny.settings.lake_path)
        own, other = (lake.read("bars/1h", pair) for pair in ("EURUSD", "USDJPY"))
        mood = versions_of(lake.read("exog/mood", "CNN"), ("value",), value="value", end="time")
        inputs = Inputs(
            pair="EURUSD",
            frequency="1h",
            calendar=self.tiny.catalog.pairs["EURUSD"].calendar,
            own=versions_of(own, ("close",)),
            others={"USDJPY": versions_of(other, ("close",))},
            exog={"mood/CNN": mood},
        )
        return build(inputs, self.spec)


def differing(frame: Any) -> Any:
    """A recursion over own closes, another pair and the mood: it remembers where its frame began."""
    values, level = np.empty(len(frame)), 0.0
    steps_ = np.nan_to_num(frame.columns["close"] - frame.others["USDJPY"]) + np.nan_to_num(frame.exog["mood/CNN"])
    for i, step in enumerate(steps_.tolist()):
        level = 0.9 * level + step
        values[i] = level
    return values


@pytest.fixture
def nightly(tmp_path: Path, make_set: SetMaker, registry: Any) -> tuple[Market, Nightly]:
    del registry
    add_stage("recursive", whole=differing, warm_up=40, reads_pairs=("USDJPY",), reads_exog=("mood/CNN",))
    add_stage("plain", lambda close: close * 2, warm_up=3)
    tiny = tiny_lake(tmp_path / "tiny")
    return Market(tiny), Nightly(tiny, make_set("1h", recursive={}, plain={}))


def test_thirty_nights_of_increments_are_a_full_recompute_bit_for_bit(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(HOURS_A_NIGHT * FIRST_NIGHT)
    assert assets.run()["set"] == ["2018-01", "2018-02"]
    most = 0
    for night in range(NIGHTS):
        market.night()
        written = assets.run()
        most = max(most, *map(len, written.values()))
        if night % 10 == 9:
            stored = assets.tiny.lake.read(table_name(assets.spec), "EURUSD")
            assert stored.equals(assets.full())
    # A night writes the month it lies in, and the month before while a correction of that can still be seen.
    assert 1 <= most <= 2
    assert assets.run() == {"recursive": [], "plain": [], "set": []}


def test_history_that_grows_in_front_makes_its_blocks_anew_and_a_new_warm_up(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(HOURS_A_NIGHT * FIRST_NIGHT)
    market.bars["EURUSD"] = market.bars["EURUSD"][90:]
    market._commit()
    assert assets.run()["set"] == ["2018-02"]
    market = Market(assets.tiny)
    market.night(HOURS_A_NIGHT * FIRST_NIGHT)
    assert assets.run()["set"] == ["2018-01", "2018-02"]
    assert assets.tiny.lake.read(table_name(assets.spec), "EURUSD").equals(assets.full())


def test_an_old_and_a_new_block_that_change_in_one_night_are_both_made_anew(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(HOURS_A_NIGHT * 40)
    assets.run()
    old = market.bars["EURUSD"][30]
    market.bars["EURUSD"].append({**old, "close": 1.5, "known_at": old["end"] + 5 * HOUR})
    market.night()
    assert assets.run()["plain"] == ["2018-01", "2018-03"]
    assert assets.tiny.lake.read(table_name(assets.spec), "EURUSD").equals(assets.full())


def test_blocks_whose_bars_are_gone_are_removed(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(HOURS_A_NIGHT * FIRST_NIGHT)
    assets.run()
    cut = date(2018, 2, 1)
    market.bars["EURUSD"] = [row for row in market.bars["EURUSD"] if row["trading_date"] < cut]
    market._commit()
    assert assets.run()["set"] == ["2018-02"]
    assert list(assets.tiny.lake.snapshot(table_name(assets.spec)).blocks("EURUSD")) == ["2018-01"]
    assert assets.tiny.lake.read(table_name(assets.spec), "EURUSD").equals(assets.full())


def test_another_basis_makes_all_anew_and_leaves_no_old_block(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(HOURS_A_NIGHT * FIRST_NIGHT)
    assert assets.run()["plain"] == ["2018-01", "2018-02"]
    market.bars["EURUSD"] = [row for row in market.bars["EURUSD"] if row["trading_date"] < date(2018, 2, 1)]
    market._commit()
    (_, plain) = steps(assets.spec)
    inputs = assets._inputs([plain])
    inputs.spec = inputs.spec.model_copy(update={"calendar": "24x7"})
    made = {block: len(rows) for block, rows in StageUpdate(plain, inputs, assets._last("plain")).blocks()}
    assert made == {"2018-01": made["2018-01"], "2018-02": 0}
    assert made["2018-01"] > 0


def test_a_block_read_for_itself_gives_the_bits_of_the_whole(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    for _ in range(4):
        market.night(HOURS_A_NIGHT * 3)
    whole = assets.full()
    inputs = assets._inputs(steps(assets.spec))
    blocks = inputs.blocks(date.min)
    parts = [block_of_set(assets.spec, inputs.of_block(block, lookback(assets.spec)), block) for block in blocks]
    assert pa.concat_tables(parts).equals(whole)


def test_too_short_a_history_says_so(nightly: tuple[Market, Nightly]) -> None:
    market, assets = nightly
    market.night(30)
    with pytest.raises(FeatureError, match=r"insufficient_history: stage 'recursive' needs more than 40 bars"):
        assets.run()
