"""Both flavours of the client, driven by the same tests: the asynchronous one in an event loop of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from serving.client.asynchronous import AsyncForecastClient
from serving.client.sync import ForecastClient
from tests.support.running_api import Api

Make = Callable[..., Any]


class Driven:
    """`AsyncForecastClient` with the methods of `ForecastClient`: whatever is awaitable is awaited."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncForecastClient(*arguments, **options)

    def __enter__(self) -> Driven:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *raised: Any) -> None:
        self._runner.run(self._client.__aexit__(*raised))
        self._runner.close()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            found = method(*arguments, **options)
            if inspect.isasyncgen(found):
                return self._items(found)
            return self._runner.run(found)

        return call if inspect.ismethod(method) else method

    def _items(self, found: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(found)

        async def close() -> None:
            await found.aclose()

        try:
            while True:
                try:
                    item = self._runner.run(following())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._runner.run(close())


@pytest.fixture(params=[ForecastClient, Driven], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    """The class of a flavour."""
    found: Make = request.param
    return found


@contextmanager
def connected(make: Make, api: Api, **options: Any) -> Iterator[Any]:
    """A client of a running API."""
    with make(f"http://127.0.0.1:{api.port}", **options) as client:
        yield client
