"""`fx-assets keys`: as it is typed. The key is shown once, and what is JSON is one document."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.settings import project_root
from fx_assets.storage.keys import KeyStore

KEY = re.compile(r"fxk_([a-z0-9]{8})_[A-Za-z0-9_-]{43}")
ON_RECORD = {"name", "key_id", "state", "scopes", "rate", "created_at", "expires_at", "revoked_at"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FX_LIVE", "false")
    return tmp_path / "home"


def keys(*words: str) -> Result:
    return CliRunner().invoke(app, ["keys", *words])


def document(*words: str) -> Any:
    done = keys(*words, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def said(done: Result) -> str:
    """Without the frame and the line breaks that a narrow terminal gets."""
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in done.stderr).split())


def test_a_key_is_shown_once_alone_on_standard_output(home: Path) -> None:
    done = keys("create", "risk-desk")
    assert done.exit_code == 0
    found = KEY.fullmatch(done.stdout.rstrip("\n"))
    assert found is not None
    assert "risk-desk: read, predict; no limit of rate; expires" in done.stderr
    assert "it is not shown again" in done.stderr
    assert found[0] not in done.stderr
    (row,) = document("list")["keys"]
    assert (row["key_id"], row["state"]) == (found[1], "valid")
    for later in (keys("list"), keys("list", "--json"), keys("revoke", "risk-desk"), keys("list")):
        assert found[0][13:] not in later.stdout + later.stderr
    stored = KeyStore(f"sqlite:///{home / 'control.db'}").all()
    assert [key.sha256 for key in stored] == [hashlib.sha256(found[0].encode()).hexdigest()]


def test_the_default_is_to_read_and_predict_for_90_days() -> None:
    made = document("create", "desk")
    assert set(made) == ON_RECORD | {"key"}
    assert KEY.fullmatch(made["key"])
    assert (made["scopes"], made["rate"], made["revoked_at"]) == (["read", "predict"], None, None)
    created, expires = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=90)
    assert created.utcoffset() == timedelta(0)


def test_what_is_asked_for_is_what_is_made() -> None:
    year = datetime.now(UTC).year + 1
    options = ("--scope", "train", "--scope", "read", "--expires", f"{year}-01-01", "--rate", "600/min")
    made = document("create", "desk", *options)
    assert (made["scopes"], made["rate"]) == (["read", "train"], "600/min")
    assert made["expires_at"] == f"{year}-01-01T00:00:00+00:00"
    assert document("create", "other", "--expires", "never")["expires_at"] is None
    listed = document("list")["keys"]
    assert [set(row) for row in listed] == [ON_RECORD, ON_RECORD]
    assert listed[0] == {name: value for name, value in made.items() if name != "key"}


def test_the_table_is_for_people() -> None:
    empty = keys("list")
    assert (empty.exit_code, empty.stdout.count("\n")) == (0, 1)
    assert "no key on record" in empty.stdout
    assert document("list") == {"keys": []}
    keys("create", "desk", "--rate", "10/s", "--expires", "never")
    keys("create", "other")
    keys("revoke", "other")
    lines = keys("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "desk", "other"]
    assert [line.split()[2] for line in lines[1:]] == ["valid", "revoked"]
    assert "10/s" in lines[1]
    assert "never" in lines[1]


def test_a_revoked_key_frees_its_name() -> None:
    first = document("create", "desk")
    again = keys("create", "desk")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "a key named desk was made on" in again.stderr
    ended = document("revoke", "desk")
    assert set(ended) == ON_RECORD
    assert (ended["state"], ended["key_id"]) == ("revoked", first["key_id"])
    assert document("create", "desk")["key_id"] != first["key_id"]
    plain = keys("revoke", "desk")
    assert (plain.exit_code, plain.stderr) == (0, "")
    assert "is revoked" in plain.stdout


def test_a_key_that_is_not_there_cannot_be_revoked() -> None:
    keys("create", "desk")
    for words in (("revoke", "dekc"), ("revoke", "dekc", "--json")):
        done = keys(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "there is no key of that name" in done.stderr
        assert "Did you mean 'desk'?" in done.stderr
    keys("revoke", "desk")
    assert "it was revoked at" in keys("revoke", "desk").stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("create",), "Missing argument 'name'"),
        (("create", "Desk"), "expected a lower-case letter"),
        (("create", "desk", "--scope", "reed"), "unknown scope 'reed'. Did you mean 'read'?"),
        (("create", "desk", "--expires", "90"), "expected days such as 90d"),
        (("create", "desk", "--expires", "0d"), "expected days such as 90d"),
        (("create", "desk", "--expires", "2020-01-01"), "2020-01-01 is over"),
        (("create", "desk", "--expires", "2027-02-30"), "expected days such as 90d"),
        (("create", "desk", "--rate", "fast"), "expected a rate such as"),
        (("revoke",), "Missing argument 'name'"),
        (("destroy",), "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_exit_code_2_and_makes_nothing(words: tuple[str, ...], expected: str, home: Path) -> None:
    done = keys(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert expected in said(done)
    assert not (home / "control.db").exists()


def test_a_database_that_is_broken_is_said_without_a_trace(home: Path) -> None:
    home.mkdir()
    (home / "control.db").write_bytes(b"not a database" * 1000)
    for words in (("create", "desk"), ("list",), ("revoke", "desk")):
        done = keys(*words, "--json")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "file is not a database" in done.stderr
        assert isinstance(done.exception, SystemExit)


def test_the_script_prints_one_document_and_nothing_else(home: Path) -> None:
    command = [str(Path(sys.executable).with_name("fx-assets")), "keys", "create", "desk", "--json"]
    done = subprocess.run(command, cwd=project_root(), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert KEY.fullmatch(json.loads(done.stdout)["key"])
    with closing(sqlite3.connect(home / "control.db")) as connection:
        assert connection.execute("SELECT name FROM api_keys").fetchall() == [("desk",)]


def test_every_command_says_what_it_does() -> None:
    shown = keys("--help").stdout
    for command, purpose in (("create", "Make a key"), ("list", "Show every key"), ("revoke", "End a key for ever")):
        assert command in shown
        done = keys(command, "--help")
        assert (done.exit_code, done.stderr) == (0, "")
        assert purpose in done.stdout
        assert "--json" in done.stdout
