"""What tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.csv_prices import csv_source
from tests.support.whole_night import WholeNight, whole_night


@pytest.fixture
def on_csv(tmp_path: Path) -> Iterator[WholeNight]:
    """An installation without pairs and models, whose prices may come from CSV files that the test writes."""
    with csv_source():
        yield whole_night(tmp_path / "installation")
