"""A feature set for people: tables of what `feature_facts` says."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from fx_assets.commands.terminal import out, say


def print_features(document: dict[str, Any]) -> None:
    """What the set is made of; with a pair also its values, and what the checkpoints keep."""
    stages = ", ".join(f"{stage['stage']} ({stage['features']})" for stage in document["stages"])
    fitted = f"; fitted inside each training: {', '.join(document['fitted'])}" if document["fitted"] else ""
    say(
        f"{document['set']}: {len(document['features'])} features of {document['frequency']} bars from {stages}{fitted}"
    )
    say(f"table {document['table']}; rows begin after {document['lookback']} bars")
    shown = Table(box=None, pad_edge=False)
    for head in ("feature", "stage", "about", "made of", "look-back", "cost", "priority", "gaps"):
        shown.add_column(
            head, overflow="fold", justify="right" if head in ("look-back", "cost", "priority") else "left"
        )
    for entry in document["features"]:
        cells = (entry["name"], entry["stage"], entry["about"], ", ".join(entry["sources"]), str(entry["lookback"]))
        shown.add_row(*cells, f"{entry['cost']:g}", str(entry["priority"]), "possible" if entry["missing"] else "none")
    out.print(shown)
    if "pair" in document:
        _print_values(document)


def _print_values(document: dict[str, Any]) -> None:
    say(
        f"{document['pair']}: {document['rows']:,} rows, the latest of the bar that ended {document['latest_end']}; "
        f"shares, means and deviations of {document['sampled']:,} of them"
    )
    checkpoints = [entry for entry in document["checkpoints"] if entry["version"] is not None]
    shown = Table(box=None, pad_edge=False)
    for head in ("feature", "missing", "latest", "mean", "deviation", *(entry["model_id"] for entry in checkpoints)):
        shown.add_column(head, overflow="fold", justify="left" if head == "feature" else "right")
    for name, numbers in document["values"].items():
        share = numbers["missing_share"]
        cells = (
            name,
            "" if share is None else f"{share:.2%}",
            *(_plain(numbers[key]) for key in ("latest", "mean", "std")),
        )
        shown.add_row(*cells, *(_verdict(entry, name) for entry in checkpoints))
    out.print(shown)
    for entry in document["checkpoints"]:
        if entry["version"] is None:
            say(f"{entry['model_id']}: no checkpoint for {entry['scope']} yet")
            continue
        made = f", and {len(entry['made'])} that it made" if entry["made"] else ""
        old = "" if entry["current"] else "; the set has changed since, so it will be trained again"
        say(
            f"{entry['model_id']}: version {entry['version']} for {entry['scope']}, trained until "
            f"{entry['trained_until']}, keeps {len(entry['kept'])}{made}{old}"
        )


def _verdict(entry: dict[str, Any], name: str) -> str:
    if name in entry["kept"]:
        return "kept"
    why = entry["dropped"].get(name)
    if why is None:
        return "not known"
    return f"dropped for {why['keeper']} ({why['correlation']:.3f})" if why["keeper"] else f"dropped: {why['reason']}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
