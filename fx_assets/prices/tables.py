"""Markdown tables about raw prices, for the Dagster UI."""

from __future__ import annotations

from collections.abc import Sequence

from fx_assets.prices.gaps import Gap
from fx_assets.prices.ingest import Collected

_SHOWN = 120  # characters of a cell
_MINUTES = "%Y-%m-%d %H:%M"


def gap_table(gaps: Sequence[Gap]) -> str:
    """From, to and open minutes of each gap; empty where there is none."""
    if not gaps:
        return ""
    lines = [f"| {gap.before:{_MINUTES}} | {gap.after:{_MINUTES}} | {gap.open_seconds / 60:,.0f} |" for gap in gaps]
    return "\n".join(["| from (UTC) | to (UTC) | open minutes |", "|---|---|--:|", *lines])


def reject_table(collected: Collected) -> str:
    """How many rows were rejected for each reason, with the first of them; empty where none was."""
    if not collected.reject_counts:
        return ""
    firsts: dict[str, tuple[str, int, str]] = {}
    for source, line, reason, raw in collected.rejects.select("source", "line", "reason", "raw").iter_rows():
        firsts.setdefault(str(reason).partition(":")[0], (source, line, raw))
    lines = []
    for reason, count in sorted(collected.reject_counts.items(), key=lambda item: -item[1]):
        source, line, raw = firsts.get(reason, ("", None, ""))
        where = source if line is None else f"{source}, line {line}"
        lines.append(f"| {_cell(reason)} | {count:,} | {_cell(where)} | {_cell(raw)} |")
    return "\n".join(["| reason | rows | for example | which reads |", "|---|--:|---|---|", *lines])


def _cell(text: str | None) -> str:
    """Text that cannot end its cell, or its table."""
    plain = " ".join((text or "").split()).replace("|", "\\|").replace("`", "'")
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}..."
