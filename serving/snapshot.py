"""What is served: an immutable picture of the lake's forecasts and scores, replaced whole by a poll.

Each picture is read from one pinned version of each table. While the lake, or one pair of it, cannot
be read, the last good documents go on being served, and `problems` says so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.forecasting import certificate
from fx_assets.forecasting.certificate import Certificate
from fx_assets.forecasting.champion import served_by_default
from fx_assets.forecasting.document import ForecastDocument, with_evaluation
from fx_assets.forecasting.ranges import table_name
from fx_assets.forecasting.scores import ScoreKey, summaries
from fx_assets.forecasting.table import documents, identified
from fx_assets.forecasting.targets import KindOfPrice
from fx_assets.storage.errors import NoData, StorageError
from fx_assets.storage.lake import Lake, StoredFile
from fx_assets.storage.lake import Snapshot as TableSnapshot
from serving.archive import Archive, Past
from serving.problems import ProblemError
from serving.rendering import Served

log = logging.getLogger("serving")

FORECASTS, SCORES = "forecasts", "scores"
CERTIFICATES = certificate.TABLE
Problems = dict[str, Exception]  # what may be said of each, and what it was
Certificates = Mapping[ScoreKey, Certificate]
Summaries = Mapping[ScoreKey, Mapping[int, Mapping[str, Any]]]
# What a damaged or vanished lake raises; ValueError is a row that is no whole document.
UNREADABLE = (StorageError, OSError, ValueError)


@dataclass(frozen=True)
class PairForecasts:
    """The newest document of each (frequency, model_id) of a pair, and the files it was read from."""

    documents: Mapping[tuple[str, str], ForecastDocument]
    served: Mapping[tuple[str, str], Served]
    evaluations: Summaries
    forecast_files: tuple[StoredFile, ...]
    score_files: tuple[StoredFile, ...]
    certificates: Certificates = field(default_factory=dict)
    certificate_files: tuple[StoredFile, ...] = ()


@dataclass(frozen=True)
class Published:
    """A document as it was committed. `place`: number of its file and its place in it; they grow with every commit."""

    place: tuple[int, int]
    document: ForecastDocument


@dataclass(frozen=True)
class Snapshot:
    """All pairs as of one version of the lake. Never changes."""

    forecasts: TableSnapshot | None = None
    scores: TableSnapshot | None = None
    certificates: TableSnapshot | None = None
    pairs: Mapping[str, PairForecasts] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def version(self) -> int | None:
        """Version of the forecasts table that this was read from; None before there is one."""
        return None if self.forecasts is None else self.forecasts.version

    def certificate(self, key: ScoreKey, when: datetime | None) -> Certificate | None:
        """The newest certificate of a version, or as it was at `when`. Reads files; raises `UNREADABLE`."""
        return _certificates(self.certificates, key[0], [key], when).get(key)

    def of(self, pair: str, frequency: str) -> dict[str, Served]:
        """Documents of one pair and frequency by model_id."""
        found = self.pairs.get(pair)
        return {} if found is None else {model: item for (at, model), item in found.served.items() if at == frequency}

    def as_of(self, archive: Archive, pair: str, frequency: str, when: datetime) -> dict[str, Served]:
        """As `of`, but what was served at `when` (aware). Reads files; raises `UNREADABLE` where it cannot."""
        found = archive.of(self.forecasts, pair).heads(frequency=frequency, as_of=when)
        keys = {_key(item) for item in found}
        evaluations = _summaries(self.scores, pair, keys)
        certificates = _certificates(self.certificates, pair, keys, when)
        return {item.model_id: Served(_evaluated(item, evaluations, certificates)) for item in found}

    def published(self, pair: str, after: int) -> list[Published]:
        """The pair's documents of every commit after file `after` of the table, in order. Raises `UNREADABLE`."""
        if self.forecasts is None:
            return []
        found, known = [], self.pairs.get(pair)
        evaluations, certificates = ({}, {}) if known is None else (known.evaluations, known.certificates)
        for number, rows in self.forecasts.committed(after, pair):
            for place, document in enumerate(documents(rows)):
                found.append(Published((number, place), _evaluated(document, evaluations, certificates)))
        return found


def model_of(served: Mapping[str, Served], asked: str | None) -> str | None:
    """The model asked for; where none is, the one served by default."""
    return default_model(served) if asked is None else asked


