"""What `convert` and `ingest` say of the prices they read, for people and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fx_assets.prices.convert import Report
    from fx_assets.storage.records import State

_MINUTES = "%Y-%m-%d %H:%M"
_SHOWN_GAPS = 5
_COUNTS = ("duplicates", "replaced", "out_of_order", "spikes")
# Keys of a source's configuration as the messages about files call them, and as the command line does.
_KEY = re.compile(
    r"(?:\b(?:set|say|and)|e\.g\.) [`']?(?:source\.)?"
    r"(clock|columns|points|resolution|side|symbol|kind|options\.\w+)\b(?:: (\S*\w))?"
)
_OPTION = {"clock": "--clock ", "points": "--points ", "kind": "--source "}
_CLASS = re.compile(r"(?<=: )fx_assets(?:\.\w+)+: ")


def converted(report: Report, target: Path) -> list[str]:
    """Lines about a conversion."""
    lines = [
        f"{_rows(report.rows)} of {report.pair}, {report.form}, in {target}",
        *([] if report.first is None else [f"from {_second(report.first)} to {_second(report.last)} UTC"]),
        *_rejected(report.rejects, report.rows, report.examples),
        _counted({name: getattr(report, name) for name in _COUNTS}),
    ]
    if report.unfinished:
        lines.append(f"bars left out since they have not ended: {report.unfinished}")
    if report.outside_week:
        lines.append(f"rows while currency markets are closed, kept: {report.outside_week}")
    if report.implausible:
        lines.append(
            f"rows outside the plausible range of configs/pairs/{report.pair}.yaml, kept: {report.implausible}; "
            "prices in points, inverted, or of another pair?"
        )
    most = f", the {_SHOWN_GAPS} longest of them" if len(report.gaps) > _SHOWN_GAPS else ""
    lines.append(f"gaps in open market time: {len(report.gaps)}{most}")
    lines += [
        f"  {gap.before:{_MINUTES}} to {gap.after:{_MINUTES}} UTC: {gap.open_seconds / 60:,.0f} open minutes"
        for gap in report.gaps[:_SHOWN_GAPS]
    ]
    return lines + [f"{name}: {typed(str(told))}" for name, told in report.notes.items()]


def ingested(state: State, *, reused: bool) -> dict[str, Any]:
    """The report of the last update of a pair's raw prices, named as that of a conversion.

    `rows`, `first` and `last` are of all that the lake has now; the other counts are of the files at hand, and so are
    the gaps: those where these files touched. `reused`: the files held nothing new, so nothing was added.
    """
    facts = state.metadata
    gaps = next((check for check in state.checks if check.name == "gaps"), None)
    return {
        "form": facts.get("form"),
        "rows": facts.get("rows", state.rows),
        "first": facts.get("first_time"),
        "last": facts.get("last_time"),
        "rejects": _below("rejected/", facts),
        "duplicates": facts.get("duplicates", 0),
        "gaps": {"count": 0 if gaps is None else gaps.metadata.get("gaps", 0)},
        **{name: facts.get(name, 0) for name in _COUNTS if name != "duplicates"},
        **{name: 0 if reused else facts.get(name, 0) for name in ("added", "corrected", "late")},
        "warnings": [f"{check.name}: {check.description}" for check in state.checks if not check.passed],
        "notes": _below("source/", facts),
    }


def ingested_lines(pair: str, report: Mapping[str, Any]) -> list[str]:
    """Lines about what `ingested` says."""
    return [
        f"{_rows(report['added'])} of {pair} added, {report['corrected']} corrected, {report['late']} late",
        f"the lake has {_rows(report['rows'])}, {report['form']}, from {report['first']} to {report['last']}",
        *_rejected(report["rejects"], report["rows"], {}),
        _counted(report),
        f"gaps in open market time: {report['gaps']['count']}",
        *(f"warning: {warning}" for warning in report["warnings"]),
    ]


def typed(message: str) -> str:
    """A message about a file, which names keys of a pair's YAML, for someone who has a command line before them."""
    options = []
    for key, value in _KEY.findall(message):
        wanted = value or key.split(".")[-1].upper()
        options.append("--columns OURS=THEIRS,..." if key == "columns" else _OPTION.get(key, f"--set {key}=") + wanted)
    return f"{message} (on the command line: {' '.join(options)})" if options else message


def plain(reason: str) -> str:
    """Why a step failed, without the name of the class that says it."""
    return _CLASS.sub("", reason)


def _below(prefix: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in facts.items() if name.startswith(prefix)}


def _rejected(counts: Mapping[str, int], rows: int, examples: Mapping[str, str]) -> list[str]:
    total = sum(counts.values())
    if not total:
        return ["rejected: none"]
    of = f" of {rows + total:,}, {100 * total / (rows + total):.3g} %" if examples else ""
    told = (
        f"  {count:,} {reason}" + (f", first {examples[reason]}" if reason in examples else "")
        for reason, count in counts.items()
    )
    return [f"rejected: {total:,}{of}", *told]


def _counted(counts: Mapping[str, int]) -> str:
    return (
        f"duplicates dropped: {counts['duplicates']}; same time, other price: {counts['replaced']}; "
        f"out of order: {counts['out_of_order']}; spikes: {counts['spikes']}"
    )


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _second(time: Any) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
