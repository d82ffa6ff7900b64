"""`fx-assets keys`: who may use the API, for what, how often and how long. The key itself is shown once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fx_assets.commands.terminal import JsonOption, fail, note, out, print_json, say
from fx_assets.settings import get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    from fx_assets.storage.keys import ApiKey, KeyStore, Rate, Scope

keys = typer.Typer(name="keys", help="Keys of the API: make, list and revoke them.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A name to know the key by, e.g. risk-desk; a to z, 0 to 9, _ and -")]
_DAYS = re.compile(r"([1-9][0-9]{0,4})d")


@keys.command()
def create(
    name: NameArgument,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, predict or train, once for each; read and predict if none"),
    ] = None,
    expires: Annotated[str, typer.Option(help="Days such as 90d, a date (its first moment, UTC), or never")] = "90d",
    rate: Annotated[
        str | None, typer.Option(help="Requests such as 10/s, 600/min or 5000/h, by worker process; no limit if none")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and show it: this once, and never again."""
    from fx_assets.storage.keys import make

    now = datetime.now(UTC)
    scopes, limit, expires_at = _scopes(scope), _rate(rate), _expiry(expires, now)
    try:
        made = make(name, scopes, created_at=now, expires_at=expires_at, rate=limit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    with _store() as store:
        store.add(made.record)
    document = _document(made.record, now)
    if as_json:
        print_json({**document, "key": made.secret})
        return
    # Alone on standard output, so that it can be piped to wherever secrets are kept.
    say(made.secret)
    until = "never expires" if made.record.expires_at is None else f"expires {document['expires_at']}"
    note(
        f"{name}: {', '.join(made.record.scopes)}; {document['rate'] or 'no limit of rate'}; {until}. Keep the key: "
        f"it is not shown again. A running API knows it within 5 seconds."
    )


@keys.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """Show every key ever made, without the keys themselves."""
    with _store() as store:
        found = store.all()
    now = datetime.now(UTC)
    rows = [_document(key, now) for key in found]
    if as_json:
        print_json({"keys": rows})
    elif rows:
        _print_table(rows)
    else:
        say("no key on record: on loopback the API answers everyone on this machine; fx-assets keys create NAME")


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, as fx-assets keys list shows it")],
    as_json: JsonOption = False,
) -> None:
    """End a key for ever: within 5 seconds no running API takes it any more."""
    from fx_assets.storage.keys import UnknownKey

    with _store() as store:
        try:
            ended = store.revoke(name)
        except UnknownKey as error:
            valid = [key.name for key in store.all() if key.revoked_at is None]
            fail(f"{error}.{nearest(name, valid)}")
    document = _document(ended, datetime.now(UTC))
    if as_json:
        print_json(document)
    else:
        say(f"{name} ({ended.key_id}) is revoked; its name is free for another key")


@contextmanager
def _store() -> Iterator[KeyStore]:
    """The keys of this installation; what the control database refuses ends the command."""
    from fx_assets.storage.errors import ControlUnavailable, WriteFailed
    from fx_assets.storage.keys import KeyStore, NameTaken

    try:
        store = KeyStore(get_settings().control_database)
        try:
            yield store
        finally:
            store.close()
    except (ControlUnavailable, NameTaken, WriteFailed) as error:
        fail(str(error))


def _scopes(given: list[str] | None) -> list[Scope]:
    from fx_assets.storage.keys import SCOPES

    if not given:
        return ["read", "predict"]
    for scope in given:
        if scope not in SCOPES:
            raise typer.BadParameter(f"unknown scope {scope!r}.{nearest(scope, SCOPES)}", param_hint="--scope")
    return cast("list[Scope]", given)


def _rate(text: str | None) -> Rate | None:
    from fx_assets.storage.keys import Rate

    try:
        return None if text is None else Rate.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from error


def _expiry(text: str, now: datetime) -> datetime | None:
    """When a key ends; None for never. Raises `typer.BadParameter` for what is no moment to come."""
    if text == "never":
        return None
    days = _DAYS.fullmatch(text)
    if days is not None:
        return now + timedelta(days=int(days[1]))
    try:
        moment = datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError as error:
        expected = f"expected days such as 90d, a date such as {now.year + 1}-01-01, or never, got {text!r}"
        raise typer.BadParameter(expected, param_hint="--expires") from error
    if moment <= now:
        raise typer.BadParameter(f"{text} is over: the key would never be valid", param_hint="--expires")
    return moment


def _document(key: ApiKey, now: datetime) -> dict[str, Any]:
    """What is on record of a key, as JSON."""
    moments = {name: getattr(key, name) for name in ("created_at", "expires_at", "revoked_at")}
    return {
        "name": key.name,
        "key_id": key.key_id,
        "state": key.state(now),
        "scopes": list(key.scopes),
        "rate": None if key.rate is None else str(key.rate),
        **{name: None if moment is None else moment.isoformat() for name, moment in moments.items()},
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for head in ("name", "id", "state", "scopes", "rate", "made (UTC)", "expires (UTC)", "revoked (UTC)"):
        shown.add_column(head, overflow="fold")
    for row in rows:
        made, ended, revoked = (_minute(row[name]) for name in ("created_at", "expires_at", "revoked_at"))
        scopes = ", ".join(row["scopes"])
        shown.add_row(
            row["name"], row["key_id"], row["state"], scopes, row["rate"] or "", made, ended or "never", revoked
        )
    out.print(shown, highlight=False)


def _minute(moment: str | None) -> str:
    return "" if moment is None else moment[:16].replace("T", " ")
