"""Everybody who follows a training: the run's log, the terminal, the ledger of trials, a tracker, the pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fx_assets.settings import Settings
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.storage.trial_series import PackedSeries
from fx_assets.training.pictures import Kept
from fx_assets.training.records import Event, Trial
from fx_assets.training.request import Request, Trained, run
from fx_assets.training.search.study import ledger_entry
from fx_assets.training.tracking.base import Guarded

_log = logging.getLogger("fx_assets.training")


class Audience:
    """Takes the events of one training. `say`: the run's log; `record`: puts a trial and its series into the ledger."""

    def __init__(
        self,
        request: Request,
        recording: Guarded,
        *,
        run_id: str,
        say: Callable[[str], None],
        record: Callable[[LedgerEntry, Sequence[PackedSeries]], None],
    ) -> None:
        self._request = request
        self._recording = recording
        self._run_id = run_id
        self._say = say
        self._record = record
        self.kept = Kept()

    def __call__(self, event: Event) -> None:
        """Tell all of them."""
        self._say(str(event))
        _log.info("%s", event)
        if isinstance(event, Trial):
            entry = ledger_entry(event, self._request.spec.model_id, self._request.histories, self._run_id)
            self._record(entry, event.series)
        self._recording.event(event)
        self.kept(event)

    def train(self, settings: Settings) -> Trained:
        """Train before this audience."""
        self._recording.begin()
        return run(self._request, settings=settings, report=self, run_id=self._run_id)

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        """The version is registered; facts of the tracker for the run."""
        return self._recording.registered(manifest, files)
