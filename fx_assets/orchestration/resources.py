"""The one resource of the assets: the stores of this installation, opened when first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from fx_assets.settings import Settings, get_settings
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
        """Leases and model versions."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        return Control(self.settings.control_database)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Trained checkpoints."""
        return ArtifactStore(self.settings.artifacts_path)

    @property
    def scratch(self) -> Path:
        """Work space of trainings."""
        return self.settings.scratch_path


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Access to the stores; where they are comes from the settings (`FX_*`), not from run config."""

    _stores: Stores | None = PrivateAttr(default=None)

    def stores(self) -> Stores:
        """The stores of the settings in force."""
        if self._stores is None:
            self._stores = Stores(get_settings())
        return self._stores
