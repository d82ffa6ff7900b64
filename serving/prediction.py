"""A forecast on demand: from the client's own rows, or from the lake as it was known at a moment.

Both go through `forecasting.batch.content`, the code of the night, and so agree with it to the last bit.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.features.errors import FeatureError, NotOnlineError
from fx_assets.features.online import features_at
from fx_assets.forecasting.batch import Basis, Content, basis_of, content
from fx_assets.forecasting.certificate import Certificate
from fx_assets.forecasting.champion import champion_of
from fx_assets.forecasting.ranges import ranges_at
from fx_assets.forecasting.targets import KindOfPrice
from fx_assets.models.errors import InsufficientHistory, InvalidInput, ModelOutputInvalid, NotLoaded
from fx_assets.models.inputs import FloatArray, PairHistory, history
from fx_assets.models.ranges import Ranges
from fx_assets.models.stored import bars_table
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import sha256_bytes
from fx_assets.storage.two_times import current_rows
from fx_assets.timegrid.ahead import ends_until, known_ahead
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_start, expected_last_date, trading_date_of
from serving.joined import Joined, joined
from serving.problems import ProblemError
from serving.queue import Predictions
from serving.registry import Loaded, Moved, Registry, Versions
from serving.snapshot import UNREADABLE, LiveSnapshot, default_model, lake_unreadable
from serving.validation import PredictRequest

log = logging.getLogger("serving")

# A prediction that takes no longer may hold up the reads of its worker: about as long as handing it over would.
QUICK_SECONDS: Final = 0.002


@dataclass(frozen=True)
class Rows:
    """What a prediction starts from, and remarks on it."""

    basis: Basis
    kind: KindOfPrice
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecaster:
    """Answers predictions from these stores."""

    registry: Registry
    lake: LiveSnapshot
    control: Versions

    def at_hand(self, spec: ModelSpec, asked: PredictRequest) -> Loaded | None:
        """The checkpoint that answers quickly from memory alone; None where it may be slow or has to read something."""
        if asked.rows is None or asked.as_of is not None:
            return None
        loaded = self.registry.at_hand(spec, asked.pair)
        return loaded if loaded is not None and loaded.quick.get(asked.pair) is self.lake.current else None

    def answer_json(
        self, spec: ModelSpec, asked: PredictRequest, *, now: datetime, run_id: str, loaded: Loaded | None = None
    ) -> bytes:
        """The document for one request as JSON, as a `ForecastDocument` of it would be written; `run_id`: its lineage.

        `loaded`: what `at_hand` gave. Raises `ProblemError`: 422 for rows that do not fit and a moment with too little
        history before it, 410 and 503 as `Registry` does, 503 where the lake cannot be read, 500 for an unusable
        forecast.
        """
        began, current = time.perf_counter(), self.lake.current
        past = asked.as_of is not None
        when = now if asked.as_of is None else min(asked.as_of, now)
        if loaded is None:
            loaded = self._loaded(spec, asked.pair, when, past=past)
        if asked.rows is not None:
            rows = self._from_request(spec, asked, loaded, now)
        else:
            rows = self._from_lake(spec, asked.pair, loaded, when, past=past)
        beside = self._beside(spec, asked.pair, loaded, when if past else None)
        content = self._content(spec, asked.pair, loaded, rows, beside, now, run_id)
        content["revision"] = "replay" if past else "live"
        beside.join(content, rows.notes)
        content["horizons"] = orjson.Fragment(content["horizons"].json())
        written = orjson.dumps(content, option=orjson.OPT_UTC_Z)
        if asked.rows is not None:
            if time.perf_counter() - began <= QUICK_SECONDS:
                loaded.quick[asked.pair] = current
            else:
                loaded.quick.pop(asked.pair, None)
        return written

    def _loaded(self, spec: ModelSpec, pair: str, when: datetime, *, past: bool) -> Loaded:
        if past:
            loaded = self.registry.at(spec, pair, when, self.control)
        else:
            loaded = self.registry.newest(spec, pair, self.control)
        if pair not in loaded.manifest.pairs:
            raise ProblemError(503, "model_untrained", "This model was not trained on the pair yet.")
        return loaded

    def _beside(self, spec: ModelSpec, pair: str, loaded: Loaded, when: datetime | None) -> Joined:
        """What the lake says of the version; its certificate the newest, or as it was at `when`."""
        current = self.lake.current
        kept = loaded.joined.get(pair)
        if when is None and kept is not None and kept.snapshot is current:
            return kept
        key = (pair, spec.model_id, loaded.version.version)
        catalog, known = self.registry.catalog, current.pairs.get(pair)
        published = default_model(current.of(pair, spec.frequency))
        champion = published or champion_of(catalog.models, pair, spec.frequency, catalog.pairs)
        try:
            if when is None and known is not None and key in known.certificates:
                certificate: Certificate | None = known.certificates[key]
            else:
                certificate = current.certificate(key, when)
        except UNREADABLE as error:
            raise lake_unreadable(f"the rows of {pair}") from error
        found = joined(current, key, champion, certificate)
        if when is None:
            loaded.joined[pair] = found
        return found

    def _content(
        self,
        spec: ModelSpec,
        pair: str,
        loaded: Loaded,
        rows: Rows,
        beside: Joined,
        now: datetime,
        run_id: str,
    ) -> Content:
        ranges = self._ranges(spec, pair, loaded, rows.basis.end)
        try:
            with loaded.lock:
                return content(
                    loaded.predictor,
                    rows.basis,
                    self.registry.catalog.pairs[pair],
                    manifest=loaded.manifest,
                    kind_of_price=rows.kind,
                    champion=beside.champion,
                    now=now,
                    data_version=_digest(rows.basis.rows),
                    run_id=run_id,
                    ranges=ranges,
                    certificate=beside.measured,
                )
        except NotLoaded as error:
            log.error("%s of %s: %s", spec.model_id, pair, error)
            raise ProblemError(503, "model_unavailable", "This model has no calibration for the pair.") from error
        except ModelOutputInvalid as error:
            self.registry.count_invalid(spec.model_id)
            log.error("%s of %s: %s", spec.model_id, pair, error)
            detail = "The model gave no usable distribution for these rows."
            raise ProblemError(500, "model_output_invalid", detail) from error

    def _ranges(self, spec: ModelSpec, pair: str, loaded: Loaded, end: datetime) -> Ranges | None:
        """As the night had them at `end`; None where the checkpoint has no calibration, which `content` says."""
        calibration = loaded.predictor.calibrations.get(pair)
        if calibration is None:
            return None
        try:
            table = self.lake.ranges(spec.model_id, pair)
            kept = loaded.ranges.get(pair)
            if kept is None or kept.table is not table or kept.end != end:
                found = ranges_at(table, loaded.version.version, calibration, end)
                kept = loaded.ranges[pair] = Moved(table, end, found)
        except UNREADABLE as error:
            raise lake_unreadable(f"the rows of {pair}") from error
        return kept.ranges

    def _from_request(self, spec: ModelSpec, asked: PredictRequest, loaded: Loaded, now: datetime) -> Rows:
        """The client's rows, dated as if the last of them were the newest bar there can be."""
        predictor, pair = loaded.predictor, self.registry.catalog.pairs[asked.pair]
        try:
            values = predictor.prepare_input({"data": asked.rows})
        except InvalidInput as error:
            raise ProblemError(422, "invalid_input", str(error), index=list(error.index)) from error
        if spec.frequency == "1d" and not predictor.uses_clock:
            last, end = _newest_bar(pair.calendar, trading_date_of(now))
            ahead = None
            if spec.known_ahead:
                ahead = known_ahead(np.array([last], "datetime64[D]"), spec.horizon, pair.calendar, spec.known_ahead)[0]
            basis, newest = Basis(values, ahead, end, last), str(last)
        else:
            ends, dates = ends_until(now, len(values), calendar(pair.calendar), spec.frequency)
            rows = PairHistory(
                pair=asked.pair,
                ends=ends,
                trading_dates=dates,
                closes=values[:, 0].copy(),
                features=values[:, 1:].copy(),
                feature_names=predictor.columns[1:],
                calendar=pair.calendar,
                frequency=spec.frequency,
            )
            basis = basis_of(predictor, rows, pair)
            newest = (
                str(dates[-1]) if spec.frequency == "1d" else f"the bar that ended at {basis.end:%Y-%m-%dT%H:%M:%S}Z"
            )
        note = f"the rows came with the request; the last one is taken to be that of {newest}"
        return Rows(basis, self._kind(spec, asked.pair), (note,))

    def _from_lake(self, spec: ModelSpec, pair: str, loaded: Loaded, when: datetime, *, past: bool) -> Rows:
        """Bars and features known at `when`."""
        catalog = self.registry.catalog
        try:
            bars = self.lake.lake.read(bars_table(spec), pair)
            known = current_rows(bars, when=when)
            features = None
            if spec.features is not None:
                features = features_at(
                    self.lake.lake,
                    catalog.features[spec.features],
                    catalog.pairs[pair],
                    catalog.pairs_with(spec.frequency),
                    known.column("time").slice(max(0, known.num_rows - spec.window)),
                    when=when,
                )
            rows = history(pair, known, features, calendar=catalog.pairs[pair].calendar, frequency=spec.frequency)
            basis = basis_of(loaded.predictor, rows, catalog.pairs[pair])
            corrected = _corrected_since(bars, known, when)
        except NotOnlineError as error:
            raise ProblemError(409, "features_not_stored", str(error)) from error
        except NoData as error:
            raise ProblemError(503, "no_data", "The lake has no rows of this pair for the model yet.") from error
        except InvalidInput as error:
            raise ProblemError(503, "lake_unusable", "The rows of the lake do not fit the model.") from error
        except (InsufficientHistory, FeatureError) as error:
            # With as_of the client chose a moment without enough before it; without, the lake is at fault.
            raise ProblemError(422 if past else 503, "insufficient_history", str(error)) from error
        except UNREADABLE as error:
            raise lake_unreadable(f"the rows of {pair}") from error
        note = f"{corrected} bars before as_of were corrected after it; the prediction is from what was known then"
        return Rows(basis, known.column("kind")[-1].as_py(), (note,) if corrected else ())

    def _kind(self, spec: ModelSpec, pair: str) -> KindOfPrice:
        try:
            return self.lake.kind_of_price(bars_table(spec), pair)
        except UNREADABLE as error:
            raise lake_unreadable(f"the rows of {pair}") from error


