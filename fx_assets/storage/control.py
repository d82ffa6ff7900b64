"""Leases, cancellations, model versions, trials, decisions: who may publish, what was published, tried and decided.

The lake's log and the artifacts are the truth; rows here are rebuilt from them after a crash, less the last two.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from fx_assets.storage import decisions as decided
from fx_assets.storage import ledger, trial_series
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.control_engine import connect, transaction
from fx_assets.storage.control_schema import CANCELLED_RUNS, LEASES, MODEL_VERSIONS, ModelVersion
from fx_assets.storage.decisions import Decision, DecisionConflict
from fx_assets.storage.errors import ControlUnavailable, CorruptArtifact, FormatError, LeaseLost
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.storage.trial_series import PackedSeries, TrialSeries

__all__ = [
    "Control",
    "ControlUnavailable",
    "Decision",
    "DecisionConflict",
    "Lease",
    "LeaseLost",
    "ModelVersion",
    "Rebuilt",
    "Transaction",
]


@dataclass(frozen=True)
class Lease:
    """The right to publish an asset of a pair, for as long as nobody rotates the token."""

    asset: str
    pair: str
    token: str
    run_id: str
    acquired_at: datetime


@dataclass(frozen=True)
class Rebuilt:
    """What `rebuild_versions` did: rows added, and artifacts left out with the reason."""

    inserted: list[ModelVersion]
    skipped: list[str]


class Transaction:
    """What may be recorded while publishing; all of it or nothing."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def register(self, version: ModelVersion) -> None:
        """Record a model version; harmless when it is known, ValueError when known otherwise."""
        known = _first(self._connection, _of(version))
        if known is None:
            _insert(self._connection, version)
        elif known != version:
            raise ValueError(
                f"{version.model_id}/{version.scope}/{version.version} is registered with other content: "
                f"versions never change; publish a new one"
            )

    def decide(self, decision: Decision) -> None:
        """Record who serves from now on. Raises `DecisionConflict` where another decision came first."""
        decided.decide(self._connection, decision)


