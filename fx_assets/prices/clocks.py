"""Clocks of price files: which wall clock their times were read from, and whether the trading week agrees.

Known names: any IANA zone; a fixed offset (`+02:00`, `-0500`, `UTC+3`, east of Greenwich positive); `new_york+7`, the
clock of MetaTrader servers, whose midnight is 17:00 in New York; and `histdata`, which is New York to 2018 and London
less 5 hours from 2019 (checked against OANDA week by week; the vendor's page says otherwise).

Polars is imported inside, because checking the configuration needs the names only.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

if TYPE_CHECKING:
    import polars as pl

_NEW_YORK, _LONDON = "America/New_York", "Europe/London"
_METATRADER, _HISTDATA = "new_york+7", "histdata"
_HISTDATA_LONDON = datetime(2019, 1, 1)  # the wall clock of the first row in London time
_FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?")
_MOST = timedelta(hours=14)  # no place on Earth is further from UTC
_NO_PLACE = {"Factory", "localtime"}  # in the zone database, but of no place
_EARLIEST, _LATEST = datetime(1, 1, 2), datetime(9999, 12, 30)

# What is tried for a file that contradicts its own clock, in the order in which equal fits are named.
_COMMON = ("UTC", _NEW_YORK, _HISTDATA, _METATRADER, _LONDON, "Europe/Berlin", "Europe/Athens", "Asia/Tokyo")
_CANDIDATES = (*_COMMON, *(f"{hours:+03d}:00" for hours in range(-12, 15) if hours not in (0, 9)))

_LAST_OF_HOUR = timedelta(hours=1) - timedelta(microseconds=1)
_HALF = timedelta(minutes=30)
_SLOT = 300  # seconds
_SHORTEST_WEEKEND = timedelta(hours=40)  # longer than Christmas Day with its thin edges, shorter than any weekend
_FRIDAY = timedelta(days=5)  # after Sunday
_MISSING = timedelta(hours=2)  # so much may be missing at the edges of a whole week
_DAY = 86_400
_CLEAR = 0.1  # share of the weeks mended that a proposal may itself contradict
_MANY = 0.2  # share of weeks out of place that is too much, even where no clock would mend it


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_PLACE)


def _fixed_offset(name: str) -> timedelta | None:
    """The offset that a name such as `+02:00` stands for; None where it is no such name."""
    found = _FIXED.fullmatch(name)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return offset if found[1] == "+" else -offset


def clock_problem(name: str) -> str | None:
    """What is wrong with a clock's name, with the nearest one that exists; None where nothing is."""
    offset = _fixed_offset(name)
    if offset is not None:
        return None if abs(offset) <= _MOST else f"clock {name!r} is more than 14 hours from UTC"
    if name in {_METATRADER, _HISTDATA} or name in _zones():
        return None
    words = {known.lower().rpartition("/")[2]: known for known in sorted(_zones())}
    words |= {known.lower(): known for known in (*_zones(), _METATRADER, _HISTDATA)}
    close = difflib.get_close_matches(name.lower().replace(" ", "_"), sorted(words), n=1, cutoff=0.6)
    hint = f" Did you mean {words[close[0]]!r}?" if close else ""
    return (
        f"clock {name!r} is unknown.{hint} Give an IANA zone (e.g. {_NEW_YORK}), "
        f"a fixed offset (e.g. +02:00), {_METATRADER} or {_HISTDATA}"
    )


