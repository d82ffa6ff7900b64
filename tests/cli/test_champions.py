"""`fx-assets champions | promote | rollback`: as they are typed, with real checkpoints, and wrong use."""

from __future__ import annotations

import json
import os
import pwd
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app
from fx_assets.commands import champions
from fx_assets.storage.control import Control, Decision
from tests.support.tiny_lake import TinyLake, tiny_lake

PAST = datetime(2026, 9, 15, 21, 30, tzinfo=UTC)
BECAUSE = ("--reason", "it reads [the] news")
WHY = ["scheduled,", "promotion", "shown", "better"]


def decision(number: int, before: str | None, after: str, kind: Any = "scheduled", pair: str = "EURUSD") -> Decision:
    return Decision(
        pair=pair,
        frequency="1d",
        number=number,
        decided_at=PAST + timedelta(days=number),
        decision_date=date(2026, 9, 15),
        kind=kind,
        champion_before=before,
        champion_after=after,
        reason="shown better",
        evidence={"spa_p_value": 0.01},
        decided_by="promotion",
        run_id="night",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyLake:
    """Two pairs, two models with a checkpoint each (of EURUSD), and one model that was never trained."""
    tiny = tiny_lake(tmp_path_factory.mktemp("champions"))
    model = (tiny.settings.configs / "models" / "solo.yaml").read_text()
    (tiny.settings.configs / "models" / "untried.yaml").write_text(model.replace("solo", "untried"))
    (tiny.settings.configs / "models" / "torn.yaml").write_text("model_id: [")
    tiny.bars("EURUSD")
    for name in ("random_walk", "solo"):
        tiny.train(name, "EURUSD")
    return tiny


@pytest.fixture
def here(made: TinyLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Control:
    """This installation, with decisions of its own for each test."""
    for name in [name for name in os.environ if name.startswith("FX_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(made.settings.home))
    monkeypatch.setenv("FX_CONFIGS", str(made.settings.configs))
    monkeypatch.setenv("FX_CONTROL_URL", f"sqlite:///{tmp_path / 'control.db'}")
    monkeypatch.setenv("LOGNAME", "somebody_else")
    control = Control(f"sqlite:///{tmp_path / 'control.db'}")
    control.rebuild_versions(made.artifacts)
    return control


def invoke(*words: str) -> Result:
    """What is decided here is not forecast: there is no night in this lake."""
    record_only = ("--no-serve",) if words[0] in ("promote", "rollback") else ()
    return CliRunner().invoke(app, [*words, *record_only])


def document(*words: str) -> dict[str, Any]:
    done = invoke(*words, "--json")
    assert (done.exit_code, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout, parse_constant=pytest.fail)
    return found


def told(done: Result) -> str:
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in done.stderr).split())


def served(pair: str = "EURUSD") -> tuple[str, str, str | None]:
    (row,) = document("champions", "--pair", pair)["champions"]
    return row["champion"], row["kind"], row["decided_by"]


@pytest.mark.usefixtures("here")
def test_without_a_decision_the_random_walk_serves_and_says_so() -> None:
    found = document("champions")
    assert [(row["pair"], row["frequency"], row["champion"], row["kind"]) for row in found["champions"]] == [
        ("EURUSD", "1d", "random_walk", "rule"),
        ("USDJPY", "1d", "random_walk", "rule"),
    ]
    row = found["champions"][0]
    assert row == {
        **{"pair": "EURUSD", "frequency": "1d", "champion": "random_walk", "decided": None, "since": None},
        **{"kind": "rule", "decided_by": None, "decisions": []},
        "reason": "nothing was decided yet, and without evidence the random walk serves",
    }


def test_a_person_promotes_and_it_is_recorded_as_an_override(here: Control) -> None:
    found = document("promote", "solo", "--pair", "eurusd", *BECAUSE)
    user = pwd.getpwuid(os.getuid()).pw_name
    (kept,) = here.decisions()
    assert (found["id"], kept.kind, kept.champion_before, kept.champion_after) == (
        *("EURUSD/1d/1", "override"),
        *("random_walk", "solo"),
    )
    assert (kept.decided_by, kept.reason, kept.evidence) == (user, "it reads [the] news", {"trials": 0})
    assert timedelta() <= datetime.now(UTC) - kept.decided_at < timedelta(minutes=5)
    assert found["decided_at"] == kept.decided_at.isoformat()
    assert served() == ("solo", "override", user)
    assert served("USDJPY") == ("random_walk", "rule", None)


def test_a_roll_back_is_one_command_and_a_second_goes_further(here: Control) -> None:
    for one in (decision(1, None, "random_walk", "initial"), decision(2, "random_walk", "solo")):
        here.decide(one)
    found = document("rollback", "--pair", "EURUSD", *BECAUSE)
    assert (found["kind"], found["champion_before"], found["champion_after"]) == ("rollback", "solo", "random_walk")
    done = invoke("rollback", "--pair", "EURUSD", *BECAUSE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "EURUSD 1d: there is no champion before random_walk" in told(done)
    assert invoke("rollback", "--pair", "USDJPY", *BECAUSE).exit_code == 1
    assert [one.kind for one in here.decisions()] == ["initial", "scheduled", "rollback"]


def test_who_serves_is_shown_with_its_history(here: Control) -> None:
    for one in (
        decision(1, None, "random_walk", "initial"),
        decision(2, "random_walk", "solo"),
        decision(3, "solo", "solo"),
    ):
        here.decide(one)
    lines = invoke("champions").stdout.splitlines()
    assert lines[0].split() == ["pair", "bars", "champion", "since", "(UTC)", "by", "why"]
    assert lines[1].split() == ["EURUSD", "1d", "solo", "2026-09-17", "21:30", *WHY]
    assert len(lines) == 3
    lines = invoke("champions", "--pair", "EURUSD").stdout.splitlines()
    assert lines[2:] == [
        "EURUSD/1d/1  2026-09-16 21:30  nobody -> random_walk  initial by promotion: shown better",
        "EURUSD/1d/2  2026-09-17 21:30  random_walk -> solo  scheduled by promotion: shown better",
        "EURUSD/1d/3  2026-09-18 21:30  solo stays  scheduled by promotion: shown better",
    ]
    (row,) = document("champions", "--pair", "EURUSD")["champions"]
    assert row["decisions"][1]["evidence"] == {"spa_p_value": 0.01}
    assert row["since"] == (PAST + timedelta(days=2)).isoformat()


def test_text_for_people_is_printed_as_it_is(here: Control) -> None:
    done = invoke("promote", "solo", "--pair", "EURUSD", *BECAUSE)
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first.endswith(f"random_walk -> solo  override by {here.decisions()[0].decided_by}: it reads [the] news")
    assert second == "It serves from the next forecast on: fx-assets materialize --pairs EURUSD"
    assert "it reads [the] news" in invoke("champions").stdout


def test_a_champion_that_is_configured_no_longer_is_said(here: Control) -> None:
    here.decide(decision(1, "random_walk", "retired"))
    here.decide(decision(2, "retired", "solo"))
    here.decide(decision(1, None, "gone", "initial", pair="GBPUSD"))
    done = invoke("rollback", "--pair", "EURUSD", *BECAUSE)
    assert done.exit_code == 1
    assert "the champion before was retired, which is not configured for it any more; promote another." in told(done)
    here.decide(decision(3, "solo", "retired", "override"))
    (row,) = document("champions", "--pair", "EURUSD")["champions"]
    assert (row["champion"], row["decided"], row["kind"]) == ("random_walk", "retired", "rule")
    assert row["reason"] == "retired was decided (EURUSD/1d/3) but is not configured for it: the rule's serves"
    # A pair that is configured no longer was decided for all the same.
    (row,) = document("champions", "--pair", "gbpusd")["champions"]
    assert (row["champion"], row["decided"], len(row["decisions"])) == (None, "gone", 1)
    assert "nobody" in invoke("champions").stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("champions", "--pair", "EURUDS"), 2, "unknown pair 'EURUDS'. Did you mean 'EURUSD'?"),
        (("promote", "sole", "--pair", "EURUSD", *BECAUSE), 2, "unknown model 'sole'. Did you mean 'solo'?"),
        (("promote", "torn", "--pair", "EURUSD", *BECAUSE), 2, "torn.yaml is not valid: run fx-assets validate"),
        (("promote", "solo", "--pair", "EURUDS", *BECAUSE), 2, "Did you mean 'EURUSD'?"),
        (
            ("promote", "solo", "--pair", "USDJPY", *BECAUSE),
            2,
            "solo forecasts EURUSD, not USDJPY. Known: random_walk.",
        ),
        (("promote", "untried", "--pair", "EURUSD", *BECAUSE), 1, "fx-assets train --model untried --pairs EURUSD"),
        (("promote", "random_walk", "--pair", "EURUSD", *BECAUSE), 1, "is the champion of EURUSD 1d already"),
        (("promote", "solo", "--pair", "EURUSD", "--reason", " "), 2, "say why: the reason stays on record"),
        (("promote", "solo", "--pair", "EURUSD"), 2, "Missing option '--reason'"),
        (("rollback", "--pair", "EURUSD", *BECAUSE, "--frequency", "1h"), 2, "EURUSD is forecast at: 1d"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(words: tuple[str, ...], code: int, said: str, here: Control) -> None:
    done = invoke(*words)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in told(done)
    assert here.decisions() == []


def test_a_model_with_a_forecast_needs_no_checkpoint(made: TinyLake, here: Control) -> None:
    made.forecast("solo", "EURUSD", issued_at=PAST)
    here.close()
    Path(os.environ["FX_CONTROL_URL"].removeprefix("sqlite:///")).unlink()
    assert document("promote", "solo", "--pair", "EURUSD", *BECAUSE)["champion_after"] == "solo"


def test_who_decides_second_is_told(here: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another person decides while this one is at it."""

    def meanwhile() -> str:
        here.decide(decision(1, "random_walk", "solo", "override"))
        return "ada"

    monkeypatch.setattr(champions, "_user", meanwhile)
    done = invoke("promote", "solo", "--pair", "EURUSD", *BECAUSE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "EURUSD/1d/1 was made by promotion" in told(done)
    assert [one.decided_by for one in here.decisions()] == ["promotion"]


def test_a_clock_that_stands_still_is_told(here: Control) -> None:
    late = datetime.now(UTC) + timedelta(days=400)
    here.decide(Decision(**{**vars(decision(1, "random_walk", "solo")), "decided_at": late}))
    done = invoke("rollback", "--pair", "EURUSD", *BECAUSE)
    assert done.exit_code == 1
    assert "check this machine's clock" in told(done)


def test_a_database_that_cannot_be_read_is_a_failure(
    here: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del here
    (tmp_path / "broken.db").write_text("this is no database at all, it is text" * 100)
    monkeypatch.setenv("FX_CONTROL_URL", f"sqlite:///{tmp_path / 'broken.db'}")
    for words in (("champions",), ("promote", "solo", "--pair", "EURUSD", *BECAUSE), ("rollback", "--pair", "EURUSD")):
        done = invoke(*words, "--json", *(BECAUSE if words[0] == "rollback" else ()))
        assert (done.exit_code, done.stdout) == (1, "")
        assert "not a database" in done.stderr
