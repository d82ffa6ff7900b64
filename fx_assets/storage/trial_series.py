"""What every out-of-fold window of a trial lost and earned, packed small: a part of the ledger of trials.

At most `LONGEST` windows of a trial are kept, the newest of each pair; how many were left out is said. Each takes 12
bytes at most: float32 keeps seven digits, far below the noise of what is computed from them.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from fx_assets.storage.control_schema import TRIAL_SERIES, TRIALS

# Windows of all pairs of one trial together: packed as text they fit into one line of a child's report (1 MiB).
LONGEST = 60_000
_FORMAT = b"\x01"
_HEAD, _WIDTH = 8, 12  # bytes: the first origin in microseconds, then seconds to the next, loss and return of each
_SECOND = 1_000_000


@dataclass(frozen=True)
class PackedSeries:
    """One trial's windows on one pair, as text: what a report and a database can carry. Equal series are equal text."""

    pair: str
    windows: int
    left_out: int
    content: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class TrialSeries:
    """One trial's windows on one pair, oldest first.

    `origins` (n,) datetime64[us] in UTC; `losses` (n,) each the mean over horizons, in units of a driftless walk;
    `returns` (n,) log returns of the sign of the location, one bar ahead. `state` is that of the trial: a pruned or
    failed one has the windows of the folds it got to. `left_out`: older windows that were not kept.
    """

    study: str
    number: int
    model_id: str
    kind: str
    state: str
    pair: str
    origins: NDArray[np.datetime64]
    losses: NDArray[np.float64]
    returns: NDArray[np.float64]
    left_out: int


