"""Nights of models that learn on: warm updates, a search with its ledger, an ensemble; through real Dagster runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.csv_prices import KIND, trading_days, write_prices
from tests.support.whole_night import FEATURES, WholeNight, runs

WARM = """\
model_id: warm
kind: linear
pairs: [EURUSD]
window: 16
horizon: 5
training: {max_epochs: 1, validation_years: 1, stride: 10, update: warm, refit_every: year}
"""
BLEND = """\
model_id: blend
kind: ensemble
pairs: [EURUSD]
features: short
window: 40
horizon: 5
training: {validation_years: 1}
ensemble:
  folds: 2
  members:
    - kind: random_walk
    - kind: ridge
      search: {trials: 3, folds: 2, space: {hyperparameters.believed: {low: 0.001, high: 0.1, log: true}}}
"""


def night_of(night: WholeNight, *models: str) -> list[Mapping[str, Any]]:
    """What the checkpoints say after the night's runs of these models."""
    before = len(runs(night))
    assert night.catalog.broken == {}
    assert night.run().failed == []
    found = {}
    for run in runs(night, after=before):
        found.update({key: facts for key, facts in run.materialized.items() if key.startswith("checkpoints/")})
    return [found[f"checkpoints/{model}"] for model in models]


@pytest.mark.slow
def test_a_warm_model_goes_on_from_its_newest_version(on_csv: WholeNight) -> None:
    night, days = on_csv, trading_days(datetime.now(UTC))
    night.pair("EURUSD", KIND)
    night.model(WARM, "warm")
    written: list[Mapping[str, Any]] = []
    for until in (-3, -3, -1):
        write_prices(night.settings, "EURUSD", days[:until])
        written += night_of(night, "warm")
    first, again, second = written
    assert (first["reused"], again["reused"], second["reused"]) == (False, True, False)
    assert again["version"] == first["version"]
    artifacts = night.tiny.artifacts
    manifests = [artifacts.load("warm", "EURUSD", facts["version"]).manifest for facts in (first, second)]
    assert manifests[0]["base_version"] is None
    assert manifests[1]["base_version"] == first["version"]
    assert manifests[1]["trained_until"] > manifests[0]["trained_until"]
    assert night.served("EURUSD")["warm"].model_version == second["version"]


@pytest.mark.slow
def test_an_ensemble_searches_stacks_forecasts_and_keeps_its_ledger(on_csv: WholeNight) -> None:
    night = on_csv
    night.pair("EURUSD", KIND)
    (night.settings.configs / "features" / "short.yaml").write_text(FEATURES)
    night.model(BLEND, "blend")
    write_prices(night.settings, "EURUSD", trading_days(datetime.now(UTC)))
    (facts,) = night_of(night, "blend")
    kept = [run.materialized for run in runs(night) if "selection/blend" in run.materialized]
    assert kept[0]["selection/blend"]["candidates"] == 3
    assert facts["trials"].startswith("![trials](data:image/png;base64,")
    assert "| hyperparameters.believed |" in facts["trials"]
    ledger = night.tiny.control.trials(pair="EURUSD")
    assert [(entry.model_id, entry.number) for entry in ledger] == [("blend", 0), ("blend", 1), ("blend", 2)]
    assert night.served("EURUSD")["blend"].model_version == facts["version"]
    (again,) = night_of(night, "blend")
    assert again["reused"] is True
    assert len(night.tiny.control.trials(pair="EURUSD")) == 3
