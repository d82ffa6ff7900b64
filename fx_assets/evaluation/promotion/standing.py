"""Who serves a pair and frequency, and from when on origins count as new: from the decisions on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fx_assets.storage.decisions import Decision


@dataclass(frozen=True)
class Standing:
    """The champion before a decision.

    `decided_at`: of the newest decision, whatever it was; the scheduled test counts origins after it. `serving_since`:
    the champion's own, from which the e-process counts. `decision_date`: the trading date of the newest decision. All
    None where nothing was ever decided.
    """

    champion: str
    decided_at: datetime | None = None
    serving_since: datetime | None = None
    decision_date: date | None = None


def standing(decisions: Sequence[Decision], rule: str) -> Standing:
    """From all decisions of one pair and frequency, oldest first; `rule`: who serves where there is none."""
    if not decisions:
        return Standing(rule)
    newest = decisions[-1]
    began = next((one for one in reversed(decisions) if one.changed), decisions[0])
    return Standing(newest.champion_after, newest.decided_at, began.decided_at, newest.decision_date)
