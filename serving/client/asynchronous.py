"""`AsyncForecastClient`: the forecast API for programs that run in an event loop of asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx

from serving.client.calls import Calls
from serving.client.exchange import Emit, Flow
from serving.client.lines import AsyncLine
from serving.client.options import DEADLINE, RETRIES, SERVER, SILENCE, TIMEOUT, Options, tls
from serving.client.results import Batch, Certificate, Forecast, Model, Outcome, Pair, Readiness
from serving.client.streaming import Streaming

T = TypeVar("T")


class AsyncForecastClient:
    """Asks a forecast service; may be used by several tasks of one loop, and with `async with`.

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
        self._http = httpx.AsyncClient(base_url=self._options.server, headers=self._options.headers, verify=tls())
        self._calls = Calls(self._options)

    async def predict(
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
        return await self._run(self._calls.predict(model_id, data, pair, as_of))

    async def latest(
        self,
        pair: str,
        model: str | None = None,
        frequency: str | None = None,
        as_of: datetime | str | None = None,
    ) -> Forecast:
        """The newest forecast of a pair, by default of its champion; `as_of`: what was served then."""
        return await self._run(self._calls.latest(pair, model, frequency, as_of))

    async def latest_many(self, pairs: Sequence[str], model: str | None = None, frequency: str | None = None) -> Batch:
        """The newest forecasts of several pairs, all from one version of the lake."""
        return await self._run(self._calls.latest_many(pairs, model, frequency))

    def history(
        self,
        pair: str,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        model: str | None = None,
        limit: int | None = None,
        frequency: str | None = None,
    ) -> AsyncIterator[Forecast]:
        """Earlier forecasts as they were issued, newest origin first, from `start` to before `end`."""
        return self._iterate(self._calls.history(pair, start, end, model, frequency, limit))

    async def version(self, pair: str, forecast_id: str) -> Forecast:
        """One published forecast, as it was issued; it never changes."""
        return await self._run(self._calls.version(pair, forecast_id))

    async def outcomes(
        self,
        pair: str,
        model: str | None = None,
        frequency: str | None = None,
        horizon: int = 1,
        limit: int | None = None,
    ) -> tuple[Outcome, ...]:
        """The newest forecasts that came due, oldest first, beside the prices that came."""
        return await self._run(self._calls.outcomes(pair, model, frequency, horizon, limit))

    async def pairs(self) -> tuple[Pair, ...]:
        """Every configured pair."""
        return await self._run(self._calls.pairs())

    async def models(self) -> tuple[Model, ...]:
        """Every configured model."""
        return await self._run(self._calls.models())

    async def model(self, model_id: str) -> Model:
        """One model: its columns, window, horizon, target, quantiles and pairs."""
        return await self._run(self._calls.model(model_id))

    async def certificate(self, model_id: str, pair: str | None = None) -> Certificate:
        """What a model was measured to be worth; `pair` may be left out where it has one only."""
        return await self._run(self._calls.certificate(model_id, pair))

    async def ready(self) -> Readiness:
        """Whether the service has a forecast to give; that it has none is no error."""
        return await self._run(self._calls.ready())

    def stream(
        self,
        pairs: Sequence[str] | None = None,
        model: str | None = None,
        frequency: str | None = None,
        *,
        reconnect: bool = True,
        last_event_id: str | None = None,
    ) -> AsyncIterator[Forecast]:
        """The newest forecast of each pair, then every new one as it is published, each once.

        A stream that breaks is opened again, for ever; without `reconnect` that is an error. `last_event_id`: go on
        after the forecast of this `event_id`. Its connection is freed by `aclose()`, or when the loop is done with it.
        """
        opened = Streaming(self._options, pairs, model, frequency, reconnect=reconnect, last_event_id=last_event_id)
        return self._iterate(opened.forecasts())

    async def wait(
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
        return await self._run(Streaming(self._options, [pair], model, frequency, timeout=timeout).newer(after))

    async def close(self) -> None:
        """Close all connections; no call can be made afterwards."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncForecastClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncForecastClient({self._options.server!r})"

    async def _run(self, flow: Flow[T]) -> T:
        line, reply = AsyncLine(self._http, self._options), None
        try:
            while True:
                reply = await line.perform(flow.send(reply))
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            flow.close()
            await line.close()

    async def _iterate(self, flow: Flow[None]) -> AsyncIterator[Any]:
        line, reply = AsyncLine(self._http, self._options), None
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
                    reply = await line.perform(effect)
        finally:
            flow.close()
            await line.close()
