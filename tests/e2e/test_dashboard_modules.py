"""The dashboard's modules one by one, in a real browser: what they read, compute and write."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.dashboard_page import chromium, module, opened
from tests.support.running_api import running
from tests.support.tiny_lake import tiny_lake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The dashboard of an installation without any data."""
    tiny = tiny_lake(tmp_path_factory.mktemp("installation"))
    # Until there is a forecast the service says 503 of itself, which the browser logs.
    with running(tiny) as api, chromium() as context, opened(context, api, quiet=False) as shown:
        yield shown


def test_events_are_read_whatever_the_pieces(page: Page) -> None:
    text = (
        ": hello\r\n\r\nid: 1.0\r\nevent: forecast\r\ndata: {\r\ndata:}\r\n\r\nid: 2.0\n\ndata: x\n\ndata: unfinished\n"
    )
    wanted = [{"event": "forecast", "id": "1.0", "data": "{\n}"}, {"event": "message", "id": "2.0", "data": "x"}]
    for size in (1, 2, 3, 7, 1000):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        fed = f"((one) => {json.dumps(pieces)}.flatMap((piece) => one.feed(piece)))(new its.Events())"
        assert module(page, "events.js", fed) == wanted, size


def test_coverage_is_judged_by_forecasts_that_do_not_overlap(page: Page) -> None:
    row = {"quantiles": {"0.1": 1.0, "0.9": 2.0}, "close": 1.5, "inside_80": True}
    rows = (
        [row] * 70 + [{**row, "close": 0.5, "inside_80": False}] * 10 + [{**row, "close": 3, "inside_80": False}] * 20
    )
    one, five = (module(page, "outcomes.js", f"its.coverage({json.dumps(rows)}, {h})") for h in (1, 5))
    assert (one["share"], one["below"], one["above"], one["independent"]) == (0.7, 10, 20, 100)
    assert one["least"] == pytest.approx(0.8 - 1.96 * 0.04)
    assert (five["independent"], five["least"]) == (20, pytest.approx(0.8 - 1.96 * 0.4 / 20**0.5))


def test_every_verdict_has_words_of_its_own(page: Page) -> None:
    found = {"location": "no skill shown", "volatility": "no skill shown"}
    document = {"kind": "garch", "certificate": found, "stale": False, "valid_until": "2026-11-02T22:00:00Z"}
    said = []
    for verdict in ("skill shown", "no skill shown", "worse", "too little data", "untested"):
        told = {**document, "verdict": verdict}
        said.append(module(page, "verdicts.js", f"its.sentence({json.dumps(told)})"))
        looks = f"((badge) => [badge.textContent, badge.dataset.tone])(its.badge({json.dumps(verdict)}))"
        words, tone = module(page, "verdicts.js", looks)
        assert words.endswith(verdict)
        assert tone
    assert len(set(said)) == 5
    assert ["Has not beaten a random walk" in sentence for sentence in said] == [False, True, False, False, False]
    due = f"its.freshness({json.dumps(document)}, Date.parse('2026-11-02T%s:00Z')).words"
    assert module(page, "verdicts.js", due % "21") == "up to date"
    assert module(page, "verdicts.js", due % "23") == "due"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("price(1.23456, 0.0001)", "1.2346"),
        ("price(67120.5, 0.01)", "67,120.50"),
        ("price(151.239, 1)", "151"),
        ("percent(-0.00004, 2, { sign: true })", "0.00\u00a0%"),
        ("percent(0.0123, 2, { sign: true })", "+1.23\u00a0%"),
        ("pValue(0.0004)", "p < .001"),
        ("pValue(0.0321)", "p .032"),
        ("pValue(1)", "p > .999"),
        ("moment('2026-10-30T17:00:00-04:00')", "30 Oct 2026 21:00 UTC"),
        ("bars(1, '1d')", "1 trading day"),
        ("bars(5, '15min')", "5 bars of 15min"),
        ("short('0123456789abcdef0123456789abcdef')", "0123456789ab…"),
        ("short('20261122T055840415681Z')", "20261122T055840415681Z"),
    ],
)
def test_numbers_and_times_are_written_as_people_read_them(page: Page, expression: str, text: str) -> None:
    assert module(page, "format.js", f"its.{expression}") == text


def hours(first: datetime, count: int) -> list[str]:
    return [(first + timedelta(hours=step)).isoformat().replace("+00:00", "Z") for step in range(count)]


def hourly() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A forecast over a weekend, and the hours of the week before it."""
    past = hours(datetime(2026, 10, 26, 0, tzinfo=UTC), 118)
    ahead = hours(datetime(2026, 11, 1, 23, tzinfo=UTC), 24)
    forecast = {
        "pair": "EURUSD",
        "pip": 0.0001,
        "frequency": "1h",
        "origin": past[-1],
        "data_as_of": past[-1][:10],
        "last_price": 1.1,
        "horizons": [
            {
                "h": h,
                "target_time": time,
                "target_date": time[:10],
                "median": 1.1,
                "quantiles": {"0.1": 1.0, "0.9": 1.2},
            }
            for h, time in enumerate(ahead, 1)
        ],
    }
    return forecast, [{"end": time, "close": 1.1} for time in past]


def test_a_weekend_takes_no_room_between_hours_and_every_hour_keeps_its_own(page: Page) -> None:
    forecast, bars = hourly()
    axis = module(page, "plots.js", f"its.fan({json.dumps(forecast)}, {json.dumps(bars)})({{}}).layout.xaxis")
    ((left, right),) = [each["bounds"] for each in axis["rangebreaks"]]
    # Just after the last hour, and a bar before the first one: none is inside.
    assert (left, right) == ("2026-10-30T21:00:01", "2026-11-01T22:00:00")
    assert axis["tickvals"] == [
        f"2026-{day}T00:00:00" for day in ("10-26", "10-27", "10-28", "10-29", "10-30", "11-02")
    ]
    assert axis["ticktext"] == ["26 Oct", "27 Oct", "28 Oct", "29 Oct", "30 Oct", "2 Nov"]


def test_days_leave_out_weekends_and_a_market_without_them_none(page: Page) -> None:
    forecast, _ = hourly()
    for last, breaks in (("2026-11-06", [{"bounds": ["sat", "mon"]}]), ("2026-11-07", [])):
        step = {**forecast["horizons"][0], "target_date": last}
        daily = {**forecast, "frequency": "1d", "horizons": [step]}
        axis = module(page, "plots.js", f"its.fan({json.dumps(daily)}, [])({{}}).layout.xaxis")
        assert axis["rangebreaks"] == breaks
        assert "tickvals" not in axis


@pytest.mark.parametrize("kept", [118, 40, 2])
def test_the_times_below_a_small_chart_do_not_touch(page: Page, kept: int) -> None:
    forecast, bars = hourly()
    boxes = module(
        page,
        "spark.js",
        f"""((figure) => {{
          document.body.append(figure);
          const texts = [...figure.querySelectorAll("text.start, text.middle, text.end")];
          const found = texts.map((text) => [text.getBoundingClientRect().left, text.getBoundingClientRect().right]);
          figure.remove();
          return found;
        }})(its.spark({json.dumps(forecast)}, {json.dumps(bars[-kept:])}))""",
    )
    assert boxes
    assert all(right + 4 < left for (_, right), (left, _) in itertools.pairwise(boxes))
