"""Which files a source reads, what it skips the next time, and which it refuses."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.clocks import clock
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources import base, from_files
from fx_assets.prices.sources.base import SourceError
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import Given, answer_of, request

LAYOUT_TIME = "%Y%m%d %H%M%S"


class LinesSource(FileSource):
    """Minutes: a time and a close; the smallest source of files there can be."""

    def form(self, source: SourceSpec) -> Form:  # noqa: ARG002 - the same for all
        return Form("bar", 60, "bid")

    def _read(self, file: InputFile, request: base.Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        from fx_assets.prices.delimited import Layout, read_delimited

        notes["members"] = int(notes.get("members", 0)) + 1
        for chunk in file.text():
            rows, rejects = read_delimited(chunk, Layout(";", ("time", "close"), LAYOUT_TIME), self.clock(request))
            yield Batch(file.name, Form("bar", 60, "bid"), rows, rejects)


def give(home: Path, files: str | tuple[str, ...] = (), clock: str | None = None, **changes: Any) -> Given:
    asked = request(
        Settings(home=home, live=False), source=SourceSpec(kind="lines", files=files, clock=clock), **changes
    )
    return answer_of(LinesSource(), asked)


def minutes(first: datetime, last: datetime) -> str:
    """A line every 5 minutes, the weekend left out: Friday 17:00 to Sunday 17:00 in New York, on the clock UTC."""
    times = pl.datetime_range(first, last, "5m", eager=True, time_zone="America/New_York")
    weekday, hour = times.dt.weekday(), times.dt.hour()
    closed = (weekday == 6) | ((weekday == 5) & (hour >= 17)) | ((weekday == 7) & (hour < 17))
    return "".join(
        f"{text};1.1\n" for text in times.filter(~closed).dt.convert_time_zone("UTC").dt.strftime(LAYOUT_TIME)
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox" / "EURUSD"
    folder.mkdir(parents=True)
    return folder


def test_the_inbox_is_read_in_the_order_of_names_and_only_once(tmp_path: Path, inbox: Path) -> None:
    (inbox / "b.csv").write_text("20180102 120000;2\n")
    (inbox / "a.csv").write_text("20180102 110000;1\n")
    (inbox / ".hidden").write_text("?")
    first = give(tmp_path)
    assert first.rows["close"].to_list() == [1.0, 2.0]
    assert first.rows.columns == ["line", "time", "close"]
    assert [batch.origin for batch in first.batches] == ["inbox/EURUSD/a.csv", "inbox/EURUSD/b.csv"]
    assert first.notes == {"files": 2, "files_skipped": 0, "members": 2}

    again = give(tmp_path, cursor=first.cursor)
    assert (again.batches, again.cursor) == ([], first.cursor)
    assert again.notes == {"files": 0, "files_skipped": 2}

    (inbox / "c.csv").write_text("20180102 130000;3\n")
    (inbox / "a.csv").write_text("20180102 110000;9\n")
    third = give(tmp_path, cursor=first.cursor)
    assert third.rows["close"].to_list() == [9.0, 3.0]
    assert (third.notes["files"], third.notes["files_skipped"]) == (2, 1)


def test_earlier_folders_are_remembered_in_one_word_each(tmp_path: Path, inbox: Path) -> None:
    for day in (1, 2, 3):
        for hour in (10, 11):
            file = inbox.parent / f"2018/{day:02d}" / f"{hour}h.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"201801{day + 1:02d} {hour}0000;1\n")
    tree = str(inbox.parent / "2018" / "**" / "*.csv")
    first = give(tmp_path, tree)
    assert (len(first.batches), first.notes["files"]) == (6, 6)
    assert sorted(first.cursor["folders"]) == ["inbox/2018/01", "inbox/2018/02"]
    assert sorted(first.cursor["files"]) == ["inbox/2018/03/10h.csv", "inbox/2018/03/11h.csv"]
    again = give(tmp_path, tree, cursor=first.cursor)
    assert (again.batches, again.notes["files_skipped"], again.cursor) == ([], 6, first.cursor)

    # A day more is read alone; a file that comes late to an earlier folder brings that folder along.
    (inbox.parent / "2018/04").mkdir()
    (inbox.parent / "2018/04/10h.csv").write_text("20180105 100000;1\n")
    (inbox.parent / "2018/01/12h.csv").write_text("20180102 120000;1\n")
    third = give(tmp_path, tree, cursor=first.cursor)
    read = [batch.origin.removeprefix("inbox/2018/") for batch in third.batches]
    assert read == ["01/10h.csv", "01/11h.csv", "01/12h.csv", "04/10h.csv"]
    assert give(tmp_path, tree, cursor=third.cursor).batches == []


def test_a_file_that_was_only_touched_is_skipped(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = inbox / "a.csv"
    path.write_text("20180102 110000;1\n")
    first = give(tmp_path)
    os.utime(path, ns=(1, 1))
    second = give(tmp_path, cursor=first.cursor)
    assert (second.batches, second.notes["files_skipped"]) == ([], 1)
    assert second.cursor["files"]["inbox/EURUSD/a.csv"]["mtime_ns"] == 1

    # With size and time as they were, the content is not even read.
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert give(tmp_path, cursor=second.cursor).cursor == second.cursor


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, inbox: Path) -> None:
    path = inbox / "a.csv"
    path.write_text("20180102 110000;1\n")
    feed = LinesSource().open(request(Settings(home=tmp_path), source=SourceSpec(kind="lines")))
    next(feed.batches)
    path.write_text("20180102 110000;1\n20180102 110100;1\n")
    with pytest.raises(SourceError, match=r"a.csv: changed while it was read; run again"):
        list(feed.batches)
    assert feed.cursor == {}


def test_files_folders_and_globs_from_the_project_root(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_files, "project_root", lambda: tmp_path)
    for name in ("x/1.csv", "x/2.txt", "x/y/3.csv", "z[1].csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"20180102 1{len(name):02d}000;1\n")
    (inbox / "a.csv").write_text("20180102 110000;1\n")

    def read(*files: str) -> list[str]:
        return [batch.origin for batch in give(tmp_path, files).batches]

    assert read("x/*.csv") == ["x/1.csv"]
    assert read("x/**/*.csv") == ["x/1.csv", "x/y/3.csv"]
    assert read("x") == ["x/1.csv", "x/2.txt"]
    assert read("z[1].csv") == ["z[1].csv"]
    assert read("x/*.csv", "x/1.csv", str(tmp_path / "x/1.csv"), "z*") == ["x/1.csv", "z[1].csv"]
    assert [batch.origin for batch in give(tmp_path, "x/1.csv").batches] == ["x/1.csv"]


def test_a_missing_file_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=rf"EURUSD: no file matches .*{tmp_path}/inbox/EURUSD.*put the pair's files there"
    ):
        give(tmp_path)
    with pytest.raises(SourceError, match=r"EURUSD: .*/gone.csv does not exist"):
        give(tmp_path, (str(tmp_path / "*"), str(tmp_path / "gone.csv")))
    with pytest.raises(SourceError, match=r"EURUSD: no file matches \['.*/\*.zip'\]$"):
        give(tmp_path, (str(tmp_path / "*.zip"),))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"EURUSD: .*/empty holds no file"):
        give(tmp_path, str(tmp_path / "empty"))


def test_empty_files_are_counted_and_are_an_error_where_there_is_nothing_else(tmp_path: Path, inbox: Path) -> None:
    (inbox / "a.csv").touch()
    with zipfile.ZipFile(inbox / "b.zip", "w") as archive:
        archive.writestr("b.csv", "")
    with pytest.raises(SourceError, match=r"EURUSD: nothing but empty files: .*a.csv, .*b.zip"):
        give(tmp_path)
    (inbox / "c.csv").write_text("20180102 110000;1\n")
    given = give(tmp_path)
    assert (given.notes["files"], given.notes["files_empty"], len(given.rows)) == (3, 2, 1)
    (inbox / "d.csv").touch()
    assert give(tmp_path, cursor=given.cursor).batches == []


def test_an_empty_file_may_mean_that_the_market_was_closed(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "a.csv").touch()
    monkeypatch.setattr(LinesSource, "empty_is_closed", True)
    assert give(tmp_path).notes == {"files": 1, "files_empty": 1, "files_skipped": 0}


def test_a_zip_gives_each_of_its_members(tmp_path: Path, inbox: Path) -> None:
    with zipfile.ZipFile(inbox / "a.zip", "w") as archive:
        for name, text in (("2.csv", "20180102 120000;2\n"), ("1.csv", "20180102 110000;1\n"), ("3.csv", "")):
            archive.writestr(name, text)
    given = give(tmp_path)
    assert [batch.origin for batch in given.batches] == ["inbox/EURUSD/a.zip/1.csv", "inbox/EURUSD/a.zip/2.csv"]
    assert (given.notes["files"], given.notes["members"]) == (1, 3)


def test_what_is_wrong_with_a_later_file_ends_the_feed(tmp_path: Path, inbox: Path) -> None:
    (inbox / "a.csv").write_text("20180102 110000;1\n")
    (inbox / "b.csv").write_bytes("20180102 110000;1\n".encode("utf-16"))
    feed = LinesSource().open(request(Settings(home=tmp_path), source=SourceSpec(kind="lines")))
    with pytest.raises(FileError, match=r"b.csv: not UTF-8 text at byte 0"):
        list(feed.batches)
    assert feed.cursor == {}


SUMMER = (datetime(2018, 6, 3), datetime(2018, 7, 1))


def test_a_clock_that_contradicts_the_week_is_refused_with_the_one_that_fits(tmp_path: Path, inbox: Path) -> None:
    (inbox / "a.csv").write_text(minutes(*SUMMER))
    assert len(give(tmp_path).rows) == 4 * 5 * 24 * 12
    with pytest.raises(FileError, match=r"a.csv: read by the clock Europe/Berlin.*set clock: UTC"):
        give(tmp_path, clock="Europe/Berlin")
    # A market that never closes has no week to look at.
    assert len(give(tmp_path, clock="Europe/Berlin", fx_week=False).rows) == 4 * 5 * 24 * 12


def test_files_too_short_to_tell_tell_together(tmp_path: Path, inbox: Path) -> None:
    for week in range(4):
        first = SUMMER[0] + timedelta(days=7 * week)
        (inbox / f"{week}.csv").write_text(minutes(first, first + timedelta(days=6)))
    give(tmp_path)
    with pytest.raises(
        FileError, match=r"the 4 files of EURUSD together: read by the clock Europe/Berlin.*set clock: UTC"
    ):
        give(tmp_path, clock="Europe/Berlin")


def test_times_are_thinned_as_they_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_files, "_COMPACT", 100)
    week = from_files._Week("Europe/Berlin")
    times = pl.datetime_range(datetime(2018, 6, 3, 21), datetime(2018, 6, 8, 21), "1m", eager=True, closed="left")
    for _ in range(4):
        for _ in range(5):
            week.add(times, 60)
            assert sum(map(len, week._file.parts)) <= 4 * 4 * 2 * len(times) // 5
        times = times + timedelta(days=7)
    assert sum(map(len, week._file.parts)) < 20 * 2 * len(times) // 5
    with pytest.raises(FileError, match=r"a.csv: read by the clock Europe/Berlin, 4 of 4"):
        week.close("a.csv")


def test_the_clock_is_the_configured_one_or_the_sources_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(Settings(home=tmp_path), source=SourceSpec(kind="lines"))
    assert LinesSource().clock(asked) == clock("UTC")
    monkeypatch.setattr(LinesSource, "default_clock", "histdata")
    assert LinesSource().clock(asked) == clock("histdata")
    asked = request(Settings(home=tmp_path), source=SourceSpec(kind="lines", clock="+02:00"))
    assert LinesSource().clock(asked) == clock("+02:00")


def test_what_only_a_subclass_may_leave_out() -> None:
    class Own(LinesSource):
        uses: ClassVar[frozenset[str]] = frozenset({"files"})

    assert FileSource.uses == {"files", "clock"}
    assert not from_files._Week(None)._file.parts
    assert "clock" not in Own.uses
