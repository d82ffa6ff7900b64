"""Exogenous series: the door of prices, two times, holes, checks; and the Fear & Greed files as they are."""

from __future__ import annotations

import gzip
import lzma
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.exog import EXOG_SCHEMA, values
from fx_assets.prices.exog_update import CHECKS, SeriesDraft, SeriesUpdate, update_series
from fx_assets.prices.schema import REJECTS_SCHEMA, polars_schema
from fx_assets.prices.sources.base import SourceError
from fx_assets.settings import Settings
from fx_assets.specs.exog import ExogSpec
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.storage.table_hashing import table_hash
from tests.storage.helpers import no_guard

MAX_BYTES = 100_000
NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)
STOCKS: dict[str, Any] = {
    "columns": {"time": "Date", "value": "Index"},
    "time_format": "date",
    "known_at": {"at": "16:30", "clock": "America/New_York"},
    "range": (0, 100),
    "gap_limit": 5,
}
COINS: dict[str, Any] = {
    "columns": {"time": "stamp", "value": "value"},
    "time_format": "epoch_s",
    "known_at": {"as_stamped": True},
    "range": (0, 100),
    "gap_limit": 1,
}


def group(series: str = "CNN", **changes: Any) -> ExogSpec:
    body = COINS if series == "CRYPTO" else STOCKS
    return ExogSpec.model_validate({"name": "mood", "series": {series: {**body, **changes}}})


