"""A cold night of one pair against the same night again, and against the same work without Dagster.

`warm_of_cold`: time of a night with nothing new, as a share of the night that computed all of it.
`orchestration_share`: the part of the cold night that is Dagster's: 1 less the time of the same asset functions
called one after the other, in a home of their own, as a share of the run's.

All sides run in this process on the embedded ECB rates, each repetition in fresh homes, after a night that only warms
up. With --quick the model is the random walk alone, measured on one year and without feature sets, else all that
forecast the pair by themselves.
"""

from __future__ import annotations

import inspect
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from measure import arguments, median, report, seconds

from fx_assets.settings import Settings, project_root

PAIR = "USDJPY"
REPETITIONS = 3
# With --quick no repetition begins later than this: one takes 15 seconds, and the whole must end within 60.
QUICK_SECONDS = 30.0
ALL = "ALL"  # what stands for a pair in tables of many
UNLIKE = {"model_version", "measured_at", "decided_at", "run_id", "digest"}
PACKAGES = ("fx-assets", "dagster", "deltalake", "polars", "numpy", "torch")


@dataclass(frozen=True)
class Times:
    """Seconds of one repetition, and whether its sides did the same work."""

    cold: float
    warm: float
    plain: float
    equal: bool


def write_configs(folder: Path, *, quick: bool) -> None:
    """The project's own configs, less what is not about the pair, and less what takes long where it is to be quick."""
    shutil.copytree(project_root() / "configs", folder)
    for path in (folder / "pairs").glob("*.yaml"):
        if path.stem != PAIR:
            path.unlink()
    for path in (folder / "models").glob("*.yaml"):
        # A panel needs the other pairs.
        if "scope: panel" in path.read_text() or (quick and path.stem != "random_walk"):
            path.unlink()
    if quick:
        shutil.rmtree(folder / "features")
        os.environ["FX_MODELS__RANDOM_WALK__EVALUATION__YEARS"] = "1"


def enter(home: Path, configs: Path) -> Settings:
    """Make this process the one of a fresh installation, ready for its first night."""
    from fx_assets import definitions
    from fx_assets.orchestration.home import prepare_home
    from fx_assets.settings import get_settings

    os.environ |= {"FX_HOME": str(home), "FX_CONFIGS": str(configs), "DAGSTER_HOME": str(home / "dagster")}
    settings = get_settings()
    prepare_home(settings)
    definitions.defs = definitions.build_definitions()
    # A code location has its jobs resolved before a night begins.
    definitions.defs.get_repository_def().get_all_jobs()
    return settings


def dagster_night(settings: Settings) -> Any:
    """What `fx-assets demo` runs; raises where a step failed."""
    from rich.console import Console

    from fx_assets.commands.night import run_night
    from fx_assets.models.catalog import load

    catalog = load(settings)
    result = run_night(settings, catalog, catalog.pairs, Console(file=io.StringIO()))
    if result.failed:
        raise RuntimeError("; ".join(result.failed))
    return result


def plain_night(settings: Settings) -> None:
    """The functions of the same assets in the order of the night's jobs, called without Dagster's engine."""
    from fx_assets import definitions
    from fx_assets.models.catalog import load
    from fx_assets.orchestration import nights
    from fx_assets.orchestration.resources import Stores

    catalog = load(settings)
    stores = Stores(settings)
    graph = definitions.defs.resolve_asset_graph()
    for wave in nights.waves(catalog, datetime.now(UTC).date(), catalog.pairs):
        for launch in wave:
            job = definitions.defs.resolve_job_def(launch.job)
            for key in (key for level in graph.toposorted_asset_keys_by_level for key in sorted(level)):
                if key in job.asset_layer.executable_asset_keys:
                    function = _function(definitions.defs.resolve_assets_def(key).op)
                    for _ in function(_context(key, launch.partition), *_config(function), stores):
                        pass
            if launch.job == nights.FRESHNESS_JOB:
                (node,) = job.graph.nodes
                _function(node.definition)(stores)


def _function(op: Any) -> Any:
    """What was decorated: the function as it is written in the room's `assets.py`."""
    return op.compute_fn.decorated_fn


