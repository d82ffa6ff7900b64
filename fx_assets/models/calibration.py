"""Split conformal ranges, symmetric around the location.

Source: Vovk et al. 2005; Lei et al. 2018, "Distribution-free predictive inference for regression". With n
exchangeable scores, the ceil((n + 1) p)-th smallest covers a new one with probability p to p + 1/(n + 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import InvalidCheckpoint
from fx_assets.models.params import read_json

FloatArray = NDArray[np.float64]

CALIBRATION = "calibration.json"
FORMAT = 1
STEPS = 200  # levels are multiples of 1/200
_MASSES = STEPS // 2  # central masses are multiples of 1/100
DENSE_LEVELS: FloatArray = np.arange(1, STEPS) / STEPS


def _rank(n: int, mass: int) -> int:
    """ceil((n + 1) mass / 100) in whole numbers: in floats 10 x 0.9 may round up a rank too far."""
    return -(-(n + 1) * mass // _MASSES)


def fit_calibration(scores: FloatArray) -> dict[str, Any]:
    """JSON of a `Calibration` from scores |y - location| / scale of windows that were never trained on.

    `scores` (n, H), not negative; one row a window, one column a horizon. Central masses .01 to .99 are
    kept as far as n supports them. Raises `ValueError` for anything else.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"calibration scores: expected (windows, horizons), at least one of each; got {scores.shape}")
    if not np.isfinite(scores).all() or (scores < 0).any():
        row, column = np.argwhere(~(np.isfinite(scores) & (scores >= 0)))[0]
        raise ValueError(f"calibration scores: window {row}, horizon {column + 1} is negative or not finite")
    n = len(scores)
    ranks = [rank for rank in (_rank(n, mass) for mass in range(1, _MASSES)) if rank <= n]
    z = np.sort(scores, axis=0)[np.array(ranks, dtype=np.int64) - 1].T
    return {"format": FORMAT, "n": n, "z": z.tolist()}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Half-widths in units of the scale: `z` (H, m), column j for the central mass (j + 1) / 100; `n` windows."""

    n: int
    z: FloatArray

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Raises `ValueError` for another format, or half-widths that are negative, not finite or decreasing."""
        if value.get("format") != FORMAT:
            raise ValueError(f"calibration has format {value.get('format')!r}, this version reads {FORMAT}")
        n = value.get("n")
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError("calibration: n must be a whole number of windows, at least 1")
        try:
            z = np.asarray(value.get("z"), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError("calibration: z must hold one list of numbers a horizon, all of one length") from error
        masses = sum(_rank(n, mass) <= n for mass in range(1, _MASSES))
        if z.ndim != 2 or len(z) == 0 or z.shape[1] != masses:
            raise ValueError(f"calibration: z has shape {z.shape}, but {n} windows give (horizons, {masses})")
        if not np.isfinite(z).all() or (z < 0).any() or (np.diff(z, axis=1) < 0).any():
            raise ValueError("calibration: z must be finite, not negative, and rise with the mass")
        return cls(n, z)

    @property
    def horizons(self) -> int:
        """Number of horizons H."""
        return len(self.z)

    def quantiles(self, levels: Sequence[float] | FloatArray, location: FloatArray, scale: FloatArray) -> FloatArray:
        """Quantiles (H, Q) at `levels` (Q,), multiples of .005; the one at .5 is the location itself.

        `location` and `scale` (H,). Raises `ValueError` for another level, and for one so far out
        that n windows say nothing about it.
        """
        location, scale = self.checked(location, scale)
        signs, columns = self.sides(np.asarray(levels, dtype=np.float64))
        # A column of zeros first: the median has mass 0.
        z = np.concatenate([np.zeros((self.horizons, 1)), self.z], axis=1)[:, columns]
        quantiles: FloatArray = location[:, None] + scale[:, None] * (signs * z)
        return quantiles

    def dense(self, location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The 199 levels .005 to .995, and the quantiles (H, 199) there: for scores such as CRPS."""
        return DENSE_LEVELS, self.quantiles(DENSE_LEVELS, location, scale)

    def checked(self, location: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both as float64. Raises `ValueError` where they are not (H,)."""
        location, scale = np.asarray(location, dtype=np.float64), np.asarray(scale, dtype=np.float64)
        if location.shape != (self.horizons,) or scale.shape != (self.horizons,):
            raise ValueError(
                f"location {location.shape} and scale {scale.shape}: expected ({self.horizons},), "
                "one for each calibrated horizon"
            )
        return location, scale

    def sides(self, levels: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
        """For each level (Q,) the side of the location (-1, 0, 1), and its central mass in hundredths.

        Raises `ValueError` for a level that is no multiple of .005, or too far out for the windows.
        """
        if levels.ndim != 1:
            raise ValueError(f"levels: expected a list of numbers, got shape {levels.shape}")
        steps = np.rint(np.nan_to_num(levels) * STEPS).astype(np.int64)
        off = (np.abs(levels * STEPS - steps) < 1e-9) & (steps > 0) & (steps < STEPS)
        if not off.all():
            raise ValueError(f"quantile level {levels[~off][0]}: expected a multiple of 0.005 between 0 and 1")
        masses = np.abs(STEPS - 2 * steps) // 2
        missing = masses > self.z.shape[1]
        if missing.any():
            level, mass = levels[missing][0], int(masses[missing].max())
            needed = -(-mass // (_MASSES - mass))
            raise ValueError(
                f"quantile level {level:g} needs at least {needed} validation windows, calibrated on {self.n}; "
                "raise training.validation_years or drop the level from quantiles"
            )
        return np.sign(steps - STEPS / 2), masses


def read_calibrations(
    files: Mapping[str, bytes], horizon: int, *, strict: bool
) -> tuple[dict[str, Calibration], list[str]]:
    """Each pair's calibration from `calibration.json`, and what was left out (only where not strict).

    Raises `InvalidCheckpoint` where strict, naming pair and fault.
    """
    found: dict[str, Calibration] = {}
    skipped: list[str] = []
    try:
        stored = read_json(files, CALIBRATION)
    except InvalidCheckpoint as error:
        if strict:
            raise
        return {}, [str(error)]
    for pair, value in stored.items():
        try:
            calibration = Calibration.from_json(value if isinstance(value, dict) else {})
            if calibration.horizons != horizon:
                raise ValueError(f"calibration has {calibration.horizons} horizons, the model {horizon}")
        except ValueError as error:
            if strict:
                raise InvalidCheckpoint(f"{CALIBRATION}: {pair}: {error}; train again") from error
            skipped.append(f"{CALIBRATION}: {pair}: {error}")
        else:
            found[pair] = calibration
    return found, skipped
