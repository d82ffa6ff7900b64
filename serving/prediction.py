"""A forecast on demand: from the client's own rows, or from the lake as it was known at a moment.

Both go through `forecasting.batch.issue`, the code of the night, and so agree with it to the last bit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fx_assets.features.errors import FeatureError, NotOnlineError
from fx_assets.features.online import features_at
from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.certificate import Certificate
from fx_assets.forecasting.champion import champion_of
from fx_assets.forecasting.document import ForecastDocument, with_evaluation
from fx_assets.forecasting.ranges import ranges_at
from fx_assets.forecasting.scores import ScoreKey
from fx_assets.forecasting.targets import KindOfPrice
from fx_assets.models.errors import InsufficientHistory, InvalidInput, ModelOutputInvalid, NotLoaded
from fx_assets.models.inputs import PairHistory, history
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges
from fx_assets.models.stored import bars_table
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.control import Control
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows
from fx_assets.timegrid.ahead import ends_until
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, expected_last_date
from serving.problems import ProblemError
from serving.registry import Loaded, Registry
from serving.snapshot import UNREADABLE, LiveSnapshot, default_model
from serving.validation import PredictRequest

log = logging.getLogger("serving")


@dataclass(frozen=True)
class Rows:
    """What a prediction starts from: a history whose last row is the origin, and remarks on it."""

    history: PairHistory
    kind: KindOfPrice
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecaster:
    """Answers predictions from these stores."""

    registry: Registry
    lake: LiveSnapshot
    control: Control

    def answer(self, spec: ModelSpec, asked: PredictRequest, *, now: datetime, run_id: str) -> ForecastDocument:
        """The document for one request; `run_id` goes into its lineage.

        Raises `ProblemError`: 422 for rows that do not fit and a moment with too little history before it,
        410 and 503 as `Registry` does, 503 where the lake cannot be read, 500 for an unusable forecast.
        """
        when = now if asked.as_of is None else min(asked.as_of, now)
        if asked.as_of is None:
            loaded = self.registry.newest(spec, asked.pair, self.control)
        else:
            loaded = self.registry.at(spec, asked.pair, when, self.control)
        if asked.rows is not None:
            rows = self._from_request(spec, asked, loaded, now)
        else:
            rows = self._from_lake(spec, asked.pair, when, past=asked.as_of is not None)
        key = (asked.pair, spec.model_id, loaded.version.version)
        certificate = self._certificate(key, None if asked.as_of is None else when)
        document = self._issue(spec, asked, loaded, rows, now, run_id, certificate)
        known = self.lake.current.pairs.get(asked.pair)
        return with_evaluation(document, None if known is None else known.evaluations.get(key), certificate)

    def _certificate(self, key: ScoreKey, when: datetime | None) -> Certificate | None:
        """The version's newest certificate, or as it was at `when`."""
        current = self.lake.current
        known = current.pairs.get(key[0])
        if when is None and known is not None and key in known.certificates:
            return known.certificates[key]
        try:
            return current.certificate(key, when)
        except UNREADABLE as error:
            raise _unreadable(key[0]) from error

    def _issue(
        self,
        spec: ModelSpec,
        asked: PredictRequest,
        loaded: Loaded,
        rows: Rows,
        now: datetime,
        run_id: str,
        certificate: Certificate | None,
    ) -> ForecastDocument:
        manifest = Manifest.model_validate(loaded.manifest)
        if asked.pair not in manifest.pairs:
            raise ProblemError(503, "model_untrained", "This model was not trained on the pair yet.")
        ranges = self._ranges(spec, asked.pair, loaded, rows.history)
        try:
            with loaded.lock:
                document = issue(
                    loaded.predictor,
                    rows.history,
                    self.registry.catalog.pairs[asked.pair],
                    manifest=manifest,
                    kind_of_price=rows.kind,
                    champion=self._champion(asked.pair, spec),
                    now=now,
                    data_version=fingerprint(rows.history.window(len(rows.history) - 1, spec.window).tolist()),
                    run_id=run_id,
                    ranges=ranges,
                    certificate=certificate,
                )
        except InsufficientHistory as error:
            # With as_of the client chose a moment without enough before it; without, the lake is at fault.
            status = 422 if asked.as_of is not None else 503
            raise ProblemError(status, "insufficient_history", str(error)) from error
        except InvalidInput as error:
            raise ProblemError(503, "lake_unusable", "The rows of the lake do not fit the model.") from error
        except NotLoaded as error:
            log.error("%s of %s: %s", spec.model_id, asked.pair, error)
            raise ProblemError(503, "model_unavailable", "This model has no calibration for the pair.") from error
        except (ModelOutputInvalid, ValidationError) as error:
            self.registry.count_invalid(spec.model_id)
            log.error("%s of %s: %s", spec.model_id, asked.pair, error)
            detail = "The model gave no usable distribution for these rows."
            raise ProblemError(500, "model_output_invalid", detail) from error
        revision = "live" if asked.as_of is None else "replay"
        return document.model_copy(update={"notes": (*document.notes, *rows.notes), "revision": revision})

    def _ranges(self, spec: ModelSpec, pair: str, loaded: Loaded, history: PairHistory) -> Ranges | None:
        """As the night had them at the last row; None where the checkpoint has no calibration, which `issue` says."""
        calibration = loaded.predictor.calibrations.get(pair)
        if calibration is None:
            return None
        try:
            return ranges_at(self.lake.ranges(spec.model_id, pair), loaded.version.version, calibration, history.end)
        except UNREADABLE as error:
            raise _unreadable(pair) from error

    def _champion(self, pair: str, spec: ModelSpec) -> str:
        published = default_model(self.lake.current.of(pair, spec.frequency))
        catalog = self.registry.catalog
        return published or champion_of(catalog.models, pair, spec.frequency, catalog.pairs)

    def _from_request(self, spec: ModelSpec, asked: PredictRequest, loaded: Loaded, now: datetime) -> Rows:
        """The client's rows, dated as if the last of them were the newest bar there can be."""
        try:
            values = loaded.predictor.prepare_input({"data": asked.rows})
        except InvalidInput as error:
            raise ProblemError(422, "invalid_input", str(error), index=list(error.index)) from error
        days = calendar(self.registry.catalog.pairs[asked.pair].calendar)
        if spec.frequency == "1d" and not loaded.predictor.uses_clock:
            last = expected_last_date(days, now)
            # Only the last date matters; those before it are placed a day apart, so that there is no gap.
            back = np.arange(len(values) - 1, -1, -1).astype("timedelta64[D]")
            ends = np.datetime64(bar_end(last).astimezone(UTC).replace(tzinfo=None), "us") - back
            dates = np.datetime64(last, "D") - back
        else:
            ends, dates = ends_until(now, len(values), days, spec.frequency)
        rows = PairHistory(
            pair=asked.pair,
            ends=ends,
            trading_dates=dates,
            closes=values[:, 0].copy(),
            features=values[:, 1:].copy(),
            feature_names=loaded.predictor.columns[1:],
            calendar=self.registry.catalog.pairs[asked.pair].calendar,
            frequency=spec.frequency,
        )
        newest = dates[-1] if spec.frequency == "1d" else f"the bar that ended at {ends[-1].astype('datetime64[s]')}Z"
        note = f"the rows came with the request; the last one is taken to be that of {newest}"
        return Rows(rows, self._kind(spec, asked.pair), (note,))

    def _from_lake(self, spec: ModelSpec, pair: str, when: datetime, *, past: bool) -> Rows:
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
            corrected = _corrected_since(bars, known, when)
        except NotOnlineError as error:
            raise ProblemError(409, "features_not_stored", str(error)) from error
        except NoData as error:
            raise ProblemError(503, "no_data", "The lake has no rows of this pair for the model yet.") from error
        except (InsufficientHistory, FeatureError) as error:
            raise ProblemError(422 if past else 503, "insufficient_history", str(error)) from error
        except UNREADABLE as error:
            raise _unreadable(pair) from error
        note = f"{corrected} bars before as_of were corrected after it; the prediction is from what was known then"
        return Rows(rows, known.column("kind")[-1].as_py(), (note,) if corrected else ())

    def _kind(self, spec: ModelSpec, pair: str) -> KindOfPrice:
        try:
            return self.lake.kind_of_price(bars_table(spec), pair)
        except UNREADABLE as error:
            raise _unreadable(pair) from error


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


def _unreadable(pair: str) -> ProblemError:
    log.exception("the rows of %s cannot be read", pair)
    detail = "The lake cannot be read at the moment. Forecasts are still served."
    return ProblemError(503, "lake_unreadable", detail, headers={"retry-after": "5"})
