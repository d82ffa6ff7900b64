"""`fx-assets backtest`: what a model's forecasts would have earned on a pair, after everything that trading costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, fail, out, print_json, say
from fx_assets.settings import Settings, get_settings
from fx_assets.specs.problems import SpecError, nearest

if TYPE_CHECKING:
    from fx_assets.evaluation.backtest.engine import BacktestResult
    from fx_assets.evaluation.backtest.luck import Luck
    from fx_assets.evaluation.backtest.sizing import FixedNotional, VolatilityTarget
    from fx_assets.specs.financing import FinancingCatalog
    from fx_assets.specs.loader import Catalog
    from fx_assets.specs.schema import ModelSpec, PairSpec


def backtest(
    model: Annotated[str, typer.Argument(help="Model id, e.g. usdjpy")],
    pair: Annotated[str, typer.Option(help="Currency pair, e.g. EURUSD")],
    account: Annotated[str, typer.Option(help="Currency that profit is counted in")] = "USD",
    capital: Annotated[float, typer.Option(min=0, help="What the account begins with, in its currency")] = 100_000,
    size: Annotated[
        str, typer.Option(help="Worth of a full position in account currency, or its volatility a year, e.g. 10%")
    ] = "100000",
    leverage: Annotated[float, typer.Option(min=0, help="The most a position may be worth, times the equity")] = 10,
    lot: Annotated[float, typer.Option(min=0, help="Units of the base currency that positions are multiples of")] = 1,
    picture: Annotated[Path | None, typer.Option(help="Write equity and drawdown to this PNG file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a model's out-of-sample forecasts of a pair: fills at bid or ask, commission, financing, one account."""
    from fx_assets.evaluation.backtest.sizing import Sizing
    from fx_assets.specs.financing import load_financing
    from fx_assets.storage.errors import StorageError

    currency = account.strip().upper()
    if not (len(currency) == 3 and currency.isalpha()):
        raise typer.BadParameter(f"{account!r}: expected a currency such as USD", param_hint="--account")
    if not capital > 0:
        raise typer.BadParameter("expected more than 0", param_hint="--capital")
    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pair(catalog, pair)
    spec = _model(catalog, model, name)
    try:
        financing = load_financing(settings.configs)
        financing.require_sound()
    except SpecError as error:
        fail(str(error))
    rule = _rule(size, spec, catalog.pairs[name])
    try:
        sizing = Sizing(rule, leverage=leverage, lot=lot)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        result, version, luck = _run(settings, spec, catalog.pairs[name], financing, sizing, currency, capital)
    except (StorageError, ValueError) as error:
        fail(str(error))
    if picture is not None:
        _draw(picture, result, f"{name}  {spec.model_id}, back-test")
    if as_json:
        print_json(_document(spec, version, result, luck))
    else:
        _print(spec, version, result, luck)


def _run(
    settings: Settings,
    spec: ModelSpec,
    pair: PairSpec,
    financing: FinancingCatalog,
    sizing: Any,
    account: str,
    capital: float,
) -> tuple[BacktestResult, str, Luck]:
    """The back-test, the version whose forecasts it trades, and the luck of the choice."""
    from fx_assets.evaluation.backtest import series
    from fx_assets.evaluation.backtest.account import Terms, account_rates, carry_of
    from fx_assets.evaluation.backtest.engine import run
    from fx_assets.evaluation.backtest.fills import quotes
    from fx_assets.evaluation.backtest.luck import luck_of
    from fx_assets.storage.control import Control
    from fx_assets.storage.lake import Lake

    lake, control = Lake(settings.lake_path), Control(settings.control_database)
    try:
        scope = pair.pair if spec.scope == "pair" else "panel"
        forecasts = series.stored_forecasts(lake, pair.pair, spec.model_id, control.versions(spec.model_id, scope))
        trials, tried = control.trials(pair.pair), control.series(pair.pair)
    finally:
        control.close()
    bars = series.stored_bars(lake, pair.pair, spec.frequency)
    quoted = quotes(bars, spread=pair.costs.spread_pips * pair.pip)
    crosses = series.stored_crosses(lake, pair.pair, account, spec.frequency, bars.ends)
    swaps = financing.rates(pair.pair)
    terms = Terms(
        currency=account,
        capital=capital,
        rates=account_rates(pair.pair, account, quoted.marks, crosses),
        commission_per_million=pair.costs.commission_per_million,
        carry=None
        if swaps is None
        else carry_of(pair.pair, pair.pip, bars.dates, quoted.marks, swaps, financing.holidays),
    )
    signals = series.signals_of(forecasts, quoted, terms.commission_per_million)
    yearly = series.bars_a_year(spec.frequency, pair.calendar)
    result = run(bars, quoted, signals, sizing, terms, bars_a_year=yearly)
    return result, forecasts.version, luck_of(result.returns, trials, tried, model_id=spec.model_id)


