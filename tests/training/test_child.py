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
from fx_assets.models.inputs import PairHistory
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.training.exchange import Task, read_result, read_task, write_result, write_task
from fx_assets.training.materials import Base
from fx_assets.training.records import Event, Progress, TrainedModel, TrainingFailed, silent
from fx_assets.training.remote import train_in_child
from tests.training.helpers import Heard, cuts, market, materials, replace, spec, trained, wait_until_gone

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
    events: Heard
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
    history, model, events = market(phi=0.5), spec(), Heard()
    names = ("HOME", "TMPDIR")
    said = Listener()
    logging.getLogger("fx_assets.training").addHandler(said)
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setenv(name, str(home))
        patch.chdir(base)
        before = sorted(path.name for path in base.iterdir())
        window = cuts(history, model)
        result = train_in_child(
            model,
            materials(folder, history.until(window.validate_until), report=events.append),
            window,
            grace_s=1,
            command=(sys.executable, "-P", str(script), str(noted)),
        )
    after = sorted(path.name for path in base.iterdir())
    logging.getLogger("fx_assets.training").removeHandler(said)
    *writes, loaded = noted.read_text().splitlines()
    return Run(folder, result, events, writes, loaded.split()[1:], home, said.messages, before, after)


def test_the_child_trains_what_this_process_would(supervised: Run, first: TrainedModel) -> None:
    assert supervised.trained.files == first.files
    assert supervised.trained.history == first.history == tuple(supervised.events)
    assert supervised.trained.trained_until == first.trained_until
    measured = {**first.metrics, "seconds": supervised.trained.metrics["seconds"]}
    assert measured == supervised.trained.metrics


def test_progress_is_one_event_an_epoch_beginning_before_the_first(supervised: Run) -> None:
    events = supervised.events.of(Progress)
    assert len(events) == len(supervised.events)
    assert [event.epoch for event in events] == [0, 1, 2]
    first, *rest = events
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
    history, model = replace(market(), calendar="target"), spec(training={"stride": 2})
    window = cuts(history, model)
    features = FeatureSetSpec.model_validate({"name": "core", "stages": [{"stage": "indicators"}]})
    base = Base("20260101T000000Z", {"params.json": b"{}", "model.onnx": b"\x00\xff"}, window.train_until)
    sent = materials(
        tmp_path, history, features=features, resume=tmp_path / "resume", base=base, device="auto", report=print
    )
    write_task(tmp_path, Task(model, sent, window))
    arrived = read_task(tmp_path)
    assert (arrived.spec, arrived.window) == (model, window)
    # All but the report, which stays behind, and the histories, which have no equality of their own.
    same = dataclasses.replace(sent, histories={}, report=silent)
    assert dataclasses.replace(arrived.materials, histories={}) == same
    (received,) = arrived.materials.histories.values()
    for field in dataclasses.fields(PairHistory):
        one, other = getattr(history, field.name), getattr(received, field.name)
        if isinstance(one, np.ndarray):
            assert other.dtype == one.dtype
            assert other.tobytes() == one.tobytes()
        else:
            assert other == one


def test_a_task_without_anything_optional_arrives_so(tmp_path: Path) -> None:
    history, model = market(features=0), spec()
    write_task(tmp_path, Task(model, materials(tmp_path, history), cuts(history, model)))
    arrived = read_task(tmp_path).materials
    assert (arrived.features, arrived.resume, arrived.base, arrived.device) == (None, None, None, "cpu")


def test_a_pickle_among_the_histories_is_not_opened(tmp_path: Path) -> None:
    history, model = market(), spec()
    write_task(tmp_path, Task(model, materials(tmp_path, history), cuts(history, model)))
    names = ("ends", "trading_dates", "closes", "features")
    arrays = {f"EURUSD/{name}": getattr(history, name) for name in names}
    np.savez(tmp_path / "histories.npz", **{**arrays, "EURUSD/closes": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_task(tmp_path)


def test_a_training_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    model = spec(pairs=("EURUSD", "USDJPY"), scope="panel")
    with pytest.raises(TrainingFailed, match="training of small failed: ValueError: USDJPY: columns") as failure:
        trained(model, market(), market("USDJPY", features=1), scratch=tmp_path / "scratch", supervised=True)
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
        ("print('{\"epoch\": 1}', flush=True); time.sleep(60)", r"training event with keys \['epoch'\]"),
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
            materials(folder, history),
            cuts(history, model),
            grace_s=0.3,
            command=(sys.executable, str(script)),
        )
    assert wait_until_gone(int((tmp_path / "pid").read_text()), seconds=0) == []


@pytest.mark.slow
def test_an_interrupt_while_progress_is_reported_ends_the_child(tmp_path: Path) -> None:
    model = spec(training={"max_epochs": 500, "patience": 500})
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(model, market(), scratch=tmp_path, report=stop, supervised=True)
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
            materials(folder, history),
            cuts(history, model),
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
