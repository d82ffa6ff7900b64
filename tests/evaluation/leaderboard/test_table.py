"""The leaderboard's rows: the figures on which each verdict rests, and who serves."""

from __future__ import annotations

from fx_assets.evaluation.leaderboard.table import LEADERBOARD_SCHEMA, standings, to_table
from fx_assets.evaluation.pictures.board import Standing
from fx_assets.forecasting.certificate import Certificate, decisive
from fx_assets.storage.lake_rows import ALL
from tests.evaluation.test_certify import made, scores


def of_another_pair(certificate: Certificate) -> Certificate:
    return certificate.model_copy(update={"pair": "AUDUSD"})


def test_rows_say_what_the_certificates_say() -> None:
    better, same = made(scores(better=0.1)), made(scores("model"))
    table = to_table([better, of_another_pair(same)], {("EURUSD", "model")})
    assert table.schema.equals(LEADERBOARD_SCHEMA)
    first, second = table.to_pylist()
    assert (first["currency_pair"], second["currency_pair"]) == ("AUDUSD", "EURUSD")
    assert {row["pair"] for row in (first, second)} == {ALL}
    assert (first["serves"], second["serves"]) == (False, True)
    at = better.horizons[0]
    assert (second["verdict"], second["horizon"]) == ("skill shown", 1)
    assert (second["crps_ratio"], second["mse_ratio"]) == (at.density.ratio, at.location.ratio)
    garch = next(one for one in at.volatility if one.against == "GARCH-t")
    assert second["qlike_gain"] == garch.benchmark - garch.loss > 0
    assert (second["coverage_80"], second["windows"], second["trials"]) == (at.coverage_80, at.windows, 3)
    assert second["digest"] == better.digest
    assert standings(table)[1] == Standing("model", "EURUSD", at.density.ratio, "skill shown")


def test_the_figures_are_of_the_horizon_that_has_the_verdict() -> None:
    found = made(scores(better=0.1))
    none = found.horizons[0].density.model_copy(update={"verdict": "no skill shown", "ratio": 1.2})
    rows = (found.horizons[0].model_copy(update={"density": none}), *found.horizons[1:])
    mixed = found.model_copy(update={"horizons": rows})
    assert decisive(mixed).horizon == 5
    (row,) = to_table([mixed], set()).to_pylist()
    assert row["horizon"] == 5
    assert row["crps_ratio"] == found.horizons[1].density.ratio
