"""The one resource of the assets: the stores of this installation, opened when first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from fx_assets.settings import Settings
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.control import Control
from fx_assets.storage.lake import Lake


@dataclass(frozen=True)
class Stores:
    """Settings and the stores they name; each is opened once, on first use."""

    settings: Settings

    @cached_property
    def lake(self) -> Lake:
        """Tables."""
        return Lake(self.settings.lake_path)

    @cached_property
    def control(self) -> Control:
        """Leases and model versions; a version whose row a crash has cost is recorded again."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        control = Control(self.settings.control_database)
        control.rebuild_versions(self.artifacts)
        return control

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Trained checkpoints."""
        return ArtifactStore(self.settings.artifacts_path)

    @property
    def scratch(self) -> Path:
        """Work space of trainings."""
        return self.settings.scratch_path


# A plain object, not a `ConfigurableResource`: where the stores are comes from the settings (`FX_*`), not
# from run config, and Dagster's pydantic layer warns of itself on every use.
LakeResource = dg.ResourceParam[Stores]
