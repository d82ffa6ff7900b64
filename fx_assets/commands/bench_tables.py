"""The result of `bench exchange` for people: the data, the table, and what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from fx_assets.commands.terminal import out, say

if TYPE_CHECKING:
    from fx_assets.evaluation.exchange.bench import Result
    from fx_assets.evaluation.exchange.rows import Row

_SHOWN_RANKS = 5


def print_result(result: Result) -> None:
    """Sanity of the data first, then the table, then its footer."""
    _print_sanity(result)
    _print_rows(result)
    _print_footer(result)


def _print_sanity(result: Result) -> None:
    found, split = result.sanity, result.split
    rows = tuple(split.rows(part) for part in ("train", "validation", "test"))
    say(f"{split.table.name}: {found.rows} rows, {rows[0]} / {rows[1]} / {rows[2]} for training, validation and test")
    if found.bad_ticks:
        lines: dict[int, list[str]] = {}
        for tick in found.bad_ticks:
            lines.setdefault(tick.line, []).append(f"{tick.currency} {tick.percent:+.1f} %")
        named = "; ".join(f"line {line}: {', '.join(cells)}" for line, cells in lines.items())
        say(f"bad ticks: {len(found.bad_ticks)} cells, {found.bad_ticks_in_test} of them in the test ({named})")
    else:
        say("bad ticks: none")
    from fx_assets.evaluation.exchange.sanity import BAD_TICK_RULE

    say(f"  the rule: {BAD_TICK_RULE}")
    say(f"frozen rows, on which nothing changed: {len(found.frozen)}, {found.frozen_in_test} of them in the test")
    say(f"dates: {found.dates}")
    say("nothing is repaired: the protocol scores what the file says")
    say("")


def _print_rows(result: Result) -> None:
    horizons = result.task.horizons
    windows = {horizon: len(result.split.origins("test", horizon)) for horizon in horizons}
    shown = Table(box=None, pad_edge=False, title="MSE / MAE of z-scored levels, ± over seeds", title_justify="left")
    shown.add_column("model", overflow="fold")
    for horizon in horizons:
        shown.add_column(f"{horizon}\n{windows[horizon]} windows", justify="right", no_wrap=True)
    shown.add_column("mean", justify="right", no_wrap=True)
    shown.add_column("independent\nwindows", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for row in result.rows:
        name = f"{row.model} (published)" if row.published else row.model
        independent = " / ".join(str(count) for count in row.independent_windows.values())
        shown.add_row(name, *(_cell(row, horizon) for horizon in horizons), _mean(row), independent, _verdict(row))
    out.print(shown)
    say("")
    for row in result.rows:
        say(f"{row.model}: {row.note}")


def _print_footer(result: Result) -> None:
    choice, task = result.learned.choice, result.task
    say("")
    say(
        f"{choice.tried} configurations tried ({len(choice.ranking)} candidates at {len(task.horizons)} horizons), one "
        "chosen for all horizons on walk-forward folds of the rows before the test; MSE there over repeat-last's:"
    )
    for figure in choice.ranking[:_SHOWN_RANKS]:
        each = ", ".join(f"{horizon}: {ratio:.4f}" for horizon, ratio in figure.by_horizon.items())
        say(f"  {figure.candidate}: {figure.ratio:.4f} ({each})")
    say("the exhibit on other cuts, mean MSE against repeat-last's:")
    for cut in result.cuts:
        ours, walk = (sum(part.values()) / len(part) for part in (cut.recipe, cut.repeat_last))
        say(f"  {cut.name}: {ours:.3f} against {walk:.3f}{', loses' if cut.loses else ''}")
    compared = sum(seed == 0 for _, _, seed in result.learned.digests)
    if result.leaks:
        say(f"SEEN: with the test rows corrupted, these came out otherwise: {', '.join(result.leaks)}", style="red")
    else:
        say(
            "test rows unseen: all learned again with them corrupted, the choice and "
            f"{compared - 1} fits of the first seed are the same to the last bit"
        )
    if task.quick:
        say("quick: one epoch, one network; a trial of the command, not the protocol", style="yellow")
    if not task.fresh and not result.as_published:
        say("not the papers' table: their rows are left out", style="yellow")


def _cell(row: Row, horizon: int) -> str:
    if horizon not in row.mse:
        return ""
    digits = 3 if row.published else 4
    mse = f"{row.mse[horizon]:.{digits}f}"
    mae = f"{row.mae[horizon]:.{digits}f}" if horizon in row.mae else "-"
    spread = row.mse_spread.get(horizon, 0.0)
    return f"{mse} / {mae}" + (f"\n±{spread:.4f}  {row.mae_spread[horizon]:.4f}" if spread else "")


def _mean(row: Row) -> str:
    mse, mae = (sum(part.values()) / len(part) if part else None for part in (row.mse, row.mae))
    return f"{mse:.3f} / {'-' if mae is None else f'{mae:.3f}'}"


def _verdict(row: Row) -> str:
    if len(set(row.verdicts.values())) == 1:
        return row.verdict
    grouped: dict[str, list[str]] = {}
    for horizon, verdict in row.verdicts.items():
        grouped.setdefault(verdict, []).append(str(horizon))
    return "\n".join(f"{', '.join(horizons)}: {verdict}" for verdict, horizons in grouped.items())
