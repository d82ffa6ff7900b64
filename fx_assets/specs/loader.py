"""Loads `configs/` into a catalog of specs; what is broken is set aside with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from fx_assets.settings import environment
from fx_assets.specs import overrides, yaml_nodes
from fx_assets.specs.overrides import Override
from fx_assets.specs.problems import Problem, SpecError, nearest
from fx_assets.specs.schema import FeatureSetSpec, Frequency, ModelSpec, PairSpec

if TYPE_CHECKING:
    from fx_assets.specs.exog import ExogSpec

Spec = TypeVar("Spec", bound=BaseModel)
# What a room above knows of a model that the schema does not: (field path, message) pairs.
ModelCheck = Callable[[ModelSpec], Iterable[tuple[str, str]]]
PairCheck = Callable[[PairSpec], Iterable[tuple[str, str]]]
FeatureCheck = Callable[[FeatureSetSpec, Mapping[str, PairSpec]], Iterable[tuple[str, str]]]


@dataclass(frozen=True)
class Catalog:
    """Every usable spec by name, and the problems of every file that is not usable.

    `disabled` pairs are sound, but say `enabled: false`: no run knows them. `exog`: groups of exogenous series, which
    `specs.exog` loads. `crossing`: feature sets that read the bars of other pairs too.
    """

    pairs: Mapping[str, PairSpec]
    features: Mapping[str, FeatureSetSpec]
    models: Mapping[str, ModelSpec]
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    disabled: Mapping[str, PairSpec] = field(default_factory=dict)
    exog: Mapping[str, ExogSpec] = field(default_factory=dict)
    crossing: frozenset[str] = frozenset()

    def pairs_of(self, model: ModelSpec) -> tuple[str, ...]:
        """The pairs a model forecasts, in the order of its file, or all of them by name."""
        return tuple(self.pairs) if model.pairs == "all" else model.pairs

    def frequencies_of(self, pair: str) -> tuple[Frequency, ...]:
        """The bars that the pair itself, or a model that forecasts it, asks for, finest first."""
        asked = set(self.pairs[pair].frequencies)
        asked |= {spec.frequency for spec in self.models.values() if pair in self.pairs_of(spec)}
        return tuple(frequency for frequency in get_args(Frequency) if frequency in asked)

    def frequencies(self) -> tuple[Frequency, ...]:
        """The bars that any pair has, finest first."""
        asked = {frequency for pair in self.pairs for frequency in self.frequencies_of(pair)}
        return tuple(frequency for frequency in get_args(Frequency) if frequency in asked)

    def forecast_frequencies(self) -> tuple[Frequency, ...]:
        """The bars that any model forecasts, finest first."""
        asked = {spec.frequency for spec in self.models.values()}
        return tuple(frequency for frequency in get_args(Frequency) if frequency in asked)

    def models_at(self, frequency: str) -> list[ModelSpec]:
        """The models that forecast bars of a frequency, in the catalog's order."""
        return [spec for spec in self.models.values() if spec.frequency == frequency]

    def forecast_at(self, frequency: str) -> tuple[str, ...]:
        """The pairs that any model forecasts at a frequency, in the catalog's order."""
        models = self.models_at(frequency)
        return tuple(pair for pair in self.pairs if any(pair in self.pairs_of(spec) for spec in models))

    def walked_years(self, frequency: Frequency) -> float:
        """The longest walk forward of the models that forecast bars of this frequency, in years."""
        return max((spec.evaluation.years for spec in self.models_at(frequency)), default=0)

    def crosses(self, features: str | None) -> bool:
        """Whether a model's features of one pair wait for the bars of others."""
        return features in self.crossing

    def pairs_with(self, frequency: Frequency) -> list[str]:
        """The pairs that have bars of this frequency."""
        return [pair for pair in self.pairs if frequency in self.frequencies_of(pair)]

    def model(self, model_id: str) -> ModelSpec:
        """The model's spec. Raises `SpecError` with the file's problems or the nearest name."""
        if model_id in self.models:
            return self.models[model_id]
        key = f"models/{model_id}"
        if key in self.broken:
            raise SpecError(self.broken[key])
        message = f"unknown model {model_id!r}.{nearest(model_id, self.models)}"
        raise SpecError([Problem("configs/models", 0, "", message)])

    def require_sound(self) -> None:
        """Raise `SpecError` with every problem of every file, if there is any."""
        problems = [problem for group in self.broken.values() for problem in group]
        if problems:
            raise SpecError(problems)


