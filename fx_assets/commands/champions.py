"""`fx-assets champions | promote | rollback`: who serves what, since when and why, and how a person changes it."""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.commands.champion_tables import (
    able_to_serve,
    champion_row,
    decision_document,
    decision_line,
    frequencies_of,
    print_champions,
    serving,
    undecided,
)
from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, err, fail, note, print_json, say
from fx_assets.settings import Settings, get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    from fx_assets.specs.loader import Catalog
    from fx_assets.storage.control import Control, Decision
    from fx_assets.storage.decisions import DecisionKind

PairOption = Annotated[str, typer.Option("--pair", help="Currency pair, e.g. EURUSD")]
ServeOption = Annotated[
    bool, typer.Option("--serve/--no-serve", help="Let the champion forecast at once, or wait for the next night")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, in words; it stays on record")]


def champions(
    pair: Annotated[str | None, typer.Option(help="Only this pair, with every decision ever made")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which model serves each pair, since when and why."""
    settings = get_settings()
    catalog = catalog_of(settings)
    asked = None if pair is None else pair.strip().upper()
    with _control(settings) as control:
        decisions = control.decisions(asked)
    # Decisions outlive configs: what they know may be asked for, whatever is configured now.
    decided = {one.pair for one in decisions}
    if asked is not None and asked not in decided:
        chosen_pair(catalog, asked)
    rows = [
        champion_row(catalog, name, frequency, [one for one in own if one.frequency == frequency])
        for name in (sorted({*catalog.pairs, *decided}) if asked is None else [asked])
        for own in ([one for one in decisions if one.pair == name],)
        for frequency in frequencies_of(catalog, name, own)
    ]
    if as_json:
        print_json({"pair": asked, "champions": rows})
        return
    print_champions(rows)
    for row in rows if asked is not None else ():
        for one in row["decisions"]:
            say(decision_line(one))


def promote(
    model: Annotated[str, typer.Argument(help="model_id of the model that is to serve")],
    pair: PairOption,
    reason: ReasonOption,
    serve: ServeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Let a model serve a pair from now on, by a person's decision, which is recorded as one."""
    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pair(catalog, pair)
    frequency = _frequency_of(catalog, model, name)
    with _control(settings) as control:
        _require_made(settings, catalog, control, model, name)
        newest = control.decision_at(name, frequency)
        before = undecided(catalog, name, frequency) if newest is None else newest.champion_after
        made = _decision(control, newest, name, frequency, before, model, "override", reason)
    _report(settings, made, serve, as_json)


def rollback(
    pair: PairOption,
    reason: ReasonOption,
    frequency: Annotated[str | None, typer.Option(help="Bars of the forecasts; needed where there are several")] = None,
    serve: ServeOption = True,
    as_json: JsonOption = False,
) -> None:
    """Go back to the champion before; once more, to the one before that."""
    from fx_assets.storage.decisions import before_that

    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pair(catalog, pair)
    with _control(settings) as control:
        decisions = control.decisions(name)
        among = frequencies_of(catalog, name, decisions)
        if frequency not in among and (frequency is not None or len(among) != 1):
            said = f"{name} is forecast at: {', '.join(among) or 'no frequency'}; say one of these"
            raise typer.BadParameter(said, param_hint="--frequency")
        chosen = frequency or among[0]
        decisions = [one for one in decisions if one.frequency == chosen]
        target = before_that(decisions)
        if target is None:
            fail(f"{name} {chosen}: there is no champion before {serving(catalog, name, chosen, decisions)}")
        able = able_to_serve(catalog, name, chosen)
        if target not in able:
            fail(
                f"{name} {chosen}: the champion before was {target}, which is not configured for it any more; "
                f"promote another.{nearest(target, able)}"
            )
        _require_made(settings, catalog, control, target, name)
        newest = decisions[-1]
        made = _decision(control, newest, name, chosen, newest.champion_after, target, "rollback", reason)
    _report(settings, made, serve, as_json)


@contextmanager
def _control(settings: Settings) -> Iterator[Control]:
    """The control database; what it refuses ends the command."""
    from fx_assets.storage.control import Control, ControlUnavailable, DecisionConflict

    try:
        control = Control(settings.control_database)
        try:
            yield control
        finally:
            control.close()
    except (ControlUnavailable, DecisionConflict) as error:
        fail(str(error))


def _frequency_of(catalog: Catalog, model: str, pair: str) -> str:
    """The frequency of a model that covers the pair. Raises `typer.BadParameter` naming the nearest that does."""
    if f"models/{model}" in catalog.broken:
        raise typer.BadParameter(
            f"configs/models/{model}.yaml is not valid: run fx-assets validate", param_hint="MODEL"
        )
    if model not in catalog.models:
        raise typer.BadParameter(f"unknown model {model!r}.{nearest(model, catalog.models)}", param_hint="MODEL")
    spec = catalog.models[model]
    if pair not in catalog.pairs_of(spec):
        others = nearest(model, able_to_serve(catalog, pair, spec.frequency))
        own = ", ".join(catalog.pairs_of(spec))
        raise typer.BadParameter(f"{model} forecasts {own}, not {pair}.{others}", param_hint="MODEL")
    return spec.frequency


def _require_made(settings: Settings, catalog: Catalog, control: Control, model: str, pair: str) -> None:
    """End where the model has neither a checkpoint nor a forecast of the pair: then there is nothing to serve."""
    import pyarrow.compute as pc

    from fx_assets.storage.errors import NoData
    from fx_assets.storage.lake import Lake

    kept_under = catalog.models[model].kept_under(pair)
    if any(pair in version.pairs for version in control.versions(model, kept_under)):
        return
    try:
        known = pc.unique(Lake(settings.lake_path).read("forecasts", pair).column("model_id")).to_pylist()
    except NoData:
        known = []
    if model not in known:
        fail(f"{model} has no checkpoint and no forecast of {pair} yet: fx-assets train --model {model} --pairs {pair}")


def _decision(
    control: Control,
    newest: Decision | None,
    pair: str,
    frequency: str,
    before: str | None,
    model: str,
    kind: DecisionKind,
    reason: str,
) -> Decision:
    """Make and record what a person decides."""
    from fx_assets.storage.control import Decision
    from fx_assets.timegrid.trading_dates import trading_date_of

    if not reason.strip():
        raise typer.BadParameter("say why: the reason stays on record", param_hint="--reason")
    if before == model:
        fail(f"{model} is the champion of {pair} {frequency} already: there is nothing to change")
    now = datetime.now(UTC)
    decision = Decision(
        pair=pair,
        frequency=frequency,
        number=1 if newest is None else newest.number + 1,
        decided_at=now,
        decision_date=trading_date_of(now),
        kind=kind,
        champion_before=before,
        champion_after=model,
        reason=reason.strip(),
        evidence={"trials": len(control.trials(pair))},
        decided_by=_user(),
        run_id=f"{kind}-{uuid.uuid4().hex}",
    )
    try:
        control.decide(decision)
    except ValueError as error:  # it is dated before the newest one
        fail(str(error))
    return decision


def _user() -> str:
    """Who types, as the operating system knows them: a variable of the environment may say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container a user needs no name
        return f"uid {os.getuid()}"


def _report(settings: Settings, decision: Decision, serve: bool, as_json: bool) -> None:
    """Say what was decided, and let the champion forecast once more, so that it serves from now on.

    A reader asks the published forecasts who serves, and no control database.
    """
    found = decision_document(decision)
    if not as_json:
        say(decision_line(found))
    failed = _forecast(settings, decision) if serve else []
    if as_json:
        print_json({**found, "serves": serve and not failed})
    elif not serve:
        say(f"It serves from the next forecast on: fx-assets materialize --pairs {decision.pair}")
    elif not failed:
        say(f"{decision.champion_after} serves {decision.pair} from now on")
    if failed:
        note("\n".join(failed), style="red")
        note(f"decided, but not served yet: mend it, then fx-assets materialize --pairs {decision.pair}", style="red")
        raise typer.Exit(1)


def _forecast(settings: Settings, decision: Decision) -> list[str]:
    """Why the champion could not forecast; empty where it could."""
    from fx_assets.commands.night import run_selection
    from fx_assets.orchestration import keys

    return run_selection(settings, {keys.forecast(decision.champion_after)}, [decision.pair], err).failed
