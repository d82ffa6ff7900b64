"""Hours end to end: real files, real runs of the night's jobs, and the forecast as the API gives it."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fx_assets.commands.night import NightResult
from fx_assets.models.stored import stored_history
from fx_assets.settings import project_root
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import trading_date_of
from tests.support.running_api import Api, running
from tests.support.whole_night import WholeNight, whole_night

NEW_YORK = ZoneInfo("America/New_York")
# From Tuesday 31 December over a closed date and two open ones into Sunday evening.
HORIZON = 50
PAIR = """\
pair: EURUSD
pip: 0.0001
source: {{kind: csv, files: "{file}", clock: UTC, resolution: 1h}}
calendar: fx
frequencies: [1h, 1d]
history_start: 2016-12-20
plausible_range: [0.8, 1.6]
"""
MODEL = """\
model_id: {model}
kind: {kind}
pairs: all
frequency: 1h
window: {window}
horizon: {horizon}
target: {target}
training: {{validation_years: 0.5}}
evaluation: {{years: 0.25, refit_every: quarter}}
"""


@dataclass(frozen=True)
class Hours:
    """One pair after one night."""

    night: WholeNight
    result: NightResult


@pytest.fixture(scope="module")
def made(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Hours:
    night = whole_night(tmp_path_factory.mktemp("hours"))
    shutil.rmtree(night.settings.configs / "features")
    (night.settings.configs / "features").mkdir()
    file = sample_data / "oanda_h1" / "EUR_USD_H1.csv.xz"
    (night.settings.configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(file=file))
    own = {"model": "hours", "kind": "seasonal_ewma", "target": "volatility", "window": 500}
    night.model(MODEL.format(**own, horizon=HORIZON), "hours")
    walk = {"model": "walk_hours", "kind": "random_walk", "target": "log_return", "window": 60}
    night.model(MODEL.format(**walk, horizon=2), "walk_hours")
    assert night.catalog.broken == {}
    return Hours(night, night.run())


@pytest.fixture(scope="module")
def api(made: Hours) -> Iterator[Api]:
    with running(made.night.tiny) as client:
        yield client


def forecast(api: Api, model: str = "hours") -> dict[str, Any]:
    answer = api.get("/v1/forecasts/EURUSD/latest", params={"frequency": "1h", "model": model})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_what_hours_cannot_have_is_refused(tmp_path: Path) -> None:
    night = whole_night(tmp_path)
    (night.settings.configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(file="nowhere.csv"))
    text = MODEL.format(model="hours", kind="seasonal_ewma", target="volatility", window=500, horizon=4)
    night.model(text, "hours")
    night.model(text.replace("frequency: 1h", "frequency: 4h").replace("model_id: hours", "model_id: four"), "four")
    told = MODEL.format(model="told", kind="itransformer", target="log_return", window=60, horizon=4)
    night.model(told + "known_ahead: [weekday]\n", "told")
    found = night.catalog.broken
    assert set(found) == {"models/four", "models/told"}
    assert "models forecast bars of 1h and 1d; 4h bars can be made and read, not yet forecast" in str(
        found["models/four"]
    )
    assert "says what trading dates are to come, not bars of 1h; remove this key" in str(found["models/told"])


def test_the_documented_model_is_sound(tmp_path: Path) -> None:
    night = whole_night(tmp_path)
    (night.settings.configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(file="nowhere.csv"))
    text = (project_root() / "docs" / "models.md").read_text()
    example = re.search(r"^    # configs/models/hours\.yaml\n((?:    .*\n)+)", text, re.MULTILINE)
    assert example is not None
    night.model(textwrap.dedent(example[1]), "hours")
    assert night.catalog.broken == {}
    assert night.catalog.models["hours"].frequency == "1h"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_night_makes_all_of_it(made: Hours) -> None:
    assert made.result.failed == []
    stages = ("bars/1h", "bars/1d", "checkpoints/hours", "ranges/hours", "references/1h", "walk/hours", "scores/hours")
    expected = {f"{asset}[EURUSD]" for asset in (*stages, "certificates/hours", "forecasts/hours")}
    assert expected <= set(made.result.computed)


@pytest.mark.slow
def test_targets_are_hours_in_which_the_market_is_open(made: Hours, api: Api) -> None:
    document = forecast(api)
    bars = made.night.tiny.lake.read("bars/1h", "EURUSD")
    assert datetime.fromisoformat(document["origin"]) == max(bars.column("end").to_pylist())
    times = [datetime.fromisoformat(item["target_time"]) for item in document["horizons"]]
    begins = [at - timedelta(hours=1) for at in times]
    assert len(times) == HORIZON
    for at, item in zip(begins, document["horizons"], strict=True):
        assert calendar("fx").is_open(trading_date_of(at))
        assert str(trading_date_of(at)) == item["target_date"]
        wall = at.astimezone(NEW_YORK)
        assert wall.weekday() != 5
        assert wall.weekday() != 4 or wall.hour < 17
        assert wall.weekday() != 6 or wall.hour >= 17
    # The files end on Tuesday 31 December 2019, 17:00 New York: a closed date lies between, and then a weekend.
    steps = {(later - at) // timedelta(hours=1) for at, later in pairwise(times)}
    assert steps == {1, 49}
    assert times[0] == datetime(2020, 1, 1, 23, tzinfo=UTC)
    assert document["valid_until"] == document["horizons"][0]["target_time"]
    assert document["stale"] is True


@pytest.mark.slow
def test_quantiles_rise_and_are_wide_where_london_meets_new_york(api: Api) -> None:
    document = forecast(api)
    assert document["frequency"] == "1h"
    variances = [0.0]
    by_hour: dict[int, list[float]] = {}
    for item in document["horizons"]:
        prices = list(item["quantiles"].values())
        assert prices == sorted(prices)
        assert prices[0] < item["median"] < prices[-1]
        variances.append(item["volatility"] ** 2)
        begin = datetime.fromisoformat(item["target_time"]) - timedelta(hours=1)
        by_hour.setdefault(begin.astimezone(NEW_YORK).hour, []).append((variances[-1] - variances[-2]) ** 0.5)
    assert min(by_hour[9] + by_hour[10]) > 1.5 * max(by_hour[22])
    # A model without the clock has one width for all hours.
    plain = [item["volatility"] for item in forecast(api, "walk_hours")["horizons"]]
    assert plain[1] == pytest.approx(plain[0] * 2**0.5)


@pytest.mark.slow
def test_the_certificate_is_of_hours(api: Api) -> None:
    certificate = forecast(api)["certificate"]
    assert certificate["frequency"] == "1h"
    first = certificate["horizons"][0]
    assert first["horizon"] == 1
    assert first["windows"] > 6_000
    assert first["density"]["against"] == "random walk with the volatility of walk_hours"
    assert abs(first["coverage_80"] - 0.8) < 0.02
    # In volatility the week's rhythm beats GARCH-t and HAR, which do not know the hour.
    assert certificate["volatility"] == "skill shown"
    assert {found["ratio"] is None or found["loss"] < found["benchmark"] for found in first["volatility"]} == {True}


@pytest.mark.slow
def test_the_same_rows_over_http_give_the_same_numbers(made: Hours, api: Api) -> None:
    """From the lake as at night; rows of a client are taken to be the newest hours, and answered for those to come."""
    night = forecast(api)
    stored = api.post("/hours/predict", json={"pair": "EURUSD"})
    assert stored.status_code == 200, stored.text
    assert [item["quantiles"] for item in stored.json()["horizons"]] == [
        item["quantiles"] for item in night["horizons"]
    ]
    spec = made.night.catalog.models["hours"]
    history = stored_history(made.night.tiny.lake, "EURUSD", spec, made.night.catalog)
    rows = history.window(len(history) - 1, spec.window).tolist()
    asked = datetime.now(UTC)
    own = api.post("/hours/predict", json={"data": rows, "pair": "EURUSD"})
    assert own.status_code == 200, own.text
    first = datetime.fromisoformat(own.json()["horizons"][0]["target_time"])
    assert (first - asked).total_seconds() > -60
    assert (first.minute, first.second) == (0, 0)
