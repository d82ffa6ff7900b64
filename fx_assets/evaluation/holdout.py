"""The held-out last year of a checkpoint, and what its training rows say of the pair."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from fx_assets.models.inputs import InsufficientHistory, PairHistory
from fx_assets.models.manifest import Manifest
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow


def held_out(history: PairHistory, spec: ModelSpec, manifest: Manifest) -> EvaluationWindow:
    """The cuts to score a checkpoint by: the held-out year, less what the checkpoint has seen of it.

    A panel is cut by the newest of its pairs, so one that lags behind has seen some of its own last
    year. Raises `ValueError` (`insufficient_history`) where nothing unseen is left.
    """
    training = spec.training
    window = EvaluationWindow.held_out_year(
        history.ends, refit_every=training.refit_every, validation_years=training.validation_years
    )
    if manifest.trained_until >= window.test_until:
        raise InsufficientHistory(
            f"insufficient_history: {history.pair} has no row after {manifest.trained_until:%Y-%m-%d}, until which "
            f"{manifest.model_id} {manifest.version} was trained"
        )
    return replace(window, validate_until=max(window.validate_until, manifest.trained_until))


def training_sigma(history: PairHistory, until: datetime) -> float:
    """Root mean square of the one-day log returns up to `until` (aware), about zero: a driftless walk's sigma."""
    closes = history.until(until).closes
    if len(closes) < 2:
        raise InsufficientHistory(f"{history.pair}: fewer than two training rows before {until:%Y-%m-%d}")
    return float(np.sqrt(np.mean(np.diff(np.log(closes)) ** 2)))
