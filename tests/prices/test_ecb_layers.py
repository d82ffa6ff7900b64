"""The ECB source where several files speak of one date: the embedded history, given files, the network, its memory."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fx_assets.prices.sources.base import SourceError
from fx_assets.prices.sources.ecb import EcbSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from tests.prices.conftest import Answer, Server, answer_of, pair, request
from tests.prices.test_ecb_source import NEWER, QUICK, SettingsFor, fetch, last_dates, zipped

ONE_DAY = "Date, USD, JPY, \n30 October 2026, 1.1172, 175.68, \n"
NINETY_DAYS = "Date,USD,JPY,\n2026-11-03,1.1300,176.00,\n2026-11-02,1.1250,175.00,\n2026-10-30,1.1100,175.68,\n"


def from_files(*files: object, embedded: bool = True) -> PairSpec:
    names = tuple(str(file) for file in files)
    return pair(source=SourceSpec(kind="ecb", files=names, options={"embedded": embedded}))


def test_files_lie_over_the_embedded_history(offline: Settings, tmp_path: Path) -> None:
    (tmp_path / "90d.csv").write_text(NINETY_DAYS)
    (tmp_path / "hist.zip").write_bytes(zipped(NEWER))
    fetched = fetch(offline, from_files(tmp_path / "*.csv", tmp_path / "hist.zip"))
    origins = {Path(batch.origin).name: batch.rows["trading_date"].to_list() for batch in fetched.batches}
    assert origins["90d.csv"] == [date(2026, 11, 2), date(2026, 11, 3)]
    assert origins["eurofxref-hist.csv"] == [date(2026, 10, 30), date(2026, 11, 19), date(2026, 11, 20)]
    assert origins["ecb"][-1] == date(2026, 10, 29)
    assert fetched.notes["files"] == 2
    assert fetched.notes["live"] == "off; the embedded history and files to 2026-11-20"


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        (ONE_DAY, {date(2026, 10, 30): 1.1172}),
        (NINETY_DAYS, {date(2026, 10, 30): 1.11, date(2026, 11, 2): 1.125, date(2026, 11, 3): 1.13}),
    ],
    ids=["one day", "90 days"],
)
def test_a_file_alone(offline: Settings, tmp_path: Path, text: str, closes: dict[date, float]) -> None:
    (tmp_path / "x.csv").write_text(text)
    fetched = fetch(offline, from_files(tmp_path / "x.csv", embedded=False))
    assert dict(zip(fetched.rows["trading_date"], fetched.rows["close"], strict=True)) == closes
    assert fetched.rows["line"].sort().to_list() == list(range(2, 2 + len(closes)))
    assert fetched.notes["live"] == f"off; files to {max(closes)}"


def test_the_real_file_of_one_day(offline: Settings, sample_data: Path) -> None:
    fetched = fetch(offline, from_files(sample_data / "ecb" / "eurofxref.csv", embedded=False))
    assert fetched.rows.row(0, named=True) == {
        "line": 2,
        "time": datetime(2026, 10, 30, 13, 10, tzinfo=UTC),
        "known_at": datetime(2026, 10, 30, 15, 0, tzinfo=UTC),
        "trading_date": date(2026, 10, 30),
        "close": 1.1172,
    }


def test_a_file_dropped_in_the_pairs_inbox_is_read(offline: Settings) -> None:
    folder = offline.inbox_path / "EURUSD"
    folder.mkdir(parents=True)
    (folder / "new.csv").write_text(NINETY_DAYS)
    assert last_dates(fetch(offline), 1) == [date(2026, 11, 3)]
    assert last_dates(fetch(offline, pair("EURJPY")), 1) == [date(2026, 10, 30)]


def test_files_that_are_not_there_or_not_the_ecbs(offline: Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"EURUSD: no file matches .*none\*"):
        fetch(offline, from_files(tmp_path / "none*"))
    (tmp_path / "other.csv").write_text("price\n1.2\n")
    with pytest.raises(SourceError, match=r"EURUSD: .*other\.csv: expected a header with Date and currencies"):
        fetch(offline, from_files(tmp_path / "other.csv"))


def test_nothing_at_all_is_an_error(offline: Settings) -> None:
    with pytest.raises(SourceError, match="EURUSD: not a single rate; network off; nothing"):
        fetch(offline, from_files(embedded=False))


def test_the_cursor_moves_with_what_is_handed_on(server: Server, settings_for: SettingsFor) -> None:
    revised = NEWER.replace("1.2000", "1.2001")
    answers = [
        zipped(NEWER),
        zipped(NEWER),
        NEWER.encode(),
        b"",
        zipped(revised),
        zipped(revised + "2026-11-18,x,1,1,\n"),
    ]
    server.answers = [Answer(body=body) for body in answers]
    first, *others = [fetch(settings_for(server.url)).cursor["digest"] for _ in answers]
    assert [digest == first for digest in others] == [True, True, True, False, False]
    assert len({first, *others}) == 3


def test_a_revision_stays_when_the_network_and_its_copy_are_lost(server: Server, settings_for: SettingsFor) -> None:
    """Else the embedded rate would come back, and be recorded as a correction."""
    server.answers = [Answer(body=zipped(NEWER.replace("1.1172", "1.1173"))), Answer(status=404)]
    settings, day = settings_for(server.url), date(2026, 10, 30)
    first = fetch(settings)
    assert first.cursor["revised"] == ["2026-10-30"]
    for path in settings.cache_path.iterdir():
        path.unlink()
    again = answer_of(EcbSource(QUICK, 0.0), request(settings, cursor=first.cursor))
    assert last_dates(again, 1) == [date(2026, 10, 29)]
    assert again.cursor["revised"] == ["2026-10-30"]
    offline = settings.model_copy(update={"live": False})
    assert day not in answer_of(EcbSource(), request(offline, cursor=again.cursor)).rows["trading_date"]
    server.answers = [Answer(body=zipped(NEWER))]
    back = answer_of(EcbSource(QUICK, 0.0), request(settings, cursor=again.cursor))
    assert back.rows.filter(pl.col("trading_date") == day)["close"].to_list() == [1.1172]
    assert back.batches[-1].origin == "ecb live"
