"""Series of trials: packed and found again, bounded, and as unchangeable as the ledger they belong to."""

from __future__ import annotations

import base64
import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.storage.control import Control
from fx_assets.storage.trial_series import LONGEST, PackedSeries, packed, unpacked
from tests.storage.test_ledger import entry

STUDY = entry().study


def days(count: int) -> NDArray[np.datetime64]:
    return np.arange(count) * np.timedelta64(1, "D") + np.datetime64("2020-01-01T22:00", "us")


def series(pair: str = "EURUSD", count: int = 5, seed: int = 1) -> PackedSeries:
    rng = np.random.default_rng(seed)
    return packed(pair, days(count), rng.random(count), rng.normal(0, 0.01, count))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def control(path: Path) -> Control:
    return Control(f"sqlite:///{path}")


@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_what_is_packed_is_found_again(count: int) -> None:
    rng = np.random.default_rng(0)
    origins = days(count)
    origins += rng.integers(0, 3600, count) * np.timedelta64(1, "s")
    losses, returns = rng.random(count), rng.normal(0, 0.01, count)
    one = packed("EURUSD", origins, losses, returns)
    found = unpacked(one)
    assert (one.pair, one.windows, one.left_out) == ("EURUSD", count, 0)
    np.testing.assert_array_equal(found[0], origins)
    np.testing.assert_allclose(found[1], losses, rtol=1e-7)
    np.testing.assert_allclose(found[2], returns, rtol=1e-7)
    assert [array.dtype.name for array in found] == ["datetime64[us]", "float64", "float64"]
    assert packed("EURUSD", origins, losses, returns) == one


def test_the_newest_windows_are_kept_and_the_others_said() -> None:
    one = packed("EURUSD", days(30), np.arange(30.0), -np.arange(30.0), longest=10)
    assert (one.windows, one.left_out) == (10, 20)
    origins, losses, returns = unpacked(one)
    assert origins[0] == days(30)[20]
    assert losses.tolist() == (-returns).tolist() == list(range(20, 30))


def test_the_longest_series_fits_into_a_line_of_a_report() -> None:
    """Even where nothing can be compressed: origins at random seconds, numbers of random bits."""
    from fx_assets.children.supervisor import LONGEST_LINE

    rng = np.random.default_rng(2)
    origins = days(1).repeat(LONGEST)
    origins += np.cumsum(rng.integers(1, 2**31, LONGEST)) * np.timedelta64(1, "s")
    noise = rng.integers(0, 2**30, (2, LONGEST), dtype=np.uint32).view(np.float32).astype(np.float64)
    assert len(packed("EURUSD", origins, noise[0], noise[1]).content) < LONGEST_LINE - 50_000


@pytest.mark.parametrize(
    ("origins", "losses", "message"),
    [
        (days(3), np.zeros(2), "not alike"),
        (days(2), np.array([0.0, np.nan]), "not finite"),
        (days(2)[::-1], np.zeros(2), "must increase"),
        (days(2)[[0, 0]], np.zeros(2), "must increase"),
        (days(2) + np.array([0, 1], "timedelta64[us]"), np.zeros(2), "whole seconds"),
    ],
    ids=["lengths", "nan", "backwards", "twins", "microseconds"],
)
def test_what_is_no_series_is_refused(
    origins: NDArray[np.datetime64], losses: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=f"EURUSD.*{message}"):
        packed("EURUSD", origins, losses, losses)


def test_series_are_recorded_with_their_trial_and_found_with_its_state(control: Control) -> None:
    control.record_trial(entry(), [series()])
    control.record_trial(entry(1, state="pruned"), [series(count=3)])
    control.record_trial(entry(2))
    control.record_series(STUDY, 2, [series(seed=2)])
    found = control.series("EURUSD", "usd")
    assert [(one.number, one.state, len(one.losses)) for one in found] == [
        *[(0, "complete", 5), (1, "pruned", 3)],
        (2, "complete", 5),
    ]
    first = found[0]
    assert (first.study, first.model_id, first.kind, first.pair, first.left_out) == (
        *(STUDY, "usd", "ridge", "EURUSD"),
        0,
    )
    for array, expected in zip((first.origins, first.losses, first.returns), unpacked(series()), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_series_are_found_across_versions_by_pair_model_and_study(control: Control) -> None:
    pairs = ("EURUSD", "USDJPY")
    panel = entry(study="majors/ridge/EURUSD+USDJPY/1/2", model_id="majors", pairs=pairs)
    control.record_trial(panel, [series(pair) for pair in pairs])
    control.record_trial(entry(1), [series()])
    control.record_trial(entry(0, study=f"{STUDY}Z"), [series()])
    control.record_trial(entry(3))  # one from before series were kept

    def found(**asked: str) -> list[tuple[str, str]]:
        return [(one.model_id, one.pair) for one in control.series(**asked)]

    usd, both = ("usd", "EURUSD"), [("majors", "EURUSD"), ("majors", "USDJPY")]
    assert found() == [*both, usd, usd]
    assert found(pair="EURUSD") == [both[0], usd, usd]
    assert found(pair="USDJPY") == [both[1]]
    assert found(model_id="majors") == both
    assert found(model_id="usd", study=STUDY) == [usd]
    assert found(pair="EURUS") == found(model_id="nobody") == []


def test_known_series_are_harmless_and_other_ones_refused(control: Control) -> None:
    for _ in range(2):
        control.record_trial(entry(), [series()])
    assert len(control.series()) == 1
    for other in (series(seed=2), series(count=4), replace(series(), left_out=1)):
        with pytest.raises(ValueError, match=r"series of trial 0 of usd/ridge/.* with other content"):
            control.record_trial(entry(), [other])
    with pytest.raises(ValueError, match="is of EURUSD, not of USDJPY"):
        control.record_series(STUDY, 0, [series("USDJPY")])
    with pytest.raises(ValueError, match=r"trial 7 of .* is not in the ledger"):
        control.record_series(STUDY, 7, [series()])
    assert len(control.series()) == 1


def test_a_trial_is_not_recorded_without_the_series_it_came_with(control: Control) -> None:
    unreadable = replace(series(), content=series().content[:-8])
    with pytest.raises(ValueError, match="series of 5 windows"):
        control.record_trial(entry(), [unreadable])
    assert control.trials() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x02" + zlib.compress(b""), "format"),
        (b"\x01" + zlib.compress(b"0" * 67), "67 bytes, expected 68"),
        (b"\x01" + zlib.compress(b"0" * 10_000_000), "69 bytes, expected 68"),
        (b"\x01no zlib", "cannot be read"),
    ],
    ids=["format", "short", "bomb", "garbage"],
)
def test_a_content_that_was_not_packed_here_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpacked(replace(series(), content=base64.b64encode(content).decode()))
    with pytest.raises(ValueError, match="no base64"):
        unpacked(replace(series(), content="§"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial_series SET windows = 1",
        "UPDATE OR REPLACE trial_series SET content = ''",
        "DELETE FROM trial_series",
        "INSERT OR REPLACE INTO trial_series SELECT study, number, pair, 0, 0, content, recorded_at FROM trial_series",
    ],
)
def test_nobody_changes_a_series(control: Control, path: Path, statement: str) -> None:
    control.record_trial(entry(), [series()])
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    assert [len(one.losses) for one in control.series()] == [5]
