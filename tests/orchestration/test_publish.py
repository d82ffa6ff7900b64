"""The write path: reuse, checks before the commit, leases; on a real lake and a real control database."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from fx_assets.orchestration.publish import Draft, Event, check_specs, publish_table
from fx_assets.orchestration.resources import Stores
from fx_assets.settings import Settings
from fx_assets.storage import lake_log
from fx_assets.storage.control import Decision
from fx_assets.storage.records import CheckOutcome

KEY = dg.AssetKey(["forecasts", "probe"])
TABLE, PAIR = "forecasts", "EURUSD"


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(Settings(home=tmp_path))


def rows(price: float) -> pa.Table:
    return pa.table({"pair": [PAIR], "price": [price]})


def asset(stores: Stores, fingerprint: str, compute: Callable[[], Draft]) -> dg.AssetsDefinition:
    @dg.asset(
        key=KEY,
        partitions_def=dg.StaticPartitionsDefinition([PAIR]),
        check_specs=check_specs(KEY, {"sound": True, "usual": False}),
    )
    def probe(context: dg.AssetExecutionContext) -> Iterator[Event]:
        yield from publish_table(
            context, stores, table=TABLE, pair=PAIR, fingerprint=fingerprint, compute=compute, mode="append"
        )

    return probe


def checks(*, sound: bool = True, usual: bool = True) -> list[CheckOutcome]:
    return [CheckOutcome("sound", sound, description="why"), CheckOutcome("usual", usual, blocking=False)]


def run(definition: dg.AssetsDefinition, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize([definition], partition_key=PAIR, instance=instance, raise_on_error=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    entries = event.step_materialization_data.materialization.metadata
    return {name: entry.value for name, entry in entries.items()}


def test_unchanged_inputs_are_reused_with_their_checks(stores: Stores, instance: dg.DagsterInstance) -> None:
    computed: list[int] = []

    def compute() -> Draft:
        computed.append(1)
        return Draft(rows(1.1), checks(usual=False), {"last": "2026-10-30"})

    first = run(asset(stores, "a", compute), instance)
    version = stores.lake.version(TABLE)
    again = run(asset(stores, "a", compute), instance)
    assert computed == [1]
    assert metadata(first)["reused"] is False
    assert metadata(again)["reused"] is True
    assert metadata(again)["last"] == "2026-10-30"
    outcomes = {event.check_name: event.passed for event in again.get_asset_check_evaluations()}
    assert outcomes == {"sound": True, "usual": False}
    assert stores.lake.version(TABLE) == version
    run(asset(stores, "b", compute), instance)
    assert computed == [1, 1]


def test_a_failed_blocking_check_leaves_the_last_forecast_and_materializes_nothing(
    stores: Stores, instance: dg.DagsterInstance
) -> None:
    run(asset(stores, "a", lambda: Draft(rows(1.1), checks())), instance)
    version = stores.lake.version(TABLE)
    bad = run(asset(stores, "b", lambda: Draft(rows(9.9), checks(sound=False))), instance)
    assert not bad.success
    assert bad.get_asset_materialization_events() == []
    assert {event.check_name: event.passed for event in bad.get_asset_check_evaluations()} == {
        "sound": False,
        "usual": True,
    }
    assert stores.lake.version(TABLE) == version
    assert stores.lake.read(TABLE, PAIR).column("price").to_pylist() == [1.1]
    # The guard has not moved either: the same bad input is tried, and refused, again.
    assert not run(asset(stores, "b", lambda: Draft(rows(9.9), checks(sound=False))), instance).success


def test_a_rotated_or_cancelled_lease_publishes_nothing(stores: Stores, instance: dg.DagsterInstance) -> None:
    def overtaken() -> Draft:
        stores.control.acquire(KEY.to_user_string(), PAIR, "a-newer-run")
        return Draft(rows(9.9), checks())

    result = run(asset(stores, "a", overtaken), instance)
    assert not result.success
    assert result.get_asset_materialization_events() == []
    assert stores.lake.state(TABLE, PAIR) is None


def test_a_run_that_is_being_cancelled_in_the_ui_publishes_nothing(
    stores: Stores, instance: dg.DagsterInstance
) -> None:
    def cancelled() -> Draft:
        (record,) = instance.get_run_records(limit=1)
        instance.report_run_canceling(record.dagster_run)
        return Draft(rows(9.9), checks())

    result = run(asset(stores, "a", cancelled), instance)
    assert not result.success
    assert stores.lake.state(TABLE, PAIR) is None


def test_an_error_while_computing_leaves_the_last_version(stores: Stores, instance: dg.DagsterInstance) -> None:
    def broken() -> Draft:
        raise RuntimeError("boom")

    run(asset(stores, "a", lambda: Draft(rows(1.1), checks())), instance)
    assert not run(asset(stores, "b", broken), instance).success
    assert stores.lake.read(TABLE, PAIR).column("price").to_pylist() == [1.1]


def test_a_commit_sweeps_what_a_killed_run_left_behind(stores: Stores, instance: dg.DagsterInstance) -> None:
    assert run(asset(stores, "1", lambda: Draft(rows(1.0), checks())), instance).success
    (kept,) = stores.lake.files(TABLE, PAIR)
    old, fresh = kept.path.with_name(f"{'0' * 64}.parquet"), kept.path.with_name(f"{'1' * 64}.parquet")
    for path in (old, fresh):
        path.write_bytes(b"half a file")
    an_hour_and_more_ago = kept.path.stat().st_mtime - 4000
    os.utime(old, (an_hour_and_more_ago, an_hour_and_more_ago))
    assert run(asset(stores, "2", lambda: Draft(rows(2.0), checks())), instance).success
    assert not old.exists()
    assert fresh.exists(), "another run may be about to commit it"
    assert kept.path.exists()
    assert stores.lake.read(TABLE, PAIR).num_rows == 2


def test_what_is_recorded_with_a_commit_is_recorded_with_it_or_not_at_all(
    stores: Stores, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = Decision(
        pair=PAIR,
        frequency="1d",
        number=1,
        decided_at=datetime(2026, 10, 30, 21, 30, tzinfo=UTC),
        decision_date=date(2026, 10, 30),
        kind="initial",
        champion_before=None,
        champion_after="probe",
        reason="the first",
        evidence={},
        decided_by="test",
        run_id="run",
    )

    def draft() -> Draft:
        return Draft(rows(1.1), checks(), also=lambda transaction: transaction.decide(decision))

    def disk_full(*_: Any) -> int:
        assert stores.control.decisions() == []  # nobody else sees it before the commit
        raise OSError("no space left on device")

    # The commit fails after the decision was written: neither stands.
    with monkeypatch.context() as broken:
        broken.setattr(lake_log, "commit", disk_full)
        failed = run(asset(stores, "a", draft), instance)
    assert "no space left" in str([event.step_failure_data for event in failed.get_step_failure_events()])
    assert stores.control.decisions() == []
    assert stores.lake.find(TABLE, PAIR) is None
    assert run(asset(stores, "a", draft), instance).success
    assert stores.control.decisions() == [decision]
    # The decision is refused, for it does not follow the newest one: nothing is committed.
    version = stores.lake.version(TABLE)
    assert not run(asset(stores, "b", draft), instance).success
    assert stores.lake.version(TABLE) == version
