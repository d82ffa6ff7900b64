"""A model that reads features: its columns over HTTP, and features known at the moment only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from fx_assets.features.sets import table_name
from fx_assets.features.stages.indicators import Indicators
from fx_assets.models import registry
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.stored import stored_history
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake

FEATURES = """\
name: short
stages:
  - stage: indicators
    options: {returns: [1, 3], volatility: [5], rsi: [], ema_ratio: [], bollinger: [], macd: false}
"""
MODEL = """\
model_id: leaning
kind: leaning
pairs: [EURUSD]
features: short
window: 20
horizon: 3
quantiles: [0.1, 0.5, 0.9]
"""


@pytest.fixture
def leaning(tiny: TinyLake, monkeypatch: pytest.MonkeyPatch) -> TinyLake:
    """The installation with one more model, whose kind is registered for this test only."""
    registry.kinds()
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))

    class Leaning(BasePredictor):
        """Leans against the last return, as wide as the last volatility."""

        kind = "leaning"
        uses_features = True

        def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
            del histories, rng
            return {"lean": -0.1}

        def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
            steps = np.arange(1, self.spec.horizon + 1)
            last = dict(zip(self.columns, window[-1] / 1e4, strict=True))
            return self.params["lean"] * last["returns_1"] * steps, last["volatility_5"] * np.sqrt(steps)

    (tiny.settings.configs / "features" / "short.yaml").write_text(FEATURES)
    (tiny.settings.configs / "models" / "leaning.yaml").write_text(MODEL)
    assert tiny.catalog.broken == {}
    tiny.features("short", "EURUSD")
    tiny.train("leaning", "EURUSD")
    return tiny


@pytest.fixture
def api(leaning: TinyLake) -> Iterator[Api]:
    with running(leaning) as client:
        yield client


def ask(api: Api, **body: Any) -> dict[str, Any]:
    answer = api.post("/leaning/predict", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_its_columns_are_named_and_night_rows_and_lake_agree_to_the_last_bit(leaning: TinyLake, api: Api) -> None:
    columns = api.get("/v1/models/leaning").json()["columns"]
    assert columns == ["close", "returns_1", "returns_3", "volatility_5"]
    night = leaning.forecast("leaning", "EURUSD", issued_at=SECOND_NIGHT).model_dump(mode="json")["horizons"]
    spec = leaning.catalog.models["leaning"]
    history = stored_history(leaning.lake, "EURUSD", spec, leaning.catalog)
    rows = history.window(len(history) - 1, spec.window).tolist()
    stored = ask(api, pair="EURUSD")
    own = ask(api, data=rows)
    prices = [(item["median"], item["volatility"], item["quantiles"]) for item in night]
    for answer in (stored, own):
        assert [(item["median"], item["volatility"], item["quantiles"]) for item in answer["horizons"]] == prices
    assert own["lineage"]["feature_schema_hash"] == stored["lineage"]["feature_schema_hash"] is not None


def test_a_cell_of_a_feature_is_named_by_row_and_column(api: Api) -> None:
    rows: list[list[Any]] = [[1.1, 0.0, 0.0, 50.0] for _ in range(20)]
    rows[4][2] = "secret"
    answer = api.post("/leaning/predict", json={"data": rows})
    assert (answer.status_code, answer.json()["index"]) == (422, [4, 2])
    assert "secret" not in answer.text


def without_the_newest(leaning: TinyLake, rows: int) -> None:
    """Features as they are when bars came in and the night did not yet."""
    table = table_name(leaning.catalog.features["short"])
    newest = max(leaning.lake.snapshot(table).blocks("EURUSD"))
    block = leaning.lake.read(table, "EURUSD", blocks=[newest])
    kept = block.slice(0, block.num_rows - rows)
    leaning.commit_blocks(table, "EURUSD", [(newest, kept)], asset="features/short")


def test_features_that_are_not_stored_yet_are_computed_here_to_the_same_bits(leaning: TinyLake, api: Api) -> None:
    moment = datetime(2026, 10, 31, tzinfo=UTC).isoformat()
    stored = ask(api, pair="EURUSD", as_of=moment)
    without_the_newest(leaning, 5)
    computed = ask(api, pair="EURUSD", as_of=moment)
    assert computed["data_as_of"] == stored["data_as_of"] == LAST.isoformat()
    assert computed["horizons"] == stored["horizons"]


def test_features_that_cannot_be_computed_here_are_answered_409(
    leaning: TinyLake, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Indicators, "online", lambda _self, _options: False)
    assert ask(api, pair="EURUSD")["data_as_of"] == LAST.isoformat()
    without_the_newest(leaning, 1)
    answer = api.post("/leaning/predict", json={"pair": "EURUSD"})
    assert (answer.status_code, answer.json()["code"]) == (409, "features_not_stored")
    assert "the stage indicators does not run here; materialize features/short first" in answer.json()["detail"]
    # As of a moment at which the newest bar was not known, nothing is missing.
    before = ask(api, pair="EURUSD", as_of=datetime(2026, 10, 30, 12, tzinfo=UTC).isoformat())
    assert before["data_as_of"] == date(2026, 10, 29).isoformat()
