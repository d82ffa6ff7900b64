"""`/v1/pairs` and `/v1/models`: what there is, from the configs, with what is wrong with it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from fx_assets.forecasting.certificate import Certificate
from fx_assets.specs.problems import Problem
from fx_assets.specs.schema import ModelSpec
from serving.control import answering_503
from serving.dependencies import JobsDep, LakeDep, RegistryDep
from serving.openapi import problems, query
from serving.problems import ProblemError
from serving.queries import pair_of, parameters
from serving.registry import Registry
from serving.rendering import json_response
from serving.schemas import Models, Pairs, Versions
from serving.snapshot import LiveSnapshot, default_model

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get(
    "/pairs",
    summary="Every configured pair and the models that forecast it",
    response_model=Pairs,
    responses=problems(422),
)
async def pairs(request: Request, lake: LakeDep, registry: RegistryDep) -> Response:
    """Pairs in the order of their names; a pair whose file is broken has `state: failed` and its problems."""
    parameters(request)
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
    for name, faults in _broken(registry, "pairs"):
        entries.append({"pair": name, "state": "failed", "problems": faults})
    return json_response({"pairs": entries})


@router.get(
    "/models",
    summary="Every configured model, those with a broken file too",
    response_model=Models,
    responses=problems(422),
)
async def models(request: Request, lake: LakeDep, registry: RegistryDep) -> Response:
    """Models in the order of their names; one whose file is broken has `state: failed` and its problems."""
    parameters(request)
    entries = [_described(registry, lake, spec) for spec in registry.catalog.models.values()]
    entries += [_failed(name, faults) for name, faults in _broken(registry, "models")]
    return json_response({"models": entries})


@router.get(
    "/models/{model_id}",
    summary="One model: columns, window, horizon, target, quantiles, pairs, versions",
    response_model=dict[str, Any],
    responses=problems(404, 422),
)
async def model(request: Request, model_id: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """`columns` are those of a row of `data` in a prediction, in order."""
    parameters(request)
    spec = registry.catalog.models.get(model_id)
    if spec is not None:
        return json_response(_described(registry, lake, spec))
    for name, faults in _broken(registry, "models"):
        if name == model_id:
            return json_response(_failed(name, faults))
    raise ProblemError(404, "unknown_model", "There is no such model; /v1/models lists them.")


@router.get(
    "/models/{model_id}/versions",
    summary="Trained versions of a model, newest first",
    response_model=Versions,
    responses=problems(404, 422),
)
async def versions(request: Request, model_id: str, registry: RegistryDep, control: JobsDep) -> Response:
    """What is on record of each; a version may be older than the checkpoints that are kept."""
    parameters(request)
    spec = registry.spec(model_id)
    with answering_503():
        found = await run_in_threadpool(control.versions, spec.model_id)
    entries = [
        {
            "version": version.version,
            "scope": version.scope,
            "kind": version.kind,
            "pairs": version.pairs,
            "trained_until": version.trained_until.isoformat(),
            "registered_at": version.created_at.isoformat(),
        }
        for version in found
    ]
    return json_response({"model_id": model_id, "versions": entries}, cache_control="no-cache")


@router.get(
    "/models/{model_id}/certificate",
    summary="What a model was measured to be worth on a pair",
    response_model=Certificate,
    responses=problems(404, 422),
    openapi_extra={"parameters": query("pair")},
)
async def certificate(request: Request, model_id: str, lake: LakeDep, registry: RegistryDep) -> Response:
    """Of the version that the newest forecast is of. `pair` may be left out where the model has one only."""
    asked = parameters(request, "pair")
    spec = registry.spec(model_id)
    pairs = registry.catalog.pairs_of(spec)
    pair = asked.get("pair", pairs[0] if len(pairs) == 1 else None)
    if pair is None:
        raise ProblemError(422, "invalid_request", "pair: this model has several; name one.", pairs=list(pairs))
    if pair not in pairs:
        pair_of(registry, pair)
        raise ProblemError(404, "no_forecast", "The model does not forecast this pair.", pairs=list(pairs))
    served = lake.current.of(pair, spec.frequency).get(model_id)
    found = None if served is None else served.document.certificate
    if found is None:
        raise ProblemError(404, "no_certificate", "No certificate of this model and pair is on record yet.")
    return json_response(found.model_dump(mode="json"), cache_control="no-cache")


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


def _failed(name: str, faults: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model_id": name, "state": "failed", "problems": faults}


def _problem(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "field": problem.field, "message": problem.message}
