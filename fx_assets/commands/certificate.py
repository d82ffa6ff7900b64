"""`fx-assets certificate`: what a model was measured to be worth on a pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, fail, note, out, print_json, say
from fx_assets.settings import get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    from rich.table import Table

    from fx_assets.forecasting.certificate import Certificate, Finding
    from fx_assets.settings import Settings
    from fx_assets.specs.loader import Catalog

_STYLES = {"skill shown": "green", "worse": "red", "no skill shown": "default", "too little data": "yellow"}
_LIGHTS = {"green": "green", "yellow": "yellow", "red": "red"}


def certificate(
    model: Annotated[str, typer.Argument(help="model_id, e.g. garch")],
    pair: Annotated[str, typer.Option("--pair", help="Currency pair, e.g. EURUSD")],
    pictures: Annotated[Path | None, typer.Option("--pictures", help="Also draw it, into this folder")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the newest certificate of a model on a pair: three verdicts at each horizon, ranges and tails."""
    from fx_assets.forecasting import certificate as form
    from fx_assets.storage.errors import StorageError
    from fx_assets.storage.lake import Lake

    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pair(catalog, pair)
    known = [*catalog.models, *(key.removeprefix("models/") for key in catalog.broken if key.startswith("models/"))]
    if model not in known:
        raise typer.BadParameter(f"unknown model {model!r}.{nearest(model, known)}", param_hint="MODEL")
    try:
        table = Lake(settings.lake_path).find(form.TABLE, name)
        found = None if table is None else form.newest(table, model)
    except (StorageError, OSError) as error:
        fail(str(error))
    if found is None:
        fail(f"{model} has no certificate for {name} yet: run fx-assets materialize --pairs {name}")
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _print(found)
    if pictures is not None:
        _draw(found, settings, catalog, pictures)


def _draw(found: Certificate, settings: Settings, catalog: Catalog, folder: Path) -> None:
    """Every picture of the certificate as a PNG file in `folder`."""
    from fx_assets.evaluation.certify import current
    from fx_assets.evaluation.pictures.certificate import pictures_of
    from fx_assets.evaluation.walk import selves_of, selves_on_record
    from fx_assets.forecasting import certificate as form
    from fx_assets.storage.lake import Lake

    lake = Lake(settings.lake_path)
    scores, table = lake.read("scores", found.pair), lake.read(form.TABLE, found.pair)
    sides = []
    for model in (found.model_id, found.density_benchmark):
        one = form.newest(table, model)
        version = found.model_version if one is None else one.model_version
        spec = catalog.models.get(model)
        selves = selves_on_record(lake, model, found.pair) if spec is None else selves_of(lake, spec, found.pair)
        sides.append(current(scores, model, version, selves))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures_of(found, *sides).items():
            path = folder / f"{found.pair}-{found.model_id}-{name}.png"
            path.write_bytes(picture)
            note(f"drawn into {path}")
    except OSError as error:
        fail(f"cannot write into {folder}: {error.strerror}")


def _print(found: Certificate) -> None:
    from fx_assets.forecasting.certificate import in_words

    say(
        f"{found.pair} {found.model_id}, version {found.model_version}, measured {found.measured_at:%Y-%m-%d %H:%M} UTC"
    )
    say(in_words(found), style=_STYLES[found.verdict])
    out.print(_verdicts(found))
    out.print(_tests(found))
    if found.tails:
        out.print(_tails(found))
    selves = ", ".join(found.folds)
    say(f"out of sample: {selves}; {found.trials} trials of searches on the pair; digest {found.digest[:16]}")


def _grid(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in ("loss", "against", "verdict", "side", "light") else "right")
    return table


def _verdicts(found: Certificate) -> Table:
    table = _grid("bars", "windows", "apart", "loss", "against", "model", "benchmark", "ratio", "p (Holm)", "verdict")
    for row in found.horizons:
        findings: list[tuple[str, Finding]] = [("MSE, bp²", row.location), ("CRPS, bp", row.density)]
        findings += [("QLIKE, %²", finding) for finding in row.volatility]
        for number, (loss, finding) in enumerate(findings):
            size = (str(row.horizon), str(row.windows), str(row.independent_windows)) if not number else ("", "", "")
            table.add_row(
                *size,
                loss,
                finding.against,
                f"{finding.loss:.3f}",
                f"{finding.benchmark:.3f}",
                "" if finding.ratio is None else f"{finding.ratio:.4f}",
                _p(finding.adjusted_p_value),
                f"[{_STYLES[finding.verdict]}]{finding.verdict}[/]"
                + (f" ({finding.reason})" if finding.reason else ""),
            )
    return table


def _tests(found: Certificate) -> Table:
    table = _grid("bars", "80 % held", "90 % held", "Clark-West", "Giacomini-White", "Pesaran-Timmermann", "hit rate")
    for row in found.horizons:
        printed = row.printed
        table.add_row(
            str(row.horizon),
            f"{row.coverage_80:.1%}",
            f"{row.coverage_90:.1%}",
            _p(printed.clark_west),
            _p(printed.giacomini_white),
            _p(printed.pesaran_timmermann),
            "none" if printed.hit_rate is None else f"{printed.hit_rate:.1%}",
        )
    return table


def _tails(found: Certificate) -> Table:
    table = _grid("side", "VaR", "beyond", "share", "Kupiec", "Christoffersen", "light")
    for tail in found.tails:
        table.add_row(
            tail.side,
            f"{tail.level:.1%}",
            str(tail.exceptions),
            f"{tail.share:.2%}",
            _p(tail.kupiec),
            _p(tail.christoffersen),
            f"[{_LIGHTS[tail.light]}]{tail.light}[/]",
        )
    return table


def _p(value: float | None) -> str:
    return "" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"
