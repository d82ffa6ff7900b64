"""Models planted on stale prices: the ECB's fixings, and what OANDA quoted later on the same days. All prices are real.

What a planted model learns, it learns on the fixings before 2017; it is judged on those from then to the end of 2019.
"""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.certify import certify, current
from fx_assets.evaluation.judge import Forecasts, References, judged
from fx_assets.evaluation.scoring import observed_at, target_starts
from fx_assets.evaluation.skill.worlds import Hours, from_ecb
from fx_assets.forecasting.certificate import Certificate
from fx_assets.forecasting.scores import LIVE
from fx_assets.models.base import BasePredictor
from fx_assets.models.calibration import CALIBRATION, Calibration, fit_calibration
from fx_assets.models.inputs import PairHistory, history, windows
from fx_assets.models.manifest import Manifest
from fx_assets.models.params import dump_params
from fx_assets.models.ranges import Ranges
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.trading_dates import FRANKFURT, bar_end
from fx_assets.timegrid.windows import EvaluationWindow
from tests.forecasting.conftest import VERSION, manifest_of

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

# OANDA's files begin on 2016-01-07.
FIRST, LAST = date(2016, 1, 8), date(2019, 12, 30)
JUDGED_FROM = date(2017, 1, 1)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class Fixed:
    """A pair's reference rates: `bars` as they are stored, the `history` that models read, when each was `set_at`."""

    bars: pa.Table
    history: PairHistory

    @property
    def set_at(self) -> Times:
        """(n,) datetime64[us], UTC: 14:10 in Frankfurt."""
        return observed_at(self.history, self.bars)

    @property
    def y(self) -> Floats:
        """(n,): log return to the next fixing, NaN at the last."""
        return self.history.outcomes(np.arange(len(self.history)), (1,))[:, 0]

    @property
    def learned(self) -> NDArray[np.bool_]:
        """(n,): the rows that a planted model learns from."""
        before: NDArray[np.bool_] = self.history.trading_dates < np.datetime64(JUDGED_FROM)
        return before

    @property
    def rows(self) -> NDArray[np.int64]:
        """The origins that it is judged on."""
        return np.flatnonzero(~self.learned & np.isfinite(self.y))

    def quoted(self, hours: Hours, clock: time) -> tuple[Floats, Times]:
        """(n,) each: newest price of `hours` at `clock` in Frankfurt on each date, and when the market showed it."""
        ends = hours.starts + np.timedelta64(1, "h")
        moments = [datetime.combine(day, clock, FRANKFURT) for day in self.history.trading_dates.astype(object)]
        naive = np.array([moment.astimezone(UTC).replace(tzinfo=None) for moment in moments], dtype="datetime64[us]")
        at = np.searchsorted(ends, naive, side="right") - 1
        assert at.min() >= 0
        return hours.closes[at], ends[at]


def fixings(*pairs: str) -> dict[str, Fixed]:
    """Those of the ECB from `FIRST` to `LAST`."""
    found = {}
    for pair, table in from_ecb(pairs, first=FIRST).bars.items():
        bars = table.filter(pc.less_equal(table.column("trading_date"), pa.scalar(LAST)))
        found[pair] = Fixed(bars, history(pair, bars, calendar="target"))
    return found


