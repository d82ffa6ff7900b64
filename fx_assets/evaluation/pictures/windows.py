"""Rows of the scores table as a picture takes them: one pair, model and horizon, each origin once, in time order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.metrics.losses import Floats
from fx_assets.timegrid.windows import EvaluationWindow


@dataclass(frozen=True, eq=False)
class Scored:
    """n windows of one pair, model and horizon, oldest first. `table`: their rows, with all columns that were given."""

    pair: str
    model_id: str
    horizon: int
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def numbers(self, name: str) -> Floats:
        """A column (n,) as float64; NaN where it is null."""
        return np.asarray(self.table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    def times(self, name: str) -> NDArray[np.datetime64]:
        """A column (n,) of instants, datetime64[us] in UTC."""
        return np.asarray(self.table.column(name).to_numpy().astype("datetime64[us]"))

    def texts(self, name: str) -> list[str]:
        """A column (n,) of words."""
        return [str(value) for value in self.table.column(name).to_pylist()]

    @property
    def independent(self) -> int:
        """How many of the windows do not overlap."""
        return EvaluationWindow.independent(len(self), self.horizon)

    @property
    def apart(self) -> NDArray[np.int64]:
        """Every horizon-th window, from the first on: they do not overlap."""
        return np.arange(0, len(self), self.horizon)

    @property
    def name(self) -> str:
        """How a title names them."""
        return f"{self.pair}  {self.model_id}"

    @property
    def counted(self) -> str:
        """How many there are, in words."""
        overlap = "" if self.horizon == 1 else f", {self.independent:,} of them without overlap"
        return f"{len(self):,} forecasts{overlap}"

    @property
    def ahead(self) -> str:
        """The horizon in words."""
        return f"{self.horizon} bar{'s' if self.horizon > 1 else ''} ahead"


def scored(table: pa.Table, horizon: int | None = None) -> Scored:
    """The windows of `table` at `horizon`, by default its shortest.

    Where an origin was scored more than once (by neighbouring versions) the score that stands first in the table
    counts, which is the one that was first on record. Raises `ValueError` for a table of several pairs or models, and
    for one without such a row.
    """
    who = {name: sorted(set(table.column(name).to_pylist())) for name in ("pair", "model_id")}
    for name, values in who.items():
        if len(values) > 1:
            raise ValueError(f"scores of {len(values)} values of {name}, first {values[:2]}; pass one at a time")
    steps = horizons(table)
    wanted = steps[0] if horizon is None and steps else horizon
    if wanted not in steps:
        raise ValueError(f"no score at horizon {wanted}; the table has {steps or 'no row'}")
    rows = table.filter(pc.equal(table.column("horizon"), wanted))
    origins = rows.column("origin").cast(pa.int64()).to_numpy()
    _, first = np.unique(origins, return_index=True)
    return Scored(who["pair"][0], who["model_id"][0], int(wanted or 0), rows.take(pa.array(first)))


def against(table: pa.Table, champion: pa.Table) -> pa.Table:
    """`table` with the champion's `loss_crps_still` on the same horizon and origin; null where it was not scored.

    That is the benchmark of a certificate's density: a random walk with the champion's volatility. Of an origin that
    the champion was scored on more than once its first score counts.
    """
    keys = ["horizon", "origin"]
    theirs: dict[tuple[object, ...], float] = {}
    for *key, loss in zip(*(champion.column(name).to_pylist() for name in (*keys, "loss_crps_still")), strict=True):
        theirs.setdefault(tuple(key), loss)
    own = zip(*(table.column(name).to_pylist() for name in keys), strict=True)
    column = pa.array([theirs.get(key) for key in own], pa.float64())
    return table.set_column(table.schema.get_field_index("loss_crps_still"), "loss_crps_still", column)


def horizons(table: pa.Table) -> list[int]:
    """Horizons that the table has rows of, increasing."""
    return sorted(set(table.column("horizon").to_pylist()))


def folds(names: Sequence[str]) -> list[tuple[int, str]]:
    """Where another fold begins: (first window, its name), `walk-2019` as `2019`."""
    found: list[tuple[int, str]] = []
    for at, name in enumerate(names):
        if at == 0 or name != names[at - 1]:
            found.append((at, name.removeprefix("walk-")))
    return found


def spans(flags: NDArray[Any]) -> list[tuple[int, int]]:
    """Stretches [first, last] over which `flags` (n,) keeps one value, in order."""
    cuts = np.flatnonzero(flags[1:] != flags[:-1]) + 1
    return list(zip([0, *cuts.tolist()], [*(cuts - 1).tolist(), len(flags) - 1], strict=True)) if len(flags) else []
