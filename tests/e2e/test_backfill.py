"""Real processes end to end: UI, daemon and API start; a backfill of two pairs runs; the API serves both."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.installation import Installation, wait_for

ASSETS = ("prices/raw", "bars/1d", "checkpoints/random_walk", "forecasts/random_walk", "scores/random_walk")
PAIRS = ("EURUSD", "USDJPY")

LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATUS = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData { rootTargetedPartitions { partitionKeys } }
    }
  }
  runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
    ... on Runs { results { runId status tags { key value } } }
  }
}"""


def launch(installation: Installation) -> str:
    params = {
        "assetSelection": [{"path": name.split("/")} for name in ASSETS],
        "partitionNames": list(PAIRS),
        "fromFailure": False,
        "tags": [],
    }
    answer = installation.graphql(LAUNCH, {"backfillParams": params})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return str(answer["backfillId"])


def finished(installation: Installation, backfill: str) -> dict[str, Any] | None:
    state: dict[str, Any] = installation.graphql(STATUS, {"id": backfill})
    status = state["partitionBackfillOrError"]["status"]
    assert status not in {"FAILED", "COMPLETED_FAILED", "CANCELED"}, (state, installation.logs())
    return state if status == "COMPLETED_SUCCESS" else None


@pytest.mark.slow
def test_a_backfill_from_the_ui_reaches_the_api(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home")
    with installation.up():
        assert httpx.get(installation.api + "/readyz").status_code == 503
        backfill = launch(installation)
        state = wait_for(partial(finished, installation, backfill), installation.logs)
        runs = state["runsOrError"]["results"]
        assert [run["status"] for run in runs] == ["SUCCESS"] * len(PAIRS)
        for pair in PAIRS:
            document = wait_for(partial(served, installation, pair), installation.logs)
            assert document["pair"] == pair
            assert document["model_id"] == "random_walk"
            assert document["lineage"]["run_id"] in {run["runId"] for run in runs}
        assert httpx.get(installation.api + "/readyz").status_code == 200
        assert len(installation.processes()) >= 4
    left = [process.cmdline() for process in installation.processes()]
    assert left == []


def served(installation: Installation, pair: str) -> dict[str, Any] | None:
    answer = httpx.get(f"{installation.api}/v1/forecasts/{pair}/latest")
    return answer.json() if answer.status_code == 200 else None


@pytest.mark.slow
def test_a_taken_port_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    import socket

    installation = Installation(tmp_path / "home")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", installation.api_port))
        holder.listen()
        done = installation.command("up")
    assert done.returncode == 1
    assert f"port {installation.api_port}" in done.stderr
    assert "FX_API_PORT=" in done.stderr
    assert installation.processes() == []
