"""The snapshot: new versions are swapped in whole, and what cannot be read leaves the last good one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from fx_assets.storage.lake import Lake
from fx_assets.storage.snapshot import Snapshot as TableSnapshot
from fx_assets.storage.snapshot import StoredFile
from serving.snapshot import FORECASTS, LiveSnapshot
from tests.serving.conftest import SECOND_NIGHT
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake


def data_as_of(client: Api, pair: str) -> str:
    answer = client.get(f"/v1/forecasts/{pair}/latest")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data_as_of"])


def files_of(tiny: TinyLake, table: str, pair: str) -> list[Path]:
    return [file.path for file in Lake(tiny.settings.lake_path).files(table, pair)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_nothing_new_leaves_the_very_same_snapshot(client: Api) -> None:
    before = client.refresh().current
    assert client.refresh().current is before


def test_a_new_version_replaces_it_and_untouched_pairs_are_not_read_again(client: Api, tiny: TinyLake) -> None:
    before = client.refresh().current
    tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    after = client.refresh().current
    assert (after.version or 0) > (before.version or 0)
    assert after.pairs["EURUSD"] is not before.pairs["EURUSD"]
    assert after.pairs["USDJPY"] is before.pairs["USDJPY"]
    assert before.pairs["EURUSD"].documents[("1d", "solo")].issued_at == SECOND_NIGHT


def test_a_corrupt_file_keeps_the_pairs_last_good_forecast_and_the_others_go_on(client: Api, tiny: TinyLake) -> None:
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1), last=date(2026, 10, 29))
    tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    flip(files_of(tiny, FORECASTS, "EURUSD")[-1])
    tiny.forecast("random_walk", "USDJPY", issued_at=SECOND_NIGHT + timedelta(hours=1))
    client.refresh()
    assert data_as_of(client, "EURUSD") == "2026-10-30"
    newest = client.get("/v1/forecasts/USDJPY/latest").json()["issued_at"]
    assert newest == "2026-10-30T22:30:00Z"
    report = client.get("/readyz").json()
    (problem,) = report["lake"]["problems"]
    assert "forecasts of EURUSD" in problem
    assert str(tiny.settings.home) not in problem
    past = client.get("/v1/forecasts/EURUSD/latest", params={"as_of": SECOND_NIGHT.isoformat()})
    assert (past.status_code, past.json()["code"]) == (503, "lake_unreadable")


def test_only_what_was_added_is_read_and_an_older_head_is_no_step_back(client: Api, tiny: TinyLake) -> None:
    client.refresh()
    flip(files_of(tiny, FORECASTS, "EURUSD")[0])  # was read already, and is not again
    tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=2), last=date(2026, 10, 29))
    live = client.refresh()
    assert live.problems == ()
    found = live.current.pairs["EURUSD"].documents
    assert found[("1d", "solo")].issued_at == SECOND_NIGHT + timedelta(hours=1)
    assert found[("1d", "random_walk")].issued_at == SECOND_NIGHT, "a replay of an older origin"


def test_a_file_of_the_lake_is_read_whole_only_for_a_document_that_is_asked_for(client: Api, tiny: TinyLake) -> None:
    for hour in range(1, 4):
        tiny.forecast("solo", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=hour))
    client.refresh()
    asked: list[int] = []
    read = TableSnapshot.read_each

    def noted(self: TableSnapshot, pair: str, files: Collection[StoredFile], **options: Any) -> Any:
        asked.append(len(files))
        return read(self, pair, files, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TableSnapshot, "read_each", noted)
        page = client.get("/v1/forecasts/EURUSD", params={"model": "solo", "limit": 1}).json()
        assert page["forecasts"][0]["issued_at"] == "2026-10-31T00:30:00Z"
        assert asked == [1]
        past = client.get("/v1/forecasts/EURUSD/latest", params={"as_of": SECOND_NIGHT.isoformat()})
        assert past.json()["issued_at"] == SECOND_NIGHT.isoformat().replace("+00:00", "Z")
        assert asked[1:] == [2], "one head for each of two models"


def test_at_a_fresh_start_a_corrupt_pair_is_missing_and_the_others_are_served(tiny: TinyLake) -> None:
    flip(files_of(tiny, FORECASTS, "EURUSD")[0])
    with running(tiny) as client:
        report = client.get("/readyz").json()
        assert (report["status"], report["missing"]) == ("ready", ["EURUSD"])
        assert data_as_of(client, "USDJPY") == "2026-10-30"
        assert client.get("/v1/forecasts/EURUSD/latest").json()["code"] == "no_forecast"


def test_a_repaired_file_is_read_again(tiny: TinyLake) -> None:
    path = files_of(tiny, FORECASTS, "EURUSD")[0]
    flip(path)
    with running(tiny) as client:
        assert client.get("/readyz").json()["lake"]["problems"]
        flip(path)
        assert client.refresh().problems == ()
        assert data_as_of(client, "EURUSD") == "2026-10-30"


@pytest.mark.parametrize("how", ["gone", "log damaged", "log emptied"])
def test_an_unreadable_lake_leaves_the_last_good_snapshot(client: Api, tiny: TinyLake, how: str) -> None:
    before = client.get("/v1/forecasts/EURUSD/latest")
    log = tiny.settings.lake_path / FORECASTS / "_delta_log"
    if how == "gone":
        shutil.rmtree(tiny.settings.lake_path)
    else:
        newest = sorted(log.glob("*.json"))[-1]
        newest.write_bytes(b"{" if how == "log damaged" else b"")
    client.refresh()
    after = client.get("/v1/forecasts/EURUSD/latest")
    assert (after.status_code, after.content) == (200, before.content)
    report = client.get("/readyz")
    assert report.status_code == 200
    assert any("the table forecasts" in problem for problem in report.json()["lake"]["problems"])


def test_corrupt_scores_do_not_take_the_forecast_away(tiny: TinyLake, client: Api) -> None:
    flip(files_of(tiny, "scores", "EURUSD")[0])
    tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(hours=1))
    assert any("scores of EURUSD" in problem for problem in client.refresh().problems)
    body = client.get("/v1/forecasts/EURUSD/latest").json()
    assert body["issued_at"] == "2026-10-30T22:30:00Z"
    assert body["evaluation"]["ratio"] == 0.9  # still known from before
    assert any("scores of EURUSD" in problem for problem in client.refresh().problems)


def test_forecasts_need_no_control_database(tiny: TinyLake) -> None:
    for path in tiny.settings.home.glob("control.db*"):
        path.unlink()
    with running(tiny) as client:
        assert data_as_of(client, "EURUSD") == "2026-10-30"
        assert client.get("/v1/models").status_code == 200
        assert client.get("/readyz").status_code == 200
    assert not list(tiny.settings.home.glob("control.db*"))


def test_readers_beside_a_writer_see_one_version_at_a_time(tiny: TinyLake) -> None:
    """Each snapshot holds, for every pair, one document a model, of an issue that never goes back."""
    live = LiveSnapshot(Lake(tiny.settings.lake_path))
    live.refresh()
    done, failures = threading.Event(), []

    def read() -> None:
        newest = SECOND_NIGHT
        while not done.is_set():
            live.refresh()
            snapshot = live.current
            issued = snapshot.pairs["EURUSD"].documents[("1d", "random_walk")].issued_at
            if issued < newest or set(snapshot.pairs) != {"EURUSD", "USDJPY"} or live.problems:
                failures.append((issued, newest, live.problems))
            newest = issued

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for minute in range(1, 9):
        tiny.forecast("random_walk", "EURUSD", issued_at=SECOND_NIGHT + timedelta(minutes=minute))
    done.set()
    for reader in readers:
        reader.join()
    live.refresh()
    assert failures == []
    newest = live.current.pairs["EURUSD"].documents[("1d", "random_walk")].issued_at
    assert newest == SECOND_NIGHT + timedelta(minutes=8)
