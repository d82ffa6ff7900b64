"""The cross from fetch to fetch: incremental equals whole, nothing from stale quotes, legs of their own sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fx_assets.prices import legs as legs_module
from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.sources import base
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError, kinds, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec

START = datetime(2024, 1, 31, 21, 59, tzinfo=UTC)  # a minute before a trading date, and a block, begins
NOW = datetime(2024, 6, 1, tzinfo=UTC)
Row = tuple[float, float, float]  # seconds after START, bid, ask

_HELD: dict[str, list[list[Row]]] = {}


@pytest.fixture(autouse=True)
def given_source() -> Iterator[None]:
    """A source `given` that hands out the deliveries of `_HELD`, a cursor counting them; it is real, not a mock."""
    kinds()
    before = dict(base._REGISTRY)

    class Given(PriceSource):
        kind: ClassVar[str] = "given"
        uses: ClassVar[frozenset[str]] = frozenset({"symbol", "resolution", "side"})

        def form(self, source: SourceSpec) -> Form:
            if source.resolution in (None, "tick"):
                return Form("tick", 0, source.side or "mid")
            return Form("bar", 60 if source.resolution == "1min" else 3600, source.side or "mid")

        def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
            seen = request.cursor.get("seen", 0)
            deliveries = _HELD[request.pair]
            form = self.form(request.source)
            for place, rows in enumerate(deliveries[seen:], seen):
                if rows:
                    yield Batch(f"{request.pair} {place}", form, _rows(rows, form), no_rejects())
            feed.cursor = {"seen": len(deliveries)}
            feed.notes["fx_week"] = int(request.fx_week)
            feed.notes["deliveries"] = len(deliveries) - seen

    _HELD.clear()
    yield
    base._REGISTRY.clear()
    base._REGISTRY.update(before)


def _rows(rows: list[Row], form: Form) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"s": pl.Float64(), "bid": pl.Float64(), "ask": pl.Float64()}, orient="row")
    time = pl.lit(START).cast(pl.Datetime("us", "UTC")) + pl.duration(microseconds=(pl.col("s") * 1e6).round())
    sides = {"close": (pl.col("bid") + pl.col("ask")) / 2} if form.kind == "bar" else {}
    frame = frame.select(time.alias("time"), "bid", "ask", **sides).with_row_index("line", 1).cast({"line": pl.Int64})
    return frame if form.side == "mid" else frame.drop("bid", "ask")


def spec(legs: Mapping[str, Mapping[str, Any]] | None = None, **keys: Any) -> SourceSpec:
    return SourceSpec.model_validate(
        {"kind": "cross", "legs": legs or {"EURUSD": {"kind": "given"}, "USDJPY": {"kind": "given"}}, **keys}
    )


def fetch(
    home: Path, cursor: Mapping[str, Any], chosen: SourceSpec | None = None, pair: str = "EURJPY"
) -> tuple[pl.DataFrame, Feed, list[Batch], list[str]]:
    said: list[str] = []
    request = Request(
        pair=pair,
        source=chosen or spec(),
        settings=Settings(home=home),
        log=said.append,
        now=NOW,
        history_start=date(2000, 1, 1),
        cursor=cursor,
    )
    feed = source("cross").open(request)
    batches = list(feed.batches)
    frames = [batch.rows for batch in batches if batch.rows.height]
    json.dumps(feed.cursor)
    rows = pl.concat(frames).drop("line") if frames else pl.DataFrame()
    return rows, feed, batches, said


def nights(home: Path, deliveries: dict[str, list[list[Row]]], chosen: SourceSpec | None = None) -> list[pl.DataFrame]:
    """What each of the nights gives, of which each brings one delivery a leg; cursors go through JSON."""
    cursor: Mapping[str, Any] = {}
    found = []
    for night in range(max(map(len, deliveries.values()))):
        _HELD.update({name: list(rows[: night + 1]) for name, rows in deliveries.items()})
        rows, feed, _, _ = fetch(home, cursor, chosen)
        cursor = json.loads(json.dumps(feed.cursor))
        found.append(rows)
    rows, feed, _, _ = fetch(home, cursor, chosen)
    assert rows.is_empty()  # nothing new, so nothing again, and the same cursor
    assert feed.cursor == cursor
    return found


_steps = st.lists(st.sampled_from([0.5, 1.0, 7.0, 20.0, 59.0, 61.0, 300.0]), min_size=2, max_size=40)


@st.composite
def leg_nights(draw: st.DrawFn) -> list[list[Row]]:
    seconds, rows = 0.0, []
    for place, step in enumerate(draw(_steps)):
        seconds += step
        rows.append((seconds, 1 + place / 100, 1 + place / 100 + draw(st.sampled_from([0.0, 0.01]))))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), min_size=3, max_size=3)))
    return [rows[low:high] for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True)]


@pytest.mark.slow
@hypothesis_settings(max_examples=12, deadline=None)
@given(leg_nights(), leg_nights(), st.sampled_from([0, 3, 500]))
def test_nights_one_by_one_give_what_one_fetch_gives(
    tmp_path_factory: pytest.TempPathFactory, left: list[list[Row]], right: list[list[Row]], most: int
) -> None:
    """Whatever the cuts, the leg that is ahead, and whether what waits is kept or asked for again."""
    home = tmp_path_factory.mktemp("cross")
    deliveries = {"EURUSD": left, "USDJPY": right}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legs_module, "MOST_WAITING", most)
        parts = [rows for rows in nights(home, deliveries) if rows.height]
    _HELD.update({name: [[row for night in rows for row in night]] for name, rows in deliveries.items()})
    whole, _, _, _ = fetch(home, {})
    assert_frame_equal(pl.concat(parts) if parts else pl.DataFrame(), whole, check_exact=True)


def test_the_longer_leg_waits_for_the_other(tmp_path: Path) -> None:
    deliveries: dict[str, list[list[Row]]] = {
        "EURUSD": [[(0, 1.0, 1.0), (10, 1.1, 1.1), (20, 1.2, 1.2)], []],
        "USDJPY": [[(0, 100.0, 100.0), (5, 101.0, 101.0)], [(12, 102.0, 102.0), (30, 103.0, 103.0)]],
    }
    first, second = nights(tmp_path, deliveries)
    assert first["bid"].to_list() == [100.0, 101.0]  # not 1.1 * 101.0 of 10 s, which may be stale
    assert second["bid"].to_list() == [1.1 * 101.0, 1.1 * 102.0, 1.2 * 102.0]


def test_a_leg_far_ahead_is_asked_again_and_its_rows_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legs_module, "MOST_WAITING", 5)
    minutes = [(60.0 * i, 1.0 + i, 1.0 + i) for i in range(40)]
    _HELD.update(EURUSD=[minutes], USDJPY=[minutes[:10]])
    first, feed, _, _ = fetch(tmp_path, {})
    assert feed.cursor["legs"]["EURUSD"]["cursor"] == {}
    assert feed.cursor["legs"]["USDJPY"]["cursor"] == {"seen": 1}
    assert feed.notes["waiting"] == 30
    _HELD["USDJPY"].append(minutes[10:])
    second, feed, _, said = fetch(tmp_path, feed.cursor)
    assert (first.height, second.height) == (10, 30)
    assert feed.cursor["legs"]["EURUSD"]["cursor"] == {"seen": 1}
    assert not said


def test_a_changed_past_of_a_leg_derives_everything_again(tmp_path: Path) -> None:
    rows: list[Row] = [(float(i), 1.0 + i, 1.0 + i) for i in range(100)]
    _HELD.update(EURUSD=[rows], USDJPY=[rows])
    _, feed, _, _ = fetch(tmp_path, {})
    _HELD["EURUSD"].append([(3.0, 9.0, 9.0)])
    again, feed, _, said = fetch(tmp_path, feed.cursor)
    assert again.height == 100
    assert again["bid"][3] == 9.0 * 4.0
    assert said == ["EURJPY: EURUSD changed what was known before; deriving everything again"]
    assert fetch(tmp_path, feed.cursor)[0].is_empty()


def test_a_leg_that_repeats_its_last_rows_changes_nothing(tmp_path: Path) -> None:
    rows: list[Row] = [(float(i), 1.0 + i, 1.0 + i) for i in range(100)]
    _HELD.update(EURUSD=[rows], USDJPY=[rows])
    _, feed, _, _ = fetch(tmp_path, {})
    _HELD["EURUSD"].append([*rows[-5:], (100.0, 2.0, 2.0)])
    _HELD["USDJPY"].append([(100.0, 3.0, 3.0)])
    more, _, _, said = fetch(tmp_path, feed.cursor)
    assert more["bid"].to_list() == [6.0]
    assert not said


def test_max_age_is_an_option(tmp_path: Path) -> None:
    _HELD.update(EURUSD=[[(0, 1.0, 1.0), (60, 1.1, 1.1)]], USDJPY=[[(30, 100.0, 100.0), (61, 110.0, 110.0)]])
    seconds = [(time - START).total_seconds() for time in fetch(tmp_path, {})[0]["time"]]
    assert seconds == [30, 60]
    short = fetch(tmp_path, {}, spec(options={"max_age_s": 29.9}))[0]
    assert short.is_empty()


def test_bars_have_their_close_only_and_both_sides(tmp_path: Path) -> None:
    bars = {name: {"kind": "given", "resolution": "1min"} for name in ("EURUSD", "USDJPY")}
    minutes: list[Row] = [(60.0 * i, 1.0 + i, 1.5 + i) for i in range(200)]
    deliveries = {
        "EURUSD": [minutes[:50], minutes[50:150], minutes[150:]],
        "USDJPY": [minutes[:70], minutes[70:100], minutes[100:]],
    }
    found = nights(tmp_path, deliveries, spec(bars))
    assert [rows.height for rows in found] == [50, 50, 100]
    rows = pl.concat(found)
    assert rows.columns == ["time", "known_at", "close", "bid", "ask"]
    assert rows["bid"].to_list() == [bid * bid for _, bid, _ in minutes]
    assert ((rows["known_at"] - rows["time"]) == timedelta(minutes=1)).all()
    assert rows["close"].equals((rows["bid"] + rows["ask"]) / 2)


def test_a_leg_around_the_clock_meets_the_other_where_both_trade(tmp_path: Path) -> None:
    legs = {
        "ETHUSD": {"kind": "given", "resolution": "1h", "side": "trade"},
        "USDJPY": {"kind": "given", "resolution": "1h"},
    }
    friday = (datetime(2024, 2, 2, 12, tzinfo=UTC) - START).total_seconds()
    hours: list[Row] = [(friday + 3600.0 * i, 1.0, 1.0) for i in range(72)]
    _HELD.update(ETHUSD=[hours], USDJPY=[[row for row in hours if not 36000 <= row[0] - friday < 36000 + 48 * 3600]])
    chosen = spec(legs, options={"calendars": {"ETHUSD": "24x7"}})
    rows, feed, [batch], _ = fetch(tmp_path, {}, chosen, pair="ETHJPY")
    assert (feed.notes["ETHUSD/fx_week"], feed.notes["USDJPY/fx_week"]) == (0, 1)
    assert rows.height == 72 - 48
    assert feed.notes["sides"] == "ETHUSD trade, USDJPY mid"
    assert batch.form == Form("bar", 3600, "mid") == source("cross").form(chosen)


def test_rejects_of_a_leg_are_handed_on_and_its_spikes_are_left_to_the_cross(tmp_path: Path) -> None:
    rows: list[Row] = [(float(i), 1.0, 1.0001 + i % 2 * 1e-4) for i in range(300)]
    rows[150] = (150.0, 3.0, 3.0)  # a spike that reverts
    rows[200] = (200.0, 2.0, 1.0)  # crossed
    _HELD.update(EURUSD=[rows], USDJPY=[[(float(i), 1.0, 1.0) for i in range(300)]])
    found, feed, batches, _ = fetch(tmp_path, {})
    assert [
        (b.origin, b.rejects["line"].to_list(), b.rejects["reason"].to_list()) for b in batches if b.rejects.height
    ] == [("EURUSD: EURUSD 0", [201], ["crossed_quote"])]
    assert found["bid"].max() == 3.0
    assert feed.notes["EURUSD/deliveries"] == 1


@pytest.mark.parametrize(
    ("legs", "pair", "message"),
    [
        ({"EURUSD": "tick", "USDJPY": "1min"}, "EURJPY", "EURJPY: EURUSD delivers ticks, USDJPY bars of 1min"),
        ({"EURUSD": "1h", "USDJPY": "1min"}, "EURJPY", "set `resolution`"),
        ({"EURUSD": "tick", "USDJPY": "tick"}, "EURCHF", "make EURJPY or JPYEUR, not EURCHF"),
    ],
)
def test_legs_that_do_not_fit_are_refused(tmp_path: Path, legs: dict[str, str], pair: str, message: str) -> None:
    _HELD.update({name: [[(0.0, 1.0, 1.0)]] for name in legs})
    chosen = spec({name: {"kind": "given", "resolution": resolution} for name, resolution in legs.items()})
    with pytest.raises(SourceError, match=message):
        fetch(tmp_path, {}, chosen, pair)
    assert not list(tmp_path.glob("scratch/*"))


def test_a_failing_leg_is_named(tmp_path: Path) -> None:
    _HELD.update(USDJPY=[[(0.0, 1.0, 1.0)]])
    chosen = spec({"EURUSD": {"kind": "csv", "files": str(tmp_path / "none.csv")}, "USDJPY": {"kind": "given"}})
    with pytest.raises(SourceError, match=r"EURJPY: leg EURUSD: .*none.csv"):
        fetch(tmp_path, {}, chosen)


def test_legs_from_files_go_on_file_by_file(tmp_path: Path) -> None:
    """Real sources: CSV legs, whose files come at different times."""
    legs = {
        name: {"kind": "csv", "files": str(tmp_path / name / "*.csv"), "clock": "UTC", "resolution": "1min"}
        for name in ("EURUSD", "USDJPY")
    }
    stamp = count(1_000_000_000)

    def put(name: str, file: str, minutes: range) -> None:
        path = tmp_path / name / f"{file}.csv"
        path.parent.mkdir(exist_ok=True)
        lines = [
            f"{START + timedelta(minutes=i):%Y-%m-%d %H:%M},{1 + i / 100:.5f},{1 + i / 100 + 0.01:.5f}" for i in minutes
        ]
        path.write_text("\n".join(["time,bid,ask", *lines]))
        os.utime(path, ns=(next(stamp), next(stamp)))

    put("EURUSD", "a", range(0, 100))
    put("USDJPY", "a", range(0, 50))
    first, feed, _, _ = fetch(tmp_path, {}, spec(legs))
    put("USDJPY", "b", range(50, 120))
    second, feed, _, _ = fetch(tmp_path, feed.cursor, spec(legs))
    put("EURUSD", "b", range(100, 110))
    third, feed, _, said = fetch(tmp_path, feed.cursor, spec(legs))
    assert [rows.height for rows in (first, second, third)] == [50, 50, 10]
    assert not any("again" in line for line in said)
    whole = fetch(tmp_path, {}, spec(legs))[0]
    assert_frame_equal(pl.concat([first, second, third]), whole, check_exact=True)


def test_problems_say_where(tmp_path: Path) -> None:
    def problems(**keys: Any) -> dict[str, str]:
        return dict(source("cross").problems(SourceSpec.model_validate({"kind": "cross", **keys})))

    assert "expected exactly two legs, got 0" in problems()["legs"]
    usable = {"kind": "simulated"}
    assert problems(legs={"EURUSD": usable, "USDJPY": usable}) == {}
    assert "share one currency" in problems(legs={"EURUSD": usable, "GBPJPY": usable})["legs"]
    found = problems(legs={"EURUSD": {"kind": "simulatd"}, "USDJPY": {"kind": "simulated", "options": {"seeds": 1}}})
    assert found.keys() == {"legs.EURUSD.kind", "legs.USDJPY.options.seeds"}
    assert "Did you mean 'simulated'" in found["legs.EURUSD.kind"]
    nested = {"kind": "cross", "legs": {"USDCHF": {"kind": "simulated", "resolution": "1h"}, "CHFJPY": usable}}
    assert problems(legs={"EURUSD": usable, "USDJPY": nested}).keys() == {"legs.USDJPY.legs.USDCHF.resolution"}
    mixed = problems(legs={"EURUSD": usable, "USDJPY": {**usable, "resolution": "1min"}})
    assert "EURUSD delivers ticks, USDJPY bars of 1min" in mixed["legs"]
    divided = {"kind": "csv", "resolution": "1h", "side": "bid", "files": str(tmp_path)}
    assert "bid by bid" in problems(legs={"EURUSD": divided, "GBPUSD": divided})["legs"]
    odd = problems(legs={"EURUSD": usable, "USDJPY": usable}, options={"calendars": {"USDJPX": "fx"}, "max_age_s": 0})
    assert odd.keys() == {"options.calendars.USDJPX", "options.max_age_s"}
    assert problems(legs={"EURUSD": usable, "USDJPY": usable}, clock="UTC").keys() == {"clock"}


def test_checking_the_configuration_imports_nothing_heavy() -> None:
    code = """
import sys
from fx_assets.prices.sources.base import source
from fx_assets.specs.schema import SourceSpec
leg = {"kind": "csv", "columns": {"time": "a", "close": "b"}, "resolution": "1h"}
legs = {"EURUSD": leg, "USDJPY": {**leg, "kind": "parquet"}}
spec = SourceSpec.model_validate({"kind": "cross", "legs": legs})
assert not list(source("cross").problems(spec)), list(source("cross").problems(spec))
assert source("cross").form(spec).seconds == 3600
print([name for name in ("polars", "pandas", "httpx") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
