"""`fx-assets`: what operators and researchers type. Exit 0 done, 1 failed, 2 wrong use, 130 ended by a signal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from pydantic import ValidationError

from fx_assets.commands import (
    backtest,
    bench,
    bench_skill,
    boards,
    certificate,
    champions,
    feature_reports,
    price_files,
    trials,
)
from fx_assets.commands.keys import keys as api_keys
from fx_assets.commands.terminal import JsonOption, PairsOption, catalog_of, chosen_pairs, err, fail, out, print_json
from fx_assets.settings import Settings, get_settings
from fx_assets.specs.loader import Catalog
from fx_assets.specs.problems import SpecError, nearest
from fx_assets.specs.schema import ModelSpec

if TYPE_CHECKING:
    from fx_assets.commands.night import NightResult

INTERRUPTED: Final = 130  # as a shell has it for Ctrl-C

app = typer.Typer(
    name="fx-assets",
    help="Currency prices into forecasts people can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(price_files.convert)
app.command()(price_files.ingest)
app.command()(price_files.export)
app.command()(feature_reports.probe)
app.command()(trials.trials)
app.command()(certificate.certificate)
app.command()(boards.leaderboard)
app.command()(boards.scorecard)
app.command()(boards.joint)
app.command()(champions.champions)
app.command()(champions.promote)
app.command()(champions.rollback)
app.command()(backtest.backtest)
app.add_typer(feature_reports.features)
bench.bench.command()(bench_skill.skill)
app.add_typer(bench.bench)
app.add_typer(api_keys)


@app.command()
def validate(as_json: JsonOption = False) -> None:
    """Check every file of configs/ and every override; needs no heavy library."""
    settings = get_settings()
    catalog = catalog_of(settings)
    problems = [problem for group in catalog.broken.values() for problem in group]
    if as_json:
        print_json(
            {
                "valid": not problems,
                "pairs": list(catalog.pairs),
                "features": list(catalog.features),
                "models": list(catalog.models),
                "disabled": list(catalog.disabled),
                "problems": [vars(problem) for problem in problems],
                "overrides": [str(override) for override in catalog.overrides],
            }
        )
    else:
        for problem in problems:
            out.print(str(problem), style="red", highlight=False, soft_wrap=True)
        out.print(
            f"{len(catalog.pairs)} pairs, {len(catalog.features)} feature sets, {len(catalog.models)} models"
            + (f", switched off: {', '.join(catalog.disabled)}" if catalog.disabled else "")
            + (f"; {len(problems)} problems" if problems else ": all valid")
        )
    raise typer.Exit(1 if problems else 0)


@app.command()
def demo() -> None:
    """Run the nightly job for every configured pair and print what it forecasts, and how well."""
    from fx_assets.commands.night import run_night
    from fx_assets.commands.report import print_report, write_charts

    settings = get_settings()
    catalog = catalog_of(settings)
    result = run_night(settings, catalog, catalog.pairs, err)
    if result.interrupted:
        _finish(result)
    print_report(settings, catalog, out)
    charts = write_charts(settings, catalog)
    out.print(f"fan charts: {', '.join(path.name for path in charts)} in {settings.charts_path}", soft_wrap=True)
    out.print(f"runs and charts in the Dagster UI: make up, then http://{settings.host}:{settings.ui_port}")
    _finish(result)


@app.command()
def materialize(
    pairs: PairsOption = None,
    select: Annotated[str | None, typer.Option(help="Comma-separated asset keys, e.g. bars/1d,features/core")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the night, or only the selected assets, for all pairs or the given ones."""
    from fx_assets.commands.night import run_night

    settings = get_settings()
    catalog = catalog_of(settings)
    chosen = chosen_pairs(catalog, pairs)
    if select is None:
        result = run_night(settings, catalog, chosen, err)
    else:
        result = _selected(settings, _asset_keys(select), chosen)
    _finish(result, as_json=as_json)


