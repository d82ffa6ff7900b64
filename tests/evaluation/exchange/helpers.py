"""Small tables of random walks, as the published file is made, and a family that learns in milliseconds."""

from __future__ import annotations

import numpy as np

from fx_assets.evaluation.exchange import closed
from fx_assets.evaluation.exchange.candidates import Family
from fx_assets.evaluation.exchange.table import CURRENCIES, Floats, Table, artificial_ends

SMALL = Family((closed.Regression("reversion", closed.reversion, 0.0), closed.Drift()), ())


def walk(rows: int = 700, *, seed: int = 0, phi: float = 1.0) -> Floats:
    """Levels above 0; log changes with a deviation of 0.6 % a day, pulled back to 0 where `phi` is under 1."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0, 0.006, (rows, len(CURRENCIES)))
    logs = np.zeros_like(shocks)
    for row in range(1, rows):
        logs[row] = phi * logs[row - 1] + shocks[row]
    return np.asarray(np.exp(logs))


def table(rows: int = 700, *, seed: int = 0, phi: float = 1.0) -> Table:
    """A table of such levels, without dates."""
    return Table("walk", walk(rows, seed=seed, phi=phi), artificial_ends(rows), dated=False)