def oanda(folder: Path, pair: str) -> Hours:
    """Hourly mid closes of a pair among the real price files."""
    with lzma.open(folder / "oanda_h1" / f"{pair[:3]}_{pair[3:]}_H1.csv.xz") as stream:
        rows = pl.read_csv(stream.read(), columns=["time", "mid_c"])
    starts = rows["time"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    return Hours(pair, starts.to_numpy(), rows["mid_c"].to_numpy())


def as_bars(bars: pa.Table) -> pa.Table:
    """The same prices said to be those of the evening, which they are not."""
    return bars.set_column(bars.column_names.index("kind"), "kind", pa.array(["bar"] * bars.num_rows))


def hourly(hours: Hours) -> pa.Table:
    """Bars of one hour, each known at its end."""
    ends = pa.array(hours.starts + np.timedelta64(1, "h")).cast(_UTC)
    return pa.table(
        {
            "time": pa.array(hours.starts).cast(_UTC),
            "end": ends,
            "known_at": ends,
            "kind": pa.array(["bar"] * len(hours.starts)),
            "close": pa.array(hours.closes),
        }
    )


def regressed(fixed: Fixed, moves: Floats) -> Floats:
    """(n,): the next fixing's return as `moves` (n,) foretell it, by the slope of the rows learned from."""
    x, y = moves[fixed.learned], fixed.y[fixed.learned]
    return np.asarray(float(x @ y / (x @ x)) * moves, dtype=np.float64)


def scored(
    fixed: Fixed, location: Floats, *, model: str = "planted", seen: Times | None = None, freshest: Floats | None = None
) -> pa.Table:
    """Rows of the scores table of a model that forecasts `location` (n,) with the width of its errors while it learned.

    `seen` (n,): the last instant of the market that it saw, the fixing itself if not given; `freshest` (n,): the price
    that the random walk repeats.
    """
    rows, learned = fixed.rows, fixed.learned
    errors = (fixed.y - location)[learned]
    scale, walk = (float(np.sqrt(np.mean(np.square(values)))) for values in (errors, fixed.y[learned]))
    forecasts = Forecasts(
        rows=rows,
        steps=(1,),
        location=location[rows, None],
        scale=np.full((len(rows), 1), scale),
        observed_until=(fixed.set_at if seen is None else seen)[rows],
    )
    return judged(
        fixed.history,
        forecasts,
        Ranges.from_calibration(Calibration.from_json(fit_calibration(np.abs(errors[:, None]) / scale))),
        References(np.full((len(rows), 1), walk), freshest=None if freshest is None else freshest[rows]),
        model_id=model,
        versions=[VERSION] * len(rows),
        folds=[LIVE] * len(rows),
    )


def still(fixed: Fixed, freshest: Floats | None = None) -> pa.Table:
    """The champion's scores: the last fixing repeated, or the freshest price (n,) where one is given."""
    location = np.zeros(len(fixed.history)) if freshest is None else np.log(freshest / fixed.history.closes)
    return scored(fixed, location, model="walk", freshest=freshest)


def seen_until(scores: pa.Table, fixed: Fixed, seen: Times) -> pa.Table:
    """The same scores of a model that saw the market until `seen` (n,)."""
    name = "observed_until"
    values = pa.array(seen[fixed.rows]).cast(scores.schema.field(name).type)
    return scores.set_column(scores.column_names.index(name), scores.schema.field(name), values)


def certified(scores: pa.Table, champion: pa.Table, fixed: Fixed, spec: ModelSpec | None = None) -> Certificate:
    """What `certificates/<model_id>` makes of the two."""
    planted = ModelSpec.model_validate(
        {"model_id": "planted", "kind": "ridge", "pairs": "all", "window": 64, "horizon": 1}
    )
    of = spec or planted
    return certify(
        current(scores, of.model_id, VERSION, []),
        champion,
        spec=of,
        version=VERSION,
        champion_id="walk",
        target_start=target_starts(fixed.history, fixed.bars),
        trials=1,
        now=NOW,
    )


def taught(spec: ModelSpec, rows: PairHistory) -> tuple[BasePredictor, Manifest, EvaluationWindow]:
    """A real predictor: fitted on 2016, its ranges calibrated on 2017, 2018 and 2019 left for the test."""
    window = EvaluationWindow(bar_end(date(2016, 12, 30)), bar_end(date(2017, 12, 29)), rows.end)
    predictor = predictor_class(spec.kind)(spec, rows.columns)
    files = predictor.fit({rows.pair: rows}, window, seed=1)
    predictor.load_model(files, predictor.identity())
    origins = window.origins(rows.ends, window=spec.window, horizon=spec.horizon, part="validation")
    prediction = predictor.predict(*windows(rows, origins, spec))
    y = rows.outcomes(origins, range(1, spec.horizon + 1))
    scores = np.abs(y - prediction.location) / prediction.scale
    files = {**files, CALIBRATION: dump_params({rows.pair: fit_calibration(scores)})}
    predictor.load_model(files, predictor.identity())
    manifest = manifest_of(spec, rows.pair, window.validate_until, columns=list(rows.columns))
    return predictor, manifest, window
