"""`fx-assets trials`: the ledger of everything that searches have ever tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, fail, out, print_json, say
from fx_assets.settings import get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    from rich.table import Table

    from fx_assets.specs.loader import Catalog
    from fx_assets.storage.ledger import LedgerEntry

STATES = ("complete", "pruned", "failed")
_STYLES = {"complete": "green", "pruned": "yellow", "failed": "red"}


def trials(
    pair: Annotated[str | None, typer.Option(help="Only those of this pair, e.g. EURUSD")] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model_id")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every trial that searches have ever run, the newest last. What was tried is never deleted."""
    from fx_assets.storage.control import Control, ControlUnavailable

    settings = get_settings()
    catalog = catalog_of(settings)
    name = None if pair is None else pair.strip().upper()
    try:
        control = Control(settings.control_database)
        try:
            found = control.trials(name, model)
            # The ledger outlives configs: what it knows may be asked for, whatever is configured now.
            if not found:
                _check(catalog, control, name, model)
        finally:
            control.close()
    except ControlUnavailable as error:
        fail(str(error))
    counts = {"trials": len(found), **{state: Counter(trial.state for trial in found)[state] for state in STATES}}
    if as_json:
        rows = [_document(trial) for trial in found]
        print_json({"pair": name, "model": model, "counts": counts, "trials": rows})
    else:
        _print(found, counts, " ".join(part for part in (name, model) if part is not None) or "all pairs")


def _check(catalog: Catalog, control: Any, pair: str | None, model: str | None) -> None:
    """Raises `typer.BadParameter` for a pair or model that neither configs nor the ledger know."""
    if pair is not None and not control.trials(pair):
        chosen_pair(catalog, pair)
    known = [*catalog.models, *(key.removeprefix("models/") for key in catalog.broken if key.startswith("models/"))]
    if model is not None and model not in known and not control.trials(model_id=model):
        raise typer.BadParameter(f"unknown model {model!r}.{nearest(model, known)}", param_hint="--model")


def _document(trial: LedgerEntry) -> dict[str, Any]:
    moments = ("started_at", "ended_at", "recorded_at")
    return {**vars(trial), **{name: getattr(trial, name).isoformat() for name in moments}}


def _print(found: Sequence[LedgerEntry], counts: dict[str, int], title: str) -> None:
    """One table a study, the one with the newest trial last: a study's name would take half of each line."""
    studies: dict[str, list[LedgerEntry]] = {}
    for trial in reversed(found):
        studies.setdefault(trial.study, []).append(trial)
    for study, newest_first in reversed(studies.items()):
        say(f"study {study}")
        out.print(_table(newest_first[::-1]))
    said = ", ".join(f"{counts[state]} {state}" for state in STATES)
    say(f"{title}: {counts['trials']} trials ever run" + (f" in {len(studies)} searches: {said}" if found else ""))


def _table(trials: Sequence[LedgerEntry]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for head in ("number", "state", "loss", "folds", "values", "ended (UTC)"):
        shown.add_column(head, overflow="fold", justify="right" if head in ("number", "loss", "folds") else "left")
    for trial in trials:
        values = ", ".join(f"{key}={value}" for key, value in sorted(trial.values.items()))
        shown.add_row(
            str(trial.number),
            f"[{_STYLES.get(trial.state, 'white')}]{escape(trial.state)}[/]",
            "" if trial.loss is None else f"{trial.loss:.5f}",
            str(len(trial.folds)),
            escape(values + (f" ({trial.reason})" if trial.reason else "")),
            f"{trial.ended_at:%Y-%m-%d %H:%M}",
        )
    return shown
