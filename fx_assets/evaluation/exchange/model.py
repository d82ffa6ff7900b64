"""What a model of the benchmark is, the one to beat, and how any of them is scored."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.exchange.split import Rows, Split
from fx_assets.evaluation.exchange.table import Floats

Forecast = Callable[[Rows], Floats]
_CHUNK = 128


@dataclass(frozen=True)
class Fitted:
    """`forecast(last)`: z-scored levels (windows, currencies, horizon) that follow rows `last`.

    `parameters`: everything that was learned, for the proof that no test row had a part in it.
    """

    forecast: Forecast
    parameters: Mapping[str, NDArray[Any]]

    def digest(self, seen: Rows) -> str:
        """Of every learned bit and of every bit of the forecasts from rows `seen`."""
        found = hashlib.sha256()
        for name, value in sorted(self.parameters.items()):
            found.update(name.encode() + b"\0" + np.ascontiguousarray(value).tobytes())
        found.update(np.ascontiguousarray(self.forecast(seen)).tobytes())
        return found.hexdigest()


class Model(ABC):
    """A recipe for forecasts. It is given the whole split and must take rows only by `split.origins` and `rows`."""

    name: str
    seeded: bool = False

    @abstractmethod
    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """Learn from the training and validation rows of `split`."""


class RepeatLast(Model):
    """The random walk: what was last is what comes."""

    name = "repeat_last"

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """Nothing to learn."""
        del seed
        return Fitted(lambda last: np.repeat(split.z[last][:, :, None], horizon, axis=2), {})


@dataclass(frozen=True)
class Scores:
    """Losses of one fit on one part, z-scored: MSE and MAE over all windows, and MSE of each window (windows,)."""

    mse: float
    mae: float
    per_window: Floats


def score(fitted: Fitted, split: Split, horizon: int, last: Rows) -> Scores:
    """Every window in `last`, none dropped, equally weighted over windows, currencies and steps."""
    squares, absolutes = [], []
    for chunk in np.split(last, range(_CHUNK, len(last), _CHUNK)):
        error = fitted.forecast(chunk) - split.actual(chunk, horizon)
        squares.append(np.square(error).mean((1, 2)))
        absolutes.append(np.abs(error).mean((1, 2)))
    per_window = np.concatenate(squares)
    return Scores(float(per_window.mean()), float(np.concatenate(absolutes).mean()), per_window)


def shrunken(members: Sequence[Fitted], weight: float, split: Split, horizon: int) -> Fitted:
    """Repeat-last, moved by `weight` towards the mean of the members' forecasts."""

    def forecast(last: Rows) -> Floats:
        mean: Floats = sum((member.forecast(last) for member in members[1:]), members[0].forecast(last)) / len(members)
        now = split.z[last][:, :, None]
        return np.asarray(now + weight * (mean - now))

    parameters = {f"{at}.{name}": value for at, part in enumerate(members) for name, value in part.parameters.items()}
    parameters["weight"] = np.array([weight, horizon])
    return Fitted(forecast, parameters)
