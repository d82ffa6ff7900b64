"""`fx-assets leaderboard | scorecard | joint`: what the nights have found out, over models, forecasts and pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, fail, note, out, print_json, say
from fx_assets.settings import get_settings
from fx_assets.specs.problems import nearest

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from fx_assets.forecasting.joint.document import JointForecast
    from fx_assets.settings import Settings

FrequencyOption = Annotated[str, typer.Option("--frequency", help="Bars of the forecasts")]
PictureOption = Annotated[Path | None, typer.Option("--picture", help="Also draw it into this PNG file")]
_STYLES = {"skill shown": "green", "worse": "red", "too little data": "yellow"}


def leaderboard(frequency: FrequencyOption = "1d", picture: PictureOption = None, as_json: JsonOption = False) -> None:
    """Print every model on every pair: what its certificate says, and who serves."""
    from fx_assets.evaluation.leaderboard.table import standings
    from fx_assets.storage.lake_rows import ALL

    settings = get_settings()
    table = _stored(settings, f"leaderboard/{frequency}", ALL, "fx-assets materialize, or wait for the night")
    if picture is not None:
        from fx_assets.evaluation.pictures.board import leaderboard as drawn

        _write(picture, drawn(standings(table)))
    rows = [{name: value for name, value in row.items() if name != "pair"} for row in table.to_pylist()]
    if as_json:
        print_json({"frequency": frequency, "rows": rows})
        return
    grid = _grid("pair", "model", "", "bars", "CRPS", "MSE", "80 % held", "MCS", "verdict", "location", "volatility")
    for row in rows:
        grid.add_row(
            row["currency_pair"],
            row["model_id"],
            "serves" if row["serves"] else "",
            str(row["horizon"]),
            _per_cent(row["crps_ratio"]),
            _per_cent(row["mse_ratio"]),
            f"{row['coverage_80']:.1%}",
            _probability(row["confidence_set_p_value"]),
            *(_styled(row[name]) for name in ("verdict", "location", "volatility")),
        )
    out.print(grid)
    say("CRPS and MSE: against the random walk with the champion's volatility, and the driftless one. MCS: the largest")
    say("size at which the model stays in the model confidence set of the pair, one bar ahead; being in it is no skill")
    superior = {row["currency_pair"]: row["superior_p_value"] for row in rows if row["superior_p_value"] is not None}
    if superior:
        values = ", ".join(f"{name} {_probability(value)}" for name, value in superior.items())
        say(f"no model better than that walk, allowing for how many were tried (SPA), p: {values}")


def scorecard(
    pair: Annotated[str, typer.Option("--pair", help="Currency pair, e.g. EURUSD")],
    frequency: FrequencyOption = "1d",
    picture: PictureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what became of forecasts that were really issued: errors, coverage, direction. Replays never count."""
    from fx_assets.evaluation.scorecard.summary import figures

    settings = get_settings()
    name = chosen_pair(catalog_of(settings), pair)
    table = _stored(settings, f"scorecard/{frequency}", name, f"fx-assets materialize --pairs {name}")
    lines = figures(table)
    if picture is not None:
        _write(picture, _fans(settings, table, name, frequency))
    if as_json:
        print_json({"pair": name, "frequency": frequency, "rows": lines})
        return
    if not lines:
        say(f"no forecast of {name} has come due yet that was issued before its target interval began")
        return
    grid = _grid("model", "bars", "due", "apart", "error, bp", "pips", "bias, bp", "80 % held", "90 % held", "hits")
    for line in lines:
        errors = (_number(line[key]) for key in ("error_bp", "error_pips", "bias_bp"))
        shares = (_share(line[key]) for key in ("covered_80", "covered_90", "direction_right"))
        counts = (str(line[key]) for key in ("horizon", "due", "apart"))
        grid.add_row(line["model_id"], *counts, *errors, *shares)
    out.print(grid)


