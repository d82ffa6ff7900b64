"""`/metrics`: what the service does, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.types import Scope

from fx_assets.forecasting.champion import served_by_default
from fx_assets.forecasting.freshness import freshness_of
from fx_assets.settings import environment
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar
from serving.hub import Hub
from serving.queue import Predictions
from serving.snapshot import LiveSnapshot
from serving.workers import SHARED_COUNTS

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts of one worker; `text` is of all workers where they share a folder."""

    def __init__(self, live: LiveSnapshot, pairs: Mapping[str, PairSpec], hub: Hub, predictions: Predictions) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "fx_request_seconds",
            "From the head of a request to the end of its answer",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}
        self._now = _Now(live, pairs, hub, predictions)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """One answered request."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        key = method, route, status = method, _route(scope), status
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._seconds.labels(method, route, str(status))
        child.observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        registry = self._registry
        if environment().get(SHARED_COUNTS):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        now.register(self._now)
        return generate_latest(registry) + generate_latest(now)


class _Now(Collector):
    """What is so at the moment of asking."""

    def __init__(self, live: LiveSnapshot, pairs: Mapping[str, PairSpec], hub: Hub, predictions: Predictions) -> None:
        self._live, self._pairs, self._hub, self._predictions = live, pairs, hub, predictions

    def collect(self) -> Iterator[Metric]:
        now, snapshot = datetime.now(UTC), self._live.current
        issued = GaugeMetricFamily("fx_forecast_issued_seconds", "Issue of the served forecast, epoch", labels=["pair"])
        missed = GaugeMetricFamily("fx_forecast_dates_missed", "Open dates ended without a price", labels=["pair"])
        stale = GaugeMetricFamily("fx_forecast_stale", "1 for a stale or missing forecast", labels=["pair"])
        for name, spec in self._pairs.items():
            served = served_by_default(item.document for item in snapshot.of(name, spec.frequencies[0]).values())
            if served is None:
                stale.add_metric([name], 1)
                continue
            fresh = freshness_of(served, calendar(spec.calendar), spec.freshness, now)
            issued.add_metric([name], served.issued_at.timestamp())
            missed.add_metric([name], fresh.missed)
            stale.add_metric([name], fresh.stale)
        yield from (issued, missed, stale)
        version = -1 if snapshot.version is None else snapshot.version
        yield GaugeMetricFamily("fx_lake_version", "Version of the forecasts that are served", value=version)
        problems = len(self._live.problems)
        yield GaugeMetricFamily("fx_lake_problems", "Tables and pairs that cannot be read", value=problems)
        yield GaugeMetricFamily("fx_stream_listeners", "Open streams of this worker", value=self._hub.listeners)
        waiting = self._predictions.waiting
        yield GaugeMetricFamily("fx_predictions_waiting", "Predictions of this worker that wait or run", value=waiting)
        refused = self._predictions.refused
        yield CounterMetricFamily("fx_predictions_refused", "Predictions refused for a full queue", value=refused)


def _route(scope: Scope) -> str:
    """The template of the address, of which there are few; a request's own text never becomes a label."""
    found = scope["state"].get("route") or getattr(scope.get("route"), "path", None)
    return found if isinstance(found, str) else "other"
