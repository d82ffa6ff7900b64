"""The name of a search: equal where every trial would come out the same, another where anything differs."""

from __future__ import annotations

from collections.abc import Iterable

from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.specs.schema import ModelSpec, SearchSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.digest import history_digest
from fx_assets.training.materials import Materials
from fx_assets.training.records import Trial
from fx_assets.training.version import CODE_VERSION

_NAMED = 6  # a panel of more pairs is named by their number


def study_name(spec: ModelSpec, search: SearchSpec, materials: Materials, window: EvaluationWindow) -> str:
    """`MODEL/KIND/PAIRS/DIGEST`: what it is, to read, and a digest of settings, training rows and code.

    The number of trials is not part of it, so that a search may be made longer and goes on.
    """
    config = spec.training_config()
    config.pop("search", None)
    asked = search.model_dump(mode="json", exclude={"trials"})
    features = None if materials.features is None else materials.features.model_dump(mode="json")
    seen = {pair: history_digest(history) for pair, history in materials.histories.items()}
    digest = fingerprint(config, asked, features, seen, window.train_until.isoformat(), CODE_VERSION, MODELS_VERSION)
    pairs = "+".join(sorted(seen)) if len(seen) <= _NAMED else f"{len(seen)} pairs"
    return f"{spec.model_id}/{spec.kind}/{pairs}/{digest[:16]}"


def ledger_entry(trial: Trial, model_id: str, pairs: Iterable[str], run_id: str) -> LedgerEntry:
    """A trial as the ledger keeps it. Its kind is that of the study: an ensemble's members have searches of their own.

    Raises `ValueError` for a study that `study_name` has not named.
    """
    parts = trial.study.split("/")
    if len(parts) < 4:
        raise ValueError(f"study {trial.study!r}: expected MODEL/KIND/PAIRS/DIGEST, as study_name writes it")
    return LedgerEntry(
        study=trial.study,
        number=trial.number,
        model_id=model_id,
        kind=parts[1],
        pairs=tuple(pairs),
        values=dict(trial.values),
        state=trial.state,
        loss=trial.loss,
        folds=trial.folds,
        started_at=trial.started_at,
        ended_at=trial.ended_at,
        reason=trial.reason,
        run_id=run_id,
    )
