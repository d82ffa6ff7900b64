"""False prices as a source might give them: what the probe from raw prices puts in the place of the future."""

from __future__ import annotations

import numpy as np
import polars as pl

from fx_assets.features.leak import FALSE_CORRECTIONS, NOISE
from fx_assets.prices.batch import Form
from fx_assets.prices.schema import PRICE_COLUMNS

# Shares of the rows.
_LEFT_OUT = _DOUBLED = _WRONG = 0.1
_STRAYS = 0.2
_SHAPE = 0.3  # how much wider, in logarithms
_HOUR = 3_600
_TOO_HIGH = 1e13  # of a price, for the rules of cleaning


def false_future(rows: pl.DataFrame, taken: pl.Series, form: Form, rng: np.random.Generator) -> pl.DataFrame:
    """Instead of `rows` (RAW_SCHEMA or TICK_SCHEMA): noise, out of order.

    Some are left out, some stand twice with two prices, some break a rule of cleaning, and some are at times of their
    own, none of `taken` and known after the row that they are made from.
    """
    noisy = _noisy(rows, rng)
    parts = [
        noisy.filter(_some(noisy, 1 - _LEFT_OUT, rng)),
        _noisy(noisy.filter(_some(noisy, _DOUBLED, rng)), rng),
        _strays(noisy.filter(_some(noisy, _STRAYS, rng)), taken, form, rng),
    ]
    made = _wrong(pl.concat(parts), rng)
    return made[rng.permutation(made.height)]


def false_past(rows: pl.DataFrame, taken: pl.Series, form: Form, rng: np.random.Generator) -> pl.DataFrame:
    """Other prices for some of `rows`, and some at times of their own, none of `taken`."""
    corrections = _noisy(rows.filter(_some(rows, FALSE_CORRECTIONS, rng)), rng)
    strays = _strays(_noisy(rows.filter(_some(rows, _STRAYS, rng)), rng), taken, form, rng)
    return pl.concat([corrections, strays]).sort("time")


def taken_back(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Some of `rows` without a price."""
    said = [name for name in (*PRICE_COLUMNS, "ticks", "volume") if name in rows.columns]
    some = rows.filter(_some(rows, FALSE_CORRECTIONS, rng))
    return some.with_columns(pl.lit(None, rows.schema[name]).alias(name) for name in said)


def _some(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> pl.Series:
    return pl.Series(rng.random(rows.height) < share, dtype=pl.Boolean)


def _noisy(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Each row at a level of its own, wider, with another open and spread; high stays above low, and ask above bid."""
    level, spread = rng.normal(0, NOISE, rows.height), np.abs(rng.normal(0, _SHAPE, rows.height))
    wider = np.abs(rng.normal(0, _SHAPE, rows.height))
    parts = {"high": wider, "low": -wider, "open": rng.uniform(-1, 1, rows.height) * wider}
    sides = {"bid": -spread, "ask": spread}
    moves = {
        name: level + sides.get(name.partition("_")[0], 0.0) + parts.get(name.rpartition("_")[2], 0.0)
        for name in PRICE_COLUMNS
        if name in rows.columns
    }
    return rows.with_columns(pl.col(name) * pl.Series(np.exp(move)) for name, move in moves.items())


def _strays(rows: pl.DataFrame, taken: pl.Series, form: Form, rng: np.random.Generator) -> pl.DataFrame:
    """`rows` moved to later times that nobody spoke of; none of days, which are on dates of their own."""
    if form.kind == "fixing" or form.seconds > _HOUR:
        return rows.clear()
    step = form.seconds * 1_000_000 or rng.integers(1, 60_000_000, rows.height)
    moved = rows.with_columns(
        pl.col("time", "known_at") + pl.Series(np.broadcast_to(step, rows.height)).cast(pl.Duration("us"))
    )
    return moved.filter(~pl.col("time").is_in(taken.implode())).unique("time", maintain_order=True)


def _wrong(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Some rows not a number, negative, too high, or crossed."""
    kind = pl.Series(np.where(rng.random(rows.height) < _WRONG, rng.integers(1, 5, rows.height), 0))
    # A column that the source does not have stays without a value.
    rows = rows.with_columns(
        pl.when(pl.col(name).is_null() | (kind == 0))
        .then(name)
        .when(kind == 1)
        .then(np.nan)
        .when(kind == 2)
        .then(-pl.col(name))
        .when(kind == 3)
        .then(_TOO_HIGH)
        .otherwise(name)
        .alias(name)
        for name in PRICE_COLUMNS
        if name in rows.columns
    )
    return rows.with_columns(ask=pl.when(kind == 4).then(pl.col("bid") / 2).otherwise("ask"))
