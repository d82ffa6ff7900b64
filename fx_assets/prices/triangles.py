"""Triangles: what two pairs imply for a third, and how far its own prices are from that.

Limits, from the real files (10 pairs of 5-minute bars of MetaTrader 2019-20, 6 pairs of hours of OANDA 2016-19):

- a single bar is named from 40 basis points on (the largest on hand is 26.5, where a feed hung over a weekend), around
  the daily roll, from half an hour before 17:00 New York to an hour and a half after, from 100 on (25; there banks set
  new prices and spreads are wide). The yen's flash crash of 2019-01-02 22:00 UTC is 172 and named.
- the median of the deviation over 100 bars may be 15 basis points either way. It is 0.1 to 0.4 as a rule, and up to 9
  where the pairs of a triangle settle on different dates (EURJPY of 2019-12-26, over the year's end and Tokyo's).
- by more than 5 % the three prices contradict each other: one is in points, inverted, or of another pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from fx_assets.prices.history import current_view
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.trading_dates import NEW_YORK

# Every check by name, and whether it blocks.
CROSS_CHECKS: dict[str, bool] = {"triangles": False, "agrees_with_crosses": True}

WINDOW = 100
"""Bars of the rolling median; and the newest bars that must agree in scale."""

BAR_LIMIT, ROLL_LIMIT, MEDIAN_LIMIT, SCALE_LIMIT = 40.0, 100.0, 15.0, 500.0  # basis points
_LEAST_ROWS = 20  # under this a median says nothing
_ROLL_BEGINS, _ROLL_ENDS = 16 * 60 + 30, 18 * 60 + 30  # minutes of New York's clock, when a bar ends
_NAMED = 5
_BP = 1e4
_NEAR = 0.02  # decades: how near to a power of ten a factor must be to be called one


@dataclass(frozen=True)
class Deviation:
    """How far the pair is from what its legs imply: at `time` (UTC) by `bp` basis points, which are `pips`."""

    time: datetime
    bp: float
    pips: float


@dataclass(frozen=True)
class TriangleResult:
    """What a triangle shows over the `rows` times that all three have, up to `last`.

    `median_bp`, `p99_bp`, `median_pips`: of the sizes of the deviations. `beyond`: single bars that pass their
    limit; `bars`: the 5 largest of them. `window`: the largest rolling median, dated by its last bar. `recent`: pair
    over implied, median of the newest 100 rows, and `levels` the medians of the pair and of the legs as they enter the
    product; None and none where there are no rows.
    """

    pair: str
    legs: tuple[str, str]
    rows: int
    last: datetime | None = None
    median_bp: float = 0.0
    p99_bp: float = 0.0
    median_pips: float = 0.0
    beyond: int = 0
    bars: list[Deviation] = field(default_factory=list)
    window: Deviation | None = None
    recent: float | None = None
    levels: tuple[float, ...] = ()

    @property
    def passed(self) -> bool:
        """No single bar is beyond its limit, and no rolling median."""
        return not self.beyond and (self.window is None or abs(self.window.bp) <= MEDIAN_LIMIT)

    @property
    def agrees(self) -> bool:
        """The newest rows are within 5 % of each other, or there are none."""
        return self.recent is None or abs(math.log(self.recent)) * _BP <= SCALE_LIMIT

    def __str__(self) -> str:
        return f"{self.pair} against {self.legs[0]} and {self.legs[1]}"


def triangles(pair: str, others: Iterable[str]) -> list[tuple[str, str]]:
    """Which two of `others` imply `pair` over a third currency: first the leg of its base, then that of its quote.

    EURJPY from EURUSD and USDJPY, or from EURGBP and GBPJPY; a leg may stand either way round (USDJPY from EURUSD and
    EURJPY). Sorted. Pairs are six letters.
    """
    base, quote = pair[:3], pair[3:]
    by_currencies = {frozenset((name[:3], name[3:])): name for name in sorted(others, reverse=True) if name != pair}
    thirds = sorted({currency for both in by_currencies for currency in both} - {base, quote})
    found = []
    for third in thirds:
        legs = by_currencies.get(frozenset((base, third))), by_currencies.get(frozenset((third, quote)))
        if legs[0] is not None and legs[1] is not None:
            found.append((legs[0], legs[1]))
    return sorted(found)


def check_triangle(bars: pl.DataFrame, leg_1: pl.DataFrame, leg_2: pl.DataFrame, pip: float) -> TriangleResult:
    """Compare the closes of a pair with those that two others imply, at the times that all three have.

    Each frame: BAR_SCHEMA of one pair (`pair`, `time`, `end`, `known_at`, `kind`, `close` are read), every version; the
    last of each time counts. `leg_1` shares the base of the pair, `leg_2` its quote, either way round. Raises
    `ValueError` for pairs that make no triangle, and for a frame without rows.
    """
    names = [_pair_of(frame) for frame in (bars, leg_1, leg_2)]
    pair, one, two = names
    if (one, two) not in triangles(pair, [one, two]):
        raise ValueError(f"{one} and {two} do not imply {pair}; the first must share its base, the second its quote")
    sides = [1.0 if one.startswith(pair[:3]) else -1.0, 1.0 if two.endswith(pair[3:]) else -1.0]
    rows = _logs(bars, 1.0)
    for number, (leg, side) in enumerate(zip((leg_1, leg_2), sides, strict=True), 1):
        rows = rows.join(_logs(leg, side).select("time", "log"), on="time", suffix=f"_{number}", maintain_order="left")
    if rows.is_empty():
        return TriangleResult(pair, (one, two), 0)
    levels = [_number(rows.tail(WINDOW)[name].median()) for name in ("log", "log_1", "log_2")]
    implied = pl.col("log_1") + pl.col("log_2")
    rows = rows.select(
        "time",
        limit=_limit(),
        bp=(pl.col("log") - implied) * _BP,
        pips=(pl.col("log").exp() - implied.exp()) / pip,
    )
    size = rows["bp"].abs()
    beyond = rows.filter(size > rows["limit"])
    return TriangleResult(
        pair,
        (one, two),
        rows.height,
        last=rows["time"][-1],
        median_bp=_number(size.median()),
        p99_bp=_number(size.quantile(0.99, "linear")),
        median_pips=_number(rows["pips"].abs().median()),
        beyond=beyond.height,
        bars=_largest(beyond, _NAMED),
        window=_window(rows),
        recent=math.exp(_number(rows.tail(WINDOW)["bp"].median()) / _BP),
        levels=tuple(math.exp(level) for level in levels),
    )


def cross_checks(
    pair: str, bars: pl.DataFrame, others: Mapping[str, pl.DataFrame], spec: PairSpec
) -> list[CheckOutcome]:
    """One outcome for each of `CROSS_CHECKS`: whether the bars fit what other pairs' bars of that frequency imply.

    `bars`: BAR_SCHEMA of `pair`; `others`: the same of other pairs, by name. Prices of different kinds (fixings of one
    hour, bars of another) are compared in scale only. `agrees_with_crosses` fails where no triangle agrees: with one
    that does, it is a leg of the others that is wrong. With no triangle at hand both pass and say so.
    """
    held = {name: frame for name, frame in others.items() if name != pair and not frame.is_empty()}
    results: list[tuple[TriangleResult, bool]] = []
    for one, two in triangles(pair, held) if not bars.is_empty() else []:
        kinds = {frame["kind"][0] for frame in (bars, held[one], held[two])}
        found = check_triangle(bars, held[one], held[two], spec.pip)
        if found.rows:
            results.append((found, len(kinds) == 1))
    return [_triangles(pair, [result for result, alike in results if alike]), _agrees(pair, [r for r, _ in results])]


def _triangles(pair: str, results: list[TriangleResult]) -> CheckOutcome:
    failed = [result for result in results if not result.passed]
    worst = max(results, key=lambda result: result.median_bp, default=None)
    facts: dict[str, float | int | str] = {"triangles": len(results), "bars": sum(r.beyond for r in results)}
    if worst is not None:
        facts |= {"of": str(worst), "rows": worst.rows, "median_bp": worst.median_bp, "p99_bp": worst.p99_bp}
        facts |= {"median_pips": worst.median_pips}
    said = "; ".join(_in_words(result) for result in failed) if results else _no_cross(pair)
    return CheckOutcome("triangles", not failed, CROSS_CHECKS["triangles"], said, facts)


def _agrees(pair: str, results: list[TriangleResult]) -> CheckOutcome:
    name = "agrees_with_crosses"
    off = [result for result in results if not result.agrees]
    facts: dict[str, float | int | str] = {"triangles": len(results), "disagree": len(off)}
    if not off:
        return CheckOutcome(name, True, CROSS_CHECKS[name], "" if results else _no_cross(pair), facts)
    first = off[0]
    ratio = first.recent or 1.0
    facts |= {"of": str(first), "ratio": ratio}
    said = f"{first}: {ratio:.6g} times what they imply, in the median of the rows up to {first.last}. {_remedy(first)}"
    if len(off) < len(results):
        said += (
            f". Not blocked: {len(results) - len(off)} other triangles agree with {pair}, so a leg of this one is wrong"
        )
    return CheckOutcome(name, len(off) < len(results), CROSS_CHECKS[name], said, facts)


def _remedy(result: TriangleResult) -> str:
    """Which single mistake explains the ratio: a power of ten, or one of the three turned round."""
    named = (result.pair, *result.legs)
    configs = " or ".join(f"configs/pairs/{name}.yaml" for name in named)
    log_ratio = math.log(result.recent or 1.0)
    power = log_ratio / math.log(10)
    if round(power) and abs(power - round(power)) < _NEAR:
        return (
            f"Prices in points? {result.pair} times {10.0 ** -round(power):g} fits, or a leg by as much: set "
            f"source.points in {configs}, in whichever is off"
        )
    for name, level in zip(named, result.levels, strict=False):
        # Turned round, a price of log x puts the ratio off by 2 x; of the legs the other way.
        shift = 2 * math.log(level) * (1 if name == result.pair else -1)
        if abs(log_ratio - shift) < _NEAR:
            return (
                f"Inverted? Turned round, {name} fits: name a source of {name}, not {name[3:]}{name[:3]}, in its config"
            )
    return f"No power of ten and no inversion explains it: of another pair, or another day? Look at source in {configs}"


def _in_words(result: TriangleResult) -> str:
    if not result.agrees:
        return f"{result}: of another scale, see agrees_with_crosses"
    parts = []
    if result.beyond:
        named = ", ".join(f"{bar.time} by {bar.bp:.1f} bp ({bar.pips:.1f} pips)" for bar in result.bars)
        more = f" and {result.beyond - len(result.bars)} more" if result.beyond > len(result.bars) else ""
        parts.append(f"beyond {BAR_LIMIT:g} bp in one bar ({ROLL_LIMIT:g} around the daily roll): {named}{more}")
    if result.window is not None and abs(result.window.bp) > MEDIAN_LIMIT:
        at = result.window
        parts.append(
            f"median of {WINDOW} bars off by {at.bp:.1f} bp ({at.pips:.1f} pips) up to {at.time}, limit "
            f"{MEDIAN_LIMIT:g}: a wrong clock, another side (bid for mid), or other settlement dates?"
        )
    return f"{result}: {'; '.join(parts)}"


def _no_cross(pair: str) -> str:
    return f"nothing to compare with: no two other pairs with bars at the same times imply {pair}"


def _pair_of(frame: pl.DataFrame) -> str:
    if frame.is_empty():
        raise ValueError("a frame of bars without rows; expected those of one pair")
    return str(frame["pair"][0])


def _logs(frame: pl.DataFrame, side: float) -> pl.DataFrame:
    """`time`, `end`, `kind` and `log` (of the close, turned round for a leg that stands so) of the current view."""
    return current_view(frame).select("time", "end", "kind", log=pl.col("close").log() * side)


def _limit() -> pl.Expr:
    """What a single bar may be off by; a fixing is of one moment, far from the roll."""
    end = pl.col("end").dt.convert_time_zone(NEW_YORK.key)
    minute = end.dt.hour().cast(pl.Int32) * 60 + end.dt.minute()
    roll = minute.is_between(_ROLL_BEGINS, _ROLL_ENDS) & (pl.col("kind") == "bar")
    return pl.when(roll).then(ROLL_LIMIT).otherwise(BAR_LIMIT)


def _window(rows: pl.DataFrame) -> Deviation | None:
    if rows.height < _LEAST_ROWS:
        return None
    size = min(WINDOW, rows.height)
    rolled = rows.select("time", pl.col("bp", "pips").rolling_median(size)).slice(size - 1)
    return _largest(rolled, 1)[0]


def _largest(rows: pl.DataFrame, most: int) -> list[Deviation]:
    ordered = rows.select("time", "bp", "pips").sort(pl.col("bp").abs(), descending=True, maintain_order=True)
    return [Deviation(*row) for row in ordered.head(most).iter_rows()]


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