def joint(
    group: Annotated[
        str | None, typer.Argument(help="e.g. 1d_fixing_target_usd; not needed where there is one")
    ] = None,
    horizon: Annotated[int, typer.Option("--horizon", min=1, help="Bars ahead")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Print what a group of pairs is forecast to do together: correlations, value at risk, levels touched."""
    from fx_assets.forecasting.joint.tonight import groups_of
    from fx_assets.forecasting.joint.words import newest
    from fx_assets.storage.lake_rows import ALL

    settings = get_settings()
    groups = [name for _, name in groups_of(catalog_of(settings))]
    if not groups:
        fail("no two pairs share kind of price, calendar and a currency: there is nothing to join")
    chosen = group or groups[0]
    if chosen not in groups or (group is None and len(groups) > 1):
        said = (
            f"say one of {', '.join(groups)}"
            if group is None
            else f"unknown group {chosen!r}.{nearest(chosen, groups)}"
        )
        raise typer.BadParameter(said, param_hint="GROUP")
    found = newest(_stored(settings, f"joint/{chosen}", ALL, "fx-assets materialize, or wait for the night"))
    if found is None:
        fail(f"joint/{chosen} has no forecast yet: run fx-assets materialize")
    if horizon > len(found.horizons):
        raise typer.BadParameter(f"it has {len(found.horizons)} bars ahead", param_hint="--horizon")
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    _print_joint(found, horizon)


def _print_joint(found: JointForecast, horizon: int) -> None:
    from fx_assets.forecasting.joint.words import risk_rows

    at = found.horizons[horizon - 1]
    say(f"{found.group} from {found.data_as_of}, {horizon} bars ahead, {found.dates_used} whole dates drawn from")
    grid = _grid("correlation", *found.pairs)
    for name, row in zip(found.pairs, at.correlation, strict=True):
        grid.add_row(name, *(f"{value:+.2f}" for value in row))
    out.print(grid)
    heads, *rows = risk_rows(found, horizon)
    grid = _grid(*heads)
    for cells in rows:
        grid.add_row(*cells)
    out.print(grid)
    grid = _grid("level", "", "price", "touched", "ended beyond")
    for touch in found.touches:
        touched, beyond = touch.touched[horizon - 1], touch.ended_beyond[horizon - 1]
        grid.add_row(touch.pair, f"{touch.sigmas:+d} sigma", f"{touch.level:.5f}", f"{touched:.1%}", f"{beyond:.1%}")
    out.print(grid)
    for text in found.notes:
        say(text)


def _fans(settings: Settings, rows: pa.Table, pair: str, frequency: str) -> bytes:
    """The champion's newest forecasts that came due, with what came; ends where there are none."""
    import pyarrow.compute as pc

    from fx_assets.evaluation.scorecard.fans import champions_fans
    from fx_assets.storage.lake import Lake

    lake = Lake(settings.lake_path)
    forecasts = lake.read("forecasts", pair)
    forecasts = forecasts.filter(pc.equal(forecasts.column("frequency"), frequency))
    drawn = champions_fans(rows, forecasts, lake.read(f"bars/{frequency}", pair))
    if drawn is None:
        fail(f"no price has come yet for a forecast of {pair} that counts: there is nothing to draw")
    return drawn


def _stored(settings: Settings, table: str, pair: str, remedy: str) -> pa.Table:
    """Rows of a table; ends where there are none."""
    from fx_assets.storage.errors import StorageError
    from fx_assets.storage.lake import Lake

    try:
        found = Lake(settings.lake_path).find(table, pair)
    except (StorageError, OSError) as error:
        fail(str(error))
    if found is None:
        fail(f"{table} has nothing{'' if pair == 'ALL' else f' for {pair}'} yet: run {remedy}")
    return found


def _write(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}")
    note(f"drawn into {path}")


def _grid(*heads: str) -> Table:
    from rich.table import Table

    words = {"pair", "model", "", "verdict", "location", "volatility", "correlation", "level"}
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in words else "right")
    return table


def _styled(verdict: str) -> str:
    return f"[{_STYLES[verdict]}]{verdict}[/]" if verdict in _STYLES else verdict


def _per_cent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * (ratio - 1):+.2f} %"


def _probability(value: float | None) -> str:
    return "" if value is None else "< .001" if value < 0.001 else f"{value:.3f}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: Any) -> str:
    return "" if value is None else f"{value:.0%}"
