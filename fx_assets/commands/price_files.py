"""`convert`, `ingest` and `export`: price files in, price files out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from fx_assets.commands.price_reports import converted, ingested, ingested_lines, plain, typed
from fx_assets.commands.source_files import absolute, check_files, keys_of, source_of
from fx_assets.commands.terminal import JsonOption, catalog_of, chosen_pair, err, fail, note, print_json, say
from fx_assets.settings import Settings, get_settings
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import PairSpec

if TYPE_CHECKING:
    from fx_assets.timegrid.calendars import CalendarName

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="Files, folders or quoted globs, as the vendor made them", show_default=False),
]
ClockOption = Annotated[
    str | None, typer.Option("--clock", help="Clock of the times: an IANA zone, +02:00, new_york+7 or histdata")
]
PairOption = Annotated[str, typer.Option("--pair", help="Currency pair, e.g. EURUSD")]

_PARQUET = ("", ".parquet", ".pq")


def convert(
    files: Files,
    pair: PairOption,
    kind: Annotated[str, typer.Option("--source", help="Kind of source, e.g. histdata, metatrader or csv")],
    target: Annotated[Path, typer.Option("--out", help="Parquet file to write")],
    clock: ClockOption = None,
    columns: Annotated[str | None, typer.Option(help="Of csv and parquet, ours=theirs: time=Date,close=Price")] = None,
    points: Annotated[float | None, typer.Option(help="Prices are in points of this size, e.g. 0.00001")] = None,
    settings_given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Other keys: symbol, resolution, side, options.NAME; repeatable"
        ),
    ] = None,
    calendar: Annotated[
        str | None, typer.Option(help="When the market is open: fx, 24x7 or target; the pair's or the source's own")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read price files of any source to one clean Parquet file in UTC, and report what was met."""
    from fx_assets.prices.convert import convert as read
    from fx_assets.prices.sources.base import SourceError

    settings = get_settings()
    pair = _pair_name(pair)
    given = keys_of(clock=clock, columns=columns, points=points, others=settings_given or [])
    chosen = source_of(kind, files, given)
    _check_target(target, files)
    if target.suffix.lower() not in _PARQUET:
        message = f"{target}: convert writes Parquet; name it {target.with_suffix('.parquet').name}"
        raise typer.BadParameter(message, param_hint="--out")
    spec = _configured(settings, pair)
    days = _calendar(calendar, kind, spec)
    check_files(files)
    try:
        report = read(
            chosen,
            pair,
            target,
            settings=settings,
            calendar=days,
            now=datetime.now(UTC),
            log=note,
            plausible=None if spec is None else spec.plausible_range,
        )
    except (SourceError, ValueError, OSError) as error:
        fail(typed(str(error)))
    if as_json:
        print_json({**report.to_json(), "out": str(target)})
    else:
        for line in converted(report, target):
            say(line)


