"""`features describe` and `probe`: what a feature set is made of, and the proof that it does not look ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, err, fail, print_json, say
from fx_assets.settings import get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    from fx_assets.features.leak import LeakReport
    from fx_assets.specs.loader import Catalog
    from fx_assets.specs.schema import FeatureSetSpec, Target

features = typer.Typer(name="features", help="What the feature sets are made of.", no_args_is_help=True)
_SHOWN_LEAKS = 20


@features.command()
def describe(
    name: Annotated[str, typer.Argument(metavar="SET", help="Feature set, e.g. core")],
    pair: Annotated[str | None, typer.Option(help="Also its values for this pair, and who keeps them")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the features of a set: what each is, what it is made of, and what it costs."""
    from fx_assets.commands.feature_facts import described, kept, measured
    from fx_assets.commands.feature_tables import print_features
    from fx_assets.orchestration.resources import Stores

    settings = get_settings()
    catalog = catalog_of(settings)
    spec = _known_set(catalog, name)
    document = described(spec)
    if pair is not None:
        known, stores = _pair_of(catalog, spec, pair), Stores(settings)
        with _told(known):
            document |= measured(stores.lake, spec, known)
            document["checkpoints"] = list(kept(stores, catalog, spec, known))
    if as_json:
        print_json(document)
    else:
        print_features(document)


@features.command()
def fit(
    name: Annotated[str, typer.Argument(metavar="SET", help="Feature set, e.g. core")],
    pair: Annotated[str, typer.Option(help="Currency pair, e.g. EURUSD")],
    horizon: Annotated[int, typer.Option(min=1, help="Bars ahead that the target reaches")] = 20,
    volatility: Annotated[
        bool, typer.Option("--volatility", help="Aim at the size of what follows, not at its return")
    ] = False,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    as_json: JsonOption = False,
) -> None:
    """Fit a set's fitted stages on the training rows of a pair, as a training would, and show what they leave."""
    from fx_assets.commands.feature_fit import fit as fit_set
    from fx_assets.commands.feature_fit import lines

    settings = get_settings()
    catalog = catalog_of(settings)
    spec = _known_set(catalog, name)
    known = _pair_of(catalog, spec, pair)
    aim: Target = "volatility" if volatility else "log_return"
    with _told(known):
        document = fit_set(settings, spec, known, horizon=horizon, aim=aim, seed=seed)
    if as_json:
        print_json(document)
    else:
        for line in lines(document):
            say(line)


def probe(
    name: Annotated[str, typer.Argument(metavar="FEATURE_SET", help="Feature set, e.g. core")],
    pair: Annotated[str, typer.Option(help="Currency pair, e.g. EURUSD")],
    n: Annotated[int, typer.Option(min=1, help="Bars to probe, from all of the history")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Which bars, and which noise")] = 7,
    from_raw: Annotated[
        bool, typer.Option("--from-raw", help="Falsify the raw prices, and clean and resample them again")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that no feature looks ahead: destroy what became known after a bar, and compare every bit up to it."""
    from datetime import date

    from fx_assets.features.leak import probe as probe_bars
    from fx_assets.features.raw_probe import probe_raw
    from fx_assets.features.sets import lookback, steps
    from fx_assets.features.stored import StoredInputs
    from fx_assets.storage.lake import Lake

    settings = get_settings()
    catalog = catalog_of(settings)
    spec = _known_set(catalog, name)
    known = _pair_of(catalog, spec, pair)
    lake = Lake(settings.lake_path)
    with _told(known):
        stored = StoredInputs(
            lake, catalog.pairs[known], catalog.pairs_with(spec.frequency), steps(spec), spec.frequency
        )
        blocks = stored.blocks(date.min)
        with _progress(f"{spec.name} {known}") as show:
            if from_raw:
                report = probe_raw(lake, stored, blocks, spec, n=n, seed=seed, show=show)
            else:

                def source(block: str) -> Any:
                    show(block)
                    return stored.of_block(block, lookback(spec))

                report = probe_bars(source, blocks, spec, n=n, seed=seed)
    _say_report(report, spec.name, known, from_raw=from_raw, as_json=as_json)
    raise typer.Exit(0 if report.passed else 1)


@contextmanager
def _told(pair: str) -> Iterator[None]:
    """What the lake lacks, or a set cannot do, as one sentence and exit code 1."""
    from fx_assets.storage.errors import NoData, StorageError

    try:
        yield
    except NoData as error:
        fail(f"{error}; run: fx-assets materialize --pairs {pair}")
    except (StorageError, ValueError) as error:
        fail(str(error))


def _say_report(report: LeakReport, name: str, pair: str, *, from_raw: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "set": name,
                "pair": pair,
                "from_raw": from_raw,
                "passed": report.passed,
                "probes": report.probes,
                "compared": report.compared,
                "columns": list(report.columns),
                "leaks": [vars(leak) for leak in report.leaks],
            }
        )
        return
    start = "from raw prices on, " if from_raw else ""
    said = f"{name} {pair}: {start}{report.probes} bars probed, {report.compared:,} columns compared bit by bit"
    if report.passed:
        say(f"{said}: no feature looks ahead")
        return
    say(f"{said}: {len(report.columns)} look ahead: {', '.join(report.columns)}", style="red")
    for leak in report.leaks[:_SHOWN_LEAKS]:
        say(f"  {leak}")
    if len(report.leaks) > _SHOWN_LEAKS:
        say(f"  and {len(report.leaks) - _SHOWN_LEAKS} more")


def _known_set(catalog: Catalog, name: str) -> FeatureSetSpec:
    if name in catalog.features:
        return catalog.features[name]
    message = f"unknown feature set {name!r}.{nearest(name, catalog.features)}"
    if f"features/{name}" in catalog.broken:
        message = f"configs/features/{name}.yaml is not valid: run fx-assets validate"
    raise typer.BadParameter(message, param_hint="SET")


def _pair_of(catalog: Catalog, spec: FeatureSetSpec, pair: str) -> str:
    name = chosen_pair(catalog, pair)
    if spec.frequency not in catalog.frequencies_of(name):
        message = f"{name} has no {spec.frequency} bars, which {spec.name} is made of; add them to its frequencies"
        raise typer.BadParameter(message, param_hint="--pair")
    return name


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str], None]]:
    """How far a probe is: the block at hand."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(title)
        yield lambda block: progress.update(task, description=f"{title} {block}")
