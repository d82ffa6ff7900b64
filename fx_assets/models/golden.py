"""`golden.json`: one window and what the model answered when it was trained, asked again at each load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.models.errors import InvalidCheckpoint
from fx_assets.models.params import dump_params, read_json
from fx_assets.models.results import FloatArray, Prediction

GOLDEN = "golden.json"
# Of the forecast's scale: libraries and processors may round differently, a wrong model is off by far more.
TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Golden:
    """`window` (window, columns), NaN where a feature was missing; `ahead` (H, known_ahead) or None; the answer."""

    window: FloatArray
    ahead: FloatArray | None
    location: FloatArray
    scale: FloatArray

    def unlike(self, location: FloatArray, scale: FloatArray) -> str:
        """How an answer differs from the one on record; empty where it does not."""
        for name, now, then in (("location", location, self.location), ("scale", scale, self.scale)):
            if now.shape != then.shape:
                return f"{name} has shape {now.shape}, it was {then.shape}"
            off = float(np.max(np.abs(now - then) / self.scale))
            if not off <= TOLERANCE:
                return f"{name} differs by {off:.3g} of the scale from what the model answered when it was trained"
        return ""


def golden_file(window: FloatArray, ahead: FloatArray | None, prediction: Prediction) -> bytes:
    """The file for one window (window, columns) and its prediction (one row)."""
    rows = [[None if np.isnan(cell) else cell for cell in row] for row in window.tolist()]
    return dump_params(
        {
            "window": rows,
            "ahead": None if ahead is None else ahead.tolist(),
            "location": prediction.location[0].tolist(),
            "scale": prediction.scale[0].tolist(),
        }
    )


def read_golden(files: Mapping[str, bytes]) -> Golden:
    """Raises `InvalidCheckpoint` naming the file and the fault."""
    stored = read_json(files, GOLDEN)
    try:
        sample = Golden(
            window=_array(stored["window"], 2),
            ahead=None if stored["ahead"] is None else _array(stored["ahead"], 2),
            location=_array(stored["location"], 1),
            scale=_array(stored["scale"], 1),
        )
        if sample.location.shape != sample.scale.shape or not (sample.scale > 0).all():
            raise ValueError("location and scale are not one number a horizon, the scale above 0")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidCheckpoint(f"{GOLDEN}: {error}; train again") from error
    return sample


def _array(value: Any, dimensions: int) -> FloatArray:
    array = np.array(value, dtype=np.float64)
    if array.ndim != dimensions:
        raise ValueError(f"expected {dimensions} dimensions, got {json.dumps(array.shape)}")
    return array