def ingest(
    files: Files,
    pair: PairOption,
    kind: Annotated[
        str | None, typer.Option("--source", help="Kind of source, e.g. histdata; the pair's own where not given")
    ] = None,
    clock: ClockOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read price files into the lake, as a Dagster run: raw prices and the bars made of them."""
    settings = get_settings()
    catalog = catalog_of(settings)
    name = chosen_pair(catalog, pair)
    spec = catalog.pairs[name]
    source_of(kind or spec.source.kind, files, keys_of(clock=clock))
    check_files(files)
    from fx_assets.commands.night import run_ingest
    from fx_assets.orchestration import keys
    from fx_assets.prices.schema import table_of
    from fx_assets.prices.update import form_of
    from fx_assets.storage.lake import Lake

    raw = keys.RAW.to_user_string()
    result, _ = run_ingest(settings, name, [str(absolute(path)) for path in files], kind or "", clock or "", err)
    failed = [plain(reason) for reason in result.failed]
    report: dict[str, Any] = {}
    if any(f"{raw}[{name}]" in done for done in (result.computed, result.reused)):
        state = Lake(settings.lake_path).state(table_of(form_of(spec).kind), name, asset=raw)
        assert state is not None, "a run that succeeded has committed"
        report = ingested(state, reused=f"{raw}[{name}]" in result.reused)
    for reason in failed:
        note(reason, style="red")
    if failed and not report and kind is None:
        own = f"{spec.source.kind!r}, the source in configs/pairs/{name}.yaml"
        note(f"the files were read as {own}; if they are another vendor's, say --source KIND", style="red")
    if as_json:
        print_json({"pair": name, **report, "computed": result.computed, "reused": result.reused, "failed": failed})
    else:
        for line in ingested_lines(name, report) if report else ():
            say(line)
        say(result.summary)
    raise typer.Exit(1 if failed else 0)


def export(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table of the lake, e.g. bars/1h or prices/raw")],
    pair: Annotated[str, typer.Option("--pair", help="Currency pair, e.g. EURUSD; or series, e.g. CNN")],
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="csv, npz, parquet or arrow; where not given as --out ends, else csv"),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="File to write; TABLE-PAIR.FORMAT where not given")
    ] = None,
    versions: Annotated[
        bool, typer.Option("--versions", help="Every version of each row, not only what is known now")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the rows of one pair to a file for other programs."""
    from fx_assets.commands.exporting import FORMATS, write
    from fx_assets.storage.errors import NoData, StorageError
    from fx_assets.storage.lake import Lake
    from fx_assets.storage.lake_rows import check_pair, check_table

    settings = get_settings()
    ending = "" if target is None else target.suffix.lower().removeprefix(".")
    chosen = file_format or (ending if ending in FORMATS else "csv")
    if chosen not in FORMATS:
        message = f"unknown format {chosen!r}.{nearest(chosen, FORMATS)}"
        raise typer.BadParameter(message, param_hint="--format")
    if ending in FORMATS and ending != chosen:
        raise typer.BadParameter(f"{target} does not end like the format {chosen!r}", param_hint="--out")
    name, lake = pair.strip().upper(), Lake(settings.lake_path)
    for check, text, where in ((check_table, table, "TABLE"), (check_pair, name, "--pair")):
        try:
            check(text)
        except ValueError as error:
            expected = "bars/1h or prices/raw" if where == "TABLE" else "EURUSD"
            raise typer.BadParameter(f"{text!r:.80}: expected one such as {expected}", param_hint=where) from error
    path = target or Path(f"{table.replace('/', '-')}-{name}.{chosen}")
    _check_target(path, [])
    try:
        rows = write(lake, table, name, path, chosen, versions=versions)
    except NoData:
        fail(_nothing(lake, table, name))
    except (StorageError, ValueError, OSError) as error:
        fail(str(error))
    if as_json:
        print_json({"table": table, "pair": name, "format": chosen, "rows": rows, "out": str(path)})
    else:
        say(f"{rows:,} rows of {table} for {name} in {path}")


def _nothing(lake: Any, table: str, pair: str) -> str:
    """Why there is nothing to export, and what there is."""
    pairs = lake.pairs(table)
    if pairs:
        return f"{table} has no rows of {pair}, only of {', '.join(pairs)}; run fx-assets materialize --pairs {pair}"
    tables = sorted(str(log.parent.relative_to(lake.root)) for log in lake.root.glob("**/_delta_log"))
    if tables:
        return f"the lake has no table {table!r}.{nearest(table, tables)} Its tables: {', '.join(tables)}"
    return f"the lake {lake.root} is empty: run fx-assets ingest or fx-assets materialize first"


def _pair_name(pair: str) -> str:
    name = pair.strip().upper()
    if len(name) != 6 or not name.isalpha() or not name.isascii():
        raise typer.BadParameter(f"{pair!r}: expected two currencies such as EURUSD", param_hint="--pair")
    return name


def _configured(settings: Settings, pair: str) -> PairSpec | None:
    """What the configuration knows of the pair; files can be converted without one."""
    if not (settings.configs / "pairs").is_dir():
        return None
    catalog = catalog_of(settings)
    return catalog.pairs.get(pair) or catalog.disabled.get(pair)


def _calendar(asked: str | None, kind: str, spec: PairSpec | None) -> CalendarName:
    """The calendar asked for, else that of a pair that never closes, else that of the source."""
    from fx_assets.prices.sources.base import source
    from fx_assets.timegrid.calendars import CalendarName

    known: tuple[CalendarName, ...] = get_args(CalendarName)
    for name in known:
        if name == (asked or ("24x7" if spec is not None and spec.calendar == "24x7" else source(kind).calendar)):
            return name
    raise typer.BadParameter(f"unknown calendar {asked!r}.{nearest(str(asked), known)}", param_hint="--calendar")


def _check_target(target: Path, files: list[Path]) -> None:
    if target.is_dir():
        raise typer.BadParameter(f"{target} is a folder; name a file in it", param_hint="--out")
    if target.exists() and not target.is_file():
        raise typer.BadParameter(f"{target} is no ordinary file", param_hint="--out")
    if any(target.absolute() == absolute(path) for path in files):
        raise typer.BadParameter(f"{target} is one of the files to read; choose another", param_hint="--out")
