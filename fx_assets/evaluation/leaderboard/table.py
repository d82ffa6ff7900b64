"""The leaderboard in rows: every model on every pair with what its certificate says, and who serves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import pyarrow as pa

from fx_assets.evaluation.leaderboard.together import Together
from fx_assets.evaluation.pictures.board import Standing
from fx_assets.forecasting.certificate import Certificate, decisive
from fx_assets.storage.lake_rows import ALL

# Figures are of `horizon`, the first at which the ranges have the verdict's words; `qlike_gain` is GARCH-t's QLIKE less
# the model's, above 0 is better. The next three are of `together`, one bar ahead: null where too little is shared.
LEADERBOARD_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("frequency", pa.string()),
        pa.field("currency_pair", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("measured_at", pa.timestamp("us", tz="UTC")),
        pa.field("serves", pa.bool_()),
        pa.field("verdict", pa.string()),
        pa.field("location", pa.string()),
        pa.field("density", pa.string()),
        pa.field("volatility", pa.string()),
        pa.field("horizon", pa.int32()),
        pa.field("windows", pa.int64()),
        pa.field("mse_ratio", pa.float64()),
        pa.field("crps_ratio", pa.float64()),
        pa.field("qlike_gain", pa.float64()),
        pa.field("coverage_80", pa.float64()),
        pa.field("coverage_90", pa.float64()),
        pa.field("shared_windows", pa.int64()),
        pa.field("confidence_set_p_value", pa.float64()),
        pa.field("superior_p_value", pa.float64()),
        pa.field("trials", pa.int64()),
        pa.field("digest", pa.string()),
    ]
)


def to_table(
    certificates: Iterable[Certificate],
    serving: Collection[tuple[str, str]],
    compared: Mapping[str, Together | None] = MappingProxyType({}),
) -> pa.Table:
    """Rows of `LEADERBOARD_SCHEMA` by pair and model.

    `serving`: pairs with the model that serves each; `compared`: all models of each pair at once.
    """
    rows = [
        {
            **{name: getattr(one, name) for name in LEADERBOARD_SCHEMA.names if hasattr(one, name)},
            "pair": ALL,
            "currency_pair": one.pair,
            "serves": (one.pair, one.model_id) in serving,
            **_figures(one),
            **_compared(one.model_id, compared.get(one.pair)),
        }
        for one in sorted(certificates, key=lambda one: (one.pair, one.model_id))
    ]
    return pa.Table.from_pylist(rows, schema=LEADERBOARD_SCHEMA)


def standings(table: pa.Table) -> list[Standing]:
    """The fields of the picture: CRPS with the verdict over all horizons, at the first horizon that has it."""
    names = ("model_id", "currency_pair", "crps_ratio", "verdict")
    return [Standing(*(row[name] for name in names)) for row in table.to_pylist()]


def _figures(certificate: Certificate) -> dict[str, object]:
    at = decisive(certificate)
    garch = next((one for one in at.volatility if one.against == "GARCH-t"), None)
    return {
        "horizon": at.horizon,
        "windows": at.windows,
        "mse_ratio": at.location.ratio,
        "crps_ratio": at.density.ratio,
        "qlike_gain": None if garch is None else garch.benchmark - garch.loss,
        "coverage_80": at.coverage_80,
        "coverage_90": at.coverage_90,
    }


def _compared(model_id: str, found: Together | None) -> dict[str, object]:
    if found is None or model_id not in found.confidence:
        return {}
    return {
        "shared_windows": found.windows,
        "confidence_set_p_value": found.confidence[model_id],
        "superior_p_value": found.superior,
    }
