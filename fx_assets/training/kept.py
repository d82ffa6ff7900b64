"""What a checkpoint kept of its candidate features, and what it dropped for what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fx_assets.features.plan import PLAN, FeaturePlan, load_plan
from fx_assets.features.sets import origins_of
from fx_assets.models.results import Checkpoint
from fx_assets.specs.schema import FeatureSetSpec

# feature: a candidate, or what a fitted stage made; stage: who made it; keeper: the kept feature it is redundant to.
SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("feature", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("kept", pa.bool_()),
        pa.field("reason", pa.string()),
        pa.field("keeper", pa.string()),
        pa.field("correlation", pa.float64()),
    ]
)
_SHOWN = 40


@dataclass(frozen=True)
class Kept:
    """Rows of `SCHEMA`, plain facts, and Markdown tables by name."""

    table: pa.Table
    facts: dict[str, Any]
    tables: dict[str, str]


def kept_features(checkpoint: Checkpoint, spec: FeatureSetSpec) -> Kept:
    """Read from the checkpoint's `features.json`; `spec`: the set that it was trained on.

    An ensemble has one of each member that reads features: what any of them kept is kept.
    """
    plans = [load_plan(content) for name, content in sorted(checkpoint.files.items()) if name.endswith(PLAN)]
    plan = plans[0]
    scope, version = str(checkpoint.manifest["scope"]).upper(), str(checkpoint.manifest["version"])
    found: dict[str, dict[str, Any]] = {}
    for row in (row for each in plans for row in _rows(each, spec)):
        if row["kept"] or row["feature"] not in found:
            found[row["feature"]] = {"pair": scope, "model_version": version, **row}
    rows = list(found.values())
    dropped = [row for row in rows if not row["kept"]]
    facts = {
        "model_version": version,
        "candidates": len(plan.given),
        "kept": len(rows) - len(dropped),
        "dropped": len(dropped),
        **{f"{name}/{key}": value for name, report in plan.reports.items() for key, value in _plain(report)},
    }
    names = [row["feature"] for row in rows if row["kept"]]
    tables = {"kept": ", ".join(f"`{name}`" for name in names[:_SHOWN]), "dropped": _table(dropped)}
    return Kept(pa.Table.from_pylist(rows, schema=SCHEMA), facts, {name: text for name, text in tables.items() if text})


def _rows(plan: FeaturePlan, spec: FeatureSetSpec) -> Iterator[dict[str, Any]]:
    made_by = {name: step.name for name, (step, _) in origins_of(spec).items()}
    kept = set(plan.names)
    for name in plan.names:
        # What no stateless stage makes comes from a fitted one, whose name stands before it.
        stage = made_by.get(name, name.partition("__")[0])
        yield {"feature": name, "stage": stage, "kept": True, "reason": None, "keeper": None, "correlation": None}
    for report in plan.reports.values():
        for item in report.get("dropped", []):
            if item["name"] not in kept:
                yield {
                    "feature": item["name"],
                    "stage": made_by.get(item["name"], item["name"].partition("__")[0]),
                    "kept": False,
                    "reason": item["reason"],
                    "keeper": item.get("keeper"),
                    "correlation": item.get("correlation"),
                }


def _plain(report: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What of a report is a number or a text."""
    return ((key, value) for key, value in report.items() if isinstance(value, str | int | float))


def _table(dropped: list[dict[str, Any]]) -> str:
    if not dropped:
        return ""
    lines = ["| dropped | stage | for | rank correlation | reason |", "|---|---|---|---|---|"]
    for row in dropped[:_SHOWN]:
        size = "" if row["correlation"] is None else f"{row['correlation']:.4f}"
        lines.append(f"| `{row['feature']}` | {row['stage']} | {row['keeper'] or ''} | {size} | {row['reason']} |")
    if len(dropped) > _SHOWN:
        lines.append(f"| and {len(dropped) - _SHOWN} more | | | | |")
    return "\n".join(lines)