class Control:
    """The control database at a SQLAlchemy URL; its schema is brought up to date on opening.

    Every method raises ControlUnavailable when the database is gone or stays locked for `timeout_s`.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self._engine = connect(url, timeout_s)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def acquire(self, asset: str, pair: str, run_id: str) -> Lease:
        """Take the lease of an asset and pair from whoever holds it: the newer run wins.

        Raises LeaseLost when the run was cancelled already.
        """
        lease = Lease(asset, pair, uuid.uuid4().hex, run_id, datetime.now(UTC))
        where = sa.and_(LEASES.c.asset == asset, LEASES.c.pair == pair)

        def taken() -> None:
            with transaction(self._engine, write=True) as connection:
                _refuse_cancelled(connection, run_id)
                values = asdict(lease)
                if connection.execute(sa.update(LEASES).where(where).values(values)).rowcount == 0:
                    connection.execute(sa.insert(LEASES).values(values))

        _again_on_race(taken)
        return lease

    def cancel(self, run_id: str) -> None:
        """Refuse everything the run tries to publish from now on; harmless twice."""
        with transaction(self._engine, write=True) as connection:
            # The leases first: this waits for a publication in progress, which then counts as before.
            held = sa.update(LEASES).where(LEASES.c.run_id == run_id)
            connection.execute(held.values(token=uuid.uuid4().hex))
            if not _is_cancelled(connection, run_id):
                connection.execute(sa.insert(CANCELLED_RUNS).values(run_id=run_id, at=datetime.now(UTC)))

    def is_cancelled(self, run_id: str) -> bool:
        """Whether `cancel` was called for the run."""
        with transaction(self._engine, write=False) as connection:
            return _is_cancelled(connection, run_id)

    @contextmanager
    def publishing(self, lease: Lease, *, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[Transaction]:
        """One short exclusive transaction in which the lease is known to hold.

        The body publishes (a log entry, a rename) and may register; when it raises, nothing is recorded.
        Raises LeaseLost before the body when the token was rotated or the run is cancelled, by
        `cancel` or as `is_cancelled` says.
        """
        with transaction(self._engine, write=True) as connection:
            row = connection.execute(
                sa.select(LEASES.c.token, LEASES.c.run_id)
                .where(LEASES.c.asset == lease.asset, LEASES.c.pair == lease.pair)
                .with_for_update()
            ).first()
            _refuse_cancelled(connection, lease.run_id)
            if is_cancelled():
                raise LeaseLost(f"run {lease.run_id} is being cancelled: {lease.asset} of {lease.pair} not published")
            if row is None or row.token != lease.token:
                holder = "nobody" if row is None else f"run {row.run_id}"
                raise LeaseLost(
                    f"{lease.asset} of {lease.pair} is held by {holder} since, not by this lease of run "
                    f"{lease.run_id}: nothing was published"
                )
            yield Transaction(connection)

    def versions(self, model_id: str, scope: str | None = None) -> list[ModelVersion]:
        """Versions of a model, newest first; `scope` is a pair or "panel", by default all."""
        with transaction(self._engine, write=False) as connection:
            return _all(connection, _newest_first(model_id, scope))

    def version_at(self, model_id: str, scope: str, when: datetime) -> ModelVersion | None:
        """The newest version made at or before `when` (aware); None when there was none."""
        query = _newest_first(model_id, scope).where(MODEL_VERSIONS.c.created_at <= when)
        with transaction(self._engine, write=False) as connection:
            return _first(connection, query.limit(1))

    def decide(self, decision: Decision) -> None:
        """Record a decision that needs no lease: a person's. Raises as `Transaction.decide` does."""
        with transaction(self._engine, write=True) as connection:
            Transaction(connection).decide(decision)

    def decisions(self, pair: str | None = None, frequency: str | None = None) -> list[Decision]:
        """Every decision ever made, oldest first of each pair and frequency: of one, or of all."""
        with transaction(self._engine, write=False) as connection:
            return decided.history(connection, pair, frequency)

    def decision_at(self, pair: str, frequency: str, when: datetime | None = None) -> Decision | None:
        """The newest decision at or before `when` (aware; None: of all), which says who serves; None without one."""
        with transaction(self._engine, write=False) as connection:
            return decided.at(connection, pair, frequency, when)

    def record_trial(self, entry: LedgerEntry, series: Sequence[PackedSeries] = ()) -> None:
        """Add a trial to the ledger, with its series in the same transaction.

        Harmless when it is known, ValueError when known with other content.
        """

        def added() -> None:
            with transaction(self._engine, write=True) as connection:
                ledger.record(connection, entry)
                trial_series.record(connection, entry.study, entry.number, series)

        _again_on_race(added)

    def record_series(self, study: str, number: int, series: Sequence[PackedSeries]) -> None:
        """Add the series of a trial that is in the ledger; harmless when known, ValueError when known otherwise."""

        def added() -> None:
            with transaction(self._engine, write=True) as connection:
                trial_series.record(connection, study, number, series)

        _again_on_race(added)

    def series(
        self, pair: str | None = None, model_id: str | None = None, study: str | None = None
    ) -> list[TrialSeries]:
        """Losses and returns of every trial ever run, the newest last: of a pair, a model, a study, or all."""
        with transaction(self._engine, write=False) as connection:
            return trial_series.entries(connection, pair=pair, model_id=model_id, study=study)

    def trials(self, pair: str | None = None, model_id: str | None = None) -> list[LedgerEntry]:
        """Every trial ever run, the newest last: of a pair, of a model, of both, or all."""
        with transaction(self._engine, write=False) as connection:
            return ledger.entries(connection, pair=pair, model_id=model_id)

    def rebuild_versions(self, artifacts: ArtifactStore) -> Rebuilt:
        """Record every sound artifact on disk that has no row: a crash may come between the two.

        Artifacts that are damaged, or whose manifest does not say enough, are left out and named.
        """
        inserted: list[ModelVersion] = []
        skipped: list[str] = []
        with transaction(self._engine, write=False) as connection:
            key = (MODEL_VERSIONS.c.model_id, MODEL_VERSIONS.c.scope, MODEL_VERSIONS.c.version)
            known = {tuple(row) for row in connection.execute(sa.select(*key))}
        for model_id, scope, name in artifacts.published():
            if (model_id, scope, name) in known:
                continue
            try:
                artifact = artifacts.load(model_id, scope, name)
                version = ModelVersion.from_manifest(artifact.manifest, artifact.manifest_sha256)
            except (CorruptArtifact, FormatError, ValueError) as error:
                skipped.append(f"{model_id}/{scope}/{name}: {error}")
                continue
            with transaction(self._engine, write=True) as connection:
                Transaction(connection).register(version)
            inserted.append(version)
        return Rebuilt(inserted, skipped)


def _again_on_race(write: Callable[[], None]) -> None:
    """On PostgreSQL two may both find no row and insert it: the second then tries again, and finds the first one's."""
    try:
        write()
    except ControlUnavailable as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        write()


def _is_cancelled(connection: sa.Connection, run_id: str) -> bool:
    query = sa.select(CANCELLED_RUNS.c.run_id).where(CANCELLED_RUNS.c.run_id == run_id)
    return connection.execute(query).first() is not None


def _refuse_cancelled(connection: sa.Connection, run_id: str) -> None:
    if _is_cancelled(connection, run_id):
        raise LeaseLost(f"run {run_id} was cancelled: it may not publish any more; start a new run")


def _of(version: ModelVersion) -> sa.Select[tuple[object, ...]]:
    table = MODEL_VERSIONS.c
    return sa.select(MODEL_VERSIONS).where(
        table.model_id == version.model_id, table.scope == version.scope, table.version == version.version
    )


def _newest_first(model_id: str, scope: str | None) -> sa.Select[tuple[object, ...]]:
    table = MODEL_VERSIONS.c
    query = sa.select(MODEL_VERSIONS).where(table.model_id == model_id)
    if scope is not None:
        query = query.where(table.scope == scope)
    return query.order_by(table.created_at.desc(), table.version.desc())


def _all(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[ModelVersion]:
    rows = connection.execute(query).mappings()
    return [ModelVersion(**{**row, "pairs": tuple(row["pairs"])}) for row in rows]


def _first(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> ModelVersion | None:
    return next(iter(_all(connection, query)), None)


def _insert(connection: sa.Connection, version: ModelVersion) -> None:
    values = {**asdict(version), "pairs": list(version.pairs)}
    connection.execute(sa.insert(MODEL_VERSIONS).values(values))
