"""The probe from raw prices on: cleaning, resampling and features together see nothing of the future."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fx_assets.bars.update import BarUpdate, table_name
from fx_assets.features import raw_probe
from fx_assets.features.errors import FeatureError
from fx_assets.features.raw_noise import false_future, false_past
from fx_assets.features.raw_probe import RawBars, probe_raw
from fx_assets.features.sets import feature_schema, lookback, steps
from fx_assets.features.stored import StoredInputs
from fx_assets.prices.batch import Form
from fx_assets.prices.cleaning import check_rows
from fx_assets.prices.history import Merged, is_retraction
from fx_assets.prices.quarantine import Quarantine, Spike
from fx_assets.prices.schema import table_of
from fx_assets.prices.update import Update, fetch, form_of
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec, PairSpec, SourceSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.timegrid.blocks import dates_of
from tests.features.conftest import SetMaker, add_stage
from tests.support.csv_prices import KIND, csv_source

Floats = NDArray[np.float64]
MONDAY = datetime(2024, 1, 8)
SOURCES: dict[str, dict[str, Any]] = {
    "minutes": {"kind": "histdata"},
    "ticks": {"kind": "csv", "resolution": "tick", "clock": "UTC"},
    "days": {"kind": "csv", "resolution": "1d", "clock": "UTC"},
    "fixings": {"kind": KIND},
}
# Step between rows, rows of a day.
STEPS = {
    "minutes": (timedelta(minutes=6), 160),
    "ticks": (timedelta(seconds=19), 500),
    "days": (timedelta(days=1), 1),
    "fixings": (timedelta(days=1), 1),
}
SPIKE, CORRECTED, LATE = -400, -900, -700


class Installed:
    """A lake that real updates fill from files in the inbox."""

    def __init__(self, folder: Path, form: str) -> None:
        self.form, self.settings = form, Settings(home=folder, configs=folder / "configs", live=False)
        self.said: dict[datetime, float] = {}
        self.frequency: Any = "1h" if form in ("minutes", "ticks") else "1d"
        self.spec = PairSpec(
            pair="EURUSD",
            pip=0.0001,
            source=SourceSpec.model_validate(SOURCES[form]),
            calendar="fx",
            history_start=date(2010, 1, 1),
            plausible_range=(0.1, 9.0),
            frequencies=(self.frequency,),
        )
        self.lake = Lake(self.settings.lake_path)

    def read(self, rows: dict[datetime, float], now: datetime) -> Update:
        """A file came in, and prices and bars were updated."""
        self._put(rows)
        form = form_of(self.spec)
        raw, bars = table_of(form.kind), table_name(self.frequency)
        last, scratch = self.lake.state(raw, "EURUSD"), self.settings.home
        fetched = fetch(
            self.spec, last, self.lake, settings=self.settings, scratch=scratch, log=lambda _: None, now=now
        )
        update = Update.of(fetched, last, self.lake)
        self._write(raw, update)
        held = self.lake.state(bars, "EURUSD")
        self._write(bars, BarUpdate(self.spec, form, self.frequency, self.lake, held, now))
        return update

    def _put(self, rows: dict[datetime, float]) -> None:
        """Another file for the inbox; the source of fixings has one file, which is written anew."""
        folder = self.settings.inbox_path / "EURUSD"
        name = f"{len(list(folder.glob('*')))}.csv"
        if self.form == "fixings":
            self.said |= rows
            folder, name, rows = self.settings.configs / "prices", "EURUSD.csv", dict(sorted(self.said.items()))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text_of(self.form, rows))

    def _write(self, table: str, update: Update | BarUpdate) -> None:
        self.lake.write_blocks(
            table,
            "EURUSD",
            update.blocks(),
            state=lambda _: State(table, "EURUSD", "f", "c", (), 0, "r", datetime.now(UTC), update.facts()),
            guard=contextlib.nullcontext,
        )

    def stored(self, spec: FeatureSetSpec) -> StoredInputs:
        return StoredInputs(self.lake, self.spec, ["EURUSD"], steps(spec), spec.frequency)


def text_of(form: str, rows: dict[datetime, float]) -> str:
    """Lines as HistData writes minutes, or with a header."""
    if form == "minutes":
        return "".join(
            f"{t:%Y%m%d %H%M%S};{c:.5f};{c * 1.0002:.5f};{c * 0.9998:.5f};{c:.5f};0\n" for t, c in rows.items()
        )
    if form == "ticks":
        return "time,bid,ask\n" + "".join(f"{t.isoformat()}Z,{c:.5f},{c + 0.0001:.5f}\n" for t, c in rows.items())
    if form == "fixings":
        return "date,close\n" + "".join(f"{t:%Y-%m-%d},{c!r}\n" for t, c in rows.items())
    lines = (f"{t:%Y-%m-%d},{c:.5f},{c * 1.002:.5f},{c * 0.998:.5f},{c:.5f}\n" for t, c in rows.items())
    return "time,open,high,low,close\n" + "".join(lines)


def history(form: str) -> dict[datetime, float]:
    """A random walk on the days of some weeks, from 01:00 on."""
    step, per_day = STEPS[form]
    days = [MONDAY + timedelta(days=i) for i in range(28 if per_day > 1 else 420) if i % 7 < 5]
    times = [
        day + (timedelta(hours=1) + i * step if per_day > 1 else timedelta()) for day in days for i in range(per_day)
    ]
    size = 0.004 if per_day == 1 else 2e-4
    closes = 1.1 * np.exp(np.cumsum(np.random.default_rng(3).standard_normal(len(times)) * size))
    return dict(zip(times, closes.tolist(), strict=True))


def lived(folder: Path, form: str) -> Installed:
    """A lake with a spike that was taken back, and later a correction and a price that came late."""
    made, rows = Installed(folder, form), history(form)
    times = list(rows)
    places = [place // (1 if made.frequency == "1h" else 10) for place in (SPIKE, CORRECTED, LATE)]
    spike, corrected, late = (times[place] for place in places)
    rows[spike] *= 1.08
    first = {time: close for time, close in rows.items() if time != late}
    night = (times[-1] + timedelta(days=1, hours=12)).replace(tzinfo=UTC)
    assert made.read(first, night).fetched.collected.spikes == 1
    update = made.read({corrected: rows[corrected] * 1.01, late: rows[late]}, night + timedelta(days=1))
    assert (update.corrected, update.added) == (1, 1)
    return made


@pytest.fixture(scope="module", params=list(SOURCES))
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A lake of each form of prices, that no test writes to."""
    with csv_source():
        yield lived(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """That of daily bars."""
    return lived(tmp_path_factory.mktemp("days"), "days")


@pytest.fixture
def small(make_set: SetMaker) -> Any:
    """Features of every column that bars of minutes and ticks have."""

    def of(made: Installed) -> FeatureSetSpec:
        options: dict[str, Any] = {"returns": [1, 5], "volatility": [5]}
        if made.form != "fixings":
            options |= {"parkinson": [5], "realised_volatility": [5]}
        return make_set(frequency=made.frequency, indicators=options)

    return of


def test_bars_made_again_are_those_of_the_lake(installed: Installed, small: Any, tmp_path: Path) -> None:
    spec = small(installed)
    stored = installed.stored(spec)
    raw = RawBars(installed.lake, stored, spec, tmp_path)
    for block in stored.blocks(date.min):
        mine, theirs = raw.of_block(block), stored.of_block(block, lookback(spec))
        dates = theirs.own.dates
        known = theirs.own.take((dates >= mine.own.dates[0]) & (dates <= np.datetime64(dates_of(block)[1])))
        assert len(mine.rows.time) > lookback(spec)
        for name in ("time", "end", "known_at", "dates", "said"):
            np.testing.assert_array_equal(getattr(mine.own, name), getattr(known, name))
        for name, values in mine.own.columns.items():
            np.testing.assert_array_equal(values, known.columns[name], name)


def test_nothing_leaks_from_raw_prices_on(installed: Installed, small: Any) -> None:
    spec = small(installed)
    stored = installed.stored(spec)
    report = probe_raw(installed.lake, stored, stored.blocks(date.min), spec, n=3, seed=5)
    assert report.leaks == ()
    assert (report.probes, report.compared) == (3, 3 * len(feature_schema(spec)))


def probed(made: Installed, spec: FeatureSetSpec, n: int = 3) -> Any:
    stored = made.stored(spec)
    return probe_raw(made.lake, stored, stored.blocks(date.min), spec, n=n, seed=1)


def test_what_is_false_reaches_the_bars_but_none_that_was_known_before(
    days: Installed, small: Any, tmp_path: Path
) -> None:
    spec = small(days)
    raw = RawBars(days.lake, days.stored(spec), spec, tmp_path)
    sound = raw.of_block("2024").own
    moment = int(sound.known_at[150])
    false = raw.falsified("2024", moment, np.random.default_rng(1)).own
    before, after = sound.take(sound.known_at <= moment), sound.take(sound.known_at > moment)
    known = false.take(false.known_at <= moment)
    np.testing.assert_array_equal(known.columns["close"], before.columns["close"])
    np.testing.assert_array_equal(known.known_at, before.known_at)
    # Corrections and prices taken back of what was known, no true price of what was not.
    late = false.take(false.known_at == moment + 1_000_000)
    assert late.said.sum() >= 5
    assert (~late.said).sum() >= 5
    assert set(late.time[late.time <= moment].tolist()) <= set(before.time.tolist())
    future = false.take(false.time > sound.time[150])
    assert 50 < len(future) < len(after)
    assert not set(future.columns["close"].tolist()) & set(after.columns["close"].tolist())


def test_what_stands_beside_the_bars_ends_with_the_moment(
    days: Installed, small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small(days)
    stored = days.stored(spec)
    inputs = stored.of_block("2024", lookback(spec))
    beside = replace(inputs, others={"USDJPY": inputs.own}, exog={"x/X": inputs.own})
    monkeypatch.setattr(stored, "of_block", lambda *_: beside)
    moment = int(inputs.own.known_at[150])
    false = RawBars(days.lake, stored, spec, tmp_path).falsified("2024", moment, np.random.default_rng(1))
    for rows in (false.others["USDJPY"], false.exog["x/X"]):
        assert len(rows) == (inputs.own.known_at <= moment).sum() < len(inputs.own)
        assert rows.known_at.max() == moment


@pytest.mark.parametrize("how", ["centred", "scaled"])
def test_a_stage_that_looks_ahead_is_caught(how: str, days: Installed, make_set: SetMaker, registry: Any) -> None:
    del registry
    functions = {
        "centred": lambda close: (np.append(close[:1], close[:-1]) + np.append(close[1:], close[-1:])) / 2,
        "scaled": lambda close: close / close.std(),
    }
    add_stage(how, functions[how], warm_up=3)
    report = probed(days, make_set(**{how: {}}))
    assert report.columns == (how,)
    assert "falsified in the raw prices" in str(report.leaks[0])


def test_a_spike_known_bad_before_it_reverted_is_caught(
    tmp_path: Path, make_set: SetMaker, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del registry
    add_stage("plain", lambda close: close, warm_up=3)
    spec, rows = make_set(plain={}), history("days")
    rows[list(rows)[-4]] *= 1.2
    night = (max(rows) + timedelta(days=2)).replace(tzinfo=UTC)
    sound = Installed(tmp_path / "sound", "days")
    sound.read(rows, night)
    assert probed(sound, spec).leaks == ()

    real = Quarantine._spike

    def early(self: Quarantine, found: dict[str, Any], lean: pl.DataFrame, *rest: Any) -> Spike:
        spike = real(self, found, lean, *rest)
        return replace(spike, known_at=lean["known_at"][found["row"]] + timedelta(seconds=1))

    monkeypatch.setattr(Quarantine, "_spike", early)
    broken = Installed(tmp_path / "broken", "days")
    broken.read(rows, night)
    # The spike stays in the sum of all closes, as it would have been known at the time.
    assert probed(broken, spec).columns == ("plain_clean",)


def test_corrections_that_overwrite_are_caught(days: Installed, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwriting(current: pl.DataFrame, fetched: pl.DataFrame, **_: datetime) -> Merged:
        told = fetched.filter(~is_retraction(fetched))
        old = current.filter(~pl.col("time").is_in(told["time"].implode()))
        return Merged(pl.concat([old, told]).sort("time"), 0, 0)

    monkeypatch.setattr(raw_probe, "merge", overwriting)
    spec = small(days)
    assert set(probed(days, spec).columns) == set(feature_schema(spec))


def test_nothing_to_probe_is_said(tmp_path: Path, small: Any) -> None:
    days = Installed(tmp_path, "days")
    days.read(history("days"), datetime(2025, 6, 1, tzinfo=UTC))
    spec = small(days)
    with pytest.raises(FeatureError, match="nothing to probe: feature set 'probe' needs a bar with 5 bars before it"):
        probe_raw(days.lake, days.stored(spec), [], spec, n=3, seed=1)
    shutil.rmtree(days.settings.lake_path / "prices")
    stored = days.stored(spec)
    with pytest.raises(NoData, match="prices/raw"):
        probe_raw(days.lake, stored, stored.blocks(date.min), spec, n=3, seed=1)


def test_the_false_future_breaks_every_rule_of_cleaning_and_the_false_past_none(tmp_path: Path) -> None:
    ticks = lived(tmp_path, "ticks").lake.read("prices/ticks", "EURUSD")
    rows, form, rng = pl.DataFrame(ticks).filter(pl.col("bid").is_not_null()), Form("tick"), np.random.default_rng(1)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    false = check_rows(false_future(rows, rows["time"], form, rng).with_row_index("line"), form, now=now)
    assert set(false.counts) == {"not_finite", "not_positive", "crossed_quote"}
    assert false.rows["time"].is_duplicated().any()
    assert not false.rows["time"].is_sorted()
    assert false.rows.filter(~pl.col("time").is_in(rows["time"].implode())).height > 100
    past = false_past(rows, rows["time"], form, rng)
    assert check_rows(past, form, now=now).counts == {}