@dataclass
class _Loaded:
    spec: BaseModel
    file: str
    document: yaml_nodes.Document


def load_catalog(
    configs: Path,
    *,
    environ: Mapping[str, str] | None = None,
    check_pair: PairCheck = lambda _: (),
    check_features: FeatureCheck = lambda _, __: (),
    check_model: ModelCheck = lambda _: (),
) -> Catalog:
    """Read `configs/{pairs,features,models}/*.yaml`, apply overrides, check references.

    One broken file never hides another: it lands in `Catalog.broken` under `section/name`, and so
    does a model that refers to it. Raises `SpecError` only where there is no `configs/pairs` folder.
    """
    if not (configs / "pairs").is_dir():
        raise SpecError([Problem(str(configs), 0, "", "no folder pairs/ here; set FX_CONFIGS to the configs folder")])
    found = overrides.find(environment() if environ is None else environ)
    broken: dict[str, tuple[Problem, ...]] = {}
    pairs = _section(configs, "pairs", "pair", PairSpec, found, broken)
    features = _section(configs, "features", "name", FeatureSetSpec, found, broken)
    models = _section(configs, "models", "model_id", ModelSpec, found, broken)
    _unmatched(found, {"pairs": pairs, "features": features, "models": models}, broken)
    _refuse(pairs, "pairs", check_pair, broken)
    sound = {name: item.spec for name, item in pairs.items() if isinstance(item.spec, PairSpec)}
    pair_specs = {name: spec for name, spec in sound.items() if spec.enabled}
    disabled = {name: spec for name, spec in sound.items() if not spec.enabled}
    _refuse(features, "features", lambda spec: check_features(spec, pair_specs), broken)
    set_specs = {name: item.spec for name, item in features.items() if isinstance(item.spec, FeatureSetSpec)}
    _refuse(
        models, "models", lambda spec: [*_references(spec, pair_specs, disabled, set_specs), *check_model(spec)], broken
    )
    return Catalog(
        pairs=pair_specs,
        features=set_specs,
        models={name: item.spec for name, item in models.items() if isinstance(item.spec, ModelSpec)},
        broken=broken,
        overrides=tuple(found),
        disabled=disabled,
    )


def _section(
    configs: Path,
    section: str,
    key: str,
    schema: type[Spec],
    found: list[Override],
    broken: dict[str, tuple[Problem, ...]],
) -> dict[str, _Loaded]:
    loaded: dict[str, _Loaded] = {}
    for path in sorted((configs / section).glob("*.y*ml")):
        file = f"{configs.name}/{section}/{path.name}"
        try:
            document = yaml_nodes.read(path)
        except yaml_nodes.YamlError as error:
            broken[f"{section}/{path.stem}"] = (Problem(file, error.line, "", str(error)),)
            continue
        except OSError as error:
            broken[f"{section}/{path.stem}"] = (Problem(file, 1, "", f"cannot be read: {error.strerror}"),)
            continue
        name, problems, spec = _parse(document, file, path.stem, section, key, schema, found)
        twin = loaded.get(name)
        if twin is not None:
            problems = [Problem(file, document.line((key,)), key, f"{name!r} is already the {key} of {twin.file}")]
        if problems or spec is None:
            broken[f"{section}/{path.stem}"] = tuple(problems)
        else:
            loaded[name] = _Loaded(spec, file, document)
    return loaded


