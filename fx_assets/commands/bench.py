"""`bench exchange`: the published table of the long-horizon papers, and the same on prices no paper has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.commands.terminal import JsonOption, err, fail, print_json
from fx_assets.settings import environment

if TYPE_CHECKING:
    from fx_assets.evaluation.exchange.table import Table

bench = typer.Typer(name="bench", help="Models against what others have published.", no_args_is_help=True)


@bench.callback()
def _group() -> None:
    """Keeps `exchange` a command of its own while it is the only one."""


@bench.command()
def exchange(
    data: Annotated[
        Path | None,
        typer.Option(help="exchange_rate.txt.gz; $FX_SAMPLE_DATA/exchange_rate/exchange_rate.txt.gz where not given"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="The ECB's history instead: trained up to 2016, tested from 2017 on")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each network")] = 3,
    horizons: Annotated[str | None, typer.Option(help="Comma-separated; 96,192,336,720 where not given")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A trial: iTransformer for one epoch, no other network; not the protocol")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score the project's models by the papers' Exchange protocol, beside the papers' figures.

    About an hour on one core; the test rows are scored once, after everything has been learned and chosen.
    """
    from fx_assets.commands.bench_tables import print_result
    from fx_assets.evaluation.exchange.bench import Task, run
    from fx_assets.evaluation.exchange.split import HORIZONS
    from fx_assets.evaluation.exchange.table import from_ecb

    wanted = HORIZONS if horizons is None else _horizons(horizons)
    file = _file(data, needed=not fresh)
    try:
        task = Task(file, from_ecb(), fresh=fresh, horizons=wanted, seeds=seeds, quick=quick)
        with progress("ECB, fresh" if fresh else "Exchange") as start:
            result = run(task, start)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json(result.document())
    else:
        print_result(result)
    if result.leaks:
        fail(f"these saw test rows while they were fitted: {', '.join(result.leaks)}; their figures mean nothing")


def _file(data: Path | None, *, needed: bool) -> Table | None:
    from fx_assets.evaluation.exchange.table import FILE_NAME, TableError, read_file

    folder = environment().get("FX_SAMPLE_DATA")
    path = data or (Path(folder) / FILE_NAME if folder else None)
    if path is None:
        if not needed:
            return None
        raise typer.BadParameter(
            "give exchange_rate.txt.gz (github.com/laiguokun/multivariate-time-series-data), or set FX_SAMPLE_DATA to "
            f"the folder that has {FILE_NAME}; --fresh needs no file",
            param_hint="--data",
        )
    if not path.is_file():
        raise typer.BadParameter(f"{path} does not exist", param_hint="--data")
    try:
        return read_file(path)
    except TableError as error:
        fail(str(error))


def _horizons(text: str) -> tuple[int, ...]:
    try:
        found = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        found = ()
    if not found or found[0] < 1:
        raise typer.BadParameter(f"expected numbers of rows such as 96,192, got {text!r}", param_hint="--horizons")
    return found


@contextmanager
def progress(title: str) -> Iterator[Callable[[int], Callable[[str], None]]]:
    """A bar on standard error: what was fitted last, how much is left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as progress:

        def start(total: int) -> Callable[[str], None]:
            task = progress.add_task(title, total=total)
            return lambda text: progress.update(task, advance=1, description=f"{title}: {text}")

        yield start
