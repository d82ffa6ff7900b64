"""Models in closed form: how much of the window's moves goes on or comes back, pooled over the currencies.

A `Regression` regresses the change over every step of the horizon on a few moves inside the window, without intercept,
and with ridge: a penalty of p times the number of rows shrinks a slope on its own to 1 / (1 + p) of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fx_assets.evaluation.exchange.model import Fitted, Model
from fx_assets.evaluation.exchange.split import LOOK_BACK, Rows, Split
from fx_assets.evaluation.exchange.table import Floats

Moves = Callable[[Floats], Floats]
"""Windows (n, currencies, look-back) to moves (n, currencies, k), in the levels' units."""

_WEEK, _MONTH, _SHORT = 5, 21, 5


def reversion(windows: Floats) -> Floats:
    """The last level less the window's mean."""
    return np.asarray(windows[..., -1:] - windows.mean(-1, keepdims=True))


def scales(windows: Floats) -> Floats:
    """The last level less the mean of a week, a month and the window."""
    last = windows[..., -1]
    return np.stack([last - windows[..., -length:].mean(-1) for length in (_WEEK, _MONTH, LOOK_BACK)], axis=-1)


def dollar(windows: Floats) -> Floats:
    """`scales`, split into what all currencies did against the dollar and what each did beside it."""
    own = scales(windows)
    common = np.broadcast_to(own.mean(1, keepdims=True), own.shape)
    return np.concatenate([own - common, common], axis=-1)


def differences(windows: Floats) -> Floats:
    """The change of each day of the window."""
    return np.diff(windows, axis=-1)


def recent(windows: Floats) -> Floats:
    """The changes of the last week's days."""
    return np.diff(windows[..., -_SHORT - 1 :], axis=-1)


@dataclass(frozen=True)
class Regression(Model):
    """`held`: only the next day is regressed, and what it says is held over the horizon: a short memory, as of noise
    in the quotes, has far more rows to be learned from than a slope for day 720. `balanced`: a window counts by
    1 / (its variance of daily changes + the mean of those), so that one crisis does not decide the slopes.
    """

    name: str
    moves: Moves
    penalty: float
    held: bool = False
    balanced: bool = False

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """Slopes (moves, steps), one set for all currencies."""
        del seed
        steps = 1 if self.held else horizon
        last = split.origins("train", horizon)
        windows = _windows(split, last)
        moves = self.moves(windows)
        root = np.sqrt(_weights(windows) if self.balanced else np.ones(moves.shape[:2]))
        moves = moves * root[..., None]
        size = np.sqrt(np.square(moves).mean((0, 1)))
        moves = moves / np.where(size > 0, size, 1.0)
        ahead = sliding_window_view(split.z, steps, axis=0)
        squares = np.einsum("nvi,nvj->ij", moves, moves)
        products = np.zeros((len(size), steps))
        for currency in range(moves.shape[1]):  # one at a time: all at once would be hundreds of MB at 720
            change = ahead[last + 1, currency] - split.z[last, currency][:, None]
            products += moves[:, currency].T @ (change * root[:, currency, None])
        count = moves.shape[0] * moves.shape[1]
        slopes = np.linalg.solve(squares + self.penalty * count * np.eye(len(size)), products)
        slopes /= np.where(size > 0, size, 1.0)[:, None]

        def forecast(last: Rows) -> Floats:
            change = self.moves(_windows(split, last)) @ slopes
            return np.asarray(split.z[last][:, :, None] + np.broadcast_to(change, (*change.shape[:2], horizon)))

        return Fitted(forecast, {"slopes": slopes})


@dataclass(frozen=True)
class Held(Model):
    """Nothing is learned, so nothing is learned wrongly: the last level moved by `share` times its distance from the
    mean of the last `rows` rows (-1: to the mean itself, 1: as far again), held over the horizon."""

    name: str
    share: float
    rows: int = LOOK_BACK

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """Nothing to learn."""
        del seed

        def forecast(last: Rows) -> Floats:
            level = split.z[last][:, :, None] + self.share * reversion(_windows(split, last)[..., -self.rows :])
            return np.repeat(level, horizon, axis=2)

        return Fitted(forecast, {"share": np.array(self.share)})


@dataclass(frozen=True)
class Drift(Model):
    """Each currency goes on at its mean change a day over the training rows."""

    name: str = "drift"

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """One number a currency."""
        del seed
        rows = split.rows("train")
        drift = (split.z[rows - 1] - split.z[0]) / (rows - 1)
        ahead = drift[:, None] * np.arange(1, horizon + 1)
        return Fitted(lambda last: np.asarray(split.z[last][:, :, None] + ahead), {"drift": drift})


def _weights(windows: Floats) -> Floats:
    variance = np.diff(windows, axis=-1).var(-1)
    return np.asarray(1 / (variance + variance.mean()))


def _windows(split: Split, last: Rows) -> Floats:
    return np.asarray(sliding_window_view(split.z, LOOK_BACK, axis=0)[last - LOOK_BACK + 1])
