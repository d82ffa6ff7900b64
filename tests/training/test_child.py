"""A whole training in its own process: what it says, where it writes, and what the parent refuses."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.training.exchange import Task, read_result, read_task, write_result, write_task
from fx_assets.training.records import Progress, TrainedModel, TrainingFailed
from fx_assets.training.remote import train_in_child
from fx_assets.training.trainers import train
from tests.training.helpers import cuts, market, spec, wait_until_gone

SEED = 11
# Runs the child as it is, noting whatever Python opens for writing, makes, moves or removes.
WATCHED = r"""
import os, runpy, sys
noted = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & WRITES or event in {
        "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "socket.connect",
    }:
        os.write(noted, f"{event} {os.path.abspath(str(arguments[0]))}\n".encode())
sys.addaudithook(note)
try:
    runpy.run_module("fx_assets.training.child", run_name="__main__", alter_sys=True)
finally:
    os.write(noted, " ".join(["loaded", *sorted({name.split(".")[0] for name in sys.modules})]).encode() + b"\n")
"""


class Listener(logging.Handler):
    """Collects what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@dataclasses.dataclass
class Run:
    """One supervised training, with everything around it that could show a trace."""

    folder: Path
    trained: TrainedModel
    events: list[Progress]
    writes: list[str]
    loaded: list[str]
    home: Path
    said: list[str]
    listing_before: list[str]
    listing_after: list[str]


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Run:
    base = tmp_path_factory.mktemp("child")
    folder, home, noted, script = base / "scratch", base / "home", base / "noted", base / "watched.py"
    folder.mkdir()
    home.mkdir()
    noted.touch()
    script.write_text(WATCHED)
    history, model, events = market(), spec(), list[Progress]()
    names = ("HOME", "TMPDIR")
    said = Listener()
    logging.getLogger("fx_assets.training").addHandler(said)
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setenv(name, str(home))
        patch.chdir(base)
        before = sorted(path.name for path in base.iterdir())
        window = cuts(history, model)
        trained = train_in_child(
            model,
            {"EURUSD": history.until(window.validate_until)},
            window=window,
            folder=folder,
            seed=SEED,
            progress=events.append,
            grace_s=1,
            command=(sys.executable, "-P", str(script), str(noted)),
        )
    after = sorted(path.name for path in base.iterdir())
    logging.getLogger("fx_assets.training").removeHandler(said)
    *writes, loaded = noted.read_text().splitlines()
    return Run(folder, trained, events, writes, loaded.split()[1:], home, said.messages, before, after)


def test_the_child_trains_what_this_process_would(supervised: Run, tmp_path: Path) -> None:
    history, model = market(), spec()
    here = train(model, {"EURUSD": history}, window=cuts(history, model), scratch=tmp_path, seed=SEED, supervised=False)
    assert here.files == supervised.trained.files
    assert here.history == supervised.trained.history == tuple(supervised.events)
    assert here.trained_until == supervised.trained.trained_until
    measured = {**here.metrics, "seconds": supervised.trained.metrics["seconds"]}
    assert measured == supervised.trained.metrics
    assert list(tmp_path.iterdir()) == []


def test_progress_is_one_event_an_epoch_beginning_before_the_first(supervised: Run) -> None:
    assert [event.epoch for event in supervised.events] == [0, 1, 2]
    first, *rest = supervised.events
    assert first.train_loss is None
    assert first.best
    assert all(event.train_loss is not None and event.max_epochs == 2 for event in rest)


def test_the_child_writes_to_its_scratch_only(supervised: Run) -> None:
    inside = [line for line in supervised.writes if str(supervised.folder) in line]
    assert any(line.endswith("done.json") for line in inside)
    # Byte code is the interpreter's own cache, beside the code.
    outside = [
        line for line in supervised.writes if line not in inside and "__pycache__" not in line and " /dev/" not in line
    ]
    assert outside == []
    assert list(supervised.home.iterdir()) == []
    assert supervised.listing_before == supervised.listing_after


def test_the_result_loads_and_forecasts(supervised: Run) -> None:
    history = market()
    predictor = ITransformerPredictor(spec(), history.columns)
    assert predictor.load_model(MemoryCheckpoint(predictor.identity(), supervised.trained.files)).skipped == []
    window = history.window(len(history) - 1, 16)
    (forecast,) = predictor.postprocess(predictor.predict(window[None]), window[-1:, 0], "EURUSD")
    assert forecast.quantiles.shape == (3, 7)


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("result/model.onnx", "model.onnx is not what the training process wrote"),
        ("result/params.json", "params.json is not what the training process wrote"),
        ("done.json", "done.json is not what the training process wrote"),
    ],
)
def test_a_changed_file_is_refused(name: str, message: str, supervised: Run, tmp_path: Path) -> None:
    digest = write_result(tmp_path, supervised.trained)
    assert read_result(tmp_path, digest) == supervised.trained
    change(tmp_path / name)
    with pytest.raises(TrainingFailed, match=message):
        read_result(tmp_path, digest)


def test_a_file_too_many_or_too_few_is_refused(supervised: Run, tmp_path: Path) -> None:
    digest = write_result(tmp_path, supervised.trained)
    extra = tmp_path / "result" / "model.pkl"
    extra.write_bytes(b"")
    with pytest.raises(TrainingFailed, match=r"model\.pkl"):
        read_result(tmp_path, digest)
    extra.unlink()
    (tmp_path / "result" / "model.onnx").unlink()
    with pytest.raises(TrainingFailed, match=r"but done\.json names .*model\.onnx"):
        read_result(tmp_path, digest)
    (tmp_path / "done.json").unlink()
    with pytest.raises(TrainingFailed, match=r"done\.json is missing"):
        read_result(tmp_path, digest)


