"""A small installation with a tracker, and real Dagster runs of single trainings on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from fx_assets.commands.night import QUIET
from fx_assets.orchestration import keys
from fx_assets.orchestration.resources import Stores
from fx_assets.training import assets
from tests.support.tiny_lake import TinyLake, tiny_lake

PAIR = "EURUSD"
CHEAP, NETWORK = "random_walk", "net"
_NETWORK = """\
model_id: net
kind: itransformer
pairs: [EURUSD]
window: 16
horizon: 5
quantiles: [0.1, 0.5, 0.9]
hyperparameters: {width: 8, layers: 1, heads: 2, feed_forward: 8, dropout: 0.0}
training: {max_epochs: 2, patience: 2, batch_size: 64, stride: 10, validation_years: 1}
"""


@dataclass(frozen=True)
class Outcome:
    """What one run of a checkpoint said of itself. `facts`: the metadata of its asset; `warnings`: of its log."""

    success: bool
    run_id: str
    facts: Mapping[str, Any]
    warnings: tuple[str, ...]
    epochs: tuple[tuple[float, float], ...]
    failure: str


def installation(folder: Path, **settings: Any) -> TinyLake:
    """Bars of a pair, a random walk and a network, and `settings` beside those of the folder."""
    made = tiny_lake(folder)
    (made.settings.configs / "models" / f"{NETWORK}.yaml").write_text(_NETWORK)
    tiny = TinyLake(made.settings.model_copy(update=settings))
    tiny.bars(PAIR)
    return tiny


def train(tiny: TinyLake, model: str) -> Outcome:
    """Materialize `checkpoints/<model>` of the pair, as the nightly run does."""
    key = keys.checkpoint(model)
    (asset,) = [built for built in assets.build(tiny.catalog) if built.key == key]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asset],
            partition_key=PAIR,
            instance=instance,
            resources={"lake": Stores(tiny.settings)},
            run_config=QUIET,
            raise_on_error=False,
        )
        log = [(entry.level, entry.message) for entry in instance.all_logs(result.run_id)]
    facts: Mapping[str, Any] = {}
    for event in result.get_asset_materialization_events():
        metadata = event.step_materialization_data.materialization.metadata
        facts = {name: entry.value for name, entry in metadata.items()}
    failed = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    losses = re.compile(r"epoch \d+ .*train loss ([\d.]+), validation loss ([\d.]+)")
    found = [match for _, message in log if (match := losses.match(message))]
    return Outcome(
        success=result.success,
        run_id=result.run_id,
        facts=facts,
        warnings=tuple(message for level, message in log if level == 30),
        epochs=tuple((float(match[1]), float(match[2])) for match in found),
        failure="\n".join(str(error) for error in failed),
    )
