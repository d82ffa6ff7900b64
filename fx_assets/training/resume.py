"""The last whole epoch of a training on disk, so that one that is killed goes on from it to the same result.

A file is named by a digest of all that decides its training, is written beside its place and renamed into it, and
carries a digest of its own, which is checked before anything of it is decoded.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import CheckpointIO

from fx_assets.models.inputs import PairHistory
from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.durable import make_folders, naming, sync_folder
from fx_assets.storage.hashing import fingerprint, sha256_bytes
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.digest import history_digest
from fx_assets.training.materials import Base
from fx_assets.training.records import Report, Step
from fx_assets.training.version import CODE_VERSION

SUFFIX = ".epoch"
KEPT_S = 7 * 86_400.0
_HEAD = b"fx-assets whole epoch 1"
_NAME = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}(\.part)?")


class Unusable(ValueError):
    """A file that no training goes on from; the message says why."""


@dataclass(frozen=True)
class ResumeFile:
    """Where the last whole epoch of one training lies: `folder` outlives the process, `key` names the training."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The file, whether it is there or not."""
        return self.folder / f"{self.key}{SUFFIX}"

    def begin(self, report: Report) -> Path | None:
        """The file, if there is one to go on from; what others left over a week ago is removed.

        One that cannot be used is reported and removed.
        """
        make_folders(self.folder)
        _remove_old(self.folder, but=self.path)
        if not self.path.exists():
            return None
        try:
            epoch = read_epoch(self.path)["epoch"] + 1
        except Unusable as error:
            report(Step(f"{self.path.name}: {error}; training starts over"))
            self.path.unlink()
            return None
        report(Step(f"resumed after epoch {epoch}"))
        return self.path

    def remove(self) -> None:
        """The training has succeeded."""
        self.path.unlink(missing_ok=True)


def training_key(
    spec: ModelSpec, histories: Mapping[str, PairHistory], window: EvaluationWindow, base: Base | None, device: str
) -> str:
    """A digest of all that decides a training: equal for equal results, another where anything differs.

    `histories`: what learning sees, after the features' fitted stages and without rows after the validation.
    """
    seen = [(pair, history.calendar, history_digest(history)) for pair, history in histories.items()]
    cuts = (window.train_until.isoformat(), window.validate_until.isoformat())
    begun = None if base is None else {name: sha256_bytes(content) for name, content in base.files.items()}
    libraries = [metadata.version(name) for name in ("torch", "pytorch-lightning", "numpy")]
    return fingerprint(spec.training_config(), seen, cuts, begun, device, libraries, MODELS_VERSION, CODE_VERSION)


class LastEpoch(Checkpoint):
    """Saves all that decides the rest of a training after each whole epoch; and puts chance back where it was.

    Lightning saves weights, optimiser, rates, counters and the states of callbacks and data; this adds the generators
    of torch, and whether training had stopped. Being a `Checkpoint`, it comes after early stopping has decided.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cuda = False
        self._stopped = False
        self._random: dict[str, Any] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After validation, early stopping and the step of the learning rate."""
        self._cuda = pl_module.device.type == "cuda"
        self._stopped = trainer.should_stop
        trainer.save_checkpoint(self._path)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing random happens between this and the first batch."""
        del pl_module
        if self._random is not None:
            trainer.should_stop = self._stopped
            torch.set_rng_state(self._random["cpu"])
            torch.cuda.set_rng_state_all(self._random["cuda"])

    def state_dict(self) -> dict[str, Any]:
        """The generators as they are."""
        cuda = torch.cuda.get_rng_state_all() if self._cuda else []
        return {"stopped": self._stopped, "random": {"cpu": torch.get_rng_state(), "cuda": cuda}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Kept until training starts."""
        self._stopped, self._random = state_dict["stopped"], state_dict["random"]


class DigestedFiles(CheckpointIO):
    """Lightning's checkpoints as one file: a line with its digest, then what torch writes. Never another loader."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Durable, and in its place at once or not at all. Raises `WriteFailed` where the disk refuses."""
        del storage_options
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content, place = buffer.getvalue(), Path(path)
        part = place.with_name(place.name + ".part")
        with naming(place, "write"):
            with part.open("wb") as handle:
                handle.write(_head(place, content) + content)
                handle.flush()
                os.fsync(handle.fileno())
            part.replace(place)
            sync_folder(place.parent)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Raises `Unusable`."""
        del map_location, weights_only
        return read_epoch(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Nothing is left."""
        Path(path).unlink(missing_ok=True)


def read_epoch(path: Path) -> dict[str, Any]:
    """What Lightning saved. Raises `Unusable` for a file that was cut short, changed, or of another training."""
    data = path.read_bytes()
    head, _, content = data.partition(b"\n")
    if not head.startswith(_HEAD):
        raise Unusable("it is no whole epoch of a training of this version")
    if head + b"\n" != _head(path, content):
        raise Unusable("it was cut short or changed, or belongs to another training")
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise Unusable(f"it cannot be read ({type(error).__name__})") from error
    if not isinstance(loaded, dict):
        raise Unusable(f"it holds a {type(loaded).__name__}")
    return loaded


def _head(path: Path, content: bytes) -> bytes:
    return b" ".join((_HEAD, path.name.encode(), sha256_bytes(content).encode())) + b"\n"


def _remove_old(folder: Path, *, but: Path) -> None:
    limit = time.time() - KEPT_S
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name) and path != but and path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