@pytest.mark.parametrize("name", ["../escaped", "/etc/escaped", ".hidden", ""])
def test_no_result_is_read_or_written_outside_its_folder(name: str, supervised: Run, tmp_path: Path) -> None:
    hostile = dataclasses.replace(supervised.trained, files={name: b"x"})
    with pytest.raises(TrainingFailed, match="result file name"):
        write_result(tmp_path, hostile)
    (tmp_path / "result").rmdir()
    digest = write_result(tmp_path, supervised.trained)
    document = json.loads((tmp_path / "done.json").read_text())
    document["files"] = {name: digest}
    content = json.dumps(document).encode()
    (tmp_path / "done.json").write_bytes(content)
    with pytest.raises(TrainingFailed):
        read_result(tmp_path, hashlib.sha256(content).hexdigest())


def test_the_task_survives_the_way_to_the_child(tmp_path: Path) -> None:
    history, model = market(), spec(training={"stride": 2})
    task = Task(model, {"EURUSD": history}, cuts(history, model), 5)
    write_task(tmp_path, task)
    arrived = read_task(tmp_path)
    assert (arrived.spec, arrived.window, arrived.seed) == (task.spec, task.window, task.seed)
    assert arrived.histories["EURUSD"].feature_names == history.feature_names
    for name in ("ends", "trading_dates", "closes", "features"):
        sent, received = getattr(history, name), getattr(arrived.histories["EURUSD"], name)
        assert received.dtype == sent.dtype
        assert received.tobytes() == sent.tobytes()


def test_a_pickle_among_the_histories_is_not_opened(tmp_path: Path) -> None:
    history, model = market(), spec()
    write_task(tmp_path, Task(model, {"EURUSD": history}, cuts(history, model), 5))
    names = ("ends", "trading_dates", "closes", "features")
    arrays = {f"EURUSD/{name}": getattr(history, name) for name in names}
    np.savez(tmp_path / "histories.npz", **{**arrays, "EURUSD/closes": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_task(tmp_path)


def test_a_training_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    model = spec(pairs=("EURUSD", "USDJPY"), scope="panel")
    histories = {"EURUSD": market(), "USDJPY": market("USDJPY", features=1)}
    with pytest.raises(TrainingFailed, match="training of small failed: ValueError: USDJPY: columns") as failure:
        train(model, histories, window=cuts(histories["EURUSD"], model), scratch=tmp_path / "scratch", seed=1)
    assert "Traceback" in str(failure.value)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("os.kill(os.getpid(), 9)", "training of small failed: killed by SIGKILL"),
        ("os._exit(0)", "training of small failed: exit code 0"),
        (
            "print('hello', flush=True); time.sleep(60)",
            "training of small: the training process wrote what is no event",
        ),
        ("print('{\"epoch\": 1}', flush=True); time.sleep(60)", r"progress event with keys \['epoch'\]"),
    ],
)
def test_a_child_that_misbehaves(ending: str, message: str, tmp_path: Path) -> None:
    history, model = market(), spec()
    script = tmp_path / "child.py"
    script.write_text(f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{ending}\n")
    folder = tmp_path / "scratch"
    folder.mkdir()
    with pytest.raises(TrainingFailed, match=message):
        train_in_child(
            model,
            {"EURUSD": history},
            window=cuts(history, model),
            folder=folder,
            seed=1,
            progress=lambda _: None,
            grace_s=0.3,
            command=(sys.executable, str(script)),
        )
    assert wait_until_gone(int((tmp_path / "pid").read_text()), seconds=0) == []


@pytest.mark.slow
def test_an_interrupt_while_progress_is_reported_ends_the_child(tmp_path: Path) -> None:
    history, model = market(), spec(training={"max_epochs": 500, "patience": 500})
    seen: list[Progress] = []

    def stop(event: Progress) -> None:
        seen.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, {"EURUSD": history}, window=cuts(history, model), scratch=tmp_path, seed=1, progress=stop)
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
    assert not [command for command in commands if "fx_assets.training.child" in command]


def test_a_training_that_goes_well_prints_nothing(supervised: Run) -> None:
    assert supervised.said == []


def test_what_a_training_prints_is_passed_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    history, model = market(), spec()
    script = tmp_path / "child.py"
    script.write_text(
        "import sys, fx_assets.training.child as child\n"
        "def run(folder, send):\n    print('a remark'); send({'done': 'x'})\n"
        "child.run = run\nsys.exit(child.main(sys.argv[1:]))\n"
    )
    folder = tmp_path / "scratch"
    folder.mkdir()
    with pytest.raises(TrainingFailed, match=r"done\.json is missing"):
        train_in_child(
            model,
            {"EURUSD": history},
            window=cuts(history, model),
            folder=folder,
            seed=1,
            progress=lambda _: None,
            grace_s=1,
            command=(sys.executable, str(script)),
        )
    assert caplog.messages == ["training of small printed: a remark"]


def test_training_needs_no_dagster(supervised: Run) -> None:
    assert "torch" in supervised.loaded
    assert not [name for name in supervised.loaded if name.startswith("dagster")]


def test_the_entry_to_training_imports_nothing_heavy() -> None:
    code = "import sys, fx_assets.training.trainers; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "pytorch_lightning", "onnxruntime", "onnx", "dagster"}.isdisjoint(done.stdout.split())