def _model(catalog: Catalog, model_id: str, pair: str) -> ModelSpec:
    if model_id not in catalog.models and f"models/{model_id}" not in catalog.broken:
        raise typer.BadParameter(f"unknown model {model_id!r}.{nearest(model_id, catalog.models)}", param_hint="MODEL")
    try:
        spec = catalog.model(model_id)
    except SpecError as error:
        fail(str(error))
    if pair not in catalog.pairs_of(spec):
        own = ", ".join(catalog.pairs_of(spec))
        raise typer.BadParameter(f"{model_id} forecasts {own}, not {pair}", param_hint="--pair")
    return spec


def _rule(size: str, spec: ModelSpec, pair: PairSpec) -> FixedNotional | VolatilityTarget:
    """`100000` is a notional, `10%` a volatility a year. Raises `typer.BadParameter` for anything else."""
    from fx_assets.evaluation.backtest.series import bars_a_year
    from fx_assets.evaluation.backtest.sizing import FixedNotional, VolatilityTarget

    text = size.strip().replace(",", "").replace("_", "")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    if not number > 0:
        raise typer.BadParameter(f"{size!r}: expected a value such as 100000 or a volatility such as 10%")
    if text.endswith("%"):
        return VolatilityTarget(number / 100, bars_a_year(spec.frequency, pair.calendar))
    return FixedNotional(number)


def _draw(path: Path, result: BacktestResult, title: str) -> None:
    from fx_assets.evaluation.backtest.picture import equity_chart

    try:
        path.write_bytes(equity_chart(result, title))
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def _document(spec: ModelSpec, version: str, result: BacktestResult, luck: Luck) -> dict[str, Any]:
    from fx_assets.evaluation.backtest.summary import document

    return {
        "pair": result.pair,
        "model_id": spec.model_id,
        "model_version": version,
        "account": result.currency,
        "financing": result.summary.financing_said,
        "summary": document(result.summary),
        "luck": {**vars(luck), "notes": list(luck.notes)},
        "assumptions": list(result.assumptions),
        "trades": _rows(result.trades.to_pylist()),
        "equity": _rows(result.equity.select(["time", "position", "cash", "equity", "drawdown"]).to_pylist()),
    }


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in rows
    ]


def _print(spec: ModelSpec, version: str, result: BacktestResult, luck: Luck) -> None:
    from rich.table import Table

    summary, currency = result.summary, result.currency
    say(
        f"{result.pair} {spec.model_id}, version {version}: {summary.bars:,} bars from {summary.first:%Y-%m-%d} to "
        f"{summary.last:%Y-%m-%d}, {summary.financing_said}"
    )
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    shown.add_column(overflow="fold")
    for cells in (
        ("price profit", f"{summary.price_profit:,.2f}", currency),
        ("spread", f"{-summary.spread_cost:,.2f}", f"{summary.trades:,} trades, {summary.round_trips:,} round trips"),
        ("commission", f"{-summary.commission:,.2f}", ""),
        ("financing", f"{summary.financing:,.2f}", summary.financing_said),
        ("net profit", f"{summary.net_profit:,.2f}", f"on {summary.capital:,.0f} {currency}"),
        ("return a year", _share(summary.return_a_year), f"volatility {_share(summary.volatility_a_year)}"),
        ("Sharpe ratio a year", _number(summary.sharpe_a_year), f"{summary.independent_bars:,} independent bars"),
        ("deepest drawdown", _share(summary.max_drawdown), f"on {summary.max_drawdown_at:%Y-%m-%d}"),
        ("turnover a year", f"{summary.turnover_a_year:,.1f}", "times the equity"),
        ("hit rate", _share(summary.hit_rate), f"of {summary.bars_held:,} bars with a position"),
        ("break-even hit rate", _share(summary.break_even_hit_rate), "with gains, losses and costs as they were"),
        ("deflated Sharpe ratio", _number(luck.probability), f"probability of skill, of {luck.trials:,} trials"),
        ("PBO", _number(luck.overfitting), "probability that the search chose by luck"),
    ):
        shown.add_row(*cells)
    out.print(shown)
    for said in (*result.assumptions, *luck.notes):
        say(f"- {said}")


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
