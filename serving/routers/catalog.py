"""`/v1/pairs` and `/v1/models`: what there is, from the configs, with what is wrong with it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from fx_assets.specs.problems import Problem
from fx_assets.specs.schema import ModelSpec
from serving.dependencies import LakeDep, RegistryDep
from serving.problems import ProblemError
from serving.registry import Registry
from serving.rendering import json_response
from serving.snapshot import LiveSnapshot, default_model

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/pairs", summary="Every configured pair and the models that forecast it")
async def pairs(lake: LakeDep, registry: RegistryDep) -> Response:
    """Pairs in the order of their names; a pair whose file is broken has `state: failed` and its problems."""
    catalog, snapshot = registry.catalog, lake.current
    entries: list[dict[str, Any]] = []
    for name, spec in catalog.pairs.items():
        served = snapshot.of(name, spec.frequencies[0])
        entries.append(
            {
                "pair": name,
                "state": "ready" if served else "waiting",
                "pip": spec.pip,
                "calendar": spec.calendar,
                "frequencies": spec.frequencies,
                "source": spec.source.kind,
                "champion": default_model(served),
                "models": sorted(
                    model.model_id for model in catalog.models.values() if name in catalog.pairs_of(model)
                ),
                "forecasts": sorted(served),
            }
        )
    for name, problems in _broken(registry, "pairs"):
        entries.append({"pair": name, "state": "failed", "problems": problems})
    return json_response({"pairs": entries})


@router.get("/models", summary="Every configured model, those with a broken file too")
async def models(lake: LakeDep, registry: RegistryDep) -> Response:
    """Models in the order of their names; one whose file is broken has `state: failed` and its problems."""
    entries = [_described(registry, lake, spec) for spec in registry.catalog.models.values()]
    entries += [_failed(name, problems) for name, problems in _broken(registry, "models")]
    return json_response({"models": entries})


@router.get("/models/{model_id}", summary="One model: columns, window, horizon, target, quantiles, pairs, versions")
async def model(model_id: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """`columns` are those of a row of `data` in a prediction, in order."""
    spec = registry.catalog.models.get(model_id)
    if spec is not None:
        return json_response(_described(registry, lake, spec))
    for name, problems in _broken(registry, "models"):
        if name == model_id:
            return json_response(_failed(name, problems))
    raise ProblemError(404, "unknown_model", "There is no such model; /v1/models lists them.")


def _described(registry: Registry, lake: LiveSnapshot, spec: ModelSpec) -> dict[str, Any]:
    pairs, snapshot = registry.catalog.pairs_of(spec), lake.current
    loaded = registry.versions(spec.model_id)
    published = {
        pair: served[spec.model_id].document.model_version
        for pair in pairs
        if spec.model_id in (served := snapshot.of(pair, spec.frequency))
    }
    return {
        "model_id": spec.model_id,
        "state": "ready" if published or loaded else "waiting",
        "kind": spec.kind,
        "description": spec.description,
        "pairs": pairs,
        "scope": spec.scope,
        "frequency": spec.frequency,
        "features": spec.features,
        "columns": registry.columns(spec),
        "window": spec.window,
        "horizon": spec.horizon,
        "target": spec.target,
        # The calendar of the bars to come is added here; a request does not bring it.
        "known_ahead": spec.known_ahead,
        "quantiles": spec.quantiles,
        # Loaded: by predictions over HTTP, on first use. Published: by the newest forecast of the night.
        "versions": {
            pair: {"loaded": loaded.get(spec.kept_under(pair)), "published": published.get(pair)} for pair in pairs
        },
        "problems": registry.problems(spec.model_id),
        "invalid_outputs": registry.invalid_outputs(spec.model_id),
    }


def _broken(registry: Registry, section: str) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (key.removeprefix(f"{section}/"), [_problem(problem) for problem in problems])
        for key, problems in sorted(registry.catalog.broken.items())
        if key.startswith(f"{section}/")
    ]


def _failed(name: str, problems: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model_id": name, "state": "failed", "problems": problems}


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "field": problem.field, "message": problem.message}
