"""The base of sources that read tables of any make: what their columns, their times and their prices are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.files import FileError
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.from_files import WALL, FileSource
from fx_assets.specs.schema import SourceSpec
from fx_assets.timegrid.frequencies import seconds_of

if TYPE_CHECKING:
    import polars as pl

    from fx_assets.prices.columns import Columns

TIME_PARTS = ("date", "time")
P = ParamSpec("P")
T = TypeVar("T")


class TableSource(FileSource):
    """Bars or ticks in tables; the times need a `clock`, unless they say their offset themselves."""

    uses: ClassVar[frozenset[str]] = FileSource.uses | {"resolution", "side", "points", "columns"}

    def form(self, source: SourceSpec) -> Form:
        """As configured; minutes where `resolution` does not say, since only the file can tell."""
        if source.resolution == "tick":
            return Form("tick", 0, source.side or "mid")
        return Form("bar", seconds_of(source.resolution or "1min"), source.side or "mid")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        from fx_assets.prices.columns import mapping_problems

        yield from mapping_problems(source.columns)
        given = source.options.get("time_format")
        if isinstance(given, str):
            from fx_assets.prices.time_formats import format_problem

            if problem := format_problem(given):
                yield "options.time_format", problem


class Table:
    """One table in progress: knows its columns, and from its first rows on the form of its prices.

    Raises `FileError` where the columns, or the lack of a clock, make the table useless.
    """

    def __init__(self, name: str, names: Sequence[str], request: Request, notes: dict[str, str | int]) -> None:
        from fx_assets.prices.columns import recognise

        self.name, self._source, self._notes = name, request.source, notes
        self.columns: Columns = in_file(name, recognise, names, self._source.columns)
        self._form: Form | None = None
        notes.setdefault("columns", str(self.columns))
        if notes["columns"] != str(self.columns):
            notes[f"columns of {name}"] = str(self.columns)
        if self.columns.ignored:
            notes.setdefault("columns_ignored", ", ".join(self.columns.ignored))

    def batches(self, rows: pl.DataFrame, rejects: pl.DataFrame) -> Iterator[Batch]:
        """The rows, which have our column names, `line`, `time` and, where a clock was needed for it, `wall`."""
        from fx_assets.prices.columns import arranged, form_of

        bare = rows[WALL].drop_nulls().to_list() if WALL in rows.columns else []
        if bare and self._source.clock is None:
            raise FileError(
                f"{self.name}: times such as {bare[0]} do not say their offset from UTC; set "
                "source.clock to the clock they were taken by, e.g. UTC, America/New_York, +02:00 or new_york+7"
            )
        if self._form is None:
            if rows.is_empty():
                if rejects.is_empty():
                    return
                line, reason, raw = rejects.select("line", "reason", "raw").row(0)
                raise FileError(
                    f"{self.name}: not one of the first {rejects.height} rows is one; line {line}: {reason}: {raw}"
                )
            self._form = in_file(self.name, form_of, self.columns, self._source, rows["time"])
            if not (self.columns.says_side or self._source.side):
                self._notes["side"] = f"{self._form.side}: nothing says it; set source.side if it is another"
        yield Batch(self.name, self._form, arranged(rows, self._form, self._source.points), rejects)


def in_file(name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function gives; its `ValueError` becomes a `FileError` that names the file."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        raise FileError(f"{name}: {error}") from error
