"""An exogenous series as the source of files knows it; light, since checking the configuration needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fx_assets.prices.sources.base import SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.exog import DATE, ExogSpec, SeriesSpec
from fx_assets.specs.schema import SourceSpec

KIND = "csv"


def source_spec(spec: SeriesSpec, files: str | tuple[str, ...] = ()) -> SourceSpec:
    """The series as the source of files knows it: a value is the close of a day."""
    return SourceSpec(
        kind=KIND,
        files=files or spec.files,
        clock=spec.known_at.clock,
        resolution="1d",
        side="mid",
        columns={"time": spec.columns.time, "close": spec.columns.value},
        options={**spec.options, "time_format": "%Y-%m-%d" if spec.time_format == DATE else spec.time_format},
    )


def problems(group: ExogSpec) -> Iterator[tuple[str, str]]:
    """What the source of files finds wrong, as (dotted path, message): the check that `load_exog` takes."""
    for name, spec in group.series.items():
        for path, message in source(KIND).problems(source_spec(spec)):
            ours = "time_format" if path == "options.time_format" else path
            yield f"series.{name}.{ours}", message


def dropped_files(group: ExogSpec, series: str, settings: Settings) -> tuple[str, ...]:
    """The files in the group's inbox whose names begin with the series', in capitals or not."""
    folder: Path = settings.inbox_path / group.name
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    found = tuple(str(path) for path in present if path.is_file() and path.name.lower().startswith(series.lower()))
    if not found:
        raise SourceError(
            f"{series}: {folder} holds no file called {series}*; put its files there, or name them under "
            f"series.{series}.files in configs/exog/{group.name}.yaml"
        )
    return found
