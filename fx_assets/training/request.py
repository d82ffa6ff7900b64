"""What one training is asked to do, and what it hands back to be registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.models.stored import predictor_of, stored_history
from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.storage.artifacts import new_version
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.records import Progress
from fx_assets.training.trainers import train
from fx_assets.training.version import CODE_VERSION

LIBRARIES = ("numpy", "torch", "pytorch-lightning", "onnx", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class Request:
    """One training: the data by pair, the cuts, and a fingerprint of all that decides the result.

    `missing` are pairs of a panel that have no data, with the reason.
    """

    spec: ModelSpec
    features: FeatureSetSpec | None
    predictor: BasePredictor
    histories: Mapping[str, PairHistory]
    window: EvaluationWindow
    missing: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True)
class Trained:
    """Files and manifest of a trained version, not published yet."""

    version: str
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]


def prepare(lake: Lake, catalog: Catalog, spec: ModelSpec, pairs: tuple[str, ...]) -> Request:
    """Read the data of `pairs` and cut it. A panel goes on without pairs that have none.

    Raises `NoData` for a pair of its own, `InsufficientHistory` where no pair of a panel has data,
    and `ValueError` (`insufficient_history`) for a history too short to hold out a year.
    """
    histories: dict[str, PairHistory] = {}
    missing: dict[str, str] = {}
    for pair in pairs:
        try:
            histories[pair] = stored_history(lake, pair, spec, catalog.features)
        except (NoData, InsufficientHistory) as error:
            if spec.scope == "pair":
                raise
            missing[pair] = str(error)
    if not histories:
        raise InsufficientHistory(f"{spec.model_id}: no pair has data: {'; '.join(missing.values())}")
    newest = max(histories.values(), key=lambda history: history.ends[-1])
    window = EvaluationWindow.held_out_year(
        newest.ends,
        refit_every=spec.training.refit_every,
        validation_years=spec.training.validation_years,
    )
    seen = {pair: _digest(history.until(window.validate_until)) for pair, history in histories.items()}
    predictor = predictor_of(spec, catalog.features)
    made = (predictor.feature_schema, CODE_VERSION, MODELS_VERSION)
    parts = (spec.training_config(), seen, window.train_until, window.validate_until, *made)
    return Request(
        spec=spec,
        features=None if spec.features is None else catalog.features[spec.features],
        predictor=predictor,
        histories=histories,
        window=window,
        missing=missing,
        fingerprint=fingerprint(*(part.isoformat() if isinstance(part, datetime) else part for part in parts)),
    )


def run(request: Request, *, settings: Settings, report: Callable[[Progress], None], run_id: str) -> Trained:
    """Train in a folder of its own under scratch, which is gone afterwards, and describe the result."""
    spec = request.spec
    model = train(
        spec,
        request.histories,
        window=request.window,
        scratch=settings.scratch_path,
        seed=spec.training.seed,
        features=request.features,
        progress=report,
        grace_s=settings.child_grace_seconds,
    )
    now = datetime.now(UTC)
    manifest = {
        **request.predictor.identity(),
        "pairs": list(request.histories),
        "code_version": f"{MODELS_VERSION}.{CODE_VERSION}",
        "created_at": now.isoformat(),
        "trained_until": request.window.validate_until.isoformat(),
        "fingerprint": request.fingerprint,
        "run_id": run_id,
        "seed": spec.training.seed,
        "metrics": dict(model.metrics),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
    return Trained(new_version(now), model.files, manifest)


def _digest(history: PairHistory) -> str:
    digest = hashlib.sha256("\n".join(history.columns).encode())
    for array in (history.ends.astype(np.int64), history.closes, history.features):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
