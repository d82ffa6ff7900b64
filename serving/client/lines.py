"""The only part that touches the network: performs the effects of one flow, and decides nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx

from serving.client.exchange import (
    NO_ANSWER,
    Answer,
    Collected,
    Effect,
    Failure,
    Open,
    Pause,
    Reply,
    Send,
    failure_of,
)
from serving.client.options import Options


class Line:
    """For one flow of `ForecastClient`; holds what it has open."""

    def __init__(self, http: httpx.Client, options: Options) -> None:
        self._http, self._options = http, options
        self._open: httpx.Response | None = None
        self._parts: Iterator[bytes] = iter(())

    def perform(self, effect: Effect) -> Reply:
        """The reply of an effect."""
        try:
            if isinstance(effect, Send):
                return self._collect(self._begin(effect), effect.until)
            if isinstance(effect, Open):
                response = self._begin(effect)
                if response.status_code == 200:
                    return Answer(200, response.headers)
                return self._collect(response, time.monotonic() + effect.silence)
            if isinstance(effect, Pause):
                self.close()
                time.sleep(effect.seconds)
                return None
            return next(self._parts, b"")
        except NO_ANSWER as error:
            return failure_of(error)

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, effect: Send | Open) -> httpx.Response:
        self.close()
        response = self._open = self._http.send(self._options.built(self._http, effect), stream=True)
        self._parts = response.iter_bytes()
        return response

    def _collect(self, response: httpx.Response, until: float) -> Answer | Failure:
        collected = Collected(until)
        for part in self._parts:
            failure = collected.add(part)
            if failure is not None:
                return failure
        return Answer(response.status_code, response.headers, collected.content)


class AsyncLine:
    """The same for one flow of `AsyncForecastClient`."""

    def __init__(self, http: httpx.AsyncClient, options: Options) -> None:
        self._http, self._options = http, options
        self._open: httpx.Response | None = None
        self._parts: AsyncIterator[bytes]

    async def perform(self, effect: Effect) -> Reply:
        """The reply of an effect."""
        try:
            if isinstance(effect, Send):
                return await self._collect(await self._begin(effect), effect.until)
            if isinstance(effect, Open):
                response = await self._begin(effect)
                if response.status_code == 200:
                    return Answer(200, response.headers)
                return await self._collect(response, time.monotonic() + effect.silence)
            if isinstance(effect, Pause):
                await self.close()
                await asyncio.sleep(effect.seconds)
                return None
            return await anext(self._parts, b"")
        except NO_ANSWER as error:
            return failure_of(error)

    async def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    async def _begin(self, effect: Send | Open) -> httpx.Response:
        await self.close()
        response = self._open = await self._http.send(self._options.built(self._http, effect), stream=True)
        self._parts = response.aiter_bytes()
        return response

    async def _collect(self, response: httpx.Response, until: float) -> Answer | Failure:
        collected = Collected(until)
        async for part in self._parts:
            failure = collected.add(part)
            if failure is not None:
                return failure
        return Answer(response.status_code, response.headers, collected.content)
