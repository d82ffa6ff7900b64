"""The catalog as every entry point loads it: the YAML files, checked against sources, stages and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

from fx_assets.features import sets
from fx_assets.features.checking import stage_problems
from fx_assets.models.registry import check_model
from fx_assets.prices.crossing import recipe
from fx_assets.prices.exog_source import problems
from fx_assets.prices.sources.base import kinds, price_kind, source
from fx_assets.settings import Settings
from fx_assets.specs.exog import load_exog
from fx_assets.specs.financing import load_financing
from fx_assets.specs.loader import Catalog, load_catalog
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import FeatureSetSpec, Frequency, ModelSpec, PairSpec
from fx_assets.timegrid.frequencies import makes

FORECAST_FREQUENCIES: tuple[Frequency, ...] = ("1h", "1d")
"""The frequencies that models forecast so far."""


def load(settings: Settings, *, environ: Mapping[str, str] | None = None) -> Catalog:
    """Load `configs/` with every check that needs no heavy library.

    A file with a problem lands in `Catalog.broken`, and so does what refers to it.
    """
    exog = load_exog(settings.configs, environ=environ, check=problems)
    financing = load_financing(settings.configs, environ=environ)
    known = {f"{group.name}/{series}" for group in exog.groups.values() for series in group.series}

    def check_features(spec: FeatureSetSpec, pairs: Mapping[str, PairSpec]) -> Iterable[tuple[str, str]]:
        return _check_features(spec, pairs, known)

    catalog = load_catalog(
        settings.configs,
        environ=environ,
        check_pair=_check_pair,
        check_features=check_features,
        check_model=_check_model,
    )
    return replace(
        catalog,
        crossing=frozenset(name for name, spec in catalog.features.items() if _crosses(spec, catalog)),
        exog=exog.groups,
        broken={**catalog.broken, **exog.broken, **financing.broken},
        overrides=(*catalog.overrides, *exog.overrides, *financing.overrides),
    )


def _check_pair(spec: PairSpec) -> Iterable[tuple[str, str]]:
    if spec.source.kind not in kinds():
        yield "source.kind", f"unknown source {spec.source.kind!r}.{nearest(spec.source.kind, kinds())}"
        return
    adapter = source(spec.source.kind)
    found = [(f"source.{path}", message) for path, message in adapter.problems(spec.source)]
    if spec.source.legs and not found:
        try:
            recipe(spec.pair, spec.source.legs)
        except ValueError as error:
            found.append(("source.legs", str(error)))
    yield from found
    if found:
        return
    form = adapter.form(spec.source)
    for at, frequency in enumerate(spec.frequencies):
        if not makes(form.kind, form.seconds, frequency):
            yield f"frequencies.{at}", f"{frequency} bars cannot be made of {form}"


def _crosses(spec: FeatureSetSpec, catalog: Catalog) -> bool:
    pairs = catalog.pairs_with(spec.frequency)
    return any(sets.others(sets.steps(spec), pair, pairs) for pair in pairs)


def _check_features(spec: FeatureSetSpec, pairs: Mapping[str, PairSpec], series: Set[str]) -> Iterable[tuple[str, str]]:
    asked = [pair for pair in pairs.values() if spec.frequency in pair.frequencies]
    if pairs and not asked:
        yield "frequency", f"no pair has {spec.frequency!r} bars; add it to the frequencies of one"
    found = stage_problems(spec, {price_kind(pair) for pair in asked})
    yield from found
    if found:
        return
    known = {pair.pair for pair in asked}
    for step in sets.steps(spec):
        for name in step.stage.named_pairs(step.options):
            if name not in known:
                message = f"stage {step.name!r} names {name}, which has no {spec.frequency} bars."
                yield "stages", f"{message}{nearest(name, known)}"
    for name in sets.exog(sets.steps(spec)):
        if name not in series:
            message = f"no exogenous series {name!r}; switch on its group in configs/exog, as group/SERIES."
            yield "stages", f"{message}{nearest(name, series)}"


def _check_model(spec: ModelSpec) -> Iterable[tuple[str, str]]:
    if spec.frequency not in FORECAST_FREQUENCIES:
        able = f"models forecast bars of {' and '.join(FORECAST_FREQUENCIES)}"
        yield "frequency", f"{able}; {spec.frequency} bars can be made and read, not yet forecast"
    elif spec.known_ahead and spec.frequency != "1d":
        yield "known_ahead", f"says what trading dates are to come, not bars of {spec.frequency}; remove this key"
    yield from check_model(spec)
