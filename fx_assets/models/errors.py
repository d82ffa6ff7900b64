"""What can go wrong between a spec, a checkpoint, an input and a forecast.

All are `ValueError`s whose message says where and what to do, and never repeats a caller's data.
"""

from __future__ import annotations

from collections.abc import Iterable


class InsufficientHistory(ValueError):
    """A pair has too few rows, or a gap, for what was asked; other pairs go on."""


class InvalidInput(ValueError):
    """An input window that cannot be used; `index` is where: `()`, `(row,)` or `(row, column)`."""

    def __init__(self, message: str, index: tuple[int, ...] = ()) -> None:
        self.index = index
        self.field = "data" + "".join(f"[{part}]" for part in index)
        super().__init__(f"{self.field}: {message}")


class FitFailed(ValueError):
    """A model that cannot be fitted on these rows, or whose parameters came out unusable."""


class InvalidCheckpoint(ValueError):
    """A checkpoint's file that is missing, unreadable or holds impossible parameters."""


class ModelMismatch(ValueError):
    """A checkpoint of another kind, config or feature schema; `differences` has one line for each."""

    def __init__(self, differences: Iterable[str]) -> None:
        self.differences = tuple(differences)
        listed = "".join(f"\n  {line}" for line in self.differences)
        super().__init__(f"this checkpoint belongs to another model; train again. It differs in:{listed}")


class NotLoaded(ValueError):
    """A predictor was used before, or without, what it needs from a checkpoint."""


class ModelOutputInvalid(ValueError):
    """A model gave no usable distribution: not finite, no spread, crossed quantiles, price not positive."""