class Place:
    """An inbox and a lake, and updates from one into the other as an asset would make them."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder)
        self.lake = Lake(folder / "lake")

    def put(self, text: str | bytes, name: str = "CNN.csv") -> Path:
        path = self.settings.inbox_path / "mood" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def read(self, series: str = "CNN", now: datetime = NOW, **changes: Any) -> SeriesUpdate:
        return update_series(group(series, **changes), series, settings=self.settings, log=lambda _: None, now=now)

    def run(self, series: str = "CNN", now: datetime = NOW, **changes: Any) -> SeriesDraft:
        """Read, check and commit."""
        update = self.read(series, now, **changes)
        draft = update.draft(self.lake)
        table, name = draft.table, update.group.table
        state = State(
            asset=name,
            pair=series,
            fingerprint=update.fingerprint,
            content_hash=table_hash(table),
            checks=draft.checks,
            rows=len(table),
            run_id="run",
            committed_at=now,
            metadata=draft.facts,
        )
        self.lake.write(name, series, table, state=state, mode="replace", guard=no_guard)
        return draft


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def stocks(*rows: tuple[str, object]) -> str:
    return "\n".join(["Date,Index,Word", *(f"2024-01-{day},{value},greed" for day, value in rows)]) + "\n"


def frame(draft: SeriesDraft) -> pl.DataFrame:
    return pl.DataFrame(draft.table)


def failed(draft: SeriesDraft) -> dict[str, str]:
    return {check.name: check.description for check in draft.checks if not check.passed}


def test_a_date_begins_on_its_own_clock_and_is_known_when_the_rule_says(place: Place) -> None:
    place.put("Date,Index\n2023-07-03,10\n2024-01-08,20.5\n")
    draft = place.run(changes=["2024-01-01"])
    assert draft.table.schema == EXOG_SCHEMA
    rows = [tuple(row.values()) for row in draft.table.to_pylist()]
    assert rows == [
        (
            "CNN",
            datetime(2023, 7, 3, 4, tzinfo=UTC),
            datetime(2023, 7, 3, 20, 30, tzinfo=UTC),
            date(2023, 7, 3),
            10.0,
            0,
            "CNN.csv",
        ),
        (
            "CNN",
            datetime(2024, 1, 8, 5, tzinfo=UTC),
            datetime(2024, 1, 8, 21, 30, tzinfo=UTC),
            date(2024, 1, 8),
            20.5,
            1,
            "CNN.csv",
        ),
    ]
    assert place.lake.read("exog/mood", "CNN").num_rows == 2


def test_days_move_the_publication_over_a_change_of_clocks(place: Place) -> None:
    place.put("Date,Index\n2023-03-10,10\n")
    draft = place.run(known_at={"days": 3, "at": "08:00", "clock": "America/New_York"})
    assert frame(draft)["known_at"][0] == datetime(2023, 3, 13, 12, tzinfo=UTC)


def test_a_stamp_is_when_its_date_became_known(place: Place) -> None:
    stamps = [datetime(2024, 1, day, 5, 30, tzinfo=UTC) for day in (8, 9)]
    place.put("stamp,value\n" + "".join(f"{stamp.timestamp():.0f},50\n" for stamp in stamps), "crypto.csv")
    rows = frame(place.run("CRYPTO"))
    assert rows["known_at"].to_list() == stamps
    assert rows["time"].to_list() == [stamp.replace(hour=0, minute=0) for stamp in stamps]


def test_the_date_of_a_stamp_is_that_of_the_clock(place: Place) -> None:
    place.put("stamp,value\n2024-01-08T02:00:00Z,50\n", "crypto.csv")
    clock = {"as_stamped": True, "clock": "America/New_York"}
    row = frame(place.run("CRYPTO", time_format="iso", known_at=clock)).row(0, named=True)
    assert (row["date"], row["known_at"]) == (date(2024, 1, 7), datetime(2024, 1, 8, 2, tzinfo=UTC))
    assert row["time"] == datetime(2024, 1, 7, 5, tzinfo=UTC)


def test_zero_is_a_value(place: Place) -> None:
    place.put(stocks(("08", 0), ("09", 0.0), ("10", 1)))
    assert frame(place.run())["value"].to_list() == [0.0, 0.0, 1.0]


def test_what_cannot_be_a_value_is_rejected_with_its_line(place: Place) -> None:
    good = [(f"{day:02}", day) for day in range(1, 10)]
    place.put(stocks(*good, ("10", ""), ("11", "n/a"), ("12", "NaN"), ("13", "1e308"), ("32", 5), ("28", 7)) + "a,b\n")
    update = place.read(reject_limit=0.5)
    assert update.rejects.schema == polars_schema(REJECTS_SCHEMA)
    [origin] = update.rejects["source"].unique()
    assert origin.endswith("inbox/mood/CNN.csv")
    assert set(update.rejects["pair"]) == {"CNN"}
    told = dict(update.rejects.sort("line").select("line", "reason").iter_rows())
    assert list(told) == [11, 12, 13, 14, 15, 16, 17]
    words = ["missing_value", "bad_number: value 'n/a'", "not_finite", "not_finite", "bad_time", "in_the_future"]
    assert [told[line].startswith(word) for line, word in zip(range(11, 17), words, strict=True)] == [True] * 6
    assert told[17] == "column_count: expected 3, got 2"
    assert "time=2024-01-28T05:00:00" in update.rejects.filter(pl.col("line") == 16)["raw"][0]
    draft = update.draft(place.lake)
    assert failed(draft) == {}
    assert draft.facts["rejected"] == 7
    assert draft.facts["rejected/not_finite"] == 2


def test_too_many_rejects_fail_and_name_the_first(place: Place) -> None:
    place.put(stocks(("08", 1), ("09", "x")))
    [(name, said)] = failed(place.read().draft(place.lake)).items()
    assert name == "rejects_within_limit"
    assert said.startswith("50.00% of the rows rejected, limit 0.50%; first ")
    assert said.endswith("inbox/mood/CNN.csv, line 3: bad_number: value 'x'")


def test_a_date_is_nothing_but_a_date(place: Place) -> None:
    place.put("Date,Index\n2024-01-08,1\n20240109,2\n2024-01-10 00:00:00,3\n")
    assert place.read().reject_counts == {"bad_time": 2}


def test_an_hour_that_the_clock_leaves_out_is_rejected(place: Place) -> None:
    place.put("Date,Index\n2023-03-11,1\n2023-03-12,2\n2023-11-05,3\n")
    update = place.read(known_at={"at": "02:30", "clock": "America/New_York"})
    assert update.reject_counts == {"nonexistent_time": 1}
    update = place.read(known_at={"at": "01:30", "clock": "America/New_York"})
    assert update.reject_counts == {"ambiguous_time": 1}


def test_duplicates_are_dropped_and_the_last_of_a_date_wins(place: Place) -> None:
    place.put(stocks(("10", 3), ("08", 1), ("09", 2), ("09", 2), ("08", 7)))
    draft = place.run()
    assert frame(draft)["value"].to_list() == [7.0, 2.0, 3.0]
    assert [draft.facts[name] for name in ("duplicates", "replaced", "out_of_order")] == [1, 1, 4]


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")]
)
def test_files_may_be_packed(place: Place, pack: Any) -> None:
    place.put(pack(stocks(("08", 1), ("09", 2)).encode()), "cnn_2024.csv.any")
    assert frame(place.run())["value"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"inbox/mood holds no file called CNN\*; put its files there, or name them under series\.CNN\.files"),
        (b"", "nothing but empty files"),
        (stocks(("08", 1)).encode("utf-16"), "UTF-16"),
        (b"Day,Index\n2024-01-08,1\n", "columns.time: there is no column 'Date'"),
        (b"Date,Close\n2024-01-08,1\n", "columns.value: there is no column 'Index'; the columns are 'Date', 'Close'"),
        (b"Date,Index\n08/01/2024,1\n", "not one of the first 1 rows is one; line 2: bad_time"),
        (gzip.compress(stocks(("08", 1)).encode(), mtime=0)[:-9], "ends early"),
    ],
)
def test_files_of_no_use_say_why(place: Place, content: bytes | None, words: str) -> None:
    if content is not None:
        place.put(content)
    with pytest.raises(SourceError, match=words):
        place.read()


def test_another_series_files_are_left_alone(place: Place) -> None:
    place.put(stocks(("08", 1)), "CNN.csv")
    place.put(stocks(("09", 2)), "CRYPTO.csv")
    place.put("", ".CNN.swp")
    assert place.read().counts["source/files"] == 1


def test_another_value_is_appended_and_the_past_view_stays(place: Place) -> None:
    place.put(stocks(("08", 1), ("09", 2)))
    place.run()
    later = NOW + timedelta(days=1)
    place.put(stocks(("08", 1), ("09", 5), ("11", 3)))
    draft = place.run(now=later)
    assert [draft.facts[name] for name in ("rows", "values", "added", "corrected", "late")] == [4, 3, 1, 1, 0]
    rows = frame(draft)
    assert values(rows)["value"].to_list() == [1.0, 5.0, 3.0]
    assert values(rows, later - timedelta(seconds=1))["value"].to_list() == [1.0, 2.0, 3.0]
    assert values(rows, datetime(2024, 1, 8, 21, 29, tzinfo=UTC)).is_empty()
    assert rows.filter(pl.col("value") == 5)["known_at"].to_list() == [later]


def test_a_filled_hole_is_known_late_and_a_longer_past_is_not(place: Place) -> None:
    place.put(stocks(("08", 1), ("10", 3)))
    place.run()
    place.put(stocks(("05", 0), ("08", 1), ("09", 2), ("10", 3), ("11", 4)))
    draft = place.run(now=NOW + timedelta(days=1))
    known = dict(frame(draft).select("value", "known_at").iter_rows())
    assert known[2.0] == NOW + timedelta(days=1)
    assert (known[0.0].day, known[4.0].day) == (5, 11)
    assert draft.facts["late"] == 1


def test_what_is_not_known_yet_waits_until_it_is(place: Place) -> None:
    place.put(stocks(("18", 1), ("20", 2)))
    early, later = place.read(), place.read(now=NOW + timedelta(hours=10))
    assert (early.rows.height, early.counts["waiting"]) == (1, 1)
    assert later.rows["value"].to_list() == [1.0, 2.0]
    assert early.fingerprint != later.fingerprint
    assert later.fingerprint == place.read(now=NOW + timedelta(hours=11)).fingerprint


def test_nothing_new_has_the_same_fingerprint_and_the_same_content(place: Place) -> None:
    path = place.put(stocks(("08", 1), ("09", 2)))
    first, before = place.run(), place.read().fingerprint
    path.touch()
    assert place.read(now=NOW + timedelta(days=9)).fingerprint == before
    assert table_hash(place.run(now=NOW + timedelta(days=9)).table) == table_hash(first.table)
    assert place.read(changes=["2024-01-09"]).fingerprint != before


def test_a_change_of_method_told_later_moves_the_eras_of_all_rows(place: Place) -> None:
    place.put(stocks(("08", 1), ("09", 2), ("10", 6)))
    assert frame(place.run())["era"].to_list() == [0, 0, 0]
    draft = place.run(changes=["2024-01-09"])
    assert frame(draft)["era"].to_list() == [0, 1, 1]
    said = {check.name: check.description for check in draft.checks}["method_change"]
    assert said == (
        "era 0 from the beginning: 1 values, mean 1.0, deviation nan; "
        "era 1 from 2024-01-09: 2 values, mean 4.0, deviation 2.8"
    )


def test_checks_are_those_announced_and_say_what_failed(place: Place) -> None:
    place.put(stocks(("01", 1), ("02", 101), ("15", -1)))
    draft = place.read().draft(place.lake)
    assert {check.name: check.blocking for check in draft.checks} == CHECKS
    assert failed(draft) == {
        "in_range": "2 values outside 0 to 100, first 101 on 2024-01-02",
        "gaps": "1 gap of more than 5 days, 2 dates missing; the longest has 13 days from 2024-01-02 to 2024-01-15",
    }


def test_a_file_without_rows_is_not_empty_only_where_values_are_held(place: Place) -> None:
    place.put("Date,Index\n")
    draft = place.read().draft(place.lake)
    assert failed(draft) == {"not_empty": "no value"}
    assert draft.pictures() == {}
    place.put(stocks(("08", 1)))
    place.run()
    place.put("Date,Index\n")
    assert failed(place.run()) == {}


def test_rows_that_break_the_two_times_fail(place: Place) -> None:
    place.put(stocks(("08", 1), ("09", 2)))
    update = place.read()
    row = pl.col("date") == date(2024, 1, 9)
    update.rows = update.rows.with_columns(
        known_at=pl.when(row).then(pl.col("time") - timedelta(seconds=1)).otherwise("known_at")
    )
    assert failed(update.draft(place.lake)) == {
        "known_not_before_time": "1 rows are known before their time, first of 2024-01-09"
    }


def test_versions_that_share_both_times_fail(place: Place) -> None:
    place.put(stocks(("08", 1), ("09", 2)))
    update, draft = place.read(), place.run()
    state = place.lake.state("exog/mood", "CNN")
    assert state is not None
    place.lake.write("exog/mood", "CNN", draft.table.slice(1), state=state, mode="append", guard=no_guard)
    assert failed(update.draft(place.lake)) == {
        "unique_times": "2 rows share both times with another version, first of 2024-01-09"
    }


def real(sample_data: Path, tmp_path: Path, series: str) -> SeriesDraft:
    from fx_assets.prices.exog_source import problems
    from fx_assets.settings import project_root
    from fx_assets.specs.exog import load_exog

    files = next((sample_data / "exog").glob(f"{series.lower()}_*"))
    name = f"FX_EXOG__FEAR_GREED__SERIES__{series}__FILES"
    catalog = load_exog(project_root() / "configs", environ={name: str(files)}, check=problems)
    update = update_series(
        catalog.disabled["fear_greed"],
        series,
        settings=Settings(home=tmp_path),
        log=lambda _: None,
        now=datetime.now(UTC),
    )
    assert update.rejects.is_empty()
    draft = update.draft(Lake(tmp_path / "lake"))
    assert not [check for check in draft.checks if check.blocking and not check.passed]
    assert len(draft.pictures()["series"]) < MAX_BYTES
    return draft


def test_the_real_index_of_stocks(sample_data: Path, tmp_path: Path) -> None:
    draft = real(sample_data, tmp_path, "CNN")
    rows = frame(draft)
    assert (rows.height, rows["date"][0], rows["date"][-1]) == (3834, date(2011, 1, 3), date(2026, 5, 1))
    assert failed(draft) == {
        "gaps": "1 gap of more than 5 days, 23 dates missing; the longest has 34 days from 2020-06-05 to 2020-07-09"
    }
    assert rows.group_by("era").len().sort("era").rows() == [(0, 2514), (1, 1320)]
    assert rows.filter(pl.col("era") == 1)["date"][0] == date(2021, 2, 1)
    assert rows.filter(pl.col("value") == 0)["date"].to_list() == [date(2014, 10, 13)]
    assert set(rows["known_at"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M")) == {"16:30"}


def test_the_real_index_of_coins(sample_data: Path, tmp_path: Path) -> None:
    draft = real(sample_data, tmp_path, "CRYPTO")
    rows = frame(draft)
    assert (rows.height, rows["date"][0], rows["date"][-1]) == (2644, date(2018, 2, 1), date(2025, 5, 2))
    assert set((rows["known_at"] - rows["time"]).to_list()) == {timedelta(hours=5, minutes=30)}
    assert draft.facts["missing_dates"] == 4
    assert failed(draft) == {
        "gaps": "2 gaps of more than 1 day, 4 dates missing; the longest has 4 days from 2018-04-13 to 2018-04-17"
    }
