"""Certificates: what they say of a model that is better, of one that is worse, of the champion, of stale prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.certify import against_all, certify, current, overall
from fx_assets.forecasting.certificate import CERTIFICATE_SCHEMA, Certificate, in_words, newest, to_row
from fx_assets.forecasting.scores import LIVE, SCORES_SCHEMA
from fx_assets.specs.schema import ModelSpec

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SPEC = ModelSpec.model_validate({"model_id": "model", "kind": "har", "pairs": "all", "window": 64, "horizon": 20})
START = datetime(2023, 1, 2, 22, tzinfo=UTC)
N = 800


def scores(
    model: str = "model",
    *,
    better: float = 0.0,
    n: int = N,
    version: str = "v1",
    fold: str = LIVE,
    first: int = 0,
    horizons: tuple[int, ...] = (1, 5, 20),
    late: timedelta = timedelta(0),
) -> pa.Table:
    """Made up: losses of a model that is `better` by that share than its references at every window, with noise."""
    parts = []
    for h in horizons:
        rng = np.random.default_rng(100 * h)  # the same luck for every model, whatever is taken of it
        base = 40 + 10 * rng.standard_normal(2 * N) ** 2
        noise, pit = rng.normal(0, 1, 2 * N), rng.uniform(0, 1, 2 * N)
        at = slice(first, first + n)
        loss = (base * (1 - better) + noise * (better != 0))[at]
        origins = [START + timedelta(days=k) for k in range(first, first + n)]
        columns: dict[str, Any] = {
            "pair": ["EURUSD"] * n,
            "model_id": [model] * n,
            "model_version": [version] * n,
            "fold": [fold] * n,
            "horizon": pa.array([h] * n, pa.int32()),
            "origin": origins,
            "target_time": [origin + timedelta(days=h) for origin in origins],
            "observed_until": [origin + late for origin in origins],
            "y": 1e-3 * noise[at],
            "location": 1e-3 * rng.normal(0, 1, 2 * N)[at] * (better != 0),
            "volatility": np.full(n, 0.005),
            "pit": pit[at],
            "covered_80": np.abs(pit[at] - 0.5) < 0.4,
            "covered_90": np.abs(pit[at] - 0.5) < 0.45,
            "loss_se": loss,
            "loss_crps": loss,
            "loss_qlike": np.log(loss),
            "loss_se_walk": base[at],
            "loss_crps_still": base[at],
            "loss_crps_walk": base[at] * 1.1,
            "loss_qlike_garch": np.log(base[at]),
            "loss_qlike_har": np.log(base[at]),
            **dict.fromkeys(("loss_ae", "score_80", "score_90"), loss),
        }
        utc = {name: pa.array(columns[name], SCORES_SCHEMA.field(name).type) for name in SCORES_SCHEMA.names}
        parts.append(pa.table(utc, schema=SCORES_SCHEMA))
    return pa.concat_tables(parts)


def made(table: pa.Table, champion: pa.Table | None = None, **changes: Any) -> Certificate:
    given: dict[str, Any] = {"spec": SPEC, "version": "v1", "champion_id": "walk", "trials": 3, "now": NOW, **changes}
    return certify(table, scores("walk") if champion is None else champion, **given)


def words(certificate: Certificate) -> tuple[str, str, str]:
    return certificate.location, certificate.density, certificate.volatility


def test_a_better_model_shows_skill_in_all_three() -> None:
    found = made(scores(better=0.05))
    assert words(found) == ("skill shown",) * 3
    assert found.verdict == "skill shown"
    first = found.horizons[0]
    assert first.density.ratio == pytest.approx(0.95, abs=0.005)
    assert first.density.against == "random walk with the volatility of walk"
    assert [finding.against for finding in first.volatility] == ["GARCH-t", "HAR"]
    assert [row.independent_windows for row in found.horizons] == [800, 160, 40]
    assert in_words(found).startswith("skill shown: 1 bar ahead its CRPS is 0.9499 times")


def test_a_worse_model_is_called_worse() -> None:
    assert words(made(scores(better=-0.05))) == ("worse",) * 3


def test_the_champion_shows_no_skill_against_itself() -> None:
    found = made(scores("walk"), champion_id="walk")
    assert words(found) == ("no skill shown",) * 3
    assert found.horizons[0].density.ratio == 1.0


def test_few_windows_are_too_little_data() -> None:
    found = made(scores(better=0.05, n=60))
    by_horizon = {row.horizon: row.location.verdict for row in found.horizons}
    # 60, 12 and 3 windows that do not overlap.
    assert by_horizon == {1: "skill shown", 5: "too little data", 20: "too little data"}
    assert made(scores(better=0.05, n=15)).verdict == "too little data"


def test_inputs_that_saw_the_market_later_show_no_skill() -> None:
    found = made(scores(better=0.3, late=timedelta(hours=6)))
    assert (found.location, found.density) == ("no skill shown", "no skill shown")
    assert "observed the market after the target began" in found.horizons[0].location.reason
    # A fixing is set hours before its bar ends: what saw the evening is late, although the bar had not ended.
    evening = {START + timedelta(days=k): START + timedelta(days=k, hours=-8) for k in range(N)}
    assert made(scores(better=0.3), target_start=evening).location == "no skill shown"
    early = made(scores(better=0.3, late=timedelta(hours=-8)), target_start=evening)
    assert early.location == "skill shown"


def test_only_windows_of_both_count_for_the_density() -> None:
    short = scores("walk", n=100, first=700)
    found = made(scores(better=0.05), short)
    by_horizon = {row.horizon: row.density for row in found.horizons}
    assert by_horizon[20].verdict == "too little data"
    assert by_horizon[1].loss == pytest.approx(
        float(np.mean(scores(better=0.05, n=100, first=700, horizons=(1,)).column("loss_crps").to_numpy()))
    )
    none = made(scores(better=0.05), scores("walk", n=10, first=1200))
    assert none.density == "too little data"


def test_earlier_selves_and_the_version_are_one_series() -> None:
    walk = scores(version="walk-2023-aaaaaaaa", fold="walk-2023", n=500)
    stale = scores(version="walk-2023-bbbbbbbb", fold="walk-2023", n=500, better=0.5)
    live = scores(version="v1", n=400, first=400)
    other = scores("other", version="v1", n=900)
    table = pa.concat_tables([live, stale, walk, other])
    rows = current(table, "model", "v1", ["walk-2023-aaaaaaaa"])
    first = rows.filter(pa.compute.equal(rows.column("horizon"), 1))
    origins = first.column("origin").to_pylist()
    assert origins == [START + timedelta(days=k) for k in range(800)]
    # Both forecast 100 of them; what was said first counts.
    assert first.column("fold").to_pylist() == ["walk-2023"] * 500 + [LIVE] * 300
    assert made(rows).folds == ("walk-2023", LIVE)
    assert current(table, "nobody", "v1", []).num_rows == 0


def test_tails_count_what_lies_beyond() -> None:
    found = made(scores())
    below = next(tail for tail in found.tails if (tail.side, tail.level) == ("below", 0.05))
    pit = scores(horizons=(1,)).column("pit").to_numpy()
    assert below.exceptions == int((pit < 0.05).sum())
    assert below.light == "green"
    assert {(tail.side, tail.level) for tail in found.tails} == {
        (side, level) for side in ("below", "above") for level in (0.01, 0.025, 0.05)
    }


def test_stored_and_read_again_as_of_a_moment() -> None:
    first = made(scores(better=0.05))
    later = made(scores(better=0.04), now=NOW + timedelta(days=1))
    table = pa.concat_tables([to_row(later), to_row(first)])
    assert table.schema.equals(CERTIFICATE_SCHEMA)
    assert newest(table, "model") == later
    assert newest(table, "model", "v1", when=NOW) == first
    assert newest(table, "model", "v1", when=NOW - timedelta(days=1)) is None
    assert newest(table, "model", "v2") is None
    assert first.digest != later.digest
    assert made(scores(better=0.05), now=NOW + timedelta(days=9)).digest == first.digest


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="no scores to certify"):
        made(scores().slice(0, 0))


@pytest.mark.parametrize(
    ("several", "one"),
    [
        (["skill shown", "worse", "no skill shown"], "worse"),
        (["too little data", "skill shown"], "skill shown"),
        (["too little data", "no skill shown"], "no skill shown"),
        (["too little data"], "too little data"),
        ([], "too little data"),
    ],
)
def test_one_word_for_several(several: list[str], one: str) -> None:
    assert overall(several) == one


@pytest.mark.parametrize(
    ("several", "one"),
    [
        (["skill shown", "skill shown"], "skill shown"),
        (["skill shown", "no skill shown"], "no skill shown"),
        (["skill shown", "worse"], "worse"),
        (["no skill shown", "too little data"], "no skill shown"),
        (["skill shown", "too little data"], "too little data"),
        ([], "too little data"),
    ],
)
def test_volatility_is_skilful_where_every_reference_is_beaten(several: list[str], one: str) -> None:
    assert against_all(several) == one
