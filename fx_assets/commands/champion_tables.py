"""Champions as they are shown: who serves what, by which decision, and every decision ever made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fx_assets.commands.terminal import out

if TYPE_CHECKING:
    from fx_assets.specs.loader import Catalog
    from fx_assets.storage.control import Decision


def frequencies_of(catalog: Catalog, pair: str, decisions: Sequence[Decision]) -> list[str]:
    """Those that models forecast the pair at, and those that were ever decided."""
    asked = {spec.frequency for spec in catalog.models.values() if pair in catalog.pairs_of(spec)}
    return sorted(asked | {one.frequency for one in decisions})


def able_to_serve(catalog: Catalog, pair: str, frequency: str) -> list[str]:
    """Models that are configured for the pair and frequency."""
    return [
        name for name, spec in catalog.models.items() if spec.frequency == frequency and pair in catalog.pairs_of(spec)
    ]


def undecided(catalog: Catalog, pair: str, frequency: str) -> str | None:
    """Who serves where nothing was decided; None where no model covers the pair."""
    from fx_assets.forecasting.champion import champion_of

    try:
        return champion_of(catalog.models, pair, frequency, catalog.pairs)
    except LookupError:
        return None


def serving(catalog: Catalog, pair: str, frequency: str, decisions: Sequence[Decision]) -> str | None:
    """Who serves after `decisions` of the pair and frequency, oldest first; None where nobody can."""
    from fx_assets.storage.decisions import served

    newest = decisions[-1] if decisions else None
    able = able_to_serve(catalog, pair, frequency)
    return served(newest, undecided(catalog, pair, frequency) or "", able) or None


def champion_row(catalog: Catalog, pair: str, frequency: str, decisions: Sequence[Decision]) -> dict[str, Any]:
    """Who serves, since which decision and why, with all decisions of the pair and frequency, oldest first."""
    champion = serving(catalog, pair, frequency, decisions)
    newest = decisions[-1] if decisions else None
    began = next((one for one in reversed(decisions) if one.changed), decisions[0] if decisions else None)
    reason = "nothing was decided yet, and without evidence the random walk serves" if began is None else began.reason
    if newest is not None and newest.champion_after != champion:
        began = None
        reason = f"{newest.champion_after} was decided ({newest.id}) but is not configured for it: the rule's serves"
    return {
        "pair": pair,
        "frequency": frequency,
        "champion": champion,
        "decided": None if newest is None else newest.champion_after,
        "since": None if began is None else began.decided_at.isoformat(),
        "kind": "rule" if began is None else began.kind,
        "decided_by": None if began is None else began.decided_by,
        "reason": reason,
        "decisions": [decision_document(one) for one in decisions],
    }


def decision_document(decision: Decision) -> dict[str, Any]:
    """A decision as JSON."""
    moments = {"decided_at": decision.decided_at.isoformat(), "decision_date": decision.decision_date.isoformat()}
    return {"id": decision.id, **vars(decision), **moments, "evidence": dict(decision.evidence)}


def decision_line(decision: dict[str, Any]) -> str:
    """A decision's document as one line."""
    before, after = decision["champion_before"] or "nobody", decision["champion_after"]
    change = f"{before} -> {after}" if before != after else f"{after} stays"
    when = decision["decided_at"][:16].replace("T", " ")
    return f"{decision['id']}  {when}  {change}  {decision['kind']} by {decision['decided_by']}: {decision['reason']}"


def print_champions(rows: Sequence[dict[str, Any]]) -> None:
    """One line a pair and frequency."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for head in ("pair", "bars", "champion", "since (UTC)", "by", "why"):
        shown.add_column(head, overflow="fold")
    for row in rows:
        by = row["kind"] if row["decided_by"] is None else f"{row['kind']}, {row['decided_by']}"
        since = (row["since"] or "")[:16].replace("T", " ")
        cells = (row["pair"], row["frequency"], row["champion"] or "nobody", since, by, row["reason"])
        shown.add_row(*(escape(cell) for cell in cells))
    out.print(shown)
