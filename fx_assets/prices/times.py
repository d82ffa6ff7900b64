"""Times as they are written in price files: fixed patterns, ISO 8601 with or without an offset, seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from fx_assets.prices.clocks import Clock
from fx_assets.prices.time_formats import DIRECTIVE, EPOCHS, ISO, ISO_FORMS, chrono, format_problem

_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_MOST_MINUTES = 14 * 60  # no offset from UTC is larger
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "y": 2, "p": 2, "b": 3}

# The part after the time of day that says the offset from UTC.
_OFFSET = r"[T ][\d:.,]+ ?(Z|z|[+-]\d\d(?::?\d\d)?)$"
_ISO_FRACTION = "%Y-%m-%d %H:%M:%S%.f"


@dataclass(frozen=True)
class Times:
    """Times that were read. `time` (n,): Datetime[us, UTC], null where there is none. `reason` (n,): why, else null.

    `wall` (n,): Datetime[us] as the clock showed it; null where the text says its own offset, None where all do.
    """

    time: pl.Series
    reason: pl.Series | None
    wall: pl.Series | None


def read_times(text: pl.Series, form: str, clock: Clock) -> Times:
    """The instants that `text` (n,) of String names.

    `form`: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, or a pattern of strptime. A text with its own offset, and seconds
    since 1970, ignore the clock. Raises `ValueError` for another form.
    """
    if form in EPOCHS:
        return _checked(_epoch(text, EPOCHS[form]), text, None, None, form)
    if form == ISO:
        wall, offset = _iso(text)
    elif problem := format_problem(form):
        raise ValueError(problem)
    else:
        wall, offset = _parsed(text, form), None
        if wall.dtype != pl.Datetime("us"):  # the pattern has an offset of its own
            return _checked(wall.dt.convert_time_zone("UTC"), text, None, None, form)
    if offset is None or offset.null_count() == len(offset):
        local = clock.to_utc(wall)
        return _checked(local["time"], text, wall, local["reason"], form, clock)
    frame = pl.DataFrame({"wall": wall, "offset": offset})
    own = (pl.col("wall") - pl.duration(minutes="offset")).dt.replace_time_zone("UTC")
    if offset.null_count() == 0:
        return _checked(frame.select(own).to_series(), text, None, None, form)
    frame = frame.with_columns(bare=pl.when(pl.col("offset").is_null()).then(pl.col("wall")))
    local = clock.to_utc(frame["bare"])
    time = frame.with_columns(local["time"].alias("local")).select(pl.coalesce("local", own)).to_series()
    return _checked(time, text, frame["bare"], local["reason"], form, clock)


def _checked(
    time: pl.Series,
    text: pl.Series,
    wall: pl.Series | None,
    reason: pl.Series | None,
    form: str,
    clock: Clock | None = None,
) -> Times:
    """Put the reason beside every time that is missing or out of reach."""
    lowest, highest = time.min(), time.max()
    if time.null_count() == 0 and (lowest is None or (lowest >= _EARLIEST and highest < _LATEST)):  # type: ignore[operator]
        return Times(time.alias("time"), None, wall)
    frame = pl.DataFrame({"time": time, "text": text.fill_null("")}).with_columns(
        (pl.lit(None, pl.String) if reason is None else reason).alias("reason")
    )
    unread = pl.format("bad_time: '{}', expected {}", pl.col("text").str.slice(0, 60), pl.lit(form))
    shown = pl.format("{}: '{}' on the clock {}", "reason", "text", pl.lit(clock.name if clock else "UTC"))
    reached = (pl.col("time") >= _EARLIEST) & (pl.col("time") < _LATEST)
    frame = frame.select(
        time=pl.when(reached).then(pl.col("time")),
        reason=pl.when(pl.col("reason").is_not_null())
        .then(shown)
        .when(reached.not_() | pl.col("time").is_null())
        .then(unread),
    )
    return Times(frame["time"], frame["reason"], wall)


def _epoch(text: pl.Series, micros: int) -> pl.Series:
    """Whole numbers exactly; a fraction to the nearest microsecond."""
    whole = text.cast(pl.Int64, strict=False)
    bound = 7_300_000_000_000_000 // micros  # the year 2201, before it is multiplied
    frame = pl.DataFrame({"whole": whole}).select(
        pl.when(pl.col("whole").is_between(-bound, bound)).then(pl.col("whole") * micros).alias("us")
    )
    found = frame["us"]
    if whole.null_count() > text.null_count():
        number = text.cast(pl.Float64, strict=False)
        part = pl.DataFrame({"us": found, "number": number}).select(
            pl.coalesce(
                "us", pl.when(pl.col("number").abs() <= bound).then((pl.col("number") * micros).round().cast(pl.Int64))
            )
        )
        found = part.to_series()
    return found.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _iso(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Wall times, and the minutes that the text says they are ahead of UTC (null where it does not say)."""
    frame = text.alias("text").to_frame().with_columns(offset=pl.col("text").str.extract(_OFFSET, 1))
    body = pl.col("text")
    if frame["offset"].null_count() < len(frame):
        size = pl.col("text").str.len_bytes() - pl.col("offset").str.len_bytes().fill_null(0)
        body = pl.col("text").str.slice(0, size).str.strip_chars_end(" ")
    body = body.str.replace("T", " ", literal=True).str.replace(",", ".", literal=True)
    frame = frame.with_columns(body=body).with_columns(size=pl.col("body").str.len_bytes())
    forms = {size: ISO_FORMS.get(size, _ISO_FRACTION) for size in frame["size"].drop_nulls().unique().to_list()}
    walls = [
        pl.when(pl.col("size") == size).then(pl.col("body")).str.to_datetime(form, time_unit="us", strict=False)
        for size, form in forms.items()
    ]
    wall = frame.with_columns(wall=pl.coalesce(*walls, pl.lit(None, pl.Datetime("us"))))["wall"]
    digits = pl.col("offset").str.replace_all(r"[^\d]", "")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + (
        digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0)
    )
    minutes = pl.when(pl.col("offset").str.starts_with("-")).then(-minutes).otherwise(minutes)
    zulu = pl.col("offset").str.to_lowercase() == "z"
    offset = frame.select(pl.when(zulu).then(0).otherwise(minutes).alias("offset")).to_series()
    if offset.null_count() < len(offset):
        wall = pl.select(pl.when(offset.abs().fill_null(0) <= _MOST_MINUTES).then(wall)).to_series()
    return wall, offset


def _parsed(text: pl.Series, form: str) -> pl.Series:
    """`text` by a pattern. Where each part has its width the whole must have it too: chrono would read 2018022 1700 as
    the 2nd of February."""
    pattern = chrono(form)
    parts = DIRECTIVE.findall(pattern)
    if all(part in _WIDTHS or part[-2:-1].isdigit() for part in parts):
        width = len(DIRECTIVE.sub("", pattern)) + sum(_width(part) for part in parts)
        if (text.str.len_bytes() != width).any():
            text = pl.select(pl.when(text.str.len_bytes() == width).then(text)).to_series()
    return text.str.to_datetime(pattern, time_unit="us", strict=False)


def _width(part: str) -> int:
    return _WIDTHS[part] if part in _WIDTHS else int(part[-2]) + part.startswith(".")
