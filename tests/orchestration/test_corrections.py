"""An old price is corrected: every table gains the new version, and a prediction as of before stays what it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fx_assets.features.sets import table_name
from fx_assets.storage.two_times import current_rows
from tests.support.csv_prices import KIND, trading_days, write_prices
from tests.support.running_api import running
from tests.support.whole_night import NETWORK, WholeNight

OLD = -6


@pytest.mark.slow
def test_a_prediction_as_of_before_a_correction_is_made_from_what_was_known(on_csv: WholeNight) -> None:
    night = on_csv
    night.pair("USDJPY", KIND)
    night.model(NETWORK.format(model="usdjpy", pairs="[USDJPY]", scope="pair", epochs=1), "usdjpy")
    days = trading_days(datetime.now(UTC))
    write_prices(night.settings, "USDJPY", days)
    assert night.run().failed == []
    between = datetime.now(UTC)

    with running(night.tiny) as api:

        def predicted(**asked: str) -> dict[str, Any]:
            answer = api.post("/v1/models/usdjpy/predict", json={"pair": "USDJPY", **asked})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        before = predicted(as_of=between.isoformat())
        features = table_name(night.catalog.features["short"])
        was = {table: night.tiny.lake.read(table, "USDJPY") for table in ("prices/raw", "bars/1d", features)}

        file = night.settings.configs / "prices" / "USDJPY.csv"
        lines = file.read_text().splitlines()
        day, close = lines[OLD].split(",")
        lines[OLD] = f"{day},{float(close) * 1.02}"
        file.write_text("\n".join(lines) + "\n")
        assert night.run().failed == []

        for table in ("prices/raw", "bars/1d"):
            now = night.tiny.lake.read(table, "USDJPY")
            assert now.num_rows == was[table].num_rows + 1
            assert current_rows(now, when=between).equals(was[table])
        # Features are what was known at their bar: the correction changes none of a bar before it.
        assert night.tiny.lake.read(features, "USDJPY").equals(was[features])

        after = predicted(as_of=between.isoformat())
        assert after["horizons"] == before["horizons"]
        assert any("1 bars before as_of were corrected after it" in note for note in after["notes"])
        assert predicted()["horizons"] != before["horizons"]
