"""Feature sets in real Dagster runs: an asset a stage, sets that wait for other pairs, series that have to be there."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pyarrow.compute as pc
import pytest

from fx_assets.commands.night import NightResult
from fx_assets.features.sets import stage_table, steps, table_name
from fx_assets.orchestration import nights
from fx_assets.settings import project_root
from tests.support.csv_prices import KIND, trading_days, write_prices
from tests.support.whole_night import FEATURES, WholeNight, runs

PAIRS = ("EURUSD", "USDJPY")
STRONG = """\
name: strong
stages:
  - stage: indicators
    options:
      returns: [1]
      strength: {periods: [1, 5]}
      cross: {pairs: [USDJPY], returns: [1]}
"""
MOODY = """\
name: moody
stages:
  - stage: indicators
    options:
      returns: [1]
      exog: {series: [fear_greed/CNN], changes: [1]}
  - stage: tsfresh
    options: {window: 20, preset: minimal}
  - stage: featuretools
    enabled: false
    options: {groups: [week]}
"""


def market(night: WholeNight, *, until: int | None = None) -> list[date]:
    """Both pairs with prices of some months, less the last `until`."""
    days = trading_days(datetime.now(UTC))[-400:]
    for pair in PAIRS:
        night.pair(pair, KIND)
        write_prices(night.settings, pair, days[: len(days) if until is None else -until])
    return days


def feature_set(night: WholeNight, text: str) -> None:
    """The only set of the installation."""
    for path in (night.settings.configs / "features").glob("*.yaml"):
        path.unlink()
    (night.settings.configs / "features" / f"{text.split()[1]}.yaml").write_text(text)


def mood(night: WholeNight) -> None:
    """Fear and greed switched on, with three values in its inbox."""
    folder = night.settings.configs / "exog"
    folder.mkdir()
    shutil.copyfile(project_root() / "configs" / "exog" / "fear_greed.yaml", folder / "fear_greed.yaml")
    text = (folder / "fear_greed.yaml").read_text().replace("enabled: false", "enabled: true")
    (folder / "fear_greed.yaml").write_text(text)
    inbox = night.settings.inbox_path / "fear_greed"
    inbox.mkdir(parents=True)
    days = trading_days(datetime.now(UTC))[-30:-27]
    lines = [f"{day},{value}.0,neutral" for day, value in zip(days, (41, 52, 44), strict=True)]
    (inbox / "cnn.csv").write_text("\n".join(["Date,Fear Greed,Rating", *lines]) + "\n")


def test_the_graph_is_the_pipeline_of_the_config(on_csv: WholeNight) -> None:
    market(on_csv)
    mood(on_csv)
    feature_set(on_csv, MOODY)
    specs = {spec.key.to_user_string(): spec for spec in on_csv.definitions().resolve_all_asset_specs()}
    found = {name for name in specs if name.startswith("features/")}
    assert found == {"features/moody", "features/moody/indicators", "features/moody/tsfresh"}

    def before(name: str) -> set[str]:
        return {dep.asset_key.to_user_string() for dep in specs[name].deps}

    assert before("features/moody") == found - {"features/moody"}
    assert before("features/moody/indicators") == {"bars/1d", "exog/fear_greed"}
    assert before("features/moody/tsfresh") == {"bars/1d"}


def test_a_set_that_reads_other_pairs_waits_for_their_bars(on_csv: WholeNight) -> None:
    days = market(on_csv, until=1)
    feature_set(on_csv, STRONG)
    catalog = on_csv.catalog
    assert catalog.broken == {}
    assert catalog.crossing == {"strong"}
    waves = nights.waves(catalog, days[-1], catalog.pairs)
    assert [[launch.job for launch in wave] for wave in waves] == [
        [nights.PAIRS_JOB] * 2,
        [nights.CROSSING_JOB] * 2,
        [nights.FRESHNESS_JOB],
    ]
    assert [launch.wave for wave in waves for launch in wave] == [1, 1, 2, 2, 3]
    assert on_csv.run().failed == []
    # A new day for both: the first pair's features are made when the second has its bar, and so never made again.
    for pair in PAIRS:
        write_prices(on_csv.settings, pair, days)
    assert on_csv.run().failed == []
    again = on_csv.run()
    assert [name for name in again.computed if name.startswith("features/")] == []
    spec = catalog.features["strong"]
    table = on_csv.tiny.lake.read(table_name(spec), "EURUSD")
    other = on_csv.tiny.lake.read("bars/1d", "USDJPY").column("close").to_pylist()
    assert table.column("trading_date")[-1].as_py() == days[-1]
    assert table.column("cross_usdjpy_return_1")[-1].as_py() == pytest.approx(
        1e4 * pc.ln(other[-1] / other[-2]).as_py(), abs=1e-9
    )


def test_exogenous_values_have_to_be_there_and_are_joined_as_of(on_csv: WholeNight) -> None:
    market(on_csv)
    mood(on_csv)
    feature_set(on_csv, MOODY)
    assert on_csv.catalog.broken == {}
    result = on_csv.run()
    assert "fear_greed/CNN has no values yet" in result.failed[0], result.failed
    outcomes = on_csv.launch(("exog_fear_greed", "CNN"), (nights.PAIRS_JOB, "EURUSD"))
    found = NightResult()
    found.record("features", outcomes[-1])
    assert found.failed == []
    step = steps(on_csv.catalog.features["moody"])[0]
    table = on_csv.tiny.lake.read(stage_table(on_csv.catalog.features["moody"], step), "EURUSD")
    level = next(column.name for column in step.columns if column.sources == ("exog/fear_greed/CNN",))
    values = [value for value in table.column(level).to_pylist() if value == value]
    assert values[:4] == [41.0, 52.0, 44.0, 44.0]
    # CNN's value of a date is known at 16:30 New York: before its bar ends, and hours after the fixing of that date.
    moment = table.column("trading_date")[table.num_rows - len(values)].as_py()
    assert moment == trading_days(datetime.now(UTC))[-29]
    run = runs(on_csv)[-1]
    lineage = run.materialized["features/moody/indicators"]["dagster/column_lineage"]
    assert lineage.deps_by_column[level][0].asset_key == dg.AssetKey(["exog", "fear_greed"])
    assert run.checks["features/moody", "no_look_ahead"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("cross: {pairs: [USDJPX], returns: [1]}", "names USDJPX, which has no 1d bars. Did you mean 'USDJPY'?"),
        ("exog: {series: [fear_greed/CNM], changes: [1]}", "no exogenous series 'fear_greed/CNM'"),
        ("parkinson: [5]", "needs high, low, which a fixing does not have"),
        ("sessions: true", "bars of 1d all end at one hour of the day"),
    ],
    ids=["pair", "series", "fixing", "sessions"],
)
def test_what_the_installation_does_not_have_is_said_by_validate(
    options: str, message: str, on_csv: WholeNight
) -> None:
    market(on_csv)
    feature_set(on_csv, f"name: odd\nstages:\n  - stage: indicators\n    options: {{{options}}}\n")
    (problem, *_) = on_csv.catalog.broken["features/odd"]
    assert message in str(problem)


def test_a_spike_taken_back_leaves_rows_before_that_as_they_were(on_csv: WholeNight) -> None:
    days = market(on_csv, until=3)
    feature_set(on_csv, FEATURES)
    spec = on_csv.catalog.features["short"]
    assert on_csv.run().failed == []
    before = on_csv.tiny.lake.read(table_name(spec), "EURUSD")
    file = on_csv.settings.configs / "prices" / "EURUSD.csv"
    lines = file.read_text().splitlines()
    write_prices(on_csv.settings, "EURUSD", days)
    later = file.read_text().splitlines()
    day, close = lines[-40].split(",")
    later[len(lines) - 40] = f"{day},{float(close) * 1.01}"
    file.write_text("\n".join(later) + "\n")
    assert on_csv.run().failed == []
    after = on_csv.tiny.lake.read(table_name(spec), "EURUSD")
    assert after.num_rows == before.num_rows + 3
    assert after.slice(0, before.num_rows).equals(before)
    assert timedelta(0) <= after.column("known_at")[-1].as_py() - after.column("end")[-1].as_py()
