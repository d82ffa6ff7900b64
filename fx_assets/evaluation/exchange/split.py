"""How the benchmark cuts a table: by `EvaluationWindow` only, z-scored by the training rows, look-back 96."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fx_assets.evaluation.exchange.table import Floats, Table
from fx_assets.timegrid.trading_dates import bar_end
from fx_assets.timegrid.windows import Ends, EvaluationWindow, Part

Rows = NDArray[np.int64]

LOOK_BACK = 96
HORIZONS = (96, 192, 336, 720)
# The long-horizon papers' 7:1:2 of 7,588 rows: int(rows * .7), int(rows * .2), and what is left between.
_TRAIN_SHARE, _TEST_SHARE = 0.7, 0.2
FRESH_TRAIN_UNTIL, FRESH_VALIDATE_UNTIL = date(2013, 12, 31), date(2016, 12, 31)
# Folds for choosing: the last 60 % of the rows before the test, in stretches with room for a few windows each.
_FOLD_SHARE, _MOST_FOLDS, _ROOM = 0.6, 3, 1.25


@dataclass(frozen=True)
class Split:
    """A table and its cuts."""

    table: Table
    cuts: EvaluationWindow

    @cached_property
    def z(self) -> Floats:
        """(rows, currencies): every row, less mean and over deviation of the training rows."""
        training = self.table.values[: self.rows("train")]
        scaled: Floats = (self.table.values - training.mean(0)) / training.std(0)
        return scaled

    def rows(self, part: Part) -> int:
        """How many rows lie in `part`."""
        after = self.last_row(part) + 1
        before: dict[Part, Part] = {"validation": "train", "test": "validation"}
        return after - (self.last_row(before[part]) + 1 if part in before else 0)

    def last_row(self, part: Part) -> int:
        """The number of the last row of `part`."""
        return int(self.cuts.origins(self.table.ends, window=1, horizon=1, part=part)[-1]) + 1

    def origins(self, part: Part, horizon: int) -> Rows:
        """Rows from which `part` forecasts, stride 1, none dropped. Raises `ValueError` where there is none."""
        found = self.cuts.origins(self.table.ends, window=LOOK_BACK, horizon=horizon, part=part)
        if not len(found):
            raise ValueError(f"{self.table.name}: the {part} rows have no window of {LOOK_BACK} + {horizon} rows")
        return found

    def actual(self, last: Rows, horizon: int) -> Floats:
        """(windows, currencies, horizon): the z-scored levels that followed rows `last`."""
        return np.asarray(sliding_window_view(self.z, horizon, axis=0)[last + 1])

    def folds(self, horizon: int) -> list[Split]:
        """Walk-forward folds inside the rows before the test: as many, up to 3, as leave each stretch 1.25 horizons.

        Each is z-scored by its own training rows; choices are made on its "test", which is no test row of the table.
        """
        ends, known = self.table.ends, self.last_row("validation") + 1
        count = min(_MOST_FOLDS, int(known * _FOLD_SHARE / (_ROOM * horizon)) - 1)
        if count < 1:
            raise ValueError(f"{known} rows before the test are too few to choose by at a horizon of {horizon}")
        whole = EvaluationWindow(self.cuts.validate_until, _aware(ends[known]), self.cuts.test_until)
        return [Split(self.table, cuts) for cuts in whole.folds(ends, count, share=_FOLD_SHARE)]


def published(table: Table) -> Split:
    """7:1:2 of the rows, as the papers cut them: 5311 / 760 / 1517 of the file's 7588."""
    rows = len(table)
    train, test = int(rows * _TRAIN_SHARE), int(rows * _TEST_SHARE)
    return Split(table, _window(table.ends, train, rows - test))


def fresh(table: Table) -> Split:
    """Train to 2013, validation 2014 to 2016, and every window from 2017 on for the test.

    Three years, because horizon 720 needs over 720 rows of validation to have a window there at all.
    """
    # Cut at rows, as the papers do: a part's first origin is the last row of the part before.
    counts = [
        int(np.searchsorted(table.ends, np.datetime64(bar_end(day).replace(tzinfo=None)), side="right"))
        for day in (FRESH_TRAIN_UNTIL, FRESH_VALIDATE_UNTIL)
    ]
    if not 0 < counts[0] < counts[1] < len(table):
        raise ValueError(f"{table.name}: has too few rows around 2014 to 2016 for the fresh table")
    return Split(table, _window(table.ends, *counts))


def _window(ends: Ends, train: int, before_test: int) -> EvaluationWindow:
    return EvaluationWindow(_aware(ends[train - 1]), _aware(ends[before_test - 1]), _aware(ends[-1]))


def _aware(t: np.datetime64) -> datetime:
    value: datetime = t.astype("datetime64[us]").item()
    return value.replace(tzinfo=UTC)
