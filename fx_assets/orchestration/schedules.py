"""The nightly schedule, and the sensor that launches one wave after the other."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from fx_assets.orchestration import nights
from fx_assets.orchestration.jobs import Job
from fx_assets.orchestration.nights import LAUNCH_TAG, NIGHT_TAG, PAIRS_TAG, WAVE_TAG, Launch
from fx_assets.specs.loader import Catalog
from fx_assets.timegrid.calendars import calendar

CRON = "15 17 * * *"
ZONE = "America/New_York"
SCHEDULE = "nightly"


def open_pairs(catalog: Catalog, night: date) -> list[str]:
    """Pairs whose own source publishes on `night`."""
    return [name for name, spec in catalog.pairs.items() if calendar(spec.calendar).is_open(night)]


def nightly_schedule(catalog: Catalog) -> dg.ScheduleDefinition:
    """17:15 New York: wave 1, one run per pair; the sensor goes on from there."""

    @dg.schedule(
        name=SCHEDULE,
        job_name=nights.PAIRS_JOB,
        cron_schedule=CRON,
        execution_timezone=ZONE,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every trading date at 17:15 New York: one run per pair whose source is open.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        night = context.scheduled_execution_time.date()
        pairs = open_pairs(catalog, night)
        if not pairs:
            yield dg.SkipReason(f"{night}: every source is closed by its own calendar")
            return
        for launch in nights.waves(catalog, night, pairs)[0]:
            yield _request(launch)

    return nightly


def waves_sensor(catalog: Catalog, jobs: Sequence[Job], deadline: timedelta) -> dg.SensorDefinition:
    """Launch waves 2 and 3 of the newest night when the wave before has ended or is overdue."""

    @dg.sensor(
        name="night_waves",
        jobs=jobs,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="When every run of a wave has ended, failed ones too, or its deadline passed: the next wave.",
    )
    def night_waves(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        launches, reason = next_wave(catalog, context.instance, datetime.now(UTC), deadline)
        if not launches:
            yield dg.SkipReason(reason)
        for launch in launches:
            yield _request(launch)

    return night_waves


def next_wave(
    catalog: Catalog, instance: dg.DagsterInstance, now: datetime, deadline: timedelta
) -> tuple[list[Launch], str]:
    """Launches that are due now, or none and why.

    Only nights that the schedule began are carried on: a demo or a backfill launches its own runs.
    A wave is over when each of its launches has a run that ended, however it ended, or when its
    first run is older than `deadline`.
    """
    begun = instance.get_run_records(dg.RunsFilter(tags={WAVE_TAG: "1", "dagster/schedule_name": SCHEDULE}), limit=1)
    if not begun:
        return [], "no night has begun"
    tags = begun[0].dagster_run.tags
    night = date.fromisoformat(tags[NIGHT_TAG])
    records = instance.get_run_records(dg.RunsFilter(tags={NIGHT_TAG: night.isoformat()}))
    by_launch = {record.dagster_run.tags.get(LAUNCH_TAG, ""): record for record in reversed(records)}
    for wave in nights.waves(catalog, night, tags[PAIRS_TAG].split(",")):
        missing = [launch for launch in wave if launch.key not in by_launch]
        runs = [by_launch[launch.key] for launch in wave if launch.key in by_launch]
        if missing and wave[0].wave > 1:
            return missing, ""
        # The schedule launches wave 1 itself, one run after the other: missing ones are on their way.
        overdue = now - min(record.create_timestamp for record in runs) > deadline
        to_go = len(missing) + sum(not record.dagster_run.is_finished for record in runs)
        if to_go and not overdue:
            return [], f"night {night}: wave {wave[0].wave} has {to_go} of {len(wave)} runs to go"
    return [], f"night {night} is complete"


def _request(launch: Launch) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=launch.key, job_name=launch.job, partition_key=launch.partition, tags=dict(launch.tags)
    )
