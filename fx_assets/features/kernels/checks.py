"""Refusals of parameter values that a calculator does not know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fx_assets.features.kernels.base import Params


def one_of(calculator: str, params: Sequence[Params], key: str, known: Collection[Any]) -> None:
    """Refuse a set whose `key` is not in `known`: `ValueError`."""
    for item in params:
        if item[key] not in known:
            raise ValueError(f"{calculator}: {key} is {item[key]!r}; known are {', '.join(map(str, known))}")


def at_least(calculator: str, params: Sequence[Params], key: str, least: int) -> None:
    """Refuse a set whose `key` is not a whole number of at least `least`: `ValueError`."""
    for item in params:
        value = item[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{calculator}: {key} is {value!r}; give a whole number of {least} or more")