def _config(function: Any) -> list[Any]:
    """The run config of an asset that takes some, as it is when nobody gives any."""
    asked = inspect.signature(function).parameters.get("config")
    return [] if asked is None else [asked.annotation()]


def _context(key: Any, pair: str | None) -> SimpleNamespace:
    """What the functions ask of Dagster: their key and pair, a run, a log."""
    import dagster as dg

    run = SimpleNamespace(run_id=f"plain-{key.to_user_string().replace('/', '-')}", status=dg.DagsterRunStatus.STARTED)
    return SimpleNamespace(
        asset_key=key,
        partition_key=pair,
        run=run,
        log=logging.getLogger("plain"),
        instance=SimpleNamespace(get_run_by_id=partial(_same, run)),
    )


def _same(value: Any, *_: Any) -> Any:
    return value


def content(settings: Settings) -> dict[str, Any]:
    """What a night leaves behind, less times and names of runs and versions."""
    from fx_assets.forecasting.table import latest
    from fx_assets.storage.lake import Lake

    lake = Lake(settings.lake_path)
    tables = sorted({str(log.parent.relative_to(settings.lake_path)) for log in settings.lake_path.rglob("_delta_log")})
    found: dict[str, Any] = {}
    for table in tables:
        own = lake.find(table, PAIR)
        rows = lake.read(table, ALL) if own is None else own
        if table == "forecasts":
            found |= {f"{table}/{document.model_id}": document.horizons for document in latest(rows)}
        elif table == "scores":
            kept = rows.drop_columns(["model_version"])
            found[table] = kept.sort_by([(name, "ascending") for name in ("model_id", "horizon", "origin")]).to_pylist()
        elif table == "certificates":
            found[table] = [_undated(json.loads(text)) for text in rows.column("document").to_pylist()]
        else:
            found[table] = [_undated(row) for row in rows.to_pylist()]
    return found


def _undated(row: dict[str, Any]) -> dict[str, Any]:
    """What is said, without the names of version and run, the moments of both, and digests over them."""
    return {name: value for name, value in row.items() if name not in UNLIKE}


def repetition(folder: Path, configs: Path) -> Times:
    """One cold night, the same again, and the same work in plain functions, each side in a fresh home."""
    settings = enter(folder / "dagster", configs)
    cold = seconds(partial(dagster_night, settings))
    made, files = content(settings), _files(settings)
    outcome: list[Any] = []
    warm = seconds(lambda: outcome.append(dagster_night(settings)))
    untouched = not outcome[0].computed and bool(outcome[0].reused) and _files(settings) == files
    settings = enter(folder / "plain", configs)
    plain = seconds(partial(plain_night, settings))
    return Times(cold, warm, plain, untouched and content(settings) == made)


def repetitions(folder: Path, configs: Path, *, quick: bool) -> Iterator[Times]:
    """All of them, less what a slow machine has no time for."""
    began = time.monotonic()
    dagster_night(enter(folder / "warm-up", configs))
    yield repetition(folder / "0", configs)
    for number in range(1, REPETITIONS):
        if quick and time.monotonic() - began > QUICK_SECONDS:
            return
        yield repetition(folder / str(number), configs)


def _files(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.lake_path.rglob("*") if path.is_file())


def main() -> int:
    """Run it; 1 where the sides did not do the same work."""
    options = arguments(__doc__ or "")
    # Nothing of the caller's installation: not its stores, not its overrides.
    for name in [name for name in os.environ if name.startswith(("FX_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["FX_LIVE"] = "false"
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as name:
        folder = Path(name)
        write_configs(folder / "configs", quick=options.quick)
        runs = list(repetitions(folder, folder / "configs", quick=options.quick))
    return report(
        "nightly",
        ratios={
            "warm_of_cold": median([run.warm / run.cold for run in runs]),
            "orchestration_share": median([1 - run.plain / run.cold for run in runs]),
        },
        equal=all(run.equal for run in runs),
        packages=PACKAGES,
        rows=[
            (f"{side}, s", "  ".join(f"{getattr(run, side):.2f}" for run in runs)) for side in ("cold", "warm", "plain")
        ],
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
