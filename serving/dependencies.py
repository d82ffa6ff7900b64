"""What the routes are given by `Depends`: registry, lake, jobs. Tests may override each."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from fx_assets.storage.control import Control
from serving.control import LazyControl
from serving.hub import Hub
from serving.metrics import Metrics
from serving.queue import Predictions
from serving.registry import Registry
from serving.snapshot import LiveSnapshot


def get_registry(connection: HTTPConnection) -> Registry:
    """The models of the configs and their loaded predictors."""
    registry = connection.app.state.registry
    assert isinstance(registry, Registry)
    return registry


def get_lake(connection: HTTPConnection) -> LiveSnapshot:
    """The lake: the last good snapshot of its forecasts, and its tables."""
    live = connection.app.state.lake
    assert isinstance(live, LiveSnapshot)
    return live


def get_control(connection: HTTPConnection) -> LazyControl:
    """The control database, not opened yet."""
    control = connection.app.state.control
    assert isinstance(control, LazyControl)
    return control


def get_jobs(connection: HTTPConnection) -> Control:
    """The control database. Raises `ProblemError` 503 while it is locked or gone."""
    return get_control(connection).open()


def get_hub(connection: HTTPConnection) -> Hub:
    """Who listens for new forecasts."""
    hub = connection.app.state.hub
    assert isinstance(hub, Hub)
    return hub


def get_metrics(connection: HTTPConnection) -> Metrics:
    """What is counted."""
    metrics = connection.app.state.metrics
    assert isinstance(metrics, Metrics)
    return metrics


def get_predictions(connection: HTTPConnection) -> Predictions:
    """The queue of predictions."""
    predictions = connection.app.state.predictions
    assert isinstance(predictions, Predictions)
    return predictions


RegistryDep = Annotated[Registry, Depends(get_registry)]
LakeDep = Annotated[LiveSnapshot, Depends(get_lake)]
ControlDep = Annotated[LazyControl, Depends(get_control)]
HubDep = Annotated[Hub, Depends(get_hub)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
PredictionsDep = Annotated[Predictions, Depends(get_predictions)]
JobsDep = Annotated[Control, Depends(get_jobs)]
