"""Rows, states and guards that the tests of storage share; also imported by their child processes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from fx_assets.storage.records import CheckOutcome, State

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)


def no_guard() -> AbstractContextManager[None]:
    """A guard that lets everything through."""
    return nullcontext()


def rows(pair: str, value: float, n: int = 50) -> pa.Table:
    """`n` rows that all hold `value`, so that a mixed read shows."""
    return pa.table(
        {
            "pair": pa.array([pair] * n, pa.string()),
            "time": pa.array([START + timedelta(days=i) for i in range(n)], pa.timestamp("us", "UTC")),
            "close": pa.array([value] * n, pa.float64()),
            "levels": pa.array([[value, value + i] for i in range(n)], pa.list_(pa.float64())),
        }
    )


def state(pair: str = "EURUSD", asset: str = "prices/raw", *, n: int = 50, fingerprint: str = "f") -> State:
    """A state with one check and nested metadata."""
    return State(
        asset=asset,
        pair=pair,
        fingerprint=fingerprint,
        content_hash="c",
        checks=(CheckOutcome("rows", True, False, "some", {"n": n, "share": 0.25, "note": None}),),
        rows=n,
        run_id="run-1",
        committed_at=datetime(2026, 11, 21, 3, 0, tzinfo=UTC),
        metadata={"nested": {"a": [1, 2.5, None, True]}},
    )


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python on `code` in the project's root, with text pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