def lake_unreadable(what: str) -> ProblemError:
    """503 for `what` (such as "the bars"), to be raised from the error that the log gets here."""
    log.exception("%s cannot be read", what)
    detail = "The lake cannot be read at the moment. The latest forecasts are still served."
    return ProblemError(503, "lake_unreadable", detail, headers={"retry-after": "5"})


def default_model(served: Mapping[str, Served]) -> str | None:
    """The model served where none is asked for, of one pair's and frequency's documents; None without its document."""
    document = served_by_default(item.document for item in served.values())
    return None if document is None else document.model_id


class LiveSnapshot:
    """Keeps `current` up to date. Readers take `current` once and use that one object throughout."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.archive = Archive()
        self.current = Snapshot()
        self.problems: tuple[str, ...] = ()
        self.on_published: Callable[[list[Published]], None] | None = None
        self._refreshing = threading.Lock()
        self._behind = True
        self._announced: dict[str, int] | None = None  # by pair, the number of the newest file that was told of
        self._kinds: dict[tuple[str, str], KindOfPrice] = {}
        self._ranges: dict[tuple[str, str], pa.Table | None] = {}

    async def poll(self, seconds: float) -> None:
        """Refresh every `seconds` until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.refresh)

    def past(self, pair: str) -> Past:
        """What was published of a pair, as of the picture that is served."""
        return self.archive.of(self.current.forecasts, pair)

    def kind_of_price(self, table: str, pair: str) -> KindOfPrice:
        """Whether the pair's prices are fixings or bars, as its last bar says; read once, since it does not change.

        Raises `UNREADABLE` where it was never read and cannot be.
        """
        if (table, pair) not in self._kinds:
            self._kinds[table, pair] = self.lake.read(table, pair, columns=["kind"]).column("kind")[-1].as_py()
        return self._kinds[table, pair]

    def ranges(self, model_id: str, pair: str) -> pa.Table | None:
        """How outcomes moved the model's ranges, as of the picture that is served; None where nothing was kept.

        Raises `UNREADABLE` where it cannot be read.
        """
        kept, key = self._ranges, (model_id, pair)
        if key not in kept:
            kept[key] = self.lake.find(table_name(model_id), pair)
        return kept[key]

    def refresh(self) -> None:
        """Look for a new version and swap the snapshot if there is one. Raises nothing: see `problems`."""
        with self._refreshing:
            problems: Problems = {}
            try:
                following = self._next(self.current, problems)
                if following is not self.current:
                    # Replaced, not emptied: a request that reads the old one just now keeps its own.
                    self.current, self._ranges = following, {}
                    self._behind = True
                if self._behind:
                    self._behind = not self._announce(following, problems)
            except Exception as error:
                # Whatever this is, forecasts that were good stay served, and the next poll tries again.
                _note(problems, "the lake", error)
            for said, cause in problems.items():
                if said not in self.problems:  # once, not at every poll
                    log.error("%s", said, exc_info=cause)
            self.problems = tuple(problems)

    def _announce(self, current: Snapshot, problems: Problems) -> bool:
        """Hand over what was published since the last time; False where a pair cannot be read: it is tried again."""
        forecasts = current.forecasts
        newest = {} if forecasts is None else {pair: forecasts.newest_file(pair) for pair in forecasts.pairs()}
        if self._announced is None:
            self._announced = newest  # what was there at the start is no news
        found: list[Published] = []
        for pair, number in newest.items():
            if number > self._announced.get(pair, 0):
                try:
                    found += current.published(pair, self._announced.get(pair, 0))
                    self._announced[pair] = number
                except UNREADABLE as error:
                    _note(problems, f"{FORECASTS} of {pair}", error)
        if found and self.on_published is not None:
            self.on_published(sorted(found, key=lambda item: item.place))
        return all(self._announced.get(pair) == number for pair, number in newest.items())

    def _next(self, last: Snapshot, problems: Problems) -> Snapshot:
        forecasts = self._pinned(FORECASTS, last.forecasts, problems)
        scores = self._pinned(SCORES, last.scores, problems)
        certificates = self._pinned(CERTIFICATES, last.certificates, problems)
        pairs: dict[str, PairForecasts] = {}
        if forecasts is not None:
            for pair in forecasts.pairs():
                before = last.pairs.get(pair)
                found = self._pair(pair, forecasts, scores, certificates, before, problems) or before
                if found is not None:
                    pairs[pair] = found
        same = pairs.keys() == last.pairs.keys() and all(pairs[pair] is last.pairs[pair] for pair in pairs)
        tables = (forecasts, scores, certificates)
        if same and all(a is b for a, b in zip(tables, (last.forecasts, last.scores, last.certificates), strict=True)):
            return last
        return Snapshot(*tables, MappingProxyType(pairs))

    def _pinned(self, table: str, last: TableSnapshot | None, problems: Problems) -> TableSnapshot | None:
        """The table's newest version; `last` itself where that is still it, or where the table cannot be read."""
        try:
            found = self.lake.snapshot(table)
        except NoData as error:
            if last is not None:
                _note(problems, f"the table {table}", error)
            return last
        except UNREADABLE as error:
            _note(problems, f"the table {table}", error)
            return last
        return last if last is not None and last.version == found.version and _same_files(last, found) else found

    def _pair(
        self,
        pair: str,
        forecasts: TableSnapshot,
        scores: TableSnapshot | None,
        certificates: TableSnapshot | None,
        last: PairForecasts | None,
        problems: Problems,
    ) -> PairForecasts | None:
        """The pair's documents, read again only where its files changed; None where they cannot be read."""
        forecast_files = tuple(forecasts.files(pair))
        score_files = () if scores is None else tuple(scores.files(pair))
        certificate_files = () if certificates is None else tuple(certificates.files(pair))
        same_forecasts = last is not None and last.forecast_files == forecast_files
        joined = (score_files, certificate_files)
        if last is not None and same_forecasts and (last.score_files, last.certificate_files) == joined:
            return last
        try:
            if last is not None and same_forecasts:
                documents = last.documents
            else:
                documents = {(item.frequency, item.model_id): item for item in self.archive.of(forecasts, pair).heads()}
        except UNREADABLE as error:
            _note(problems, f"{FORECASTS} of {pair}", error)
            return None
        evaluations: Summaries = {} if last is None else last.evaluations
        measured: Certificates = {} if last is None else last.certificates
        keys = {_key(item) for item in documents.values()}
        try:
            evaluations = _summaries(scores, pair, keys)
        except UNREADABLE as error:
            _note(problems, f"{SCORES} of {pair}", error)
            score_files = ()  # so that the next poll tries again
        try:
            measured = _certificates(certificates, pair, keys)
        except UNREADABLE as error:
            _note(problems, f"{CERTIFICATES} of {pair}", error)
            certificate_files = ()
        served = {key: Served(_evaluated(item, evaluations, measured)) for key, item in documents.items()}
        return PairForecasts(
            MappingProxyType(documents),
            MappingProxyType(served),
            evaluations,
            forecast_files,
            score_files,
            measured,
            certificate_files,
        )


