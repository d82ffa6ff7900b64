"""HistData's minutes and ticks: small files of our own, then the vendor's."""

from __future__ import annotations

import lzma
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.files import FileError
from fx_assets.prices.sources.base import SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import Given, answer_of, request

MINUTES = "20180102 170000;1.200370;1.201000;1.200370;1.201000;0\n20180702 170100;1.2;1.3;1.1;1.25;0\n"
TICKS = "20200101 170000065,1.121200,1.121720,0\n20200701 170010447,1.121200,1.121920,0\n"
REPORT = (
    "HistData.com (c) 2012\nFile: DAT_ASCII_EURUSD_M1_2018.csv Status Report\n\n"
    "Gap of 77s found between 20180101170418 and 20180101170541.\n"
    "Gap of 594s found between 20180101171738 and 20180101171850.\n\n"
    "Average tick interval: 5260 miliseconds.\nMaximum tick interval found: 594000 miliseconds.\n"
)


def give(*files: Path, **keys: Any) -> Given:
    spec = SourceSpec(kind="histdata", files=tuple(map(str, files)), **keys)
    return answer_of(source("histdata"), request(Settings(live=False), source=spec))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_minutes(tmp_path: Path) -> None:
    given = give(written(tmp_path / "a.csv", MINUTES))
    assert given.batches[0].form == Form("bar", 60, "bid")
    assert given.rows.columns == ["line", "time", "open", "high", "low", "close"]
    # Winter and summer in New York; the volume, always 0, is left out.
    assert given.rows.rows() == [
        (1, utc(2018, 1, 2, 22), 1.20037, 1.201, 1.20037, 1.201),
        (2, utc(2018, 7, 2, 21, 1), 1.2, 1.3, 1.1, 1.25),
    ]


def test_ticks(tmp_path: Path) -> None:
    given = give(written(tmp_path / "a.csv", TICKS))
    assert given.batches[0].form == Form("tick")
    assert given.rows.rows() == [
        (1, utc(2020, 1, 1, 22, 0, 0, 65_000), 1.1212, 1.12172),
        (2, utc(2020, 7, 1, 21, 0, 10, 447_000), 1.1212, 1.12192),
    ]


def test_the_clock_is_londons_from_2019(tmp_path: Path) -> None:
    # On 2019-03-20 New York keeps summer time, London does not yet.
    text = "20180320 120000;1;1;1;1;0\n20190320 120000;1;1;1;1;0\n20190402 120000;1;1;1;1;0\n"
    times = give(written(tmp_path / "a.csv", text)).rows["time"].to_list()
    assert times == [utc(2018, 3, 20, 16), utc(2019, 3, 20, 17), utc(2019, 4, 2, 16)]


def test_the_hour_that_is_written_twice_is_handed_on_twice(tmp_path: Path) -> None:
    """The Sunday on which Europe leaves summer time repeats 19:00 with the same prices: duplicates, neither shifted
    nor rejected; cleaning drops them."""
    hour = "".join(f"20191027 19{minute:02d}00;1;1;1;1;0\n" for minute in range(60))
    given = give(written(tmp_path / "a.csv", hour + hour + "20191027 200000;1;1;1;1;0\n"))
    assert given.rejects.is_empty()
    times = given.rows["time"].to_list()
    assert times[:60] == times[60:120] == [utc(2019, 10, 28, 0, minute) for minute in range(60)]
    assert times[120] == utc(2019, 10, 28, 1)


def test_the_gap_report_of_a_zip_is_kept_as_notes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("DAT_ASCII_EURUSD_M1_2018.csv", MINUTES + f"20180703 170000;{ord(name[0])};1;1;1;0\n")
            archive.writestr("DAT_ASCII_EURUSD_M1_2018.txt", REPORT)
    given = give(tmp_path / "*.zip")
    assert given.notes == {"files": 2, "files_skipped": 0, "gaps_reported": 4, "longest_gap_s": 594}
    assert len(given.rows) == 6


