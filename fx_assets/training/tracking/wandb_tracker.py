"""Trainings on Weights & Biases: one run each, its files as an artifact; offline by default, as files under home.

Offline needs no key and no network; `wandb sync FOLDER` uploads such a run later. Online takes the key that W&B finds
itself (`wandb login` or WANDB_API_KEY) and asks nobody for one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fx_assets.training.records import Event, Progress, Trial
from fx_assets.training.tracking.base import Tracked
from fx_assets.training.tracking.files import written

if TYPE_CHECKING:
    import wandb

NEWEST = "newest"
# From a dead network to an error, and to giving up an upload; what is not uploaded then lies in the run's folder.
_INIT_SECONDS, _FINISH_SECONDS = 20.0, 120.0


class WandbTracker:
    """One training as a run of `project`, with files under `folder`.

    W&B keeps a process of its own beside this one; it is ended with the recording, and with it every other W&B run of
    this process: trainings take turns, so there is none.
    """

    library = "wandb"

    def __init__(self, *, project: str, mode: Literal["offline", "online"], folder: Path) -> None:
        self._project = project
        self._mode = mode
        self._folder = folder
        self._run: wandb.Run | None = None
        self._artifact = ""
        self._environment: dict[str, str | None] = {}

    def begin(self, tracked: Tracked) -> None:
        """A run with the config; epochs are its axis."""
        # W&B would write to the system's temporary folder instead, without an error.
        self._data.mkdir(parents=True, exist_ok=True)
        self._set(
            # Reports of errors and of usage to its makers, offline too: this project reports to nobody.
            WANDB_ERROR_REPORTING="false",
            # Else under HOME. There are no arguments for these three.
            WANDB_DATA_DIR=str(self._data),
            WANDB_CACHE_DIR=str(self._folder / "cache"),
        )
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,  # nor any prompt for a key
            disable_code=True,
            disable_git=True,
            save_code=False,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
            init_timeout=_INIT_SECONDS,
            finish_timeout=_FINISH_SECONDS,
            finish_timeout_raises=True,
            stop_fn=_stay,
        )
        wandb.setup(settings)
        self._artifact = f"{tracked.model_id}-{tracked.scope}"
        self._run = wandb.init(
            project=self._project,
            dir=str(self._folder),
            mode=self._mode,
            reinit="create_new",  # leaves the global `wandb.run` alone
            name=f"{tracked.model_id} {tracked.scope}",
            job_type="training",
            config={
                "config": dict(tracked.config),
                "model_id": tracked.model_id,
                "scope": tracked.scope,
                "kind": tracked.kind,
                "dagster_run_id": tracked.run_id,
                "fingerprint": tracked.fingerprint,
            },
            settings=settings,
        )
        for metric, axis in (("train_loss", "epoch"), ("validation_loss", "epoch"), ("trial_loss", "trial")):
            self._run.define_metric(metric, step_metric=axis)

    def event(self, event: Event) -> None:
        """Losses by epoch; losses by trial with what was tried; any other step in the run's summary."""
        run = self._begun()
        if isinstance(event, Progress):
            losses = {"train_loss": event.train_loss, "validation_loss": event.validation_loss}
            run.log({"epoch": event.epoch, **{name: loss for name, loss in losses.items() if loss is not None}})
        elif isinstance(event, Trial):
            loss = {} if event.loss is None else {"trial_loss": event.loss}
            run.log({"trial": event.number, **loss, "trial_state": event.state, "trial_values": dict(event.values)})
        else:
            run.summary.update({"step": str(event)})

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """Files and manifest as an artifact of type `model`; the manifest's metrics in the run's summary."""
        import wandb

        run = self._begun()
        # Under a name of their own: one of them may be called as what was logged by epoch.
        run.summary.update({f"checkpoint/{name}": float(value) for name, value in manifest["metrics"].items()})
        described = {name: manifest[name] for name in ("version", "config_hash", "trained_until")}
        artifact = wandb.Artifact(self._artifact, "model", metadata=described)
        with written(manifest, files, self._data) as folder:
            for path in sorted(folder.iterdir()):
                # Copied under `folder`, where it stays until the run is uploaded.
                artifact.add_file(str(path), skip_cache=True)
        run.log_artifact(artifact, aliases=[NEWEST])
        where = run.settings.sync_dir if self._mode == "offline" else run.url
        return {"wandb/run": where, "wandb/artifact": f"{self._artifact}:{NEWEST}"}

    def close(self, *, failed: bool) -> None:
        """The run ends, as failed where it did, and so does W&B's process. The environment is as it was."""
        import wandb

        try:
            if self._run is not None:
                self._run.finish(exit_code=1 if failed else 0)
        finally:
            self._run = None
            try:
                wandb.teardown()
            except SystemExit as error:  # where its process died, W&B would take this one with it
                raise wandb.Error(f"W&B's own process ended with {error.code}") from error
            finally:
                self._restore()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _begun(self) -> wandb.Run:
        if self._run is None:
            raise RuntimeError("no W&B run: call begin first")
        return self._run

    def _set(self, **variables: str) -> None:
        self._environment = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)

    def _restore(self) -> None:
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _stay() -> None:
    """Nobody stops a training from W&B's pages; its default is to interrupt this process."""
