"""The catalog as every entry point loads it: the YAML files, checked against sources, stages and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fx_assets.features.checking import stage_problems
from fx_assets.models.registry import check_model
from fx_assets.prices.sources.base import kinds, source
from fx_assets.settings import Settings
from fx_assets.specs.loader import Catalog, load_catalog
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import FeatureSetSpec, PairSpec


def load(settings: Settings, *, environ: Mapping[str, str] | None = None) -> Catalog:
    """Load `configs/` with every check that needs no heavy library.

    A file with a problem lands in `Catalog.broken`, and so does what refers to it.
    """
    return load_catalog(
        settings.configs,
        environ=environ,
        check_pair=_check_pair,
        check_features=_check_features,
        check_model=check_model,
    )


def _check_pair(spec: PairSpec) -> Iterable[tuple[str, str]]:
    if spec.source.kind not in kinds():
        yield "source.kind", f"unknown source {spec.source.kind!r}.{nearest(spec.source.kind, kinds())}"


def _check_features(spec: FeatureSetSpec, pairs: Mapping[str, PairSpec]) -> Iterable[tuple[str, str]]:
    prices = {source(pair.source.kind).kind_of_price for pair in pairs.values()}
    return stage_problems(spec, prices)