async def answered(
    forecaster: Forecaster, predictions: Predictions, spec: ModelSpec, asked: PredictRequest, run_id: str
) -> bytes:
    """`Forecaster.answer_json` in its turn. Raises `ProblemError` 503 where too many wait, and what that raises."""
    loaded = forecaster.at_hand(spec, asked)
    return await predictions.run(
        lambda: forecaster.answer_json(spec, asked, now=datetime.now(UTC), run_id=run_id, loaded=loaded),
        quick=loaded is not None,
    )


@lru_cache(maxsize=64)
def _newest_bar(name: CalendarName, today: date) -> tuple[date, datetime]:
    """Trading date and end of the newest daily bar there can be during the trading date `today`."""
    last = expected_last_date(calendar(name), bar_start(today))
    return last, bar_end(last)


def _digest(rows: FloatArray) -> str:
    """What tells rows apart: SHA-256 of their shape and numbers."""
    return sha256_bytes(repr(rows.shape).encode() + rows.tobytes())


def _corrected_since(bars: pa.Table, known: pa.Table, when: datetime) -> int:
    """How many bars that had ended at `when` say today something else than they said then."""
    ended = pc.less_equal(bars.column("end"), pa.scalar(when, bars.column("end").type))
    later = pc.greater(bars.column("known_at"), pa.scalar(when, bars.column("known_at").type))
    if not pc.any(pc.and_(ended, later)).as_py():
        return 0
    today = current_rows(bars.filter(ended))
    then = set(zip(known.column("time").to_pylist(), known.column("close").to_pylist(), strict=True))
    now = set(zip(today.column("time").to_pylist(), today.column("close").to_pylist(), strict=True))
    return len({time for time, _ in then ^ now})