@app.command()
def train(
    config: Annotated[Path | None, typer.Option(help="A model's YAML file, e.g. configs/models/usdjpy.yaml")] = None,
    model: Annotated[str | None, typer.Option(help="Or its model_id")] = None,
    pairs: PairsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model's checkpoint, with what it needs upstream, as Dagster runs."""
    import dagster as dg

    from fx_assets.orchestration import keys

    settings = get_settings()
    catalog = catalog_of(settings)
    if (config is None) == (model is None):
        raise typer.BadParameter("give one of --config FILE and --model MODEL_ID")
    spec = _known_model(catalog, model if model is not None else _model_of(config, settings))
    wanted = chosen_pairs(catalog, pairs)
    chosen = [pair for pair in catalog.pairs_of(spec) if pair in wanted]
    if not chosen:
        own = ", ".join(catalog.pairs_of(spec))
        raise typer.BadParameter(f"{spec.model_id} forecasts {own}, not {', '.join(wanted)}", param_hint="--pairs")
    upstream = dg.AssetSelection.assets(keys.checkpoint(spec.model_id)).upstream()
    result = _selected(settings, _resolve(upstream), chosen)
    _finish(result, as_json=as_json)


@app.command()
def forecast(
    pair: Annotated[str, typer.Argument(help="Currency pair, e.g. EURUSD")],
    model: Annotated[str | None, typer.Option(help="Model id; the pair's champion where not given")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the latest forecast of a pair as it was published."""
    from fx_assets.commands.report import latest_document, print_document

    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pairs(catalog, pair)[0]
    if model is not None:
        _known_model(catalog, model)
    try:
        document = latest_document(settings, catalog, name, model)
    except LookupError as error:
        fail(str(error))
    if as_json:
        print_json(document.model_dump(mode="json"))
    else:
        print_document(document, out)


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Port; FX_API_PORT where not given, 0 for a free one")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; FX_WORKERS where not given")] = None,
) -> None:
    """Serve the forecasts over HTTP; off loopback only with keys."""
    from serving.main import run

    settings = get_settings()
    raise typer.Exit(run(settings, settings.api_port if port is None else port, workers))


@app.command()
def up() -> None:
    """Start the Dagster UI, its daemon and the forecast API; Ctrl-C ends all of them."""
    from fx_assets.commands.processes import PortTaken
    from fx_assets.commands.processes import up as start

    try:
        code = start(get_settings(), err)
    except PortTaken as error:
        fail(str(error))
    raise typer.Exit(code)


def _known_model(catalog: Catalog, model_id: str) -> ModelSpec:
    if model_id not in catalog.models and f"models/{model_id}" not in catalog.broken:
        known = nearest(model_id, catalog.models)
        raise typer.BadParameter(f"unknown model {model_id!r}.{known}", param_hint="--model")
    try:
        return catalog.model(model_id)
    except SpecError as error:
        fail(str(error))


def _selected(settings: Settings, keys: set[Any], pairs: list[str]) -> NightResult:
    from fx_assets.commands.night import NothingChosen, run_selection

    try:
        return run_selection(settings, keys, pairs, err)
    except NothingChosen as error:
        raise typer.BadParameter(str(error), param_hint="--pairs") from error


def _model_of(config: Path | None, settings: Settings) -> str:
    assert config is not None
    folder = settings.configs / "models"
    if config.resolve().parent != folder.resolve():
        fail(f"{config} is not in {folder}: a model becomes assets by its file there; move it and try again")
    if not config.exists():
        fail(f"{config} does not exist.{nearest(config.stem, [path.stem for path in folder.glob('*.yaml')])}")
    from fx_assets.specs import yaml_nodes

    try:
        value = yaml_nodes.read(config).value
    except yaml_nodes.YamlError as error:
        fail(f"{config}:{error.line}: {error}")
    return str(value.get("model_id", config.stem)) if isinstance(value, dict) else config.stem


def _asset_keys(select: str) -> set[Any]:
    import dagster as dg

    from fx_assets.definitions import defs

    known = defs.resolve_asset_graph().materializable_asset_keys
    by_name = {key.to_user_string(): key for key in known}
    chosen = set()
    for name in (part.strip() for part in select.split(",")):
        if name not in by_name:
            raise typer.BadParameter(f"unknown asset {name!r}.{nearest(name, by_name)}", param_hint="--select")
        chosen.add(dg.AssetKey(by_name[name].path))
    return chosen


def _resolve(selection: Any) -> set[Any]:
    from fx_assets.definitions import defs

    resolved: set[Any] = selection.resolve(defs.resolve_asset_graph())
    return resolved


def _finish(result: NightResult, *, as_json: bool = False) -> NoReturn:
    for reason in result.failed:
        err.print(reason, style="red", highlight=False, soft_wrap=True)
    if as_json:
        told = ("computed", "reused", "failed", "interrupted")
        print_json({name: getattr(result, name) for name in told})
    else:
        out.print(result.summary)
    if result.interrupted:
        err.print(
            "ended before it was done; what was published stays, and the same command goes on from there",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if result.failed else 0)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except SpecError as error:
        err.print(str(error), style="red", highlight=False, soft_wrap=True)
        raise SystemExit(1) from error
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for item in error.errors(include_url=False, include_input=False):
            name = "FX_" + "_".join(str(part) for part in item["loc"]).upper()
            err.print(f"setting {name}: {item['msg']}", style="red", highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
