"""What the routes are given by `Depends`: registry, lake, jobs. Tests may override each."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from fx_assets.storage.control import Control
from serving.control import LazyControl
from serving.registry import Registry
from serving.snapshot import LiveSnapshot


def get_registry(request: Request) -> Registry:
    """The models of the configs and their loaded predictors."""
    registry = request.app.state.registry
    assert isinstance(registry, Registry)
    return registry


def get_lake(request: Request) -> LiveSnapshot:
    """The lake: the last good snapshot of its forecasts, and its tables."""
    live = request.app.state.lake
    assert isinstance(live, LiveSnapshot)
    return live


def get_jobs(request: Request) -> Control:
    """The control database. Raises `ProblemError` 503 while it is locked or gone."""
    control = request.app.state.control
    assert isinstance(control, LazyControl)
    return control.open()


RegistryDep = Annotated[Registry, Depends(get_registry)]
LakeDep = Annotated[LiveSnapshot, Depends(get_lake)]
JobsDep = Annotated[Control, Depends(get_jobs)]