def _parse(
    document: yaml_nodes.Document,
    file: str,
    stem: str,
    section: str,
    key: str,
    schema: type[Spec],
    found: list[Override],
) -> tuple[str, list[Problem], Spec | None]:
    value = document.value
    if not isinstance(value, dict):
        return stem, [Problem(file, 1, "", "expected keys and values, found none")], None
    name = str(value.get(key, stem))
    for override in found:
        if override.section == section and override.name == name.lower():
            try:
                overrides.apply(value, override)
            except ValueError as error:
                return name, [Problem(file, 1, "", str(error))], None
    try:
        return name, [], schema.model_validate(value)
    except ValidationError as error:
        return name, [_problem(file, document, schema, item) for item in error.errors()], None


def _problem(file: str, document: yaml_nodes.Document, schema: type[BaseModel], item: Any) -> Problem:
    location = tuple(part for part in item["loc"] if not _is_union_branch(part))
    line = document.line(location)
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key." + nearest(str(location[-1]), _fields_at(schema, location[:-1]))
    elif item["type"] == "missing":
        message = "this key is missing"
    else:
        found = item.get("input")
        if isinstance(found, str | int | float | bool):
            message += f", found {found!r}"
    return Problem(file, line, ".".join(str(part) for part in location), message)


def _is_union_branch(part: str | int) -> bool:
    # pydantic names the branch of a union in the location ("literal['all']", "tuple[...]").
    return isinstance(part, str) and ("[" in part or "(" in part)


def _fields_at(schema: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Keys that are valid at `location`, walking through nested specs and lists of them."""
    current: Any = schema
    for part in location:
        # The names in a mapping, such as pairs, are no fields.
        if isinstance(part, int) or part not in current.model_fields:
            continue
        annotation = current.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if current is None:
            return []
    return list(current.model_fields)


def _references(
    spec: ModelSpec,
    pairs: Mapping[str, PairSpec],
    disabled: Mapping[str, PairSpec],
    features: Mapping[str, FeatureSetSpec],
) -> Iterable[tuple[str, str]]:
    chosen = pairs if spec.pairs == "all" else spec.pairs
    for pair in chosen:
        if pair in disabled:
            yield "pairs", f"{pair!r} is switched off: set enabled: true in configs/pairs/{pair}.yaml"
        elif pair not in pairs:
            yield "pairs", f"{pair!r} is not a usable pair of configs/pairs.{nearest(pair, pairs)}"
    if spec.features is not None:
        if spec.features not in features:
            yield (
                "features",
                f"{spec.features!r} is not a usable feature set.{nearest(spec.features, features)}",
            )
        elif features[spec.features].frequency != spec.frequency:
            yield "features", f"{spec.features!r} has frequency {features[spec.features].frequency!r}"


def _refuse(
    loaded: dict[str, _Loaded],
    section: str,
    check: Callable[[Any], Iterable[tuple[str, str]]],
    broken: dict[str, tuple[Problem, ...]],
) -> None:
    for name, item in list(loaded.items()):
        problems = []
        for dotted, message in check(item.spec):
            path = tuple(int(part) if part.isdigit() else part for part in dotted.split("."))
            problems.append(Problem(item.file, item.document.line(path), dotted, message))
        if problems:
            del loaded[name]
            broken[f"{section}/{name}"] = tuple(problems)


def _unmatched(
    found: list[Override],
    sections: Mapping[str, Mapping[str, _Loaded]],
    broken: dict[str, tuple[Problem, ...]],
) -> None:
    for override in found:
        known = {name.lower() for name in sections[override.section]}
        known |= {key.split("/")[1].lower() for key in broken if key.startswith(override.section + "/")}
        if override.name not in known:
            message = f"names no file of configs/{override.section}.{nearest(override.name, known)}"
            broken[f"environment/{override.variable}"] = (Problem("environment", 0, override.variable, message),)