def _same_files(first: TableSnapshot, second: TableSnapshot) -> bool:
    # A lake that was rebuilt may come back to the same version number with other files.
    return {pair: first.files(pair) for pair in first.pairs()} == {pair: second.files(pair) for pair in second.pairs()}


def _note(problems: Problems, what: str, error: Exception) -> None:
    # The error's message may name a path of this machine: the log gets it, answers get its kind.
    problems[f"{what} cannot be read ({type(error).__name__}); the log has the cause"] = error


def _key(document: ForecastDocument) -> ScoreKey:
    return document.pair, document.model_id, document.model_version


def _evaluated(document: ForecastDocument, evaluations: Summaries, certificates: Certificates) -> ForecastDocument:
    joined = with_evaluation(document, evaluations.get(_key(document)), certificates.get(_key(document)))
    return identified(joined)


def _certificates(
    certificates: TableSnapshot | None, pair: str, wanted: Iterable[ScoreKey], when: datetime | None = None
) -> Certificates:
    """The newest certificate of each version, as of `when` where given."""
    if certificates is None:
        return {}
    try:
        table = certificates.read(pair)
    except NoData:
        return {}
    found = {key: certificate.standing(table, key[1], key[2], when=when) for key in wanted}
    return {key: item for key, item in found.items() if item is not None}


def _summaries(scores: TableSnapshot | None, pair: str, wanted: Iterable[ScoreKey]) -> Summaries:
    keys = set(wanted)
    if scores is None or not keys:
        return {}
    try:
        table = scores.read(pair)
    except NoData:
        return {}
    versions = pa.array(sorted({version for _, _, version in keys}), type=pa.string())
    found = summaries(table.filter(pc.is_in(table.column("model_version"), value_set=versions)))
    return {key: value for key, value in found.items() if key in keys}
