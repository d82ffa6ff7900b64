"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real price files; tests that need it skip by name where it is not given."""
    folder = os.environ.get("FX_SAMPLE_DATA")
    if not folder:
        pytest.skip("FX_SAMPLE_DATA is not set")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"FX_SAMPLE_DATA={folder} is not a folder")
    return path
