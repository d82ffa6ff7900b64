"""The file and the ECB's table: what is read, how it is cut, and what the sanity report says of it."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.exchange.sanity import sanity
from fx_assets.evaluation.exchange.split import HORIZONS, LOOK_BACK, fresh, published
from fx_assets.evaluation.exchange.table import CURRENCIES, Table, TableError, as_text, from_ecb, read_file
from tests.evaluation.exchange.helpers import table, walk


@pytest.fixture(scope="module")
def ecb() -> Table:
    return from_ecb()


def test_a_written_table_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rates.txt.gz"
    path.write_bytes(as_text(walk(50)))
    read = read_file(path)
    assert (read.values == walk(50)).all()
    assert not read.dated
    assert len(read) == 50


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3\n", "line 1 has 3 columns, expected 8"),
        ("1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7\n", "line 2 has 7 columns"),
        ("1,2,3,4,5,6,7,x\n", "expected numbers only"),
        ("1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,0\n", "line 2: expected rates above 0"),
        ("1,2,3,4,5,6,7,8\n1,2,3,nan,5,6,7,8\n", "line 2: expected rates above 0"),
    ],
    ids=["narrow", "ragged", "text", "zero", "nan"],
)
def test_another_file_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text)
    with pytest.raises(TableError, match=said):
        read_file(path)


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.txt.gz"
    path.write_bytes(gzip.compress(b"1,2,3,4,5,6,7,8\n" * 99)[:-20])
    with pytest.raises(TableError, match="cannot be read"):
        read_file(path)


def test_dates_that_run_over_weekends_are_called_invented(tmp_path: Path) -> None:
    days = np.arange(np.datetime64("1990-01-01"), np.datetime64("1990-01-01") + 300).astype(str)
    rows = [f"{day} 00:00,{','.join(map(str, row))}" for day, row in zip(days, walk(300), strict=True)]
    path = tmp_path / "exchange_rate.csv"
    path.write_text("date,0,1,2,3,4,5,6,OT\n" + "\n".join(rows))
    said = sanity(published(read_file(path))).dates
    assert said.startswith("invented: 1990-01-01 to 1990-10-27 with 85 Saturdays and Sundays among 300 rows")


def test_bad_ticks_and_frozen_rows_are_found_where_they_are() -> None:
    values = walk(700)
    values[300, 2] *= 1.11
    values[650, 5] *= 0.9
    values[401] = values[400]
    values[690] = values[689]
    found = sanity(published(Table("walk", values, table(700).ends, dated=False)))
    assert [(tick.line, tick.currency) for tick in found.bad_ticks] == [(301, "CAD"), (651, "JPY")]
    assert found.bad_ticks[0].percent == pytest.approx(11, abs=1.5)
    assert found.frozen == (402, 691)
    assert (found.bad_ticks_in_test, found.frozen_in_test) == (1, 1)
    assert found.dates.startswith("none in the file")


def test_a_walk_alone_is_sane() -> None:
    found = sanity(published(table(700)))
    assert (found.bad_ticks, found.frozen) == ((), ())


def test_cuts_are_the_papers_and_no_window_is_dropped() -> None:
    split = published(table(7588))
    assert [split.rows(part) for part in ("train", "validation", "test")] == [5311, 760, 1517]
    assert [len(split.origins("test", horizon)) for horizon in HORIZONS] == [1422, 1326, 1182, 798]
    assert [len(split.origins("validation", horizon)) for horizon in HORIZONS] == [665, 569, 425, 41]
    assert [len(split.origins("train", horizon)) for horizon in HORIZONS] == [
        5311 - LOOK_BACK - horizon + 1 for horizon in HORIZONS
    ]
    training = split.z[:5311]
    assert training.mean(0) == pytest.approx(0, abs=1e-12)
    assert training.std(0) == pytest.approx(1)


def test_actual_levels_follow_their_origin() -> None:
    split = published(table(700))
    last = np.array([100, 300])
    assert (split.actual(last, 3)[1, 4] == split.z[301:304, 4]).all()


def test_folds_end_before_the_test_and_have_windows_at_every_horizon() -> None:
    for split in (published(table(7588)), fresh(from_ecb())):
        for horizon in HORIZONS:
            folds = split.folds(horizon)
            assert folds
            for fold in folds:
                assert fold.cuts.test_until <= split.cuts.validate_until
                last = fold.origins("test", horizon)
                assert last[-1] + horizon <= split.last_row("validation")
                assert len(fold.origins("train", horizon)) > horizon / 4
                assert len(fold.origins("validation", horizon)) > horizon / 5


def test_a_table_too_short_for_a_horizon_says_so() -> None:
    with pytest.raises(ValueError, match="too few to choose by at a horizon of 720"):
        published(table(700)).folds(720)
    with pytest.raises(ValueError, match="the test rows have no window"):
        published(table(700)).origins("test", 720)


def test_the_ecbs_table_is_the_same_eight_in_dollars_from_real_dates(ecb: Table) -> None:
    assert len(CURRENCIES) == ecb.values.shape[1]
    assert ecb.dated
    assert str(ecb.ends[0])[:10] == "2005-04-01"
    # 2016-12-30: the rates that the published file ends with, to the noise between two fixings.
    row = int(np.flatnonzero(ecb.ends.astype("datetime64[D]") == np.datetime64("2016-12-30"))[0])
    file_end = [0.720825, 1.233905, 0.744131, 0.980344, 0.143993, 0.008555, 0.692689, 0.690942]
    assert ecb.values[row] == pytest.approx(file_end, rel=0.01)


def test_the_fresh_cut_tests_every_window_from_2017(ecb: Table) -> None:
    split = fresh(ecb)
    first = split.origins("test", 96)[0] + 1
    assert str(ecb.ends[first])[:10] == "2017-01-02"
    assert str(ecb.ends[first - 1])[:10] == "2016-12-30"
    assert split.origins("test", 96)[-1] + 96 == len(ecb) - 1
    assert split.rows("train") + split.rows("validation") + split.rows("test") == len(ecb)
    assert len(split.origins("validation", 720)) > 0


def test_the_ecbs_table_knows_no_day_after_the_moment_it_is_asked_for() -> None:
    early = from_ecb(datetime(2010, 1, 1, tzinfo=UTC))
    assert str(early.ends[-1])[:10] == "2009-12-31"
