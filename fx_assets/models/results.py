"""What a predictor hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Row(NamedTuple):
    """One window's forecast: cumulative log return (H,), its standard deviation (H,), remarks for the reader."""

    location: FloatArray
    scale: FloatArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forecasts of B windows, before calibration.

    `location` (B, H) is the cumulative log return 1..H bars ahead, `scale` (B, H) its standard deviation,
    `notes` one tuple of remarks a window.
    """

    location: FloatArray
    scale: FloatArray
    notes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Distribution:
    """The calibrated forecast from one window.

    `horizons` (H,) bars ahead, 1..H; `location`, `scale` (H,) as in `Prediction`; `median` (H,) and
    `quantiles` (H, Q) prices; `levels` (Q,); `log_quantiles` (H, Q) cumulative log returns; `volatility`
    (H,) the model's standard deviation of that return, not annualised; `signal` in [-1, 1] or None;
    `timings` seconds by step, filled by `run`.
    """

    horizons: NDArray[np.int64]
    location: FloatArray
    scale: FloatArray
    median: FloatArray
    levels: FloatArray
    quantiles: FloatArray
    log_quantiles: FloatArray
    volatility: FloatArray
    signal: float | None = None
    notes: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadReport:
    """What loading left out; empty after a strict load. One line each: what, and why."""

    skipped: list[str]


class Checkpoint(Protocol):
    """A stored model: `storage.artifacts.Artifact` is one."""

    @property
    def manifest(self) -> Mapping[str, object]:
        """What the checkpoint says it is."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Verified bytes by file name."""