@dataclass(frozen=True)
class Clock:
    """A clock on some wall; make one with `clock`, which checks the name."""

    name: str

    def to_utc(self, wall: pl.Series) -> pl.DataFrame:
        """The instants at which this clock showed `wall`.

        `wall` (n,): Datetime without a zone, nulls allowed. Returns columns `time` (n, Datetime[us, UTC]; null where
        there is no single instant) and `reason` (n, String; `ambiguous_time` in the hour that an end of daylight
        saving repeats, `nonexistent_time` in the hour that its start leaves out and outside the years 1 to 9999, else
        null). Nothing is shifted. Zones know no change of daylight saving after 2099. Raises `ValueError` for times
        that have a zone already.
        """
        import polars as pl

        wall = _naive(wall).alias("wall")
        hours = wall.dt.truncate("1h").rle().struct.unnest().rename({"value": "first"})
        begin, last = pl.col("first"), pl.col("first") + _LAST_OF_HOUR
        hours = hours.with_columns(self._read(hours["first"]).to_series(0).alias("begin"))
        hours = hours.with_columns(self._read(hours.select(last).to_series()).to_series(0).alias("end"))
        # Where both ends of an hour on the wall are this far apart, the clock did not change in it.
        steady = pl.when(pl.col("end") - pl.col("begin") == _LAST_OF_HOUR)
        shift = steady.then(pl.col("begin").dt.replace_time_zone(None) - begin).repeat_by("len").explode()
        time = (wall + hours.select(shift).to_series()).dt.replace_time_zone("UTC").alias("time")
        reason = pl.Series("reason", [None], dtype=pl.String).new_from_index(0, len(wall))
        left = (time.is_null() & wall.is_not_null()).arg_true()
        if len(left):
            exact = self._read(wall.gather(left))
            time, reason = time.scatter(left, exact["time"]), reason.scatter(left, exact["reason"])
        return pl.DataFrame([time, reason])

    def _read(self, wall: pl.Series) -> pl.DataFrame:
        """`to_utc`, one by one."""
        import polars as pl

        # Beyond these years Polars' zones panic instead of failing.
        possible = pl.col("wall").is_between(_EARLIEST, _LATEST)
        frame = pl.DataFrame({"wall": wall}).select("wall", possible=pl.when(possible).then(pl.col("wall")))
        time, earliest = (self._instant(pl.col("possible"), which) for which in ("null", "earliest"))
        failed = pl.col("wall").is_not_null() & time.is_null()
        ambiguous = pl.when(failed & earliest.is_not_null()).then(pl.lit("ambiguous_time"))
        return frame.select(time=time, reason=ambiguous.when(failed).then(pl.lit("nonexistent_time")))

    def _instant(self, wall: pl.Expr, ambiguous: str) -> pl.Expr:
        import polars as pl

        def at(wall: pl.Expr, zone: str) -> pl.Expr:
            local = wall.dt.replace_time_zone(zone, ambiguous=pl.lit(ambiguous), non_existent="null")
            return local.dt.convert_time_zone("UTC")

        offset = _fixed_offset(self.name)
        if offset is not None:
            return (wall - offset).dt.replace_time_zone("UTC")
        if self.name == _METATRADER:
            # New York's own wall clock decides what is ambiguous: its 01:00 to 02:00 is 08:00 to 09:00 here.
            return at(wall - timedelta(hours=7), _NEW_YORK)
        if self.name == _HISTDATA:
            new_york, london = at(wall, _NEW_YORK), at(wall + timedelta(hours=5), _LONDON)
            return pl.when(wall < _HISTDATA_LONDON).then(new_york).otherwise(london)
        return at(wall, self.name)


def clock(name: str) -> Clock:
    """The clock of that name. Raises `ValueError` with the nearest one for a name that there is not."""
    problem = clock_problem(name)
    if problem:
        raise ValueError(problem)
    return Clock(name)


def _naive(wall: pl.Series) -> pl.Series:
    import polars as pl

    zone = getattr(wall.dtype, "time_zone", None)
    if zone is not None:
        raise ValueError(f"the times have a zone already ({zone}); give them as they stand on the clock's wall")
    return wall.cast(pl.Datetime("us"))


def thin(wall: pl.Series) -> pl.Series:
    """The first and the last time of every 5 minutes of `wall`, sorted: all that `contradiction` looks at.

    Of files too long for memory keep this of each chunk, and of the chunks joined: it is then the same as of the whole.
    """
    import polars as pl

    frame = pl.DataFrame({"wall": _naive(wall)}).drop_nulls()
    slots = frame.group_by(pl.col("wall").dt.truncate(f"{_SLOT}s").alias("slot"))
    kept = slots.agg(first=pl.col("wall").min(), last=pl.col("wall").max())
    return pl.concat([kept["first"], kept["last"]]).unique().sort().alias("wall")


def contradiction(wall: pl.Series, *, clock: str, seconds: int) -> str | None:
    """One sentence where `wall`, read by `clock`, opens and closes its weeks at hours at which no currency trades.

    `wall` (n,): the times as they stand in the file, in any order, without a zone (for a file in UTC, its UTC times).
    `seconds`: length of a bar labelled by its start, 0 for ticks; bars show no shift shorter than themselves, daily and
    longer ones nothing.
    The week of currencies runs from Sunday 17:00 to Friday 17:00 New York. Only whole weeks count (118 hours or more
    between two weekends), at least two of them, and a week counts against a clock only when its open and its close
    are both late or both early: a missing hour, a last quote after the close, a holiday or a few stray rows on a
    weekend say nothing. The sentence ends with the clocks that mend those weeks, if any of the usual ones or of the
    whole-hour offsets does. Not for markets that trade around the clock, in which there is no week to find. Raises
    `ValueError` for an unknown clock.
    """
    problem = clock_problem(clock)
    if problem:
        raise ValueError(problem)
    if seconds >= _DAY:
        return None
    weeks = _weeks(wall, seconds)
    if len(weeks) < 2:
        return None
    shift = _shifts(weeks, clock, seconds)
    bad = shift["bad"]
    if not bad.any():
        return None
    fits = _fits(weeks, shift, seconds)
    if not fits and bad.sum() < max(2, _MANY * len(weeks)):
        return None
    wrong = shift.filter(bad)
    opened = wrong["opened"].dt.truncate("30m").dt.strftime("%A %H:%M").mode().sort()[0]
    fault = (
        f"read by the clock {clock}, {len(wrong)} of {len(weeks)} whole weeks open and close at the wrong hour "
        f"(most often they open {opened} New York instead of Sunday 17:00; first in the week of {wrong['week'][0]})"
    )
    if not fits:
        return f"{fault}, and no clock known here would mend that: see whether the file changes its clock midway"
    others = ", ".join(fits[1:])
    return f"{fault}: set clock: {fits[0]}" + (f" (or {others}: these weeks cannot tell)" if others else "")


