"""An installation whose nights are real: real Dagster runs of the whole graph on a persistent instance, in process.

`run` is what `fx-assets demo` calls, over definitions gathered from the configs of this folder.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData
from rich.console import Console

from fx_assets import definitions
from fx_assets.commands import night
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import latest
from fx_assets.models.catalog import load
from fx_assets.orchestration.gather import gather
from fx_assets.orchestration.home import prepare_home, warm_databases
from fx_assets.settings import Settings, project_root
from fx_assets.specs.loader import Catalog
from tests.support.tiny_lake import TinyLake

PAIR = """\
pair: {pair}
pip: {pip}
source: {{kind: {source}}}
calendar: target
history_start: 2016-01-04
plausible_range: [{low}, {high}]
"""
FEATURES = """\
name: short
stages:
  - stage: indicators
    options: {returns: [1, 5], volatility: [5], rsi: [], ema_ratio: [], bollinger: [], macd: false}
  - stage: selection
"""
PLAIN = """\
model_id: {model}
kind: {kind}
target: {target}
pairs: all
window: 40
horizon: 20
training: {{validation_years: 1}}
"""
# One epoch over few windows: a training takes as long as the import of torch and the export.
NETWORK = """\
model_id: {model}
kind: itransformer
pairs: {pairs}
scope: {scope}
features: short
window: 16
horizon: 20
hyperparameters: {{width: 8, layers: 1, heads: 2, feed_forward: 8, dropout: 0.0}}
training: {{max_epochs: {epochs}, patience: {epochs}, batch_size: 64, stride: 10, validation_years: 1}}
evaluation: {{years: 0.5}}
"""


@dataclass(frozen=True)
class WholeNight:
    """One installation in a folder of its own."""

    tiny: TinyLake

    @property
    def settings(self) -> Settings:
        """Its settings; the same that its runs read from the environment."""
        return self.tiny.settings

    @property
    def catalog(self) -> Catalog:
        """The configs as they are now."""
        return load(self.settings, environ={})

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))}
        return kept | {
            "FX_HOME": str(self.settings.home),
            "FX_CONFIGS": str(self.settings.configs),
            "FX_LIVE": "false",
            "DAGSTER_HOME": str(self.settings.dagster_home),
        }

    def pair(self, pair: str, source: str = "ecb", *, low: float = 0.3, high: float = 300) -> None:
        """Write the pair's file."""
        text = PAIR.format(pair=pair, pip=0.01 if pair.endswith("JPY") else 0.0001, source=source, low=low, high=high)
        (self.settings.configs / "pairs" / f"{pair}.yaml").write_text(text)

    def model(self, text: str, name: str) -> None:
        """Write a model's file."""
        (self.settings.configs / "models" / f"{name}.yaml").write_text(text)

    def definitions(self) -> dg.Definitions:
        """What Dagster would load here."""
        return gather(self.settings, self.catalog, definitions.ROOMS)

    def run(self) -> night.NightResult:
        """A whole night of all pairs, as `fx-assets demo` runs it."""
        with self.here(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(definitions, "defs", self.definitions())
            catalog = self.catalog
            return night.run_night(self.settings, catalog, catalog.pairs, Console(file=io.StringIO()))

    def launch(self, *launches: tuple[str, str | None]) -> list[dg.ExecuteInProcessResult]:
        """Runs of single jobs, (job, pair), one after the other."""
        loaded = self.definitions()
        with self.instance() as instance:
            return [
                loaded.resolve_job_def(job).execute_in_process(
                    run_config=night.QUIET, instance=instance, partition_key=pair, raise_on_error=False
                )
                for job, pair in launches
            ]

    @contextmanager
    def here(self) -> Iterator[None]:
        """The environment of this installation while it lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("FX_", "DAGSTER_"))]:
                patch.delenv(name)
            for name in ("FX_HOME", "FX_CONFIGS", "FX_LIVE", "DAGSTER_HOME"):
                patch.setenv(name, self.environ[name])
            yield

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Its persistent instance."""
        with self.here():
            home = prepare_home(self.settings)
            with dg.DagsterInstance.get() as opened, warm_databases(home):
                yield opened

    def served(self, pair: str) -> dict[str, ForecastDocument]:
        """The newest forecast of each model."""
        return {document.model_id: document for document in latest(self.tiny.lake.read("forecasts", pair))}

    def versions(self) -> list[tuple[str, str, str]]:
        """Every published checkpoint: model, scope, version."""
        return self.tiny.artifacts.published()

    def tables(self) -> list[str]:
        """Every file of the lake, data and logs: equal lists mean that nothing was committed."""
        root = self.settings.lake_path
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def copy(self, folder: Path) -> WholeNight:
        """The same installation in `folder`, to be written to or broken."""
        shutil.copytree(self.settings.home.parent, folder)
        return _at(folder)


@dataclass(frozen=True)
class Run:
    """What one Dagster run said of itself."""

    job: str
    pair: str | None
    wave: int
    status: dg.DagsterRunStatus
    began: float
    ended: float
    materialized: Mapping[str, Mapping[str, Any]]
    checks: Mapping[tuple[str, str], bool]
    log: tuple[str, ...]


def runs(night: WholeNight, *, after: int = 0) -> list[Run]:
    """Every run of the instance in the order of launching, less the first `after`."""
    with night.instance() as instance:
        records = instance.get_run_records(ascending=True)[after:]
        return [_run(instance, record) for record in records]


def _run(instance: dg.DagsterInstance, record: dg.RunRecord) -> Run:
    run = record.dagster_run
    materialized: dict[str, Mapping[str, Any]] = {}
    checks: dict[tuple[str, str], bool] = {}
    log: list[str] = []
    for entry in instance.all_logs(run.run_id):
        log.append(entry.message)
        if entry.dagster_event is None:
            continue
        data = entry.dagster_event.event_specific_data
        if isinstance(data, StepMaterializationData):
            found = data.materialization
            assert found.partition == run.tags.get("dagster/partition")
            assert found.asset_key.to_user_string() not in materialized, "materialized twice in one run"
            values = {name: value.value for name, value in found.metadata.items()}
            materialized[found.asset_key.to_user_string()] = values
        elif isinstance(data, dg.AssetCheckEvaluation):
            checks[data.asset_key.to_user_string(), data.check_name] = data.passed
    return Run(
        job=run.job_name,
        pair=run.tags.get("dagster/partition"),
        wave=int(run.tags.get("fx/wave", 0)),
        status=run.status,
        began=record.start_time or 0.0,
        ended=record.end_time or 0.0,
        materialized=materialized,
        checks=checks,
        log=tuple(log),
    )


def whole_night(folder: Path) -> WholeNight:
    """An installation in `folder` with a feature set, and no pairs or models yet."""
    configs = folder / "configs"
    for section in ("pairs", "features", "models"):
        (configs / section).mkdir(parents=True)
    shutil.copyfile(project_root() / "configs" / "dagster.yaml", configs / "dagster.yaml")
    (configs / "features" / "short.yaml").write_text(FEATURES)
    return _at(folder)


def _at(folder: Path) -> WholeNight:
    settings = Settings(home=folder / "var", configs=folder / "configs", poll_seconds=3600, live=False)
    return WholeNight(TinyLake(settings))
