"""A model that is told what the calendar says of the bars to come: the same at night and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from fx_assets.models import registry
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.stored import stored_history
from fx_assets.timegrid.ahead import known_ahead
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake

MODEL = """\
model_id: diary
kind: diary
pairs: [EURUSD]
window: 20
horizon: 6
known_ahead: [weekday, gap]
quantiles: [0.1, 0.5, 0.9]
"""


@pytest.fixture
def keeping(tiny: TinyLake, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    """The installation with one more model, whose kind is registered for this test only."""
    registry.kinds()
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))

    class Diary(BasePredictor):
        """Wider over weekends, and a little higher on each later weekday."""

        kind = "diary"
        uses_ahead = True

        def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
            del histories, rng
            return {"lean": 0.001}

        def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
            del window
            raise AssertionError("asked without what is known ahead")

        def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> tuple[FloatArray, FloatArray]:
            assert ahead is not None
            assert len(window) == self.spec.window
            return self.params["lean"] * ahead[:, 0], 0.01 * (1 + ahead[:, 1])

    (tiny.settings.configs / "models" / "diary.yaml").write_text(MODEL)
    assert tiny.catalog.broken == {}
    tiny.train("diary", "EURUSD")
    return tiny


@pytest.fixture
def api(keeping: TinyLake) -> Iterator[Api]:
    with running(keeping) as client:
        yield client


def test_night_rows_and_lake_agree_to_the_last_bit(keeping: TinyLake, api: Api) -> None:
    assert api.get("/v1/models/diary").json()["known_ahead"] == ["weekday", "gap"]
    night = keeping.forecast("diary", "EURUSD", issued_at=SECOND_NIGHT).model_dump(mode="json")["horizons"]
    # The last bar is of Friday 30 October 2026: the next is after a weekend, the sixth after another.
    assert [item["volatility"] for item in night] == [0.02, 0.01, 0.01, 0.01, 0.01, 0.02]
    prices = [(item["median"], item["quantiles"]) for item in night]
    assert prices[0][0] < prices[1][0] < prices[4][0] > prices[5][0]
    stored = api.post("/diary/predict", json={"pair": "EURUSD"})
    assert [(item["median"], item["quantiles"]) for item in stored.json()["horizons"]] == prices
    spec = keeping.catalog.models["diary"]
    history = stored_history(keeping.lake, "EURUSD", spec, keeping.catalog)
    rows = history.window(len(history) - 1, spec.window).tolist()
    own = api.post("/diary/predict", json={"data": rows})
    # A request's rows are dated as the newest bar there can be, so that their days to come are others.
    assert own.status_code == 200, own.text
    day = np.array([own.json()["data_as_of"]], dtype="datetime64[D]")
    gaps = known_ahead(day, spec.horizon, "target", ["gap"])[0, :, 0]
    assert [item["volatility"] for item in own.json()["horizons"]] == (0.01 * (1 + gaps)).tolist()
