"""What a trial's out-of-fold windows lost and earned, from fold to fold, and packed for the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.storage.trial_series import LONGEST, PackedSeries, packed


@dataclass(frozen=True, eq=False)
class PairWindows:
    """Windows of one fold and pair, oldest first: each (n,).

    `origins` datetime64[us] in UTC; `losses`: the mean over horizons in units of a driftless walk; `returns`: log
    returns of the sign of the location, one bar ahead, 0 where it has none.
    """

    pair: str
    origins: NDArray[np.datetime64]
    losses: NDArray[np.float64]
    returns: NDArray[np.float64]


def packed_windows(windows: Sequence[PairWindows], *, longest: int = LONGEST) -> tuple[PackedSeries, ...]:
    """All folds of each pair as one series, by pair; together at most `longest` windows, equally many of each pair."""
    of_pair: dict[str, list[PairWindows]] = {}
    for part in windows:
        of_pair.setdefault(part.pair, []).append(part)
    return tuple(
        packed(
            pair,
            np.concatenate([part.origins for part in parts]),
            np.concatenate([part.losses for part in parts]),
            np.concatenate([part.returns for part in parts]),
            longest=longest // len(of_pair),
        )
        for pair, parts in sorted(of_pair.items())
    )
