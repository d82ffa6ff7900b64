"""The joint forecast as rows of the lake and as tables for people."""

from __future__ import annotations

import pyarrow as pa

from fx_assets.forecasting.joint.document import JointForecast, JointHorizon
from fx_assets.storage.lake_rows import ALL

_UTC = pa.timestamp("us", tz="UTC")
JOINT_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("group", pa.string()),
        pa.field("frequency", pa.string()),
        pa.field("origin", _UTC),
        pa.field("issued_at", _UTC),
        pa.field("pairs", pa.list_(pa.string())),
        pa.field("run_id", pa.string()),
        pa.field("document", pa.string()),
    ]
)


def to_row(made: JointForecast) -> pa.Table:
    """One row of `JOINT_SCHEMA`."""
    row = {name: getattr(made, name) for name in JOINT_SCHEMA.names if name not in ("pair", "document")}
    row |= {"pair": ALL, "pairs": list(made.pairs), "document": made.model_dump_json()}
    return pa.Table.from_pylist([row], schema=JOINT_SCHEMA)


def newest(table: pa.Table) -> JointForecast | None:
    """The newest joint forecast in rows of one group; None without one. Raises pydantic's `ValidationError`."""
    if not table.num_rows:
        return None
    ordered = table.sort_by([("origin", "ascending"), ("issued_at", "ascending")])
    return JointForecast.model_validate_json(ordered.column("document")[-1].as_py())


def correlations(made: JointForecast, horizon: int = 1) -> str:
    """Implied correlations of log returns `horizon` bars ahead, in Markdown."""
    at = _at(made, horizon)
    lines = [f"| {horizon} bars | {' | '.join(made.pairs)} |", "|---" * (len(made.pairs) + 1) + "|"]
    for pair, row in zip(made.pairs, at.correlation, strict=True):
        lines.append(f"| {pair} | {' | '.join(f'{value:+.2f}' for value in row)} |")
    return "\n".join(lines)


def risk_rows(made: JointForecast, horizon: int = 1) -> list[list[str]]:
    """The head of a table, then a row for each pair and for the evenly spread book: losses in per cent."""
    at = _at(made, horizon)
    level = next(iter(at.book.held.value_at_risk))
    rows = [["", f"VaR {level}", f"ES {level}", f"VaR {level}, sold", f"ES {level}, sold"]]
    for name, sides in [*((pair, at.pairs[pair].risk) for pair in made.pairs), ("book", at.book)]:
        both = (sides.held, sides.turned_round)
        losses = [each[level] for side in both for each in (side.value_at_risk, side.expected_shortfall)]
        rows.append([name, *(f"{100 * loss:.2f} %" for loss in losses)])
    return rows


def risk(made: JointForecast, horizon: int = 1) -> str:
    """Value at risk and expected shortfall of each pair and of the evenly spread book, in per cent, in Markdown."""
    heads, *rows = risk_rows(made, horizon)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    book = _at(made, horizon).book
    level = next(iter(book.held.value_at_risk))
    lines += [
        "",
        f"Book of one {made.account} spread over {len(made.pairs)} pairs, {horizon} bars ahead. The VaR of its "
        f"positions adds up to {100 * book.summed[level]:.2f} %; independent, they would have "
        f"{100 * book.independent[level]:.2f} %.",
    ]
    return "\n".join(lines)


def _at(made: JointForecast, horizon: int) -> JointHorizon:
    if not 1 <= horizon <= len(made.horizons):
        raise ValueError(f"horizon {horizon}: expected 1 to {len(made.horizons)}")
    return made.horizons[horizon - 1]
