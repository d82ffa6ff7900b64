"""Prices in Parquet and Arrow files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from fx_assets.prices.batch import KEPT_TEXT, Batch, no_rejects
from fx_assets.prices.clocks import Clock
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.from_files import WALL
from fx_assets.prices.sources.from_tables import TIME_PARTS, Table, TableSource, in_file
from fx_assets.specs.schema import Strict

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    Reader = Callable[[list[str]], Iterator[pa.RecordBatch]]

_ROWS = 1 << 17
_SAMPLE = 50
_PARQUET, _ARROW = b"PAR1", b"ARROW1"


class ParquetOptions(Strict):
    """`time_format`, of times that are text or numbers: iso, epoch_s, epoch_ms, epoch_us or a pattern of strptime."""

    time_format: str | None = None


class ParquetSource(TableSource):
    """Bars or ticks in columns, batch by batch in bounded memory; also what `fx-assets convert` writes."""

    kind: ClassVar[str] = "parquet"
    Options: ClassVar[type[Strict]] = ParquetOptions

    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        import polars as pl

        clock = self.clock(request)
        names, read = _opened(file)
        table = Table(file.name, names, request, notes)
        ours = {theirs: mine for mine, theirs in table.columns.taken.items()}
        form = ParquetOptions.model_validate(request.source.options).time_format
        done = 0
        for batch in read(list(ours)):
            cells = pl.DataFrame(batch).rename(ours).with_row_index("line", done + 1).cast({"line": pl.Int64})
            done += cells.height
            _check_types(file.name, cells, table.columns.taken)
            times = cells.select(name for name in TIME_PARTS if name in cells.columns)
            text = _as_text(times)
            if text is not None and form is None:
                from fx_assets.prices.columns import time_format

                form = in_file(file.name, time_format, text.drop_nulls().head(_SAMPLE).to_list())
            yield from table.batches(*_rows(cells, times, text, form or "", clock))


def _check_types(name: str, cells: pl.DataFrame, taken: Mapping[str, str]) -> None:
    """Raise `FileError` for a column that holds neither numbers, nor text, nor (for the time) times."""
    import polars as pl

    for column, kind in cells.schema.items():
        timely = column in TIME_PARTS and isinstance(kind, (pl.Datetime, pl.Date, pl.Time))
        if not (timely or kind.is_numeric() or kind in (pl.String, pl.Null)):
            raise FileError(
                f"{name}: column {taken.get(column, column)!r}, taken for {column}, holds {kind}; "
                f"expected {'times, ' if column in TIME_PARTS else ''}numbers or text: choose others by source.columns"
            )


def _rows(
    cells: pl.DataFrame, times: pl.DataFrame, text: pl.Series | None, form: str, clock: Clock
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`cells` with their times in UTC; and those whose time cannot be read, as rejects."""
    import polars as pl

    from fx_assets.prices.times import read_times

    utc, reason, wall = pl.Datetime("us", "UTC"), pl.lit(None, pl.String), None
    given = times.to_series()
    if text is not None:
        read = read_times(text, form, clock)
        time, wall = read.time, read.wall
        reason = reason if read.reason is None else pl.lit(read.reason)
    elif isinstance(given.dtype, pl.Datetime) and given.dtype.time_zone is not None:
        time = given.cast(utc)
    else:
        wall = given.cast(pl.Datetime("us"))
        local = clock.to_utc(wall)
        time, reason = local["time"], pl.lit(local["reason"])
    numbers = [name for name in cells.columns if name not in ("line", *TIME_PARTS)]
    rows = cells.select(
        "line",
        time.alias("time"),
        *([] if wall is None else [wall.alias(WALL)]),
        *(pl.col(name).cast(pl.Int64 if name == "ticks" else pl.Float64, strict=False) for name in numbers),
        reason=pl.when(time.is_null()).then(pl.coalesce(reason, pl.lit("bad_time: none"))),
    )
    good = pl.col("reason").is_null()
    rejects = no_rejects()
    if rows["reason"].null_count() < rows.height:
        told = pl.concat_str(pl.all().exclude("line", "reason").cast(pl.String), separator=", ", ignore_nulls=True)
        bad = cells.with_columns(rows["reason"]).filter(~good)
        rejects = bad.select("line", "reason", raw=told.str.slice(0, KEPT_TEXT))
    return rows.filter(good).drop("reason"), rejects


def _as_text(times: pl.DataFrame) -> pl.Series | None:
    """The times as text, where they are no times of their own; a date and a time of day are joined."""
    import polars as pl

    if times.width == 2:
        parts = [pl.col("date").cast(pl.Date) if times["date"].dtype.is_temporal() else pl.col("date"), pl.col("time")]
        return times.select(pl.concat_str([part.cast(pl.String) for part in parts], separator=" ")).to_series()
    given = times.to_series()
    return None if isinstance(given.dtype, (pl.Datetime, pl.Date)) else given.cast(pl.String)


def _opened(file: InputFile) -> tuple[list[str], Reader]:
    """Names of the columns of a file, and what reads some of them, batch by batch. Raises `FileError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    magic = next(file.chunks(), b"")[: len(_ARROW)]
    with file.path.open("rb") as stream:
        packed = stream.read(len(magic)) != magic
    if not magic.startswith((_PARQUET, _ARROW)):
        raise FileError(f"{file.name}: neither Parquet nor an Arrow (IPC) file; its first bytes are {magic!r}")

    def parquet(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with _told(file):
            yield from opened.iter_batches(_ROWS, columns=columns)

    def arrow(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with _told(file):
            for place in range(opened.num_record_batches):
                batch = opened.get_batch(place).select(columns)
                yield from (batch.slice(first, _ROWS) for first in range(0, batch.num_rows, _ROWS))

    with _told(file):
        # What is packed is unpacked in memory, up to a limit: its end has to be read first.
        source = pa.BufferReader(file.read()) if packed else pa.memory_map(str(file.path))
        if magic.startswith(_PARQUET):
            opened = pq.ParquetFile(source)
            return opened.schema_arrow.names, parquet
        opened = pa.ipc.open_file(source)
        return opened.schema.names, arrow


@contextmanager
def _told(file: InputFile) -> Iterator[None]:
    """Errors of Arrow as `FileError`, with the name of the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"{file.name}: damaged ({error}); copy or download it again") from error
