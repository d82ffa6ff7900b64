"""`features fit`: what the fitted stages of a set would learn from one pair, before any model is trained on it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fx_assets.settings import Settings
    from fx_assets.specs.schema import FeatureSetSpec, Target

_SHOWN = 30


def fit(settings: Settings, spec: FeatureSetSpec, pair: str, *, horizon: int, aim: Target, seed: int) -> dict[str, Any]:
    """Fit on the rows that a training would fit on (all before the held-out and the validation years), and report.

    Raises `NoData` where bars or features are not stored, `ValueError` for too short a history and a set without
    fitted stages.
    """
    from fx_assets.features.sets import table_name
    from fx_assets.features.stored import bars_table
    from fx_assets.models.inputs import history
    from fx_assets.specs.schema import TrainingSpec
    from fx_assets.storage.lake import Lake
    from fx_assets.storage.two_times import current_rows
    from fx_assets.timegrid.windows import EvaluationWindow
    from fx_assets.training.features import fit_features

    lake, training = Lake(settings.lake_path), TrainingSpec()
    rows = history(pair, current_rows(lake.read(bars_table(spec.frequency), pair)), lake.read(table_name(spec), pair))
    window = EvaluationWindow.held_out_year(
        rows.ends, refit_every=training.refit_every, validation_years=training.validation_years
    )
    settings.scratch_path.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="features-", dir=settings.scratch_path) as scratch:
        plan = fit_features(spec, {pair: rows}, window, horizon=horizon, aim=aim, scratch=Path(scratch), seed=seed)
    if plan is None:
        raise ValueError(f"feature set {spec.name!r} has no fitted stage; add autofeat or selection to its stages")
    return {
        "set": spec.name,
        "pair": pair,
        "horizon": horizon,
        "target": aim,
        "trained_until": window.train_until.isoformat(),
        "candidates": len(plan.given),
        "kept": list(plan.names),
        "reports": dict(plan.reports),
        "seconds": round(time.monotonic() - started, 3),
    }


def lines(document: dict[str, Any]) -> list[str]:
    """The same for people."""
    kept = document["kept"]
    found = [
        f"{document['set']} on {document['pair']}, rows until {document['trained_until'][:10]}, target "
        f"{document['target']} over {document['horizon']} bars: {len(kept)} features of {document['candidates']} "
        f"candidates, in {document['seconds']:.1f} s"
    ]
    for name, report in document["reports"].items():
        plain = {key: value for key, value in report.items() if isinstance(value, str | int | float) and value != ""}
        found.append(f"{name}: " + ", ".join(f"{key} {value}" for key, value in plain.items()))
        for item in report.get("dropped", [])[:_SHOWN]:
            size = "" if item.get("correlation") is None else f" ({item['correlation']:.3f})"
            found.append(f"  {item['name']}: {item['reason']} {item.get('keeper') or ''}{size}".rstrip())
        if len(report.get("dropped", [])) > _SHOWN:
            found.append(f"  and {len(report['dropped']) - _SHOWN} more")
    more = f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
    return [*found, f"kept: {', '.join(kept[:_SHOWN])}{more}"]
