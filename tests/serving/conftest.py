"""A small installation that has had its nights, and the API on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fx_assets.settings import Settings
from tests.support.running_api import Api, running
from tests.support.tiny_lake import LAST, TinyLake, tiny_lake

EARLIER = date(2026, 10, 28)
FIRST_NIGHT = datetime(2026, 10, 28, 21, 30, tzinfo=UTC)
SECOND_NIGHT = datetime(2026, 10, 30, 21, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Two nights of every model and pair. Shared: tests that write take `tiny`, a copy."""
    made = tiny_lake(tmp_path_factory.mktemp("installation"))
    for pair in made.catalog.pairs:
        made.bars(pair)
    for model_id, spec in made.catalog.models.items():
        for pair in made.catalog.pairs_of(spec):
            made.train(model_id, pair)
    made.night(FIRST_NIGHT, EARLIER)
    made.night(SECOND_NIGHT, LAST)
    made.score("random_walk", "EURUSD", 45.0)
    made.score("solo", "EURUSD", 55.0)
    return made


@pytest.fixture
def tiny(built: TinyLake, tmp_path: Path) -> TinyLake:
    """A copy of the installation, to be written to or broken."""
    folder = tmp_path / "installation"
    shutil.copytree(built.settings.home.parent, folder)
    return TinyLake(Settings(home=folder / "var", configs=folder / "configs", poll_seconds=3600, live=False))


@pytest.fixture(scope="module")
def shared_client(built: TinyLake) -> Iterator[Api]:
    """The API on the shared installation; for tests that only read."""
    with running(built) as opened:
        yield opened


@pytest.fixture
def client(tiny: TinyLake) -> Iterator[Api]:
    """The API on the test's own copy; its poll rests, tests call `client.refresh()`."""
    with running(tiny) as opened:
        yield opened
