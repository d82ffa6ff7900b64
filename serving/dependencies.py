"""What the routes are given by `Depends`: registry, lake, jobs. Tests may override each."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from fx_assets.storage.control import Control
from serving.control import LazyControl
from serving.hub import Hub
from serving.metrics import Metrics
from serving.queue import Predictions
from serving.registry import Registry
from serving.snapshot import LiveSnapshot

T = TypeVar("T")


def _held(connection: HTTPConnection, name: str, kind: type[T]) -> T:
    found = getattr(connection.app.state, name)
    assert isinstance(found, kind)
    return found


def get_registry(connection: HTTPConnection) -> Registry:
    """The models of the configs and their loaded predictors."""
    return _held(connection, "registry", Registry)


def get_lake(connection: HTTPConnection) -> LiveSnapshot:
    """The lake: the last good snapshot of its forecasts, and its tables."""
    return _held(connection, "lake", LiveSnapshot)


def get_control(connection: HTTPConnection) -> LazyControl:
    """The control database, not opened yet."""
    return _held(connection, "control", LazyControl)


def get_jobs(connection: HTTPConnection) -> Control:
    """The control database. Raises `ProblemError` 503 while it is locked or gone."""
    return get_control(connection).open()


def get_hub(connection: HTTPConnection) -> Hub:
    """Who listens for new forecasts."""
    return _held(connection, "hub", Hub)


def get_metrics(connection: HTTPConnection) -> Metrics:
    """What is counted."""
    return _held(connection, "metrics", Metrics)


def get_predictions(connection: HTTPConnection) -> Predictions:
    """The queue of predictions."""
    return _held(connection, "predictions", Predictions)


RegistryDep = Annotated[Registry, Depends(get_registry)]
LakeDep = Annotated[LiveSnapshot, Depends(get_lake)]
ControlDep = Annotated[LazyControl, Depends(get_control)]
HubDep = Annotated[Hub, Depends(get_hub)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
PredictionsDep = Annotated[Predictions, Depends(get_predictions)]
JobsDep = Annotated[Control, Depends(get_jobs)]
