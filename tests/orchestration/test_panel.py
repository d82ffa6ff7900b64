"""A panel trains with what there is: without a pair that has nothing, with the last good data of one that failed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.csv_prices import KIND, trading_days, write_prices
from tests.support.whole_night import WholeNight, runs

WALKS = """\
model_id: walks
kind: random_walk
pairs: [EURUSD, GBPUSD]
scope: panel
window: 40
horizon: 5
training: {validation_years: 1}
"""


EURUSD, GBPUSD = ("night_pairs", "EURUSD"), ("night_pairs", "GBPUSD")
TRAIN = ("train_walks", None)


def forecast(pair: str) -> tuple[str, str]:
    return "forecast_walks", pair


@pytest.mark.slow
def test_a_panel_says_which_pairs_it_was_trained_on_and_how_far_they_go(on_csv: WholeNight) -> None:
    night = on_csv
    days = trading_days(datetime.now(UTC))
    night.model(WALKS, "walks")
    for pair in ("EURUSD", "GBPUSD"):
        night.pair(pair, KIND)
        write_prices(night.settings, pair, days[:-2])
    night.pair("GBPUSD", KIND, low=100)
    results = night.launch(EURUSD, GBPUSD, TRAIN, forecast("EURUSD"), forecast("GBPUSD"))
    assert [result.success for result in results] == [True, False, True, True, False]
    trained = runs(night)[2]
    assert trained.materialized["checkpoints/walks"]["pairs"] == "EURUSD"
    assert any("walks is trained without GBPUSD" in line for line in trained.log)
    assert night.served("EURUSD")["walks"].data_as_of == days[-3]
    assert night.tiny.lake.pairs("forecasts") == ["EURUSD"]

    night.pair("GBPUSD", KIND)
    assert all(result.success for result in night.launch(GBPUSD, TRAIN, forecast("GBPUSD")))
    facts = runs(night, after=5)[1].materialized["checkpoints/walks"]
    assert (facts["reused"], facts["pairs"]) == (False, "EURUSD, GBPUSD")
    assert len(night.versions()) == 2
    assert night.served("GBPUSD")["walks"].data_as_of == days[-3]

    night.pair("GBPUSD", KIND, low=100)
    write_prices(night.settings, "EURUSD", days)
    results = night.launch(EURUSD, GBPUSD, TRAIN, forecast("EURUSD"))
    assert [result.success for result in results] == [True, False, True, True]
    facts = runs(night, after=8)[2].materialized["checkpoints/walks"]
    assert facts["pairs"] == "EURUSD, GBPUSD"
    assert (facts["data_until/EURUSD"], facts["data_until/GBPUSD"]) == (str(days[-1]), str(days[-3]))
    assert night.served("EURUSD")["walks"].data_as_of == days[-1]
    assert night.served("GBPUSD")["walks"].data_as_of == days[-3]
