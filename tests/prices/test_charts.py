"""The pictures of raw prices: small PNGs of what there is to see, the same bytes each time, and none of nothing."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import matplotlib.image
import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.charts import MAX_BYTES, rejects_by_reason, spread_by_hour
from tests.prices.audits import HOURS, MINUTES, MONDAY, TICKS, audited, collected, open_times, rows, spec, walk

FIXING = Form("fixing")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def drawn(frame: pl.DataFrame, form: Form, rejects: dict[str, int] | None = None) -> dict[str, bytes]:
    pictures = audited(frame, form).pictures(collected(reject_counts=rejects or {}))
    for picture in pictures.values():
        assert picture.startswith(b"\x89PNG")
        assert 5_000 < len(picture) < MAX_BYTES == 100_000
        pixels: Any = matplotlib.image.imread(io.BytesIO(picture))
        assert pixels.shape[1] >= 700
        assert pixels.std() > 0.05  # something is on it
    return pictures


def test_bars_without_faults_have_one_picture() -> None:
    times = open_times(MONDAY, HOUR, 24 * 130)
    assert list(drawn(rows(times, HOURS, walk(len(times))), HOURS)) == ["coverage"]


def test_ticks_with_both_sides_a_hole_and_rejects_have_all() -> None:
    times = open_times(MONDAY, timedelta(minutes=3), 20 * 24 * 10)
    frame = rows([*times[:500], *times[600:]], TICKS, walk(len(times) - 100))
    rejects = {"crossed_quote": 1_234, "not_a_number": 1}
    pictures = drawn(frame, TICKS, rejects)
    assert list(pictures) == ["coverage", "gaps", "spread", "rejects"]
    assert drawn(frame, TICKS, rejects) == pictures


def test_a_hole_is_seen_on_the_heat_map() -> None:
    times = open_times(MONDAY, MINUTE, 60 * 24 * 5)
    hole = [*times[:1_980], *times[2_040:]]  # from 07:00 to 08:00 UTC
    orange = (0xD5 / 255, 0x5E / 255, 0.0)

    def area(given: list[datetime]) -> int:
        pixels: Any = matplotlib.image.imread(
            io.BytesIO(drawn(rows(given, MINUTES, walk(len(given))), MINUTES)["coverage"])
        )
        return int((abs(pixels[:, :, :3] - orange).max(axis=2) < 0.02).sum())

    assert area(hole) > area(times) + 1_000


def test_fixings_are_drawn_only_where_dates_are_missing() -> None:
    days = [datetime(2024, 1, 2, 13, tzinfo=UTC) + timedelta(days=i) for i in range(300)]
    fixed = [day for day in days if day.weekday() < 5 and (day.month, day.day) != (12, 25)]
    assert drawn(rows(fixed, FIXING, walk(len(fixed))), FIXING, {"not_a_number": 5}) == {}
    hole = [*fixed[:20], *fixed[23:]]
    assert list(drawn(rows(hole, FIXING, walk(len(hole))), FIXING, {"not_a_number": 5})) == ["coverage"]


def test_long_bars_have_no_map_of_hours() -> None:
    four = Form("bar", 4 * 3_600)
    times = open_times(MONDAY, 4 * HOUR, 60)
    assert drawn(rows([*times[:20], *times[40:]], four, walk(40)), four).keys() == {"gaps"}


def test_nothing_is_drawn_of_nothing() -> None:
    for form in (TICKS, HOURS, FIXING):
        assert drawn(rows([], form, []), form) == {}
    assert rejects_by_reason({}, spec()) is None
    assert spread_by_hour(pl.DataFrame({"local": [1], "median": [1e-4], "wide": [2e-4]}), spec()) is None


def test_a_few_rows_are_drawn_too() -> None:
    for form in (TICKS, MINUTES):
        assert list(drawn(rows([MONDAY], form, [1.1]), form)) == ["coverage"]


def test_the_library_is_loaded_only_to_draw() -> None:
    code = "import sys, fx_assets.prices.quality, fx_assets.prices.charts; sys.exit('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
