"""What is covered: rows by hour, week, session and year, and how wide the spread is at which hour of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.sessions import CLOSED, in_fx_week, session_exprs, trading_date_expr, week_days
from fx_assets.timegrid.trading_dates import NEW_YORK

NEWEST_DATES = 120
"""Trading dates that are drawn."""

_UTC = pl.Datetime("us", "UTC")
_HOURS = pl.Schema({"hour": _UTC, "rows": pl.Int64(), "day": pl.Date(), "stretch": pl.Int64()})
_SATURDAY = 6  # Polars counts weekdays from Monday, 1
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOUR, _DAY = 3_600, 86_400
_KEPT_SPREADS = 100_000  # of a block, evenly
_LEAST_WEEKS, _LEAST_ROWS = 4, 100
_STRAY, _REGULAR_STRAY = 0.005, 0.001  # shares of the rows
_NEVER = 0.1  # of an average weekday's rows
_YEARS = 10


@dataclass(frozen=True)
class Week:
    """Rows by weekday. `weekends`: weeks with rows on a Saturday or Sunday; `odd`: what no real market shows, or ""."""

    rows: int
    weeks: int
    weekend_rows: int
    weekends: int
    odd: str


class Coverage:
    """Rows by hour (UTC) and a sample of the spreads, block by block; a few bytes an hour, whatever the ticks."""

    def __init__(self, form: Form, calendar: CalendarName) -> None:
        self.form, self.calendar = form, calendar
        self.daily = form.kind == "fixing" or form.seconds >= _DAY
        self._parts: list[pl.DataFrame] = []
        self._stretch = 0
        self._spreads: list[pl.DataFrame] = []

    def add(self, view: pl.DataFrame, days: pl.Series, *, follows: bool) -> None:
        """The next block: `time`, `bid`, `ask` by time, and its trading dates. `follows`: nothing lies in between."""
        if view.is_empty():
            return
        self._stretch += not follows
        if self.daily:
            hours = pl.DataFrame({"hour": view["time"], "rows": 1, "day": days})
        else:
            runs = view["time"].dt.truncate("1h").rle().struct.unnest()
            hours = runs.select(hour="value", rows="len", day=trading_date_expr(pl.col("value")))
        stretch = pl.lit(self._stretch, dtype=pl.Int64)
        self._parts.append(hours.with_columns(pl.col("rows").cast(pl.Int64), stretch=stretch))
        if not self.daily and view["bid"].null_count() < view.height > view["ask"].null_count():
            self._keep_spreads(view)

    def _keep_spreads(self, view: pl.DataFrame) -> None:
        sample = view.select("time", spread=pl.col("ask") - pl.col("bid")).drop_nulls()
        if sample.is_empty():
            return
        self._spreads.append(sample.gather_every(-(-sample.height // _KEPT_SPREADS)))
        # Older than what is drawn: let go.
        last = sample["time"][-1]
        self._spreads = [part for part in self._spreads if last - part["time"][-1] < timedelta(days=2 * NEWEST_DATES)]

    def hours(self) -> pl.DataFrame:
        """`hour` (UTC; of days and fixings their time), `rows`, `day` (trading date), `stretch`, by hour."""
        return pl.concat(self._parts).sort("hour") if self._parts else pl.DataFrame(schema=_HOURS)

    def week(self) -> Week:
        """How the rows lie over the week, and whether a market like that exists.

        Odd is a market of currencies with more than 0.5 % of its rows (0.1 % where every second weekend has some)
        between Friday and Sunday 17:00 New York: real files have up to 0.08 %. Odd is any market that has a weekday
        with less than a tenth of an average one's rows. Both ask for 4 weeks, the share alone for 100 rows.
        """
        days = self.hours().with_columns(weekday=pl.col("day").dt.weekday(), week=pl.col("day").dt.truncate("1w"))
        total, weeks = int(days["rows"].sum()), days["week"].n_unique()
        weekend = days.filter(pl.col("weekday") >= _SATURDAY)
        stray, weekends = int(weekend["rows"].sum()), weekend["week"].n_unique()
        odd: list[str] = []
        share = stray / total if total else 0.0
        regular = weeks >= _LEAST_WEEKS and weekends > weeks / 2 and share > _REGULAR_STRAY
        if self.calendar != "24x7" and (regular or (total >= _LEAST_ROWS and share > _STRAY)):
            odd.append(
                f"{share:.2%} of the rows lie between Friday and Sunday 17:00 New York, in {weekends} of {weeks} weeks"
            )
        if weeks >= _LEAST_WEEKS:
            counts = dict(days.group_by("weekday").agg(pl.col("rows").sum()).iter_rows())
            usual = range(1, week_days(self.calendar) + 1)
            average = sum(counts.get(day, 0) for day in usual) / len(usual)
            missing = [_DAYS[day - 1] for day in usual if counts.get(day, 0) < _NEVER * average]
            if missing:
                odd.append(f"{', '.join(missing)}: hardly a row in {weeks} weeks")
        return Week(total, weeks, stray, weekends, "; ".join(odd))

    def grid(self) -> pl.DataFrame:
        """Every hour of the newest 120 trading dates within what was seen: `day`, `local` (hour in New York), `rows`
        (0 where none), `open` (whether the market was), by `day` and `hour` (UTC).
        """
        hours = self._newest(self.hours())
        if hours.is_empty():
            return pl.DataFrame(
                schema={"hour": _UTC, "day": pl.Date, "local": pl.Int8, "rows": pl.Int64, "open": pl.Boolean}
            )
        return self._every_hour(hours).select("hour", "day", "local", "rows", "open")

    def sessions(self) -> pl.DataFrame:
        """`session`, `open_hours`, `covered` (of these, with a row), `rows`: newest 120 trading dates."""
        hours = self._every_hour(self._newest(self.hours()))
        label = session_exprs(pl.col("hour"), self.calendar)[-1]
        found = (
            hours.with_columns(label)
            .group_by("session", maintain_order=True)
            .agg(open_hours=pl.len(), covered=(pl.col("rows") > 0).sum(), rows=pl.col("rows").sum())
        )
        return found.sort(pl.col("session") == CLOSED, maintain_order=True)

    def spread_by_hour(self) -> pl.DataFrame:
        """`local` (hour in New York), `median`, `wide` (90 % are narrower), in price, over the newest 120 trading
        dates; empty where a side is not known.
        """
        if not self._spreads:
            return pl.DataFrame(schema={"local": pl.Int8, "median": pl.Float64, "wide": pl.Float64})
        rows = pl.concat(self._spreads).with_columns(hour=pl.col("time").dt.truncate("1h"))
        rows = rows.join(self._newest(self.hours()).select("hour"), on="hour", how="semi")
        rows = rows.with_columns(local=pl.col("hour").dt.convert_time_zone(NEW_YORK.key).dt.hour())
        spread = pl.col("spread")
        return rows.group_by("local").agg(median=spread.median(), wide=spread.quantile(0.9)).sort("local")

    def missing(self) -> pl.DataFrame:
        """Of days and fixings: `year`, `month`, `expected` (open trading dates), `missing` of them; by month."""
        parts = [
            pl.DataFrame({"day": calendar(self.calendar).days(*_ends(part["day"]))}, schema={"day": pl.Date})
            for part in self.hours().partition_by("stretch")
        ]
        if not parts:
            return pl.DataFrame(
                schema={"year": pl.Int32, "month": pl.Int8, "expected": pl.UInt32, "missing": pl.UInt32}
            )
        held = self.hours()["day"].unique()
        dates = pl.concat(parts).with_columns(absent=~pl.col("day").is_in(held.implode()))
        keys = [pl.col("day").dt.year().alias("year"), pl.col("day").dt.month().alias("month")]
        return dates.group_by(keys).agg(expected=pl.len(), missing=pl.col("absent").sum()).sort("year", "month")

    def table(self) -> str:
        """Markdown: by session, of days and fixings by year (the newest 10)."""
        if self.daily:
            years = self.missing().group_by("year").agg(pl.col("expected", "missing").sum()).sort("year").tail(_YEARS)
            lines = [f"| {year} | {open_:,} | {gone:,} |" for year, open_, gone in years.iter_rows()]
            return "\n".join(["| year | open dates | missing |", "|---|--:|--:|", *lines])
        head = ["| session | open hours | with rows | share | rows an hour |", "|---|--:|--:|--:|--:|"]
        lines = [
            f"| {session} | {hours if session != CLOSED else 0:,} | {covered:,} | "
            f"{f'{covered / hours:.1%}' if session != CLOSED else '-'} | {rows / max(covered, 1):,.0f} |"
            for session, hours, covered, rows in self.sessions().iter_rows()
        ]
        return "\n".join([*head, *lines])

    def _newest(self, hours: pl.DataFrame) -> pl.DataFrame:
        dates = hours["day"].unique().sort().tail(NEWEST_DATES)
        return hours if dates.is_empty() else hours.filter(pl.col("day") >= dates[0])

    def _every_hour(self, hours: pl.DataFrame) -> pl.DataFrame:
        """`hours` with those between that have no row, one row each, by hour."""
        step = max(_HOUR, self.form.seconds)
        found = hours.group_by("hour", maintain_order=True).agg(pl.col("rows").sum(), pl.col("stretch").first())
        spans = found.group_by("stretch", maintain_order=True).agg(a=pl.col("hour").min(), b=pl.col("hour").max())
        every = (
            spans.select(hour=pl.datetime_ranges("a", "b", f"{step}s")).explode("hour").unique()
            if step == _HOUR
            else found
        )
        opened = pl.lit(value=True) if self.calendar == "24x7" else in_fx_week(pl.col("hour"))
        return (
            every.select("hour")
            .join(found, on="hour", how="left")
            .sort("hour")
            .with_columns(
                pl.col("rows").fill_null(0),
                day=trading_date_expr(pl.col("hour")),
                open=opened,
                local=pl.col("hour").dt.convert_time_zone(NEW_YORK.key).dt.hour(),
            )
        )


def _ends(days: pl.Series) -> tuple[date, date]:
    first, last = days.min(), days.max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    return first, last
