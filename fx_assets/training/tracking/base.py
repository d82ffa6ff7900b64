"""Who else records trainings: the plug point of MLflow and Weights & Biases, and nobody by default.

A tracker never decides whether a version is registered here: where it fails, the run says so and goes on.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from fx_assets.settings import Settings
from fx_assets.training.records import Event

_LONGEST_REASON = 500
# A URL may carry a user and a password; logs and run metadata never do.
_SECRET = re.compile(r"//[^/@\s]+@")


class TrackerMissing(RuntimeError):
    """The settings name a tracker that cannot work here; the message says what to install or set."""


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told when a training begins. `config`: the spec's `training_config()`; `run_id`: Dagster's."""

    model_id: str
    scope: str
    kind: str
    config: Mapping[str, Any]
    run_id: str
    fingerprint: str


class Tracker(Protocol):
    """One training on record elsewhere: begun, told of events and of the registered version, and closed."""

    @property
    def library(self) -> str:
        """The package whose errors are the tracker's own."""

    def begin(self, tracked: Tracked) -> None:
        """A training begins. Nothing is on record, and no library loaded, before this."""

    def event(self, event: Event) -> None:
        """An epoch, a trial or a step, as it happens."""

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """The version is registered here: record it there too. Returns facts for the run, e.g. where to look."""

    def close(self, *, failed: bool) -> None:
        """The training is over. Leaves no process behind; harmless where `begin` failed half-way."""


class Nobody:
    """Records nothing."""

    library = ""

    def begin(self, tracked: Tracked) -> None:
        """Nothing."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """No facts."""
        del manifest, files
        return {}

    def close(self, *, failed: bool) -> None:
        """Nothing."""


class Guarded:
    """A tracker whose own failures cost the record, never the training. After the first one it is told nothing more.

    Caught are the errors of the tracker's library, and OSErrors: HTTP, time-outs, disks. What the training raises, and
    an error in this project's code, goes its way.
    """

    def __init__(self, tracker: Tracker, tracked: Tracked, warn: Callable[[str], None]) -> None:
        self._tracker = tracker
        self._tracked = tracked
        self._warn = warn
        self._open = False
        self._failure = ""

    def begin(self) -> None:
        """A training really begins: a version that is reused is never on record twice."""
        self._open = True
        with self._forgiven():
            self._tracker.begin(self._tracked)

    def event(self, event: Event) -> None:
        """An epoch, a trial or a step."""
        if self._open:
            with self._forgiven():
                self._tracker.event(event)

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """Record the version and close. Returns the tracker's facts, with `tracking` where it failed."""
        facts: Mapping[str, Any] = {}
        if self._open:
            with self._forgiven():
                facts = self._tracker.registered(manifest, files)
                self._tracker.close(failed=False)
                self._open = False
        return {**facts, "tracking": f"failed: {self._failure}"} if self._failure else facts

    def end(self) -> None:
        """Whatever is still open has failed."""
        if self._open:
            self._open = False
            with self._forgiven():
                self._tracker.close(failed=True)

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not _of(self._tracker.library, error):
                raise
            reason = _reason(error)
            self._failure = self._failure or reason
            self._warn(f"not recorded by {type(self._tracker).__name__}: {reason}; this run goes on without it")
            self.end()


@contextmanager
def recorded(tracker: Tracker, tracked: Tracked, warn: Callable[[str], None]) -> Iterator[Guarded]:
    """A recording for as long as a training lasts; failed where none was registered. `warn` hears what went wrong."""
    recording = Guarded(tracker, tracked, warn)
    try:
        yield recording
    finally:
        recording.end()


def tracker_for(settings: Settings) -> Tracker:
    """A tracker for one training, as the settings choose; loads no library.

    Raises `TrackerMissing` naming the extra where its library is missing, or the setting.
    """
    if settings.tracker == "none":
        return Nobody()
    found = find_spec(settings.tracker)
    if found is None or found.origin is None:  # a folder of that name, e.g. of W&B's runs, is no library
        raise TrackerMissing(
            f"FX_TRACKER={settings.tracker}, and its library is not installed: "
            f"pip install 'fx-assets[{settings.tracker}]', or FX_TRACKER=none"
        )
    if settings.tracker == "wandb":
        from fx_assets.training.tracking.wandb_tracker import WandbTracker

        return WandbTracker(
            project=settings.tracker_project, mode=settings.wandb_mode, folder=settings.tracking_path.absolute()
        )
    if settings.mlflow_url is None:
        raise TrackerMissing("FX_TRACKER=mlflow without FX_MLFLOW_URL: name the server, e.g. http://127.0.0.1:5000")
    from fx_assets.training.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(
        project=settings.tracker_project, url=settings.mlflow_url, scratch=settings.scratch_path.absolute()
    )


def _of(library: str, error: Exception) -> bool:
    """Whether the library, or the machine, failed. Told by where the error's classes come from: W&B's share none."""
    made_in = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return isinstance(error, OSError) or library in made_in


def _reason(error: Exception) -> str:
    text = _SECRET.sub("//", " ".join(str(error).split()))
    return f"{type(error).__name__}: {textwrap.shorten(text, _LONGEST_REASON, placeholder=' …')}"
