"""A training that was ended goes on from its last whole epoch to the very same result, or begins again and says so."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from fx_assets.models.networks.heads import Forecaster, PointHead
from fx_assets.models.networks.itransformer import ITransformer
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.errors import WriteFailed
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.data import ReturnWindows
from fx_assets.training.loop import Learned, LoopOptions, learn, reproducible
from fx_assets.training.materials import Base
from fx_assets.training.records import Event, Progress, Step, TrainedModel, TrainingFailed
from fx_assets.training.resume import KEPT_S, ResumeFile, training_key
from tests.training.helpers import SMALL, Heard, cuts, market, replace, spec, trained

KEY, OTHER = "a" * 64, "b" * 64
HISTORY, MODEL = market(phi=0.5), spec()
PARAMS = {"initial_variance": 4e-5, "mean": [3.0, 3.0], "std": [2.0, 2.0]}
TRAINING, VALIDATION = (
    ReturnWindows(MODEL, {"EURUSD": HISTORY}, cuts(HISTORY, MODEL), part, PARAMS) for part in ("train", "validation")
)
# Steps long enough for the best epoch to lie in the middle, and chance in every one of them: order and dropout.
OPTIONS = LoopOptions(max_epochs=5, patience=5, batch_size=128, learning_rate=0.05, seed=1, halving=True)


class Killed(Exception):
    """What ends a training here, as SIGKILL does elsewhere."""


@dataclasses.dataclass
class Outcome:
    weights: bytes
    learned: Learned
    heard: Heard


def run(
    folder: Path,
    options: LoopOptions = OPTIONS,
    *,
    killed_in: int | None = None,
    key: str | None = KEY,
    heard: Heard | None = None,
) -> Outcome:
    """Learn, raising at the end of epoch `killed_in`, before it is saved."""
    events = Heard() if heard is None else heard

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, Progress) and event.epoch == killed_in:
            raise Killed

    with reproducible(options.seed):
        sizes = {**SMALL["hyperparameters"], "dropout": 0.3}
        forecaster = Forecaster(ITransformer(window=16, horizon=3, **sizes), PointHead())
        resume = None if key is None else ResumeFile(folder / "resume", key)
        learned = learn(forecaster, TRAINING, VALIDATION, options, scratch=folder, report=report, resume=resume)
    return Outcome(safetensors.torch.save(forecaster.state_dict()), learned, events)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tmp_path_factory.mktemp("undisturbed"), key=None)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "resume").iterdir())


def interrupted(folder: Path, *, killed_in: int, key: str = KEY) -> Path:
    with pytest.raises(Killed):
        run(folder, killed_in=killed_in, key=key)
    return folder / "resume" / f"{key}.epoch"


def test_the_best_epoch_lies_in_the_middle(undisturbed: Outcome) -> None:
    assert len(undisturbed.learned.history) == 6
    assert 0 < undisturbed.learned.best_epoch < 5


def test_keeping_epochs_changes_nothing(undisturbed: Outcome, tmp_path: Path) -> None:
    outcome = run(tmp_path)
    assert outcome.weights == undisturbed.weights
    assert outcome.learned == undisturbed.learned
    assert outcome.heard.of(Step) == []
    assert kept(tmp_path) == [f"{KEY}.epoch"]  # until whoever gave the file removes it


@pytest.mark.parametrize("killed_in", [2, 4, 5])
def test_it_goes_on_to_the_same_bytes(killed_in: int, undisturbed: Outcome, tmp_path: Path) -> None:
    interrupted(tmp_path, killed_in=killed_in)
    outcome = run(tmp_path)
    assert outcome.heard.of(Step) == [Step(f"resumed after epoch {killed_in - 1}")]
    assert [event.epoch for event in outcome.heard.of(Progress)] == list(range(killed_in, 6))
    assert outcome.weights == undisturbed.weights
    assert outcome.learned == undisturbed.learned


def test_it_may_be_ended_again_and_again(undisturbed: Outcome, tmp_path: Path) -> None:
    interrupted(tmp_path, killed_in=2)
    interrupted(tmp_path, killed_in=3)
    interrupted(tmp_path, killed_in=3)
    outcome = run(tmp_path)
    assert outcome.heard.of(Step) == [Step("resumed after epoch 2")]
    assert outcome.weights == undisturbed.weights


def test_nothing_is_kept_of_an_epoch_that_was_not_whole(tmp_path: Path) -> None:
    interrupted(tmp_path, killed_in=1)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("patience", [1, 5])
def test_a_training_that_was_over_is_not_gone_on_with(patience: int, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, patience=patience)
    whole = run(tmp_path, options)
    assert (len(whole.learned.history) == 6) == (patience == 5)
    again = run(tmp_path, options)
    assert again.heard == [Step(f"resumed after epoch {whole.learned.history[-1].epoch}")]
    assert again.weights == whole.weights
    assert again.learned == whole.learned


class Bomb:
    """Pickled, it runs code when an unsafe loader reads it."""

    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["BOMB"],)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def another_training(path: Path) -> None:
    interrupted(path.parent.parent, killed_in=3, key=OTHER).rename(path)


def plain_torch(path: Path) -> None:
    torch.save({"epoch": 3}, path)


def armed(path: Path) -> None:
    """A right digest before content that would run code."""
    from fx_assets.training.resume import _head

    buffer = io.BytesIO()
    torch.save({"epoch": 3, "callbacks": Bomb()}, buffer)
    path.write_bytes(_head(path, buffer.getvalue()) + buffer.getvalue())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_short, "cut short or changed"),
        (emptied, "no whole epoch of a training of this version"),
        (flip_a_bit, "cut short or changed"),
        (another_training, "belongs to another training"),
        (plain_torch, "no whole epoch of a training of this version"),
        (armed, r"cannot be read \(UnpicklingError\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_and_training_starts_over(
    spoil: Callable[[Path], None],
    reason: str,
    undisturbed: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "bomb"))
    spoil(interrupted(tmp_path, killed_in=3))
    heard = Heard()
    with pytest.raises(Killed):
        run(tmp_path, killed_in=1, heard=heard)
    (step,) = heard.of(Step)
    assert step.message.startswith(f"{KEY}.epoch: ")
    assert step.message.endswith("; training starts over")
    assert re.search(reason, step.message)
    # The epochs are those of a training from the start, and the file is gone for good.
    assert heard.of(Progress) == list(undisturbed.learned.history[:2])
    assert kept(tmp_path) == []
    assert not (tmp_path / "bomb").exists()


def test_another_training_does_not_see_it(undisturbed: Outcome, tmp_path: Path) -> None:
    interrupted(tmp_path, killed_in=3)
    outcome = run(tmp_path, key=OTHER)
    assert outcome.heard.of(Step) == []
    assert outcome.weights == undisturbed.weights
    assert kept(tmp_path) == [f"{KEY}.epoch", f"{OTHER}.epoch"]


def test_leftovers_of_a_week_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "resume"
    folder.mkdir()
    stale, fresh = time.time() - KEPT_S - 60, time.time() - KEPT_S + 60
    names = [f"{OTHER}.epoch", f"{OTHER}.epoch.part", f"{KEY}.epoch", "notes.txt", f"{OTHER[1:]}.epoch"]
    for name in names:
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (stale, stale))
    young = f"{'c' * 64}.epoch"
    (folder / young).write_bytes(b"")
    os.utime(folder / young, (fresh, fresh))
    heard = Heard()
    assert ResumeFile(folder, KEY).begin(heard.append) is None
    # Its own was read, whatever its age, and found empty.
    assert len(heard) == 1
    assert kept(tmp_path) == sorted([young, "notes.txt", f"{OTHER[1:]}.epoch"])


def test_a_write_that_fails_leaves_the_epoch_before(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = interrupted(tmp_path, killed_in=3).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteFailed, match="No space left on device"):
            run(tmp_path)
    assert (tmp_path / "resume" / f"{KEY}.epoch").read_bytes() == before
    assert run(tmp_path).weights == undisturbed.weights
    assert kept(tmp_path) == [f"{KEY}.epoch"]


def key_of(model: ModelSpec = MODEL, **changes: Any) -> str:
    window = cuts(HISTORY, model)
    given: dict[str, Any] = {
        "histories": {"EURUSD": HISTORY.until(window.validate_until)},
        "window": window,
        "base": None,
        "device": "cpu",
    }
    return training_key(model, **{**given, **changes})


def moved(window: EvaluationWindow, cut: str) -> EvaluationWindow:
    return dataclasses.replace(window, **{cut: getattr(window, cut) - timedelta(days=1)})


def test_the_name_is_another_for_whatever_decides_the_result() -> None:
    window = cuts(HISTORY, MODEL)
    seen = HISTORY.until(window.validate_until)
    base = Base("20260101T000000Z", {"model.safetensors": b"1"}, window.validate_until)
    keys = [
        key_of(),
        key_of(spec(training={"seed": 8})),
        key_of(spec(training={"learning_rate": 2e-3})),
        key_of(spec(hyperparameters={**SMALL["hyperparameters"], "dropout": 0.2})),
        key_of(spec(target="level")),
        key_of(window=moved(window, "train_until")),
        key_of(window=moved(window, "validate_until")),
        key_of(histories={"EURUSD": replace(seen, closes=seen.closes * 1.0000001)}),
        key_of(histories={"EURUSD": replace(seen, feature_names=("a", "b"))}),
        key_of(histories={"EURUSD": replace(seen, calendar="24x7")}),
        key_of(histories={"GBPUSD": seen}),
        key_of(base=base),
        key_of(base=dataclasses.replace(base, files={"model.safetensors": b"2"})),
        key_of(device="cuda"),
    ]
    assert len(set(keys)) == len(keys)


def test_the_name_is_the_same_for_what_does_not() -> None:
    assert key_of(spec(description="another", schedule={"nightly": False})) == key_of()
    window = cuts(HISTORY, MODEL)
    assert key_of(window=moved(window, "test_until")) == key_of()


def test_a_trainer_goes_on_to_the_same_files_and_removes_its_own(first: TrainedModel, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.epoch == 2:
            raise Killed

    scratch, resume = tmp_path / "scratch", tmp_path / "resume"
    with pytest.raises(Killed):
        trained(MODEL, HISTORY, scratch=scratch, resume=resume, report=stop)
    assert len(kept(tmp_path)) == 1
    heard = Heard()
    outcome = trained(MODEL, HISTORY, scratch=scratch, resume=resume, report=heard.append)
    assert heard.of(Step) == [Step("resumed after epoch 1")]
    assert outcome.files == first.files
    assert outcome.history == first.history
    assert outcome.epochs == 2
    assert kept(tmp_path) == []
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_a_child_that_is_killed_in_an_epoch_is_gone_on_with_by_the_next(tmp_path: Path) -> None:
    model = spec(training={"max_epochs": 6, "patience": 6, "batch_size": 8})
    history, resume = market(phi=0.5), tmp_path / "resume"
    undisturbed = trained(model, history, scratch=tmp_path / "one")

    def kill(event: Event) -> None:
        if isinstance(event, Progress) and event.epoch == 2:
            (child,) = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
            assert "fx_assets.training.child" in Path(f"/proc/{child}/cmdline").read_text()
            os.kill(int(child), signal.SIGKILL)

    with pytest.raises(TrainingFailed, match="killed by SIGKILL"):
        trained(model, history, scratch=tmp_path / "two", resume=resume, report=kill, supervised=True)
    assert list((tmp_path / "two").iterdir()) == []
    assert len(kept(tmp_path)) >= 1
    heard = Heard()
    outcome = trained(model, history, scratch=tmp_path / "two", resume=resume, report=heard.append, supervised=True)
    (step,) = heard.of(Step)
    assert re.fullmatch("resumed after epoch [1-5]", str(step))
    assert outcome.files == undisturbed.files
    assert outcome.history == undisturbed.history
    assert kept(tmp_path) == []
