"""The price files of a command line, and the source that reads them: what is not usable is said before any work."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from fx_assets.commands.terminal import fail
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import SourceSpec

_SETTABLE = ("symbol", "resolution", "side")


def absolute(path: Path) -> Path:
    """A path as the shell understands it: configured paths are taken from the project's root instead."""
    return path.expanduser().absolute()


def check_files(files: list[Path]) -> None:
    """Fail, naming it, for a file that does not exist and a glob that fits none."""
    for path in map(absolute, files):
        try:
            if path.exists():
                continue
        except OSError as error:  # a name too long, say
            fail(f"{path}: {error.strerror}")
        if not has_magic(str(path)):
            fail(f"{path} does not exist")
        if not any(found.is_file() for found in Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            fail(f"no file matches {path}")


def keys_of(
    *,
    clock: str | None = None,
    columns: str | None = None,
    points: float | None = None,
    others: list[str] | None = None,
) -> dict[str, Any]:
    """The keys of a source that a command line sets. Raises `typer.BadParameter` for one that cannot be set."""
    from fx_assets.specs.yaml_nodes import scalar

    given: dict[str, Any] = {"clock": clock, "points": points}
    if columns is not None:
        given["columns"] = dict(
            _pair_of(item, "--columns", "ours=theirs, e.g. time=Date") for item in columns.split(",")
        )
    for item in others or []:
        key, value = _pair_of(item, "--set", "KEY=VALUE, e.g. side=bid")
        group, _, option = key.partition(".")
        if group == "options" and option:
            given.setdefault("options", {})[option] = scalar(value)
        elif key in _SETTABLE:
            given[key] = value
        else:
            known = f"{', '.join(_SETTABLE)} and options.NAME"
            raise typer.BadParameter(f"unknown key {key!r}; this sets {known}", param_hint="--set")
    return {key: value for key, value in given.items() if value is not None}


def _pair_of(item: str, option: str, expected: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise typer.BadParameter(f"{item!r}: expected {expected}", param_hint=option)
    return key.strip(), value.strip()


def source_of(kind: str, files: list[Path], keys: dict[str, Any]) -> SourceSpec:
    """The source of a command line. Raises `typer.BadParameter` for a kind or a key that does not fit."""
    from fx_assets.prices.sources.base import kinds, source

    if kind not in kinds():
        raise typer.BadParameter(f"unknown source {kind!r}.{nearest(kind, kinds())}", param_hint="--source")
    readers = [name for name in kinds() if "files" in source(name).uses]
    if kind not in readers:
        message = f"the source {kind!r} reads no files; those that do: {', '.join(readers)}"
        raise typer.BadParameter(message, param_hint="--source")
    try:
        chosen = SourceSpec(kind=kind, files=tuple(str(absolute(path)) for path in files), **keys)
    except ValidationError as error:
        item = error.errors()[-1]
        message = f"{item['msg']}, found {item['input']!r}"
        raise typer.BadParameter(message, param_hint=_option(str(item["loc"][0]))) from error
    for path, message in source(kind).problems(chosen):
        key, _, below = path.partition(".")
        said = f"{below}: {message}" if below else message
        raise typer.BadParameter(said, param_hint=_option(key))
    return chosen


def _option(key: str) -> str:
    return f"--{key}" if key in ("clock", "columns", "points") else "--set"
