"""A pair derived from two others, its legs, each from a source of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError, kinds, source
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import PairName, SourceSpec, Strict
from fx_assets.timegrid.calendars import CalendarName

if TYPE_CHECKING:
    from fx_assets.prices.crossing import Method
    from fx_assets.prices.legs import Leg

_BATCH_ROWS = 1 << 17
_EVER = -(2**62)  # microseconds since 1970: before any time


class CrossOptions(Strict):
    """How old the other leg's quote may be, for ticks; and which legs keep another calendar than that of their kind."""

    max_age_s: float = Field(default=60.0, gt=0)
    calendars: dict[PairName, CalendarName] = Field(default_factory=dict)


class CrossSource(PriceSource):
    """Quotes of a cross, bid by bid and ask by ask, from ticks, bars of one length or fixings of both legs.

    Rows come up to where the shorter leg ends; what the longer one has beyond waits in the cursor for the other. Each
    leg keeps the cursor of its own source, so that fetches one by one give what one fetch of all would give, bit for
    bit. A leg that changes what it said of the past has everything derived again. See `prices.legs`.
    """

    kind: ClassVar[str] = "cross"
    uses: ClassVar[frozenset[str]] = frozenset({"legs"})
    Options: ClassVar[type[Strict]] = CrossOptions

    def form(self, source: SourceSpec) -> Form:
        """What comes of the forms of the legs. Raises `ValueError` where they do not fit."""
        from fx_assets.prices.crossing import crossed_form, recipes

        # Turned around or not, the form is that of the product: one side alone is refused later where it matters.
        divided = all(way.method == "divide" for way in recipes(source.legs).values())
        (one, left), (other, right) = ((name, _adapter(leg).form(leg)) for name, leg in sorted(source.legs.items()))
        return crossed_form("divide" if divided else "multiply", (one, left), (other, right))

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        from fx_assets.prices.crossing import recipes

        try:
            recipes(source.legs)
        except ValueError as error:
            yield "legs", str(error)
            return
        found = []
        for name, leg in source.legs.items():
            if leg.kind not in kinds():
                found.append(
                    (f"legs.{name}.kind", f"price source {leg.kind!r} is unknown.{nearest(leg.kind, kinds())}")
                )
            else:
                found += [(f"legs.{name}.{path}", message) for path, message in _adapter(leg).problems(leg)]
        yield from found
        if not found:
            try:
                self.form(source)
            except ValueError as error:
                yield "legs", str(error)
        calendars = source.options.get("calendars")
        for name in sorted(set(calendars if isinstance(calendars, dict) else ()) - set(source.legs)):
            yield f"options.calendars.{name}", f"no such leg.{nearest(name, source.legs)}"

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        from fx_assets.prices.crossing import recipe
        from fx_assets.prices.legs import cursor_of, watermark

        try:
            way = recipe(request.pair, request.source.legs)
        except ValueError as error:
            raise SourceError(f"{request.pair}: {error}") from error
        home = request.settings.scratch_path
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="cross-", dir=home) as scratch:
            cursor, pair = request.cursor, request.pair
            left, right = (_leg(name, request, cursor, scratch, feed.notes) for name in (way.left, way.right))
            changed = [leg.name for leg in (left, right) if leg.changed]
            if changed:
                request.log(f"{pair}: {' and '.join(changed)} changed what was known before; deriving everything again")
                cursor = {}
                left, right = (_leg(name, request, cursor, scratch, feed.notes) for name in (way.left, way.right))
            until = watermark(left, right)
            for leg in (left, right):
                yield from leg.rejects()
            if left.form is not None and right.form is not None:
                if left.form.side != right.form.side:
                    feed.notes["sides"] = ", ".join(f"{leg.name} {leg.form.side}" for leg in (left, right) if leg.form)
                yield from _crossed(request, way.method, left, right, cursor.get("until"), until)
            feed.notes["waiting"] = sum(leg.waiting(until) for leg in (left, right))
            feed.cursor = cursor_of(left, right, until)


def _adapter(leg: SourceSpec) -> PriceSource:
    return source(leg.kind)


def _leg(name: str, request: Request, cursor: Mapping[str, Any], scratch: str, notes: dict[str, str | int]) -> Leg:
    """All that a leg's source has since its own cursor, cleaned. Its errors are told as those of the leg."""
    from fx_assets.prices.legs import read_leg

    spec = request.source.legs[name]
    options = CrossOptions.model_validate(request.source.options)
    adapter = _adapter(spec)
    state = cursor.get("legs", {}).get(name, {})
    asked = Request(
        pair=name,
        source=spec,
        settings=request.settings,
        log=request.log,
        now=request.now,
        history_start=request.history_start,
        fx_week=options.calendars.get(name, adapter.calendar) != "24x7",
        cursor=state.get("cursor", {}),
    )
    feed = adapter.open(asked)
    try:
        leg = read_leg(asked, feed, state, cursor.get("until"), Path(scratch))
    except SourceError as error:
        raise SourceError(f"{request.pair}: leg {name}: {error}") from error
    notes |= {f"{name}/{note}": value for note, value in feed.notes.items()}
    return leg


def _crossed(
    request: Request, method: Method, left: Leg, right: Leg, after: int | None, until: int | None
) -> Iterator[Batch]:
    """The rows of the cross after one instant and up to another, block by block."""
    import polars as pl

    from fx_assets.prices.crossing import cross_closes, cross_ticks, crossed_form

    assert left.form is not None
    assert right.form is not None
    try:
        form = crossed_form(method, (left.name, left.form), (right.name, right.form))
    except ValueError as error:
        raise SourceError(f"{request.pair}: {error}") from error
    if until is None:
        return
    age = timedelta(seconds=CrossOptions.model_validate(request.source.options).max_age_s)
    sign = {"multiply": f"{left.name} * {right.name}", "divide": f"{left.name} / {right.name}"}
    origin = sign.get(method, f"1 / ({left.name} * {right.name})")
    micros, done, first = pl.col("time").dt.epoch("us"), _EVER if after is None else after, 1
    one, other = pl.DataFrame(), pl.DataFrame()
    for block in sorted({*left.blocks, *right.blocks}):
        # The last quote before the block stays, since the first ticks after it may need it.
        one, other = (
            pl.concat([before.tail(1), leg.rows(block)], how="diagonal") if block in leg.blocks else before.tail(1)
            for before, leg in ((one, left), (other, right))
        )
        if one.is_empty() or other.is_empty():
            continue
        rows = cross_ticks(one, other, method, age) if form.kind == "tick" else cross_closes(one, other, method)
        rows = rows.filter(micros > done, micros <= until)
        for part in rows.with_row_index("line", first).cast({"line": pl.Int64}).iter_slices(_BATCH_ROWS):
            yield Batch(origin, form, part, no_rejects())
        first += rows.height
        done = max(done, *(leg.select(micros).to_series()[-1] for leg in (one, other)))
