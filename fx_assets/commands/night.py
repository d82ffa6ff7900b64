"""Runs a night here and now, as real Dagster runs on the persistent instance."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fx_assets.orchestration import keys, nights
from fx_assets.orchestration.home import prepare_home, warm_databases
from fx_assets.orchestration.nights import Launch
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.timegrid.trading_dates import trading_date_of

# Dagster prints every event of a run by default; the terminal shows progress, the UI has the log.
RAW_OP = "__".join(keys.RAW.path)
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class NothingChosen(ValueError):
    """The chosen assets and the chosen pairs have nothing in common."""


@dataclass
class NightResult:
    """What the runs of a night did."""

    computed: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    interrupted: bool = False
    """Whether somebody ended it: what was published stays, and the next night goes on from there."""

    def record(self, launch_name: str, result: dg.ExecuteInProcessResult) -> None:
        """Count what a run computed and reused, and why it failed if it did."""
        for event in result.get_asset_materialization_events():
            materialization = event.step_materialization_data.materialization
            entry = materialization.metadata.get("reused")
            name = f"{materialization.asset_key.to_user_string()}[{materialization.partition or 'panel'}]"
            (self.reused if entry is not None and entry.value else self.computed).append(name)
        steps = result.filter_events(lambda event: event.is_step_failure)
        for failure in steps:
            error = failure.step_failure_data.user_failure_data
            cause = error.description if error is not None else _root_cause(failure)
            self.failed.append(f"{launch_name}: {failure.step_key}: {cause}")
        # A signal fails the run, whether it came during a step or between two, where none of them fails.
        if any(map(_interrupted, result.filter_events(lambda event: event.is_job_failure))):
            self.interrupted = True
            if not steps:
                self.failed.append(f"{launch_name}: ended between two steps")

    @property
    def summary(self) -> str:
        """One line: how many assets were computed, reused, and how many steps failed."""
        total = len(self.computed) + len(self.reused)
        if total and not self.computed and not self.failed:
            return f"nothing changed: all {total} assets reused"
        return f"{len(self.computed)} assets computed, {len(self.reused)} reused, {len(self.failed)} steps failed"


def _root_cause(failure: dg.DagsterEvent) -> str:
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "unknown"
    # Of an error of our own the sentence says it all; where another library failed, its class helps.
    return re.sub(r"^(?:fx_assets|serving)\.[\w.]+: ", "", error.message.strip()).splitlines()[0]


def _interrupted(failure: dg.DagsterEvent) -> bool:
    error = failure.job_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def run_night(settings: Settings, catalog: Catalog, pairs: Iterable[str], console: Console) -> NightResult:
    """Launch the three waves for `pairs` one run after the other; closed days are not skipped.

    A failed run does not stop the others, SIGINT and SIGTERM do. The runs are kept in DAGSTER_HOME.
    """
    from fx_assets.definitions import defs

    night = trading_date_of(datetime.now(UTC))
    launches = [launch for wave in nights.waves(catalog, night, pairs) for launch in wave]
    result = NightResult()
    home = prepare_home(settings)
    with dg.DagsterInstance.get() as instance, warm_databases(home), _progress(console, len(launches)) as show:
        for launch in launches:
            show(_title(launch))
            outcome = defs.resolve_job_def(launch.job).execute_in_process(
                run_config=QUIET,
                instance=instance,
                partition_key=launch.partition,
                tags=dict(launch.tags),
                raise_on_error=False,
            )
            result.record(_title(launch), outcome)
            show(None)
            if result.interrupted:
                break
    return result


def run_ingest(
    settings: Settings, pair: str, files: Sequence[str], source: str, clock: str, console: Console
) -> tuple[NightResult, dict[str, str | int | float]]:
    """Read files into the lake for one pair, and make the bars of what changed.

    Returns what the run did, and the plain facts that it states of the raw prices.
    """
    from fx_assets.definitions import defs

    result = NightResult()
    home = prepare_home(settings)
    config = {"files": list(files), "source": source, "clock": clock}
    with dg.DagsterInstance.get() as instance, warm_databases(home), _progress(console, 1) as show:
        show(f"ingest {pair}")
        outcome = defs.resolve_job_def(keys.INGEST_JOB).execute_in_process(
            run_config={**QUIET, "ops": {RAW_OP: {"config": config}}},
            instance=instance,
            partition_key=pair,
            raise_on_error=False,
        )
        result.record(f"ingest {pair}", outcome)
        show(None)
    return result, _facts(outcome)


def _facts(outcome: dg.ExecuteInProcessResult) -> dict[str, str | int | float]:
    """The plain numbers and texts of the raw prices' materialization; none where there was none."""
    for event in outcome.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        if materialization.asset_key == keys.RAW:
            values = {name: entry.value for name, entry in materialization.metadata.items() if "dagster/" not in name}
            return {
                name: value
                for name, value in values.items()
                if isinstance(value, int | float) or (isinstance(value, str) and len(value) < 200)
            }
    return {}


def run_selection(
    settings: Settings, keys: Iterable[dg.AssetKey], pairs: Sequence[str], console: Console
) -> NightResult:
    """Materialize the chosen assets, in the order of the graph, for those of `pairs` that each one has.

    Raises `NothingChosen` where no asset has any of the pairs.
    """
    from fx_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    chosen = set(keys)
    ordered = [key for level in graph.toposorted_asset_keys_by_level for key in sorted(level) if key in chosen]
    steps: list[tuple[dg.AssetKey, str | None]] = []
    for key in ordered:
        partitions = graph.get(key).partitions_def
        own = None if partitions is None else set(partitions.get_partition_keys())
        steps += [(key, None)] if own is None else [(key, pair) for pair in pairs if pair in own]
    if not steps:
        names = ", ".join(key.to_user_string() for key in ordered)
        raise NothingChosen(f"none of {', '.join(pairs)} is a pair of {names}")
    home, result = prepare_home(settings), NightResult()
    with dg.DagsterInstance.get() as instance, warm_databases(home), _progress(console, len(steps)) as show:
        for key, pair in steps:
            name = f"{key.to_user_string()}[{pair or 'panel'}]"
            show(name)
            job = defs.resolve_implicit_global_asset_job_def()
            outcome = job.execute_in_process(
                run_config=QUIET, instance=instance, partition_key=pair, asset_selection=[key], raise_on_error=False
            )
            result.record(name, outcome)
            show(None)
            if result.interrupted:
                break
    return result


def _title(launch: Launch) -> str:
    return f"wave {launch.wave} {launch.job}{' ' + launch.partition if launch.partition else ''}"


class _Epochs(logging.Handler):
    """Shows what a training says of itself beside the run's title."""

    def __init__(self, progress: Progress, task: Any) -> None:
        super().__init__(logging.INFO)
        self._progress, self._task = progress, task

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.update(self._task, detail=record.getMessage())


class _Once(logging.Handler):
    """Prints what the sources say of themselves, each thing once however many pairs say it."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console, self._said = console, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self._said:
            self._said.add(message)
            self._console.print(message, highlight=False, soft_wrap=True)


@contextmanager
def _listening(name: str, handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger(name)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=total, detail="")

        def show(title: str | None) -> None:
            if title is None:
                progress.advance(task)
                return
            progress.update(task, description=title, detail="")
            if not console.is_terminal:
                console.print(f"{progress.tasks[0].completed:.0f}/{total} {title}")

        with (
            _listening("fx_assets.training", _Epochs(progress, task)),
            _listening("fx_assets.prices", _Once(console)),
        ):
            yield show
