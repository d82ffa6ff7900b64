"""Puts the rooms' assets together with jobs, schedule, sensor, executor and resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import dagster as dg

from fx_assets.orchestration import jobs, keys
from fx_assets.orchestration.resources import Stores
from fx_assets.orchestration.schedules import nightly_schedule, waves_sensor
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog

Item = dg.AssetsDefinition | dg.AssetChecksDefinition | dg.SensorDefinition
Room = Callable[[Catalog], Sequence[Item]]


def gather(settings: Settings, catalog: Catalog, rooms: Iterable[Room]) -> dg.Definitions:
    """One `Definitions` of everything; files that are broken show as assets that say why."""
    built = [item for room in rooms for item in room(catalog)]
    assets = [item for item in built if type(item) is dg.AssetsDefinition]
    checks = [item for item in built if isinstance(item, dg.AssetChecksDefinition)]
    sensors = [item for item in built if isinstance(item, dg.SensorDefinition)]
    made = jobs.build(catalog)
    return dg.Definitions(
        assets=[*assets, *_broken(catalog)],
        asset_checks=checks,
        jobs=made,
        schedules=[nightly_schedule(catalog)],
        sensors=[waves_sensor(catalog, made, timedelta(minutes=settings.night_deadline_minutes)), *sensors],
        # The default executor starts a process a step, 3 to 7 CPU seconds each; trainings have their own child.
        executor=dg.in_process_executor,
        resources={"lake": Stores(settings)},
    )


def _broken(catalog: Catalog) -> list[dg.AssetSpec]:
    """A model file that cannot be used stands in the graph with its reasons; the others go on."""
    specs = []
    for name, problems in catalog.broken.items():
        section, stem = name.split("/", 1)
        reasons = "\n".join(f"- {problem}" for problem in problems)
        specs.append(
            dg.AssetSpec(
                ["checkpoints" if section == "models" else section, stem],
                description=f"**Failed to load**: mend the file and reload the code location.\n\n{reasons}",
                group_name="broken",
                owners=keys.OWNERS,
                metadata={"state": "failed", "problems": len(problems)},
            )
        )
    return specs
