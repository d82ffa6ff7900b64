"""What one training is asked to do, and what it hands back to be registered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.identity import unlike
from fx_assets.models.inputs import PairHistory
from fx_assets.models.manifest import Manifest
from fx_assets.models.stored import predictor_of, stored_history
from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.storage.artifacts import Artifact, new_version
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.digest import history_digest
from fx_assets.training.materials import Base, Materials
from fx_assets.training.records import Report
from fx_assets.training.trainers import train
from fx_assets.training.version import CODE_VERSION

LIBRARIES = ("numpy", "torch", "pytorch-lightning", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "arch")


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
    refit: datetime
    base: Base | None = None


@dataclass(frozen=True)
class Trained:
    """Files and manifest of a trained version, not published yet."""

    version: str
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]


def prepare(
    lake: Lake, catalog: Catalog, spec: ModelSpec, pairs: tuple[str, ...], *, newest: Artifact | None = None
) -> Request:
    """Read the data of `pairs` and cut it. A panel goes on without pairs that have none.

    `newest`: the model's newest version, if any; a warm update goes on from it where it belongs to the same refit
    period and was made of the same config, columns and features.

    Raises `NoData` for a pair of its own, `InsufficientHistory` where no pair of a panel has data,
    and `ValueError` (`insufficient_history`) for a history too short to hold out a year.
    """
    histories: dict[str, PairHistory] = {}
    missing: dict[str, str] = {}
    for pair in pairs:
        try:
            histories[pair] = stored_history(lake, pair, spec, catalog)
        except (NoData, InsufficientHistory) as error:
            if spec.scope == "pair":
                raise
            missing[pair] = str(error)
    if not histories:
        raise InsufficientHistory(f"{spec.model_id}: no pair has data: {'; '.join(missing.values())}")
    longest = max(histories.values(), key=lambda history: history.ends[-1])
    training, warm = spec.training, spec.training.update == "warm"
    period = EvaluationWindow.held_out_year(
        longest.ends, refit_every=training.refit_every, validation_years=training.validation_years
    )
    window = period
    if warm:  # its cuts move on each night
        window = EvaluationWindow.held_out_year(
            longest.ends, refit_every="day", validation_years=training.validation_years
        )
    seen = {pair: history_digest(history.until(window.validate_until)) for pair, history in histories.items()}
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
        refit=period.train_until,
        base=_base(newest, predictor, period, window) if warm and newest is not None else None,
    )


def _base(
    newest: Artifact, predictor: BasePredictor, period: EvaluationWindow, window: EvaluationWindow
) -> Base | None:
    """The version to go on from; None where a new refit period begins, or the version is of another make."""
    manifest = Manifest.model_validate(newest.manifest)
    if manifest.refit != period.train_until or manifest.trained_until >= window.validate_until:
        return None
    if unlike(predictor.identity(), newest.manifest):
        return None
    return Base(manifest.version, newest.files, manifest.trained_until)


def run(request: Request, *, settings: Settings, report: Report, run_id: str) -> Trained:
    """Train in a folder of its own under scratch, which is gone afterwards, and describe the result."""
    spec = request.spec
    materials = Materials(
        histories=request.histories,
        scratch=settings.scratch_path,
        features=request.features,
        report=report,
        resume=settings.resume_path,
        base=request.base,
        device=settings.device,
    )
    model = train(spec, materials, request.window, settings=settings)
    now = datetime.now(UTC)
    manifest = {
        **request.predictor.identity(),
        "pairs": list(request.histories),
        "code_version": f"{MODELS_VERSION}.{CODE_VERSION}",
        "created_at": now.isoformat(),
        "trained_until": request.window.validate_until.isoformat(),
        "refit": request.refit.isoformat(),
        "base_version": None if request.base is None else request.base.version,
        "fingerprint": request.fingerprint,
        "run_id": run_id,
        "seed": spec.training.seed,
        "metrics": dict(model.metrics),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
    return Trained(new_version(now), model.files, manifest)
