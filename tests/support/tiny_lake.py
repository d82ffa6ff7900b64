"""A small real installation: two pairs, a random walk for both and one for EURUSD alone, all made by the real rooms.

Prices are simulated, on dates that end where the caller says. Everything is written through `Lake`,
`Control` and `ArtifactStore`, as the nightly run does it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from fx_assets.features.sets import stage_table, steps, table_name
from fx_assets.features.stored import StoredInputs
from fx_assets.features.update import SetUpdate, StageUpdate
from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.champion import champion_of
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.forecasting.table import to_table
from fx_assets.models.catalog import load
from fx_assets.models.manifest import Manifest
from fx_assets.models.stored import predictor_of, stored_history
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.control import Control, ModelVersion
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Guard, Lake
from fx_assets.storage.records import State
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_start, fixing_time
from fx_assets.training import request

PAIRS = {"EURUSD": 1.1, "USDJPY": 110.0}
FIRST = date(2022, 1, 3)
LAST = date(2026, 10, 30)

_PAIR = """\
pair: {pair}
pip: {pip}
source: {{kind: ecb}}
calendar: target
history_start: 1999-01-04
plausible_range: [0.3, 300]
freshness: 2
"""
_MODEL = """\
model_id: {model}
kind: random_walk
pairs: {pairs}
window: 30
horizon: 5
quantiles: [0.1, 0.5, 0.9]
"""


@dataclass(frozen=True)
class TinyLake:
    """One installation in a folder; each method does what one asset of the nightly run does."""

    settings: Settings

    @cached_property
    def catalog(self) -> Catalog:
        """The configs, as every entry point loads them."""
        return load(self.settings, environ={})

    @property
    def lake(self) -> Lake:
        """Tables."""
        return Lake(self.settings.lake_path)

    @property
    def control(self) -> Control:
        """Leases and model versions."""
        return Control(self.settings.control_database)

    @property
    def artifacts(self) -> ArtifactStore:
        """Checkpoints."""
        return ArtifactStore(self.settings.artifacts_path)

    def commit(self, table: str, pair: str, rows: pa.Table, *, asset: str, append: bool = False) -> None:
        """Write rows of one pair under a lease, as `publish_table` does."""
        state, guard = self._begun(asset, pair, rows.num_rows)
        self.lake.write(table, pair, rows, state=state, mode="append" if append else "replace", guard=guard)

    def commit_blocks(self, table: str, pair: str, blocks: Iterable[tuple[str, pa.Table]], *, asset: str) -> None:
        """Write blocks of one pair under a lease, as `publish_blocks` does."""
        state, guard = self._begun(asset, pair, 0)
        self.lake.write_blocks(
            table,
            pair,
            blocks,
            state=lambda hashes: replace(state, content_hash=fingerprint(dict(hashes))),
            guard=guard,
        )

    def _begun(self, asset: str, pair: str, rows: int) -> tuple[State, Guard]:
        run_id = uuid.uuid4().hex
        control = self.control
        lease = control.acquire(asset, pair, run_id)
        state = State(
            asset=asset,
            pair=pair,
            fingerprint=run_id,
            content_hash=run_id,
            checks=(),
            rows=rows,
            run_id=run_id,
            committed_at=datetime.now(UTC),
        )
        return state, lambda: control.publishing(lease)

    def bars(self, pair: str, last: date = LAST) -> None:
        """Daily fixings of a simulated random walk, known when their bar ends."""
        days = calendar("target").days(FIRST, last)
        steps = np.random.default_rng(sum(map(ord, pair))).normal(0, 0.005, len(days))
        closes = PAIRS[pair] * np.exp(np.cumsum(steps))
        ends = [bar_end(day) for day in days]
        moment, number = pa.timestamp("us", tz="UTC"), pa.float64()
        empty = pa.nulls(len(days), number)
        columns = {
            "pair": pa.array([pair] * len(days)),
            "block": pa.array(["all"] * len(days)),
            "time": pa.array([bar_start(day) for day in days], moment),
            "end": pa.array(ends, moment),
            "known_at": pa.array(ends, moment),
            "trading_date": pa.array(days, pa.date32()),
            "kind": pa.array(["fixing"] * len(days)),
            **dict.fromkeys(("open", "high", "low"), empty),
            "close": pa.array(closes, number),
            **dict.fromkeys(("bid", "ask"), empty),
        }
        self.commit_blocks("bars/1d", pair, [("all", pa.table(columns))], asset="bars/1d")

    def features(self, name: str, pair: str) -> None:
        """The features of a set, from the pair's bars."""
        spec, catalog = self.catalog.features[name], self.catalog
        for step in steps(spec):
            pairs = catalog.pairs_with(spec.frequency)
            inputs = StoredInputs(self.lake, catalog.pairs[pair], pairs, [step], spec.frequency)
            made = StageUpdate(step, inputs, None)
            self.commit_blocks(stage_table(spec, step), pair, made.blocks(), asset=f"features/{name}/{step.name}")
        joined = SetUpdate(spec, self.lake, pair, None)
        self.commit_blocks(table_name(spec), pair, joined.blocks(), asset=f"features/{name}")

    def train(self, model_id: str, pair: str) -> ModelVersion:
        """Train, publish and register a checkpoint."""
        spec = self.catalog.models[model_id]
        asked = request.prepare(self.lake, self.catalog, spec, (pair,))
        trained = request.run(asked, settings=self.settings, report=lambda _: None, run_id="training")
        staged = self.artifacts.stage(model_id, pair, trained.version, trained.files, trained.manifest)
        version = ModelVersion.from_manifest(staged.manifest, staged.manifest_sha256)
        control = self.control
        with control.publishing(control.acquire(f"checkpoints/{model_id}", pair, "training")) as transaction:
            staged.publish()
            transaction.register(version)
        return version

    def forecast(self, model_id: str, pair: str, *, issued_at: datetime, last: date = LAST) -> ForecastDocument:
        """Issue and append the forecast from the bars up to `last`, with the newest checkpoint."""
        spec = self.catalog.models[model_id]
        version = self.control.versions(model_id, pair)[0]
        artifact = self.artifacts.load(model_id, pair, version.version)
        predictor = predictor_of(spec, self.catalog.features)
        predictor.load_model(artifact)
        document = issue(
            predictor,
            stored_history(self.lake, pair, spec, self.catalog).until(bar_end(last)),
            self.catalog.pairs[pair],
            manifest=Manifest.model_validate(artifact.manifest),
            kind_of_price="fixing",
            champion=champion_of(self.catalog.models, pair, "1d", self.catalog.pairs),
            now=issued_at,
            data_version="tiny",
            run_id="night",
        )
        self.commit("forecasts", pair, to_table(document), asset=f"forecasts/{model_id}", append=True)
        return document

    def score(self, model_id: str, pair: str, crps: float) -> None:
        """Scores of the newest version on ten one-day windows: `crps` against 50 of the random walk."""
        days = calendar("target").next_days(date(2026, 1, 1), 11)
        ends = [bar_end(day) for day in days]
        count, moment, number = len(ends) - 1, pa.timestamp("us", tz="UTC"), pa.float64()
        columns = {
            "pair": pa.array([pair] * count),
            "model_id": pa.array([model_id] * count),
            "model_version": pa.array([self.control.versions(model_id, pair)[0].version] * count),
            "horizon": pa.array([1] * count, pa.int32()),
            "origin": pa.array(ends[:-1], moment),
            "target_time": pa.array(ends[1:], moment),
            "loss_crps": pa.array([crps] * count, number),
            "loss_crps_walk": pa.array([50.0] * count, number),
            "covered_80": pa.array([True] * 8 + [False] * 2),
            "y": pa.array([0.0] * count, number),
            "volatility": pa.array([0.005] * count, number),
            "pit": pa.array([0.5] * count, number),
        }
        columns |= {
            "fold": pa.array(["live"] * count),
            "covered_90": pa.array([True] * count),
            "observed_until": pa.array([fixing_time(day) for day in days[:-1]], moment),
        }
        columns |= {name: pa.array([0.0] * count, number) for name in SCORES_SCHEMA.names if name not in columns}
        rows = pa.table({name: columns[name] for name in SCORES_SCHEMA.names}, schema=SCORES_SCHEMA)
        self.commit("scores", pair, rows, asset=f"scores/{model_id}", append=True)

    def night(self, issued_at: datetime, last: date = LAST) -> None:
        """A forecast of each model and pair."""
        for model_id, spec in self.catalog.models.items():
            for pair in self.catalog.pairs_of(spec):
                self.forecast(model_id, pair, issued_at=issued_at, last=last)


def tiny_lake(folder: Path, *, poll_seconds: float = 0.1) -> TinyLake:
    """An installation with configs and nothing else yet, in `folder`."""
    configs = folder / "configs"
    for section in ("pairs", "features", "models"):
        (configs / section).mkdir(parents=True)
    for pair, price in PAIRS.items():
        (configs / "pairs" / f"{pair}.yaml").write_text(_PAIR.format(pair=pair, pip=0.01 if price > 10 else 0.0001))
    for model, pairs in (("random_walk", "all"), ("solo", "[EURUSD]")):
        (configs / "models" / f"{model}.yaml").write_text(_MODEL.format(model=model, pairs=pairs))
    return TinyLake(Settings(home=folder / "var", configs=configs, poll_seconds=poll_seconds, live=False))
