"""What every command of the terminal shares: where reports go, how pairs are chosen, how a command fails."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.specs.problems import nearest

# Reports go to standard output, everything about them to standard error: `--json` stays one document.
# Into a file or a pipe there is no terminal width to obey, and a cut table would be of no use.
out = Console(width=None if sys.stdout.isatty() else 140)
err = Console(stderr=True)

PairsOption = Annotated[str | None, typer.Option("--pairs", help="Comma-separated pairs; all where not given")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else")]


def catalog_of(settings: Settings) -> Catalog:
    """The configs in force; overrides from the environment are said on standard error."""
    from fx_assets.models.catalog import load

    catalog = load(settings)
    for override in catalog.overrides:
        err.print(f"[yellow]override[/yellow] {escape(str(override))}", highlight=False, soft_wrap=True)
    return catalog


def chosen_pairs(catalog: Catalog, pairs: str | None) -> list[str]:
    """The pairs of a comma-separated option, all where it is not given. Raises `typer.BadParameter` for others."""
    if pairs is None:
        return list(catalog.pairs)
    chosen = [pair.strip().upper() for pair in pairs.split(",") if pair.strip()]
    for pair in chosen:
        if pair not in catalog.pairs:
            raise typer.BadParameter(f"unknown pair {pair!r}.{nearest(pair, catalog.pairs)}", param_hint="--pairs")
    return chosen


def chosen_pair(catalog: Catalog, pair: str) -> str:
    """The one pair of an option `--pair`. Raises `typer.BadParameter` for one that is not configured."""
    name = pair.strip().upper()
    if name in catalog.pairs:
        return name
    message = f"unknown pair {name!r}.{nearest(name, catalog.pairs)}"
    if name in catalog.disabled:
        message = f"{name} is switched off: set enabled: true in configs/pairs/{name}.yaml"
    elif f"pairs/{name}" in catalog.broken:
        message = f"configs/pairs/{name}.yaml is not valid: run fx-assets validate"
    raise typer.BadParameter(message, param_hint="--pair")


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def say(line: str, *, style: str | None = None) -> None:
    """One line on standard output, as it is: brackets in it are no markup, and it is not wrapped."""
    out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def note(line: str, *, style: str | None = None) -> None:
    """One line on standard error, as it is."""
    err.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say why on standard error and end with exit code 1."""
    note(message, style="red")
    raise typer.Exit(1)
