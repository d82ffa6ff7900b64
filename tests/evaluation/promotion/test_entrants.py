"""Who takes part tonight, and from when a model's losses count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from fx_assets.evaluation.promotion.entrants import Entrant, losses_tonight, made_since
from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.storage.control import ModelVersion

START = datetime(2026, 1, 5, 22, tzinfo=UTC)
NEVER = datetime(2020, 1, 1, tzinfo=UTC)


def scores(model: str, version: str, days: range, loss: float, *, late: bool = False) -> pa.Table:
    n = len(days)
    origins = [START + timedelta(days=day) for day in days]
    seen = [origin + timedelta(hours=1) if late else origin for origin in origins]
    columns = {
        "pair": ["EURUSD"] * n,
        "model_id": [model] * n,
        "model_version": [version] * n,
        "fold": ["live" if version.startswith("v") else version] * n,
        "horizon": [1] * n,
        "origin": origins,
        "target_time": [origin + timedelta(days=1) for origin in origins],
        "loss_crps": [loss] * n,
        "covered_80": [True] * n,
        "covered_90": [True] * n,
        "observed_until": seen,
    }
    zeros = [0.0] * n
    return pa.table({f.name: pa.array(columns.get(f.name, zeros), f.type) for f in SCORES_SCHEMA}, schema=SCORES_SCHEMA)


def entrant(model: str, since: datetime = NEVER, **more: object) -> Entrant:
    return Entrant(model, "v1", ("walk-2025",), since, **more)  # type: ignore[arg-type]


def version(name: str, day: int, config: str) -> ModelVersion:
    made = START + timedelta(days=day)
    return ModelVersion("m", "EURUSD", name, ("EURUSD",), "", made, made, "garch", config, "run", "f")


def test_a_model_counts_from_its_first_version_of_the_newest_configuration() -> None:
    versions = [version("d", 9, "new"), version("c", 6, "new"), version("b", 3, "old"), version("a", 1, "old")]
    assert made_since(versions) == START + timedelta(days=6)
    # Configured back: what was learned in between may have been why, but it is the model that was there.
    assert made_since([version("e", 12, "old"), *versions]) == START + timedelta(days=1)


def test_each_origin_counts_once_and_only_since_the_model_was_made() -> None:
    table = pa.concat_tables(
        [
            scores("walk", "walk-2025", range(5), 10.0),
            scores("walk", "v1", range(3, 10), 11.0),
            scores("walk", "v0", range(10), 99.0),  # an older version does not count
            scores("other", "v1", range(10), 9.0),
        ]
    )
    found = losses_tonight(table, "walk", [entrant("walk"), entrant("other", START + timedelta(days=6))], {})
    assert found.champion.crps[:, 0].tolist() == [10.0] * 5 + [11.0] * 5
    (other,) = found.challengers
    assert len(other.origins) == 3
    assert other.origins[0] == np.datetime64((START + timedelta(days=7)).replace(tzinfo=None), "us")
    assert found.left_out == {}


def test_who_sees_a_later_market_or_was_never_scored_is_left_out() -> None:
    table = pa.concat_tables([scores("walk", "v1", range(5), 10.0), scores("peeks", "v1", range(5), 1.0, late=True)])
    asked = [entrant("walk"), entrant("peeks"), entrant("new"), entrant("gone", barred="it is gone")]
    found = losses_tonight(table, "walk", asked, {})
    assert found.challengers == []
    assert sorted(found.left_out) == ["gone", "new", "peeks"]
    assert "later market" in found.left_out["peeks"]
    # The target may start later than its origin says, or earlier: that is what counts.
    starts = {START + timedelta(days=day): START + timedelta(days=day, hours=1) for day in range(5)}
    assert [one.model_id for one in losses_tonight(table, "walk", asked, starts).challengers] == ["peeks"]


def test_a_champion_without_scores_has_no_origins() -> None:
    found = losses_tonight(scores("other", "v1", range(5), 9.0), "walk", [entrant("walk"), entrant("other")], {})
    assert found.champion.model_id == "walk"
    assert found.champion.crps.shape == (0, 1)
    assert len(found.challengers) == 1
    assert found.left_out == {}
