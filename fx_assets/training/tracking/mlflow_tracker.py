"""Trainings on an MLflow server: one run each, its files as artifacts, and a model version in the registry.

Through `MlflowClient` alone: no global tracking URI, no active run, no autologging, no MLflow model flavour. What is
stored are the checkpoint's own files; MLflow can list, compare and hand them out, and fx-assets loads them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fx_assets.training.records import Event, Progress, Trial
from fx_assets.training.tracking.base import Tracked
from fx_assets.training.tracking.files import written

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHECKPOINT = "checkpoint"
NEWEST = "newest"
# MLflow's limits (mlflow/utils/validation.py): it cuts or refuses what is longer, by version.
_KEY, _PARAM, _TAG, _BATCH = 250, 6000, 5000, 100
# MLflow has no arguments for these, only its environment, which it reads at import and at each request. The first is
# this project's choice: it reports to nobody. The others make a dead server cost seconds, where MLflow's own try for
# minutes a call, and keep standard output clean; whoever has set them keeps theirs.
_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowTracker:
    """One training as a run of the experiment `project` on the server at `url`."""

    library = "mlflow"

    def __init__(self, *, project: str, url: str, scratch: Path) -> None:
        self._project = project
        self._url = url
        self._scratch = scratch
        self._client: MlflowClient | None = None
        self._run: Run | None = None
        self._model = ""

    def begin(self, tracked: Tracked) -> None:
        """A run with tags that say what is trained, and the config as params."""
        from mlflow.entities import Param

        client = self._client = _connected(self._url)
        self._model = re.sub(r"[/:]", "-", f"{self._project}.{tracked.model_id}.{tracked.scope}")
        tags = {
            "dagster_run_id": tracked.run_id,
            "model_id": tracked.model_id,
            "scope": tracked.scope,
            "kind": tracked.kind,
            "fingerprint": tracked.fingerprint,
        }
        experiment = _experiment(client, self._project)
        self._run = client.create_run(experiment, tags=tags, run_name=f"{tracked.model_id} {tracked.scope}")
        params = [Param(name, value) for name, value in parameters(tracked.config).items()]
        for start in range(0, len(params), _BATCH):
            client.log_batch(self._run.info.run_id, params=params[start : start + _BATCH])

    def event(self, event: Event) -> None:
        """Losses by epoch; losses by trial, with a tag that says what was tried; any other step as a tag."""
        if isinstance(event, Progress):
            losses = {"train_loss": event.train_loss, "validation_loss": event.validation_loss}
            self._log({name: loss for name, loss in losses.items() if loss is not None}, step=event.epoch)
        elif isinstance(event, Trial):
            tag = _key(f"trial.{event.study}.{event.number}")
            self._log({} if event.loss is None else {"trial_loss": event.loss}, {tag: str(event)}, step=event.number)
        else:
            self._log({}, {"step": str(event)})

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """Files and manifest as artifacts of the run; a version of the registered model that points at them."""
        client, run = self._begun()
        # Under a name of their own: one of them may be called as what was logged by epoch.
        self._log({f"{CHECKPOINT}/{_key(name)}": float(value) for name, value in manifest["metrics"].items()})
        with written(manifest, files, self._scratch) as folder:
            client.log_artifacts(run.info.run_id, str(folder), CHECKPOINT)
        _model(client, self._model)
        version = client.create_model_version(
            self._model,
            source=f"{run.info.artifact_uri}/{CHECKPOINT}",
            run_id=run.info.run_id,
            tags={name: str(manifest[name]) for name in ("version", "config_hash", "trained_until")},
            await_creation_for=0,
        )
        client.set_registered_model_alias(self._model, NEWEST, str(version.version))
        return {"mlflow/run": self._address(run), "mlflow/model_version": int(version.version)}

    def close(self, *, failed: bool) -> None:
        """The run ends as FINISHED or FAILED."""
        if self._client is not None and self._run is not None:
            self._client.set_terminated(self._run.info.run_id, "FAILED" if failed else "FINISHED")

    def _begun(self) -> tuple[MlflowClient, Run]:
        if self._client is None or self._run is None:
            raise RuntimeError("no MLflow run: call begin first")
        return self._client, self._run

    def _log(self, metrics: Mapping[str, float], tags: Mapping[str, str] | None = None, *, step: int = 0) -> None:
        from mlflow.entities import Metric, RunTag

        client, run = self._begun()
        now = int(time.time() * 1000)
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, now, step) for name, value in metrics.items()],
            tags=[RunTag(name, value[:_TAG]) for name, value in (tags or {}).items()],
        )

    def _address(self, run: Run) -> str:
        """Where a person finds the run; without the user and password that the URL may carry."""
        parts = urlsplit(self._url)
        server = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """A nested config as MLflow's params: dotted keys, values as text or JSON, both within MLflow's limits.

    What is cut here stands whole in the manifest, which is an artifact.
    """
    return {_key(name): value[:_PARAM] for name, value in _flat(config, "")}


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = {str(index): item for index, item in enumerate(value)}
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


def _key(name: str) -> str:
    """A name of a param, metric or tag that MLflow takes: it knows letters, digits and a few marks."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", name)[:_KEY] or "_"


def _connected(url: str) -> MlflowClient:
    os.environ[_TELEMETRY] = "true"
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=url, registry_uri=url)


def _experiment(client: MlflowClient, name: str) -> str:
    """Id of the experiment, made on first use, by whoever comes first."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        found = client.get_experiment_by_name(name) if _exists(error) else None
        if found is None:
            raise
        return str(found.experiment_id)


def _model(client: MlflowClient, name: str) -> None:
    """Make the registered model where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not _exists(error):
            raise


def _exists(error: Any) -> bool:
    return bool(error.error_code == "RESOURCE_ALREADY_EXISTS")
