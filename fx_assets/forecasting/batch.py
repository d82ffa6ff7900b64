"""One model's forecast of one pair, from its history to the document. Pure: writes nothing."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from fx_assets.forecasting.certificate import UNTESTED, Certificate
from fx_assets.forecasting.document import ForecastDocument, Revision, level_key
from fx_assets.forecasting.freshness import Freshness, freshness
from fx_assets.forecasting.targets import KindOfPrice, Target, targets
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import ModelOutputInvalid
from fx_assets.models.inputs import FloatArray, PairHistory, check_gap, coming
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges
from fx_assets.models.results import Distribution
from fx_assets.models.validation import check_values
from fx_assets.specs.schema import Frequency, PairSpec
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.trading_dates import bar_start, trading_date_of

# A document's fields in their order: what `ForecastDocument` validates and orjson writes, its `horizons` apart.
Content = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Basis:
    """What one forecast is made from.

    `rows` (window, columns), let pass by `validation.check_values`; `ahead`: what the model is told of times beside
    them; `end` (UTC) and `data_as_of` of the last row; `revision`: live for the newest row there is.
    """

    rows: FloatArray
    ahead: FloatArray | None
    end: datetime
    data_as_of: date
    revision: Revision = "live"


def issue(
    predictor: BasePredictor,
    history: PairHistory,
    pair: PairSpec,
    *,
    manifest: Manifest,
    kind_of_price: KindOfPrice,
    champion: str,
    now: datetime,
    data_version: str,
    run_id: str,
    origin: int | None = None,
    ranges: Ranges | None = None,
    certificate: Certificate | None = None,
) -> ForecastDocument:
    """Forecast from the last row of `history`, or from row `origin` as a replay of the past.

    As `basis_of` and `content` have it, and with what they raise.
    """
    made = content(
        predictor,
        basis_of(predictor, history, pair, origin),
        pair,
        manifest=manifest,
        kind_of_price=kind_of_price,
        champion=champion,
        now=now,
        data_version=data_version,
        run_id=run_id,
        ranges=ranges,
        certificate=certificate,
    )
    return ForecastDocument.model_validate({**made, "horizons": made["horizons"].plain()})


def basis_of(predictor: BasePredictor, history: PairHistory, pair: PairSpec, origin: int | None = None) -> Basis:
    """The last row of `history` and the window before it, or row `origin` and its window.

    Raises `InsufficientHistory` for too few rows or a gap in the window, `InvalidInput` for rows that no model can use,
    `ValueError` for a history of another pair or of other columns than the model's.
    """
    if history.pair != pair.pair:
        raise ValueError(f"history is of {history.pair}, the pair is {pair.pair}")
    if history.columns != predictor.columns:
        raise ValueError(
            f"history of {pair.pair} has columns {', '.join(history.columns)}; "
            f"model {predictor.spec.model_id} reads {', '.join(predictor.columns)}"
        )
    spec, last = predictor.spec, len(history) - 1
    row = last if origin is None else origin
    rows = history.window(row, spec.window)
    check_gap(history, row, spec.window, calendar(pair.calendar), pair.gap_limit)
    check_values(rows, gaps=predictor.gaps)
    ahead = coming(history, np.array([row]), spec)
    return Basis(
        rows=rows,
        ahead=None if ahead is None else ahead[0],
        end=history.ends[row].astype("datetime64[us]").item().replace(tzinfo=UTC),
        data_as_of=history.trading_dates[row].astype("datetime64[D]").item(),
        revision="live" if row == last else "replay",
    )


def content(
    predictor: BasePredictor,
    basis: Basis,
    pair: PairSpec,
    *,
    manifest: Manifest,
    kind_of_price: KindOfPrice,
    champion: str,
    now: datetime,
    data_version: str,
    run_id: str,
    ranges: Ranges | None = None,
    certificate: Certificate | None = None,
) -> Content:
    """The document that follows from `basis`: the one code of night and HTTP, which so agree to the last bit.

    Its `horizons` are `Horizons`, to be taken as plain values or as JSON.

    `predictor` has loaded the checkpoint of `manifest`; `now` (aware) becomes `issued_at`; `ranges` as outcomes known
    at the origin have moved the checkpoint's calibration; `certificate`: the version's, if any. Raises `ValueError` for
    a manifest of another pair or model, `ModelOutputInvalid` for what no document may say, and whatever the predictor
    raises.
    """
    spec = predictor.spec
    if manifest.model_id != spec.model_id:
        raise ValueError(f"manifest is of model {manifest.model_id}, the predictor of {spec.model_id}")
    if pair.pair not in manifest.pairs:
        raise ValueError(f"model {manifest.model_id} {manifest.version} was not trained on {pair.pair}; train it again")
    if now.tzinfo is None:
        raise ValueError("now has no time zone; give an aware time such as datetime.now(UTC)")
    distribution = predictor.distribution(basis.rows, pair.pair, ranges, basis.ahead)
    end = basis.end
    at = (basis.data_as_of, pair.calendar, None if spec.frequency == "1d" else end, spec.frequency)
    fresh = _fresh(*at, pair.freshness, trading_date_of(now))
    horizons = _horizons(distribution, _steps(*at, spec.horizon, kind_of_price), now)
    return {
        "forecast_id": None,
        "pair": pair.pair,
        "model_id": spec.model_id,
        "model_version": manifest.version,
        "kind": spec.kind,
        "frequency": spec.frequency,
        "origin": end,
        "data_as_of": basis.data_as_of,
        "issued_at": now.astimezone(UTC),
        "valid_until": fresh.valid_until,
        "stale": fresh.stale,
        "revision": basis.revision,
        "in_sample": manifest.trained_until > end,
        "last_price": float(basis.rows[-1, 0]),
        "pip": pair.pip,
        "target": spec.target,
        "horizons": horizons,
        "champion": champion,
        "verdict": UNTESTED if certificate is None else certificate.verdict,
        "evaluation": None,
        "certificate": None,
        "signal": distribution.signal,
        "notes": distribution.notes,
        "lineage": {
            "data_version": data_version,
            "feature_schema_hash": manifest.feature_schema_hash,
            "config_hash": manifest.config_hash,
            "code_version": manifest.code_version,
            "run_id": run_id,
            "trained_until": manifest.trained_until.astimezone(UTC),
        },
    }


@lru_cache(maxsize=512)
def _fresh(
    data_as_of: date, name: CalendarName, origin: datetime | None, frequency: Frequency, limit: int, today: date
) -> Freshness:
    """`freshness`, worked out once a trading date: during all of `today` it is what it was as that began."""
    return freshness(data_as_of, calendar(name), limit, bar_start(today), origin=origin, frequency=frequency)


@lru_cache(maxsize=512)
def _steps(
    data_as_of: date,
    name: CalendarName,
    origin: datetime | None,
    frequency: Frequency,
    horizon: int,
    kind_of_price: KindOfPrice,
) -> tuple[Target, ...]:
    """`targets`, worked out once: a reader is asked from the same last bar many times."""
    found = targets(data_as_of, horizon, calendar(name), kind_of_price, origin=origin, frequency=frequency)
    if any(later.time <= earlier.time for earlier, later in pairwise(found)):
        raise ValueError(f"target times after {data_as_of} are not increasing")
    return tuple(found)


@lru_cache(maxsize=512)
def _keys(levels: tuple[float, ...]) -> tuple[str, ...]:
    if not levels or any(high <= low for low, high in pairwise(levels)):
        raise ValueError(f"quantile levels are not increasing: {levels}")
    return tuple(level_key(level) for level in levels)


@dataclass(frozen=True, eq=False)
class Horizons:
    """The horizons of a document: as plain values, and as JSON of the same.

    `numbers` (H, 2 + Q): median, volatility and the quantiles at `keys` (Q,).
    """

    steps: tuple[Target, ...]
    keys: tuple[str, ...]
    retrospective: int
    numbers: FloatArray

    def plain(self) -> list[Content]:
        """One entry a step, as `HorizonForecast` takes it."""
        rows = zip(self.numbers.tolist(), self.steps, strict=True)
        return [
            {
                "h": h,
                "target_date": day,
                "target_time": time,
                "retrospective": h <= self.retrospective,
                "median": median,
                "volatility": volatility,
                "quantiles": dict(zip(self.keys, quantiles, strict=True)),
            }
            for h, ((median, volatility, *quantiles), (day, time)) in enumerate(rows, 1)
        ]

    def json(self) -> bytes:
        """`plain` as orjson writes it: only the numbers change from one forecast to the next."""
        written = orjson.dumps(self.numbers.ravel().tolist())[1:-1].split(b",")
        return _form(self.steps, self.keys, self.retrospective) % tuple(written)


@lru_cache(maxsize=512)
def _form(steps: tuple[Target, ...], keys: tuple[str, ...], retrospective: int) -> bytes:
    """`Horizons.json` with `%s` in place of each number."""
    hole = "%s"
    rows = Horizons(steps, keys, retrospective, np.zeros((len(steps), 2 + len(keys)))).plain()
    for row in rows:
        row |= {"median": hole, "volatility": hole, "quantiles": dict.fromkeys(keys, hole)}
    return orjson.dumps(rows, option=orjson.OPT_UTC_Z).replace(b'"%s"', b"%s")


def _horizons(distribution: Distribution, steps: tuple[Target, ...], now: datetime) -> Horizons:
    """What `HorizonForecast` asks of each number is asked here of all at once."""
    keys = _keys(tuple(distribution.levels.tolist()))
    numbers = np.empty((len(steps), 2 + len(keys)))
    try:
        numbers[:, 0], numbers[:, 1] = distribution.median, distribution.volatility
        numbers[:, 2:] = distribution.quantiles
    except ValueError as error:
        raise ModelOutputInvalid(f"expected {len(steps)} horizons of {len(keys)} quantiles ({error})") from error
    # NaN is in no range, and so is refused too.
    if not (numbers.min() > 0 and numbers.max() < np.inf):
        raise ModelOutputInvalid("a median, volatility or quantile is not positive and finite")
    if (numbers[:, 3:] < numbers[:, 2:-1]).any():
        raise ModelOutputInvalid("quantiles cross; each price must be at least that of the level below")
    if distribution.signal is not None and not -1 <= distribution.signal <= 1:
        raise ModelOutputInvalid("signal outside [-1, 1]")
    late = bisect_right(steps, now, key=lambda target: target.time)
    return Horizons(steps, keys, late, numbers)
