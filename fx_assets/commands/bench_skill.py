"""`bench skill`: the project's volatility models and ranges against the field's, walked forward over years."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fx_assets.commands.bench import progress
from fx_assets.commands.terminal import JsonOption, PairsOption, catalog_of, fail, note, out, print_json, say
from fx_assets.settings import environment, get_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fx_assets.evaluation.skill.bench import Hourly, Result
    from fx_assets.evaluation.skill.comparisons import Comparison
    from fx_assets.evaluation.skill.figures import Figures
    from fx_assets.evaluation.skill.tables import Scored

_PAIR = re.compile(r"[A-Z]{6}")
_MET = {True: "met", False: "not met", None: "too little data"}
_STYLES = {True: "green", False: "red", None: "yellow"}


def skill(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with OANDA's hourly files, or with oanda_h1; $FX_SAMPLE_DATA where not given"),
    ] = None,
    pairs: PairsOption = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A trial: two pairs, tests from 2022 on, no OANDA; not the protocol")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Walk the project's models forward from 2012 on beside constant volatility, EWMA, GARCH-t, EGARCH-t and HAR.

    A few minutes on one core. Every forecast is of rows that nothing was fitted to or chosen on.
    """
    from fx_assets.evaluation.skill.bench import QUICK_PAIRS, Task, run
    from fx_assets.evaluation.skill.worlds import ECB_PAIRS

    settings = get_settings()
    chosen = _pairs(pairs) or (QUICK_PAIRS if quick else ECB_PAIRS)
    oanda = None if quick else _folder(data)
    try:
        task = Task(settings, catalog_of(settings).features, chosen, oanda, quick)
        with progress("skill") as start:
            result = run(task, start)
    except ValueError as error:
        fail(str(error))
    if as_json:
        print_json(result.document())
    else:
        print_result(result)


def print_result(result: Result) -> None:
    """The tables, and the aims beside what came out."""
    _print_scored(result.daily)
    if result.book is not None:
        book = result.book
        say(
            f"book of {', '.join(book.pairs)} in {book.account}, joint simulation, {len(book.held)} days: loss beyond "
            f"1 % VaR on {book.held.mean():.2%} of days, of the book turned round on {book.turned.mean():.2%}"
        )
        say("")
    if result.realised is not None:
        _print_scored(result.realised)
    if result.hourly is not None:
        _print_hourly(result.hourly)
    title = f"Aims, {result.daily.headline}"
    aims = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    for heading in ("asked", "found", ""):
        aims.add_column(heading, overflow="fold")
    for aim in result.aims:
        aims.add_row(aim.asked, aim.found, f"[{_STYLES[aim.met]}]{_MET[aim.met]}[/]")
    out.print(aims)
    others = {model: result.daily_aims(model) for model in result.daily.said}
    counts = ", ".join(f"{model} {sum(aim.met is True for aim in found)}" for model, found in others.items())
    say(f"met of the {len(others[result.daily.headline])} that are about daily forecasts of single pairs: {counts}")
    if result.task.quick:
        say("quick: few years, not the protocol", style="yellow")


def _pairs(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    chosen = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not chosen or not all(_PAIR.fullmatch(pair) for pair in chosen):
        raise typer.BadParameter(f"expected pairs such as EURUSD,USDJPY, got {text!r}", param_hint="--pairs")
    return chosen


def _folder(data: Path | None) -> Path | None:
    from fx_assets.evaluation.skill.worlds import OANDA_FOLDER, oanda_folder

    where = environment().get("FX_SAMPLE_DATA")
    given = data or (Path(where) if where else None)
    if given is None:
        note("no OANDA files: give --data, or set FX_SAMPLE_DATA, for bars with realised variance and hourly ranges")
        return None
    found = oanda_folder(given)
    if found is None and data is not None:
        message = f"{data} has no files such as EUR_USD_H1.csv.xz, nor has {data / OANDA_FOLDER}"
        raise typer.BadParameter(message, param_hint="--data")
    if found is None:
        note(f"no OANDA files in {given / OANDA_FOLDER}: without bars of realised variance and hourly ranges")
    return found


def _print_scored(scored: Scored) -> None:
    first, last = scored.dates
    origins = max(row.origins for row in scored.rows.values())
    say(
        f"{scored.world.name}: {', '.join(scored.pairs)}; {origins} daily origins a pair from {first} to {last}; all "
        f"fitted anew {scored.folds} times, embargo {max(scored.plan.steps)} bars"
    )
    say("Losses: difference from the benchmark's, below 0 is better, and its one-sided p value (Diebold-Mariano, gains")
    say("averaged over pairs by date). Ranges and scores of ranges: after 500 origins of warm-up.")
    parts = {f"{scored.headline}, {name}": row for name, row in scored.parts.items()}
    out.print(_losses({**scored.rows, **parts}))
    out.print(_ranges({**scored.rows, **parts}))
    _print_refusals(scored)
    say("")


def _print_refusals(scored: Scored) -> None:
    for reference, by_pair in scored.notes.items():
        said = ", ".join(f"{pair} {len(notes)}" for pair, notes in by_pair.items())
        say(f"{reference}: EWMA-t stands in at origins of so many of {scored.folds} folds (--json says why): {said}")


def _losses(rows: Mapping[str, Figures]) -> Table:
    table = _table(
        "Losses one day ahead",
        "CRPS of\nconstant vol",
        "CRPS less\nGARCH-t",
        "CRPS less\nEGARCH-t",
        "QLIKE less\nGARCH-t",
        "80 % score\nless GARCH-t",
        "90 % score\nless GARCH-t",
    )
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row.walk.ratio:.4f}",
            _relative(row.garch),
            _relative(row.egarch),
            f"{row.qlike.difference:+.4f}{_p(row.qlike)}" if row.qlike.difference else "",
            *(_relative(found) for found in row.scores.values()),
        )
    return table


def _ranges(rows: Mapping[str, Figures]) -> Table:
    steps = sorted({horizon for row in rows.values() for _, horizon in row.coverage})
    names = {step: "1 day" if step == 1 else f"{step} days" for step in steps}
    table = _table(
        "Ranges of 80 % and 90 %: share held; beyond the 1 % value at risk",
        *(names[step] for step in steps),
        "worst 500",
        "1 % below",
        "1 % above",
    )
    for name, row in rows.items():
        table.add_row(
            name,
            *(_shares(row.coverage[mass, step] for mass in (80, 90)) for step in steps),
            _shares(row.worst_stretch[mass] for mass in (80, 90)),
            f"{row.lower:.2%}",
            f"{row.upper:.2%}",
        )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _print_hourly(hourly: Hourly) -> None:
    say("Hourly 80 % ranges by hour of New York, OANDA, over all pairs: share held")
    cells = [f"{hour:02d} {share:.3f}" for hour, (share, _) in hourly.by_hour.items()]
    for at in range(0, len(cells), 12):
        say("  " + "  ".join(cells[at : at + 12]))
    say(f"  of a single pair furthest off: {hourly.worst}")
    say("")


def _relative(found: Comparison) -> str:
    return f"{found.difference:+.2%}{_p(found)}" if found.difference else ""


def _p(found: Comparison) -> str:
    return "" if math.isnan(found.p_value) else f" {found.p_value:.3f}"


def _shares(values: Iterable[float]) -> str:
    return "  ".join("-" if math.isnan(value) else f"{value:.3f}".removeprefix("0") for value in values)
