"""What the dashboard is made of, read and compressed once: nothing of a request ever becomes a path.

Pages and scripts lie in `serving/dashboard/static`; plotly's bundled script comes from the installed package,
whose own import (slow) is not needed for that.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

PREFIX: Final = "/static/"
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX: Final = "index.html"
# plotly's maps write a style sheet into the page unless an element with this id is there. Nothing here is a map.
_STYLE_OF_MAPS: Final = re.compile(rb'getElementById\("([0-9a-f]{64})"\)')
# Less than this saves no packet.
_WORTH_COMPRESSING: Final = 1_000


@dataclass(frozen=True)
class StaticFile:
    """One file in both encodings, with its digest; `forever` where its address holds the digest."""

    body: bytes
    gzipped: bytes | None
    media_type: str
    digest: str
    forever: bool


class MissingScript(RuntimeError):
    """plotly's bundled script is not where the installed package has it."""


def is_open(path: str) -> bool:
    """Whether an address belongs to the dashboard: served without a key, since it holds no data."""
    return path == "/" or path.startswith(PREFIX)


@functools.cache
def site() -> Mapping[str, StaticFile]:
    """Every file of the dashboard by its address. Read once a process. Raises `MissingScript`.

    The files' addresses hold one digest over all of them, so that modules find each other by their names and a new
    version is another folder; that of plotly, by far the largest, holds its own.
    """
    own = {item.name: item.read_bytes() for item in files(__package__).joinpath("static").iterdir()}
    plotly = _plotly()
    every = hashlib.sha256()
    for name in sorted(own):
        every.update(name.encode() + b"\0" + own[name] + b"\0")
    base, script = f"{PREFIX}{every.hexdigest()[:16]}", f"{PREFIX}plotly-{_digest(plotly)}.js"
    # Relative, so that the page also works behind a proxy that serves it under a path.
    written = "".join(f'<template id="{name}"></template>' for name in _styles(plotly))
    page = Template(own.pop(_INDEX).decode()).substitute(base=base[1:], plotly=script[1:], written=written)
    made = {f"{base}/{name}": _static(name, body, forever=True) for name, body in own.items()}
    made[script] = _static(".js", plotly, forever=True)
    made["/"] = _static(_INDEX, page.encode(), forever=False)
    return made


def _plotly() -> bytes:
    # `find_spec` of a top-level package looks for its folder and runs nothing of it.
    spec = importlib.util.find_spec("plotly")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script.read_bytes()
    raise MissingScript("plotly's package_data/plotly.min.js is not installed; install the package plotly again")


def _styles(script: bytes) -> list[str]:
    return sorted({name.decode() for name in _STYLE_OF_MAPS.findall(script)})


def _static(name: str, body: bytes, *, forever: bool) -> StaticFile:
    # The time of compression is left out: equal files are equal bytes.
    gzipped = gzip.compress(body, compresslevel=6, mtime=0) if len(body) >= _WORTH_COMPRESSING else None
    return StaticFile(body, gzipped, _MEDIA_TYPES[name[name.rindex(".") :]], _digest(body), forever)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