def _fits(weeks: pl.DataFrame, now: pl.DataFrame, seconds: int) -> list[str]:
    """The clocks that mend the bad weeks of `now` and touch few others, the best in front, with its equals."""
    fits: list[tuple[int, int, str]] = []
    out_of_place = int(now["bad"].sum())
    for name in _CANDIDATES:
        shift = _shifts(weeks, name, seconds)
        moved = int((shift["opened"] != now["opened"]).sum())
        mended = int((shift["good"] & now["bad"]).sum())
        still_bad = int(shift["bad"].sum())
        # A feed that always opens late would fit an hour earlier as well: weeks that were right must mostly stay.
        if 2 * mended >= max(out_of_place, moved) and still_bad <= _CLEAR * mended:
            fits.append((still_bad, -int(shift["good"].sum()), name))
    best = min(fits, default=(0, 0, ""))[:2]
    return [name for *score, name in fits if tuple(score) == best]


def _weeks(wall: pl.Series, seconds: int) -> pl.DataFrame:
    """First and last time, `first` and `last` on the wall, of every whole trading week."""
    import polars as pl

    slot, width = max(seconds, _SLOT), max(seconds, 1800)
    micros = pl.col("wall").dt.epoch("us")
    bucket = (micros // (width * 1_000_000)).alias("bucket")
    slots = (micros // (slot * 1_000_000)).n_unique()
    frame = (
        pl.DataFrame({"wall": thin(wall)})
        .group_by(bucket)
        .agg(first=pl.col("wall").min(), last=pl.col("wall").max(), slots=slots)
    )
    # Stray rows of a weekend are thin, or stand alone.
    frame = frame.filter(2 * pl.col("slots") * slot >= width).sort("bucket")
    beside = pl.min_horizontal(pl.col("bucket").diff(), -pl.col("bucket").diff(-1))
    frame = frame.filter(beside == 1)
    weekend = pl.col("first") - pl.col("last").shift(1) > _SHORTEST_WEEKEND
    frame = frame.group_by(weekend.fill_null(value=False).cum_sum().alias("week"), maintain_order=True).agg(
        pl.col("first").min(), pl.col("last").max()
    )
    bar = timedelta(seconds=seconds)
    whole = (pl.col("last") - pl.col("first")).is_between(_FRIDAY - _MISSING - bar, _FRIDAY + max(bar, _HALF))
    return frame.filter(whole).select("first", "last")


def _shifts(weeks: pl.DataFrame, name: str, seconds: int) -> pl.DataFrame:
    """How the weeks lie by the clock `name`: `opened` (New York), `week` (a Sunday), `bad`, `good`."""
    import polars as pl

    bar = timedelta(seconds=seconds)
    edges = Clock(name)._read(pl.concat([weeks["first"], weeks["last"]]))["time"]
    edges = edges.dt.convert_time_zone(_NEW_YORK).dt.replace_time_zone(None)
    local = {"first": edges.head(len(weeks)), "last": edges.tail(len(weeks))}
    # The Sunday nearest to the open: a shift of up to half a week either way is told from the next week.
    sunday = (pl.col("first") + timedelta(days=3)).dt.truncate("1w") - timedelta(days=1)
    frame = pl.DataFrame(local).with_columns(week=sunday.dt.date(), due=sunday + timedelta(hours=17))
    opened, closed = pl.col("first") - pl.col("due"), pl.col("last") - pl.col("due") - _FRIDAY
    late = (closed >= timedelta()) & (closed + bar >= _HALF)
    early = opened <= -max(bar, _HALF)
    # A clock error moves both edges of a week the same way, since no clock changes between them.
    bad = (late & (opened >= _HALF)) | (early & (closed + bar <= -_HALF))
    # Two hours may be missing; the last bar may begin at the close, with the last quote of the week in it.
    good = ~bad & ~early & (opened <= _MISSING) & (closed + bar >= -_MISSING) & (closed < _HALF)
    return frame.select(
        "week", opened=pl.col("first"), bad=bad.fill_null(value=False), good=good.fill_null(value=False)
    )
