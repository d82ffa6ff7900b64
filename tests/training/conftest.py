"""One training that several modules compare with."""

from __future__ import annotations

import pytest

from fx_assets.training.records import TrainedModel
from tests.training.helpers import market, spec, trained


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """The small model, trained in this process on returns that follow each other."""
    return trained(spec(), market(phi=0.5), scratch=tmp_path_factory.mktemp("first"))
