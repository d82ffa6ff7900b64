"""The plan of a night, and the sensor that carries it from wave to wave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from fx_assets.models.catalog import load
from fx_assets.orchestration import nights
from fx_assets.orchestration.nights import Launch
from fx_assets.orchestration.schedules import SCHEDULE, next_wave, open_pairs
from fx_assets.settings import get_settings
from fx_assets.specs.loader import Catalog

NIGHT = date(2026, 10, 30)
DEADLINE = timedelta(hours=3)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(get_settings(), environ={})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def begin(instance: dg.DagsterInstance, launch: Launch, status: dg.DagsterRunStatus) -> None:
    """Record a run as the schedule or the sensor would have launched it."""
    tags = dict(launch.tags) | ({"dagster/schedule_name": SCHEDULE} if launch.wave == 1 else {})

    @dg.job(name=launch.job)
    def recorded() -> None: ...

    instance.create_run_for_job(recorded, tags=tags, status=status)


def test_six_waves_with_stable_keys(catalog: Catalog) -> None:
    first, crossing, second, third, close, board = nights.waves(catalog, NIGHT, catalog.pairs)
    assert [launch.partition for launch in first] == list(catalog.pairs)
    assert [(launch.job, launch.partition) for launch in crossing] == [(nights.CROSSING_JOB, p) for p in catalog.pairs]
    panels = {("train_majors", None), ("train_scale", None)}
    assert {(launch.job, launch.partition) for launch in second} == {("night_usdjpy", "USDJPY"), *panels}
    assert {launch.partition for launch in third if launch.job == "forecast_majors"} == set(
        catalog.pairs_of(catalog.models["majors"])
    )
    assert [(launch.job, launch.partition) for launch in close] == [("night_close_1d", p) for p in catalog.pairs]
    assert [(launch.job, launch.partition) for launch in board] == [("night_board", None), ("freshness", None)]
    keys = [launch.key for wave in (first, crossing, second, third, close, board) for launch in wave]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "2026-10-30:night_pairs:AUDUSD"


def test_a_panel_is_trained_once_however_many_pairs(catalog: Catalog) -> None:
    for pairs in (["EURUSD"], list(catalog.pairs)):
        launches = [launch for wave in nights.waves(catalog, NIGHT, pairs) for launch in wave]
        assert sum(launch.job == "train_majors" for launch in launches) == 1


def test_a_night_without_open_pairs_launches_nothing(catalog: Catalog) -> None:
    assert nights.waves(catalog, NIGHT, []) == ()
    assert open_pairs(catalog, date(2026, 4, 3)) == []  # Good Friday: the ECB publishes nothing
    assert open_pairs(catalog, NIGHT) == list(catalog.pairs)


def test_the_second_wave_waits_for_every_run_of_the_first(catalog: Catalog, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    assert next_wave(catalog, instance, now, DEADLINE) == ([], "no night has begun")
    first, second, *_ = nights.waves(catalog, NIGHT, catalog.pairs)
    for launch in first[:-1]:
        begin(instance, launch, dg.DagsterRunStatus.SUCCESS)
    launches, reason = next_wave(catalog, instance, now, DEADLINE)
    assert launches == []
    assert "wave 1 has 1 of 6 runs to go" in reason
    begin(instance, first[-1], dg.DagsterRunStatus.STARTED)
    assert next_wave(catalog, instance, now, DEADLINE)[0] == []
    # A straggler does not hold up the night for ever.
    assert next_wave(catalog, instance, now + DEADLINE * 2, DEADLINE)[0] == list(second)


def test_failed_pairs_do_not_stop_the_night(catalog: Catalog, instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    first, crossing, second, third, close, board = nights.waves(catalog, NIGHT, catalog.pairs)
    for index, launch in enumerate(first):
        begin(instance, launch, dg.DagsterRunStatus.FAILURE if index == 0 else dg.DagsterRunStatus.SUCCESS)
    assert next_wave(catalog, instance, now, DEADLINE)[0] == list(crossing)
    for launch in crossing:
        begin(instance, launch, dg.DagsterRunStatus.SUCCESS)
    assert next_wave(catalog, instance, now, DEADLINE)[0] == list(second)
    begin(instance, second[0], dg.DagsterRunStatus.FAILURE)
    assert next_wave(catalog, instance, now, DEADLINE)[0] == list(second[1:])
    for launch in second[1:]:
        begin(instance, launch, dg.DagsterRunStatus.SUCCESS)
    assert next_wave(catalog, instance, now, DEADLINE)[0] == list(third)
    for wave, following in ((third, close), (close, board)):
        for launch in wave:
            begin(instance, launch, dg.DagsterRunStatus.SUCCESS)
        assert next_wave(catalog, instance, now, DEADLINE)[0] == list(following)
    for launch in board:
        begin(instance, launch, dg.DagsterRunStatus.SUCCESS)
    assert next_wave(catalog, instance, now, DEADLINE) == ([], "night 2026-10-30 is complete")


def test_a_night_of_the_demo_is_left_alone(catalog: Catalog, instance: dg.DagsterInstance) -> None:
    @dg.job(name=nights.PAIRS_JOB)
    def recorded() -> None: ...

    for launch in nights.waves(catalog, NIGHT, catalog.pairs)[0]:
        instance.create_run_for_job(recorded, tags=dict(launch.tags), status=dg.DagsterRunStatus.SUCCESS)
    assert next_wave(catalog, instance, datetime.now(UTC), DEADLINE) == ([], "no night has begun")
