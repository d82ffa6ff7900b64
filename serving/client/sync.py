"""`ForecastClient`: the forecast API for programs, one call after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx

from serving.client.calls import Calls
from serving.client.exchange import Emit, Flow
from serving.client.lines import Line
from serving.client.options import DEADLINE, RETRIES, SERVER, SILENCE, TIMEOUT, Options, tls
from serving.client.results import Batch, Certificate, Forecast, Model, Outcome, Pair, Readiness
from serving.client.streaming import Streaming

T = TypeVar("T")


class ForecastClient:
    """Asks a forecast service; may be used by several threads, and with `with`.

    `timeout`: seconds without progress, or an `httpx.Timeout`; `deadline`: seconds for a call with all its retries;
    `silence`: seconds without a byte after which a stream counts as broken. Every method raises
    `serving.client.errors.ForecastError`.
    """

    def __init__(
        self,
        server: str = SERVER,
        api_key: str | None = None,
        *,
        timeout: float | httpx.Timeout = TIMEOUT,
        retries: int = RETRIES,
        deadline: float = DEADLINE,
        silence: float = SILENCE,
    ) -> None:
        self._options = Options(server, api_key, timeout, retries, deadline, silence)
        self._http = httpx.Client(base_url=self._options.server, headers=self._options.headers, verify=tls())
        self._calls = Calls(self._options)

    def predict(
        self,
        model_id: str,
        data: Any = None,
        pair: str | None = None,
        *,
        as_of: datetime | str | None = None,
    ) -> Forecast:
        """A forecast of `data` (rows, numpy, pandas or polars; oldest first), or of the lake's rows of `pair`.

        The columns of a frame are matched by name to the model's. `as_of`: the lake as it was known then.
        """
        return self._run(self._calls.predict(model_id, data, pair, as_of))

    def latest(
        self,
        pair: str,
        model: str | None = None,
        frequency: str | None = None,
        as_of: datetime | str | None = None,
    ) -> Forecast:
        """The newest forecast of a pair, by default of its champion; `as_of`: what was served then."""
        return self._run(self._calls.latest(pair, model, frequency, as_of))

    def latest_many(self, pairs: Sequence[str], model: str | None = None, frequency: str | None = None) -> Batch:
        """The newest forecasts of several pairs, all from one version of the lake."""
        return self._run(self._calls.latest_many(pairs, model, frequency))

    def history(
        self,
        pair: str,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        model: str | None = None,
        limit: int | None = None,
        frequency: str | None = None,
    ) -> Iterator[Forecast]:
        """Earlier forecasts as they were issued, newest origin first, from `start` to before `end`."""
        return self._iterate(self._calls.history(pair, start, end, model, frequency, limit))

    def version(self, pair: str, forecast_id: str) -> Forecast:
        """One published forecast, as it was issued; it never changes."""
        return self._run(self._calls.version(pair, forecast_id))

    def outcomes(
        self,
        pair: str,
        model: str | None = None,
        frequency: str | None = None,
        horizon: int = 1,
        limit: int | None = None,
    ) -> tuple[Outcome, ...]:
        """The newest forecasts that came due, oldest first, beside the prices that came."""
        return self._run(self._calls.outcomes(pair, model, frequency, horizon, limit))

    def pairs(self) -> tuple[Pair, ...]:
        """Every configured pair."""
        return self._run(self._calls.pairs())

    def models(self) -> tuple[Model, ...]:
        """Every configured model."""
        return self._run(self._calls.models())

    def model(self, model_id: str) -> Model:
        """One model: its columns, window, horizon, target, quantiles and pairs."""
        return self._run(self._calls.model(model_id))

    def certificate(self, model_id: str, pair: str | None = None) -> Certificate:
        """What a model was measured to be worth; `pair` may be left out where it has one only."""
        return self._run(self._calls.certificate(model_id, pair))

    def ready(self) -> Readiness:
        """Whether the service has a forecast to give; that it has none is no error."""
        return self._run(self._calls.ready())

    def stream(
        self,
        pairs: Sequence[str] | None = None,
        model: str | None = None,
        frequency: str | None = None,
        *,
        reconnect: bool = True,
        last_event_id: str | None = None,
    ) -> Iterator[Forecast]:
        """The newest forecast of each pair, then every new one as it is published, each once.

        A stream that breaks is opened again, for ever; without `reconnect` that is an error. `last_event_id`: go on
        after the forecast of this `event_id`.
        """
        opened = Streaming(self._options, pairs, model, frequency, reconnect=reconnect, last_event_id=last_event_id)
        return self._iterate(opened.forecasts())

    def wait(
        self,
        pair: str,
        after: Forecast | datetime | None = None,
        timeout: float | None = None,
        model: str | None = None,
        frequency: str | None = None,
    ) -> Forecast:
        """The next forecast: newer than `after`, issued after a moment, or newer than the newest there is now.

        Raises `TimedOut` after `timeout` seconds.
        """
        return self._run(Streaming(self._options, [pair], model, frequency, timeout=timeout).newer(after))

    def close(self) -> None:
        """Close all connections; no call can be made afterwards."""
        self._http.close()

    def __enter__(self) -> ForecastClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ForecastClient({self._options.server!r})"

    def _run(self, flow: Flow[T]) -> T:
        line, reply = Line(self._http, self._options), None
        try:
            while True:
                reply = line.perform(flow.send(reply))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()
            line.close()

    def _iterate(self, flow: Flow[None]) -> Iterator[Any]:
        line, reply = Line(self._http, self._options), None
        try:
            while True:
                try:
                    effect = flow.send(reply)
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    reply = None
                    yield effect.item
                else:
                    reply = line.perform(effect)
        finally:
            flow.close()
            line.close()