def packed(
    pair: str,
    origins: NDArray[np.datetime64],
    losses: NDArray[np.float64],
    returns: NDArray[np.float64],
    *,
    longest: int = LONGEST,
) -> PackedSeries:
    """The newest `longest` windows of one pair; arrays (n,) as in `TrialSeries`.

    Raises `ValueError` for arrays of other lengths, values that are not finite, and origins that do not increase or are
    not whole seconds.
    """
    if not origins.shape == losses.shape == returns.shape == (len(origins),):
        raise ValueError(f"{pair}: origins {origins.shape}, losses {losses.shape}, returns {returns.shape}: not alike")
    if not (np.isfinite(losses).all() and np.isfinite(returns).all()):
        raise ValueError(f"{pair}: a loss or return of the series is not finite")
    kept = slice(max(0, len(origins) - longest), None)
    times = origins[kept].astype("datetime64[us]").astype(np.int64)
    steps = np.diff(times)
    if (steps <= 0).any() or (steps % _SECOND).any() or (steps // _SECOND > np.iinfo(np.uint32).max).any():
        raise ValueError(f"{pair}: origins of a series must increase, by whole seconds")
    body = b"".join(
        (
            times[:1].astype("<i8").tobytes(),
            np.append(np.zeros(min(1, len(times)), np.int64), steps // _SECOND).astype("<u4").tobytes(),
            losses[kept].astype("<f4").tobytes(),
            returns[kept].astype("<f4").tobytes(),
        )
    )
    content = base64.b64encode(_FORMAT + zlib.compress(body, 6)).decode("ascii")
    return PackedSeries(pair, len(times), len(origins) - len(times), content)


def record(connection: sa.Connection, study: str, number: int, series: Sequence[PackedSeries]) -> None:
    """Add a trial's series; harmless where they are known.

    Raises `ValueError` where they are known with other content, where the trial is not in the ledger, or where a
    content cannot be read.
    """
    table = TRIAL_SERIES.c
    trial = sa.select(TRIALS.c.pairs).where(TRIALS.c.study == study, TRIALS.c.number == number)
    row = connection.execute(trial).first()
    if row is None:
        raise ValueError(f"trial {number} of {study} is not in the ledger: record it before its series")
    for one in series:
        if one.pair not in row.pairs:
            raise ValueError(f"trial {number} of {study} is of {', '.join(row.pairs)}, not of {one.pair}")
        content = _bytes(one)
        _unpacked(content, one.windows)
        known = connection.execute(
            sa.select(table.content, table.windows, table.left_out).where(
                table.study == study, table.number == number, table.pair == one.pair
            )
        ).first()
        if known is None:
            values = {"study": study, "number": number, "pair": one.pair, "windows": one.windows}
            rest = {"left_out": one.left_out, "content": content, "recorded_at": datetime.now(UTC)}
            connection.execute(sa.insert(TRIAL_SERIES).values({**values, **rest}))
        elif (bytes(known.content), known.windows, known.left_out) != (content, one.windows, one.left_out):
            raise ValueError(
                f"the series of trial {number} of {study} on {one.pair} is in the ledger with other content: what was "
                f"tried never changes"
            )


def entries(
    connection: sa.Connection, *, pair: str | None = None, model_id: str | None = None, study: str | None = None
) -> list[TrialSeries]:
    """Series of a pair, a model, a study, or all, in the order of the trials' ends; of every version that ever was."""
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    for column, value in ((TRIAL_SERIES.c.pair, pair), (TRIALS.c.model_id, model_id), (TRIALS.c.study, study)):
        if value is not None:
            conditions.append(column == value)
    columns = (TRIALS.c.model_id, TRIALS.c.kind, TRIALS.c.state, TRIAL_SERIES)
    query = (
        sa.select(*columns)
        .join(TRIALS, sa.and_(TRIALS.c.study == TRIAL_SERIES.c.study, TRIALS.c.number == TRIAL_SERIES.c.number))
        .where(sa.and_(*conditions))
        .order_by(TRIALS.c.ended_at, TRIALS.c.study, TRIALS.c.number, TRIAL_SERIES.c.pair)
    )
    found = []
    for row in connection.execute(query).mappings():
        origins, losses, returns = _unpacked(bytes(row["content"]), row["windows"])
        names = ("study", "number", "model_id", "kind", "state", "pair", "left_out")
        found.append(
            TrialSeries(**{name: row[name] for name in names}, origins=origins, losses=losses, returns=returns)
        )
    return found


def unpacked(series: PackedSeries) -> tuple[NDArray[np.datetime64], NDArray[np.float64], NDArray[np.float64]]:
    """Origins, losses and returns. Raises `ValueError` for a content that `packed` did not make."""
    return _unpacked(_bytes(series), series.windows)


def _bytes(series: PackedSeries) -> bytes:
    try:
        return base64.b64decode(series.content, validate=True)
    except ValueError as error:
        raise ValueError(f"{series.pair}: the series is no base64 text") from error


def _unpacked(content: bytes, windows: int) -> tuple[NDArray[np.datetime64], NDArray[np.float64], NDArray[np.float64]]:
    if content[:1] != _FORMAT:
        raise ValueError(f"a series of format {content[:1]!r}; this version reads {_FORMAT!r}")
    size = windows * _WIDTH + (_HEAD if windows else 0)
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(content[1:], size + 1)  # no more, whatever it says of itself
    except zlib.error as error:
        raise ValueError(f"a series of {windows} windows cannot be read: {error}") from error
    if len(body) != size or not reader.eof:
        raise ValueError(f"a series of {windows} windows has {len(body)} bytes, expected {size} and no more")
    first = np.frombuffer(body, "<i8", min(1, windows))
    rest = body[len(first) * _HEAD :]
    seconds = np.frombuffer(rest, "<u4", windows).astype(np.int64)
    losses = np.frombuffer(rest, "<f4", windows, 4 * windows).astype(np.float64)
    returns = np.frombuffer(rest, "<f4", windows, 8 * windows).astype(np.float64)
    times = np.cumsum(seconds) * _SECOND + (first[0] if windows else 0)
    return times.astype("datetime64[us]"), losses, returns
