"""A pair out of two others that share a currency: which way it comes out, and its quotes from theirs.

Polars is imported inside, because checking the configuration needs the recipes only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from fx_assets.prices.batch import Form
from fx_assets.prices.names import Side

if TYPE_CHECKING:
    import polars as pl

Method = Literal["multiply", "divide", "invert"]
_ONE_SIDED = frozenset({"bid", "ask"})


@dataclass(frozen=True)
class Recipe:
    """How a pair's price comes out of the prices of two legs.

    multiply: left * right (EURJPY = EURUSD * USDJPY). divide: left / right (EURGBP = EURUSD / GBPUSD, CHFJPY = USDJPY /
    USDCHF). invert: 1 / (left * right) (JPYEUR of EURUSD and USDJPY).
    """

    left: str
    right: str
    method: Method


def recipe(pair: str, legs: Collection[str]) -> Recipe:
    """How `pair` comes out of `legs`. Raises `ValueError` where it does not, with the pairs that would."""
    possible = recipes(legs)
    if pair not in possible:
        raise ValueError(f"{' and '.join(legs)} make {' or '.join(possible)}, not {pair}; choose other legs")
    return possible[pair]


def recipes(legs: Collection[str]) -> Mapping[str, Recipe]:
    """The two pairs that come out of `legs`, one the other turned around.

    Raises `ValueError` where these are not two pairs of exactly one currency in common.
    """
    names = sorted(legs)
    if len(names) != 2:
        raise ValueError(f"expected exactly two legs, got {len(names)}{': ' if names else ''}{', '.join(names)}")
    (a, b), (c, d) = ((name[:3], name[3:]) for name in names)
    first, second = names
    common = {a, b} & {c, d}
    if len(common) != 1 or a == b or c == d:
        raise ValueError(f"expected legs that share one currency, such as EURUSD and USDJPY; got {first} and {second}")
    if a == c or b == d:  # the shared currency stands on the same side: one leg is divided by the other
        over, under = Recipe(first, second, "divide"), Recipe(second, first, "divide")
        return {a + c: over, c + a: under} if b == d else {d + b: over, b + d: under}
    if a == d:  # so that the chain reads from left to right, base to shared to quote
        first, second, a, d = second, first, c, b
    return {a + d: Recipe(first, second, "multiply"), d + a: Recipe(first, second, "invert")}


def crossed_form(method: Method, left: tuple[str, Form], right: tuple[str, Form]) -> Form:
    """The form of the cross of two legs, each given as (name, form).

    Raises `ValueError` where the legs are unlike. Mid with mid, or with trades, which then count as the mid, gives mid;
    one side with the same side gives that side of the product. A trade has no side: with one side of the other leg it
    gives a trade, off by half the spread of that leg. Nothing comes of one side alone where prices are divided or
    turned around: the bid of the one wants the ask of the other.
    """
    (left_name, one), (right_name, other) = left, right
    said = f"{left_name} delivers {described(one)}, {right_name} {described(other)}"
    if (one.kind, one.seconds) != (other.kind, other.seconds):
        raise ValueError(
            f"{said}: a cross needs both as ticks, both as bars of one length, or both as fixings; "
            "set `resolution` of a leg, or give it another source"
        )
    if one.side == other.side:
        side: Side = one.side
    elif not {one.side, other.side} & _ONE_SIDED:
        side = "mid"
    elif "trade" in (one.side, other.side) and one.kind != "tick":
        side = "trade"
    else:
        raise ValueError(
            f"{said}: these are different sides; give both legs with bid and ask, or the same side of both"
        )
    if side in _ONE_SIDED and method != "multiply":
        raise ValueError(
            f"{said}: to {method} one side needs the other side too, and {side} by {side} is neither bid nor ask; "
            "give both legs with bid and ask, or as mid"
        )
    return Form(one.kind, one.seconds, side)


def described(form: Form) -> str:
    """A form in words, with its side where ticks or fixings have but one."""
    return str(form) if form.kind == "bar" or form.side == "mid" else f"{form} ({form.side})"


def cross_ticks(left: pl.DataFrame, right: pl.DataFrame, method: Method, max_age: timedelta) -> pl.DataFrame:
    """At each tick of either leg, its quote with the last one of the other that is at most `max_age` old.

    Legs: `time`, `bid`, `ask`, by increasing time, each time once. Returns the same columns; a tick's time is that of
    the newer quote. A side is null where a leg's last quote lacks it; without any side there is no tick.
    """
    import polars as pl

    joined = pl.concat([left.select("time"), right.select("time")]).unique().sort("time")
    for place, leg in (("left", left), ("right", right)):
        quotes = leg.select("time", pl.col("time").alias(place), pl.col("bid", "ask").name.suffix(f"_{place}"))
        joined = joined.join_asof(quotes.set_sorted("time"), on="time", strategy="backward")
    # Null where a leg has not ticked yet: never fresh.
    fresh = (pl.col("time") - pl.min_horizontal("left", "right")) <= max_age
    both = pl.col("left").is_not_null() & pl.col("right").is_not_null()
    quoted = joined.filter(both & fresh).select("time", **_quotes(method))
    return quoted.filter(pl.col("bid").is_not_null() | pl.col("ask").is_not_null())


def cross_closes(left: pl.DataFrame, right: pl.DataFrame, method: Method) -> pl.DataFrame:
    """`time`, `known_at`, `close`, `bid`, `ask` at the bars or fixings of which both legs have the close.

    Legs: the same columns, each time once; sides are null where a leg has one price only. Where both sides
    of both legs are known, `close` is the mid of the cross, else it comes from the legs' closes. Open, high and low are
    not known: the legs' extremes lie at times of their own. Known is the cross when the later leg is.
    """
    import polars as pl

    columns = ("known_at", "close", "bid", "ask")
    one, other = (
        leg.select("time", *columns).rename({name: f"{name}_{place}" for name in columns})
        for leg, place in ((left, "left"), (right, "right"))
    )
    ends = one.join(other, on="time").sort("time")
    quotes = _quotes(method)
    mid = (quotes["bid"] + quotes["ask"]) / 2
    closes = _combined(method, pl.col("close_left"), pl.col("close_right"))
    # A quote with one side only is no quote of a bar: cleaning would have to guess which side the close is.
    whole = mid.is_not_null()
    return ends.select(
        "time",
        known_at=pl.max_horizontal("known_at_left", "known_at_right"),
        close=pl.when(whole).then(mid).otherwise(closes),
        bid=pl.when(whole).then(quotes["bid"]),
        ask=pl.when(whole).then(quotes["ask"]),
    ).filter(pl.col("close").is_not_null())


def _quotes(method: Method) -> dict[str, pl.Expr]:
    """Bid and ask: what one gets by dealing in both legs at the worse side of each."""
    import polars as pl

    one, other = ("bid", "ask") if method != "invert" else ("ask", "bid")
    sides = {"bid": (one, one), "ask": (other, other)}
    if method == "divide":
        sides = {"bid": ("bid", "ask"), "ask": ("ask", "bid")}
    return {
        name: _combined(method, pl.col(f"{of_left}_left"), pl.col(f"{of_right}_right"))
        for name, (of_left, of_right) in sides.items()
    }


def _combined(method: Method, left: pl.Expr, right: pl.Expr) -> pl.Expr:
    if method == "divide":
        return left / right
    return left * right if method == "multiply" else 1 / (left * right)
