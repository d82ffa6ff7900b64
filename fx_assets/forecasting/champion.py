"""Which model is served where no model is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.decisions import Decision, served

RANDOM_WALK = "random_walk"


def champion_of(models: Mapping[str, ModelSpec], pair: str, frequency: str, pairs: Collection[str]) -> str:
    """The model_id served for `pair` at `frequency`, of `models` over the catalog's `pairs`.

    That is without any decision, for without evidence the random walk is served: the first model of kind
    `random_walk` by model_id, else, where none covers the pair, the first model by model_id. Raises
    `LookupError` for an unknown pair and for one that no model covers.
    """
    if pair not in pairs:
        raise LookupError(f"unknown pair {pair!r}.{nearest(pair, pairs)}")
    covering = sorted(name for name, spec in models.items() if _covers(spec, pair, frequency))
    if not covering:
        raise LookupError(f"no model forecasts {pair} at {frequency}; add it to pairs of a file in configs/models")
    return next((name for name in covering if models[name].kind == RANDOM_WALK), covering[0])


def serving_model(
    decision: Decision | None, models: Mapping[str, ModelSpec], pair: str, frequency: str, pairs: Collection[str]
) -> str:
    """The champion of the newest `decision`, where it is configured for the pair still; else as `champion_of`."""
    able = [name for name, spec in models.items() if _covers(spec, pair, frequency)]
    return served(decision, champion_of(models, pair, frequency, pairs), able)


def _covers(spec: ModelSpec, pair: str, frequency: str) -> bool:
    return spec.frequency == frequency and (spec.pairs == "all" or pair in spec.pairs)


def served_by_default(documents: Iterable[ForecastDocument]) -> ForecastDocument | None:
    """Of one pair's and frequency's newest documents, one a model, the champion's.

    Which model that is, the document that was issued last says. None where it is not among them.
    """
    heads = {document.model_id: document for document in documents}
    if not heads:
        return None
    newest = max(heads.values(), key=lambda document: (document.issued_at, document.origin))
    return heads.get(newest.champion)