def test_what_is_not_histdata_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "2018.01.02,17:00,1.2,1.3,1.1,1.2,0\n")
    with pytest.raises(
        FileError, match=r"a.csv: begins '2018.01.02,17:00,1.2.*set kind: metatrader and clock: histdata"
    ):
        give(path)
    path = written(tmp_path / "a.csv", "<!DOCTYPE html>\n<title>404</title>\n")
    with pytest.raises(FileError, match=r"a.csv: begins '<!DOCTYPE html>', expected 20180101 170000;O;H;L;C;V"):
        give(path)


def test_a_resolution_that_the_file_does_not_have(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", TICKS)
    assert give(path, resolution="tick").batches[0].form == Form("tick")
    with pytest.raises(FileError, match=r"a.csv: holds ticks; source.resolution says 1min"):
        give(path, resolution="1min")
    adapter = source("histdata")
    assert adapter.form(SourceSpec(kind="histdata")) == Form("bar", 60, "bid")
    assert adapter.form(SourceSpec(kind="histdata", resolution="tick")) == Form("tick")
    assert list(adapter.problems(SourceSpec(kind="histdata", resolution="1h", clock="UTC"))) == [
        ("resolution", "1h: HistData has 1min and tick")
    ]


REAL = {
    "DAT_ASCII_EURUSD_M1_2018.zip": (372_607, utc(2018, 1, 1, 22), utc(2018, 12, 31, 21, 59), 1.14644),
    "DAT_ASCII_EURUSD_M1_202203.zip": (32_974, utc(2022, 3, 1, 5), utc(2022, 4, 1, 3, 58), None),
    "DAT_ASCII_EURUSD_M1_201701.csv.xz": (31_500, utc(2017, 1, 2, 7), utc(2017, 2, 1, 4, 58), None),
    "DAT_ASCII_EURUSD_M1_201703.csv.xz": (32_660, utc(2017, 3, 1, 5), utc(2017, 3, 31, 20, 58), None),
    "DAT_ASCII_EURUSD_T_202001_first9500.csv.xz": (
        9_500,
        utc(2020, 1, 1, 22, 0, 0, 65_000),
        utc(2020, 1, 2, 4, 0, 52, 125_000),
        None,
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_the_vendors_files(sample_data: Path, name: str) -> None:
    given = give(sample_data / "histdata" / name)
    rows, first, last, close = REAL[name]
    times = given.rows["time"]
    assert (len(given.rows), times[0], times[-1], len(given.rejects)) == (rows, first, last, 0)
    assert times.is_sorted()
    assert close is None or given.rows["close"][-1] == close
    assert len({batch.form for batch in given.batches}) == 1


def test_the_vendors_gap_reports(sample_data: Path) -> None:
    notes = give(sample_data / "histdata" / "*.zip").notes
    assert notes == {"files": 2, "files_skipped": 0, "gaps_reported": 1995 + 135, "longest_gap_s": 3596}


@pytest.mark.parametrize("clock", ["-05:00", "UTC", "new_york+7", "Europe/London"])
def test_another_clock_is_refused_with_the_right_one(sample_data: Path, clock: str) -> None:
    """The vendor's page says -05:00."""
    for name in ("DAT_ASCII_EURUSD_M1_2018.zip", "DAT_ASCII_EURUSD_M1_201703.csv.xz"):
        with pytest.raises(
            SourceError, match=rf"{name[:25]}.*read by the clock {clock}.*\bhistdata\b".replace("+", r"\+")
        ):
            give(sample_data / "histdata" / name, clock=clock)


def test_a_file_cut_short_is_refused(sample_data: Path, tmp_path: Path) -> None:
    whole = (sample_data / "histdata" / "DAT_ASCII_EURUSD_M1_201701.csv.xz").read_bytes()
    path = tmp_path / "cut.csv.xz"
    path.write_bytes(whole[: len(whole) // 2])
    assert len(lzma.decompress(whole)) > len(whole)
    with pytest.raises(FileError, match=r"cut.csv.xz: the compressed data ends early, after [\d,]+ bytes"):
        give(path)
