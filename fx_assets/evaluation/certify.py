"""From scores to a certificate: three verdicts at each horizon, the tails, and what is printed beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.inference.comparison import clark_west, giacomini_white
from fx_assets.evaluation.inference.direction import pesaran_timmermann
from fx_assets.evaluation.inference.tails import christoffersen_independence, kupiec, traffic_light
from fx_assets.evaluation.inference.verdict import (
    LEAST_WINDOWS,
    NOT_SHOWN,
    SHOWN,
    TOO_LITTLE,
    WORSE,
    Verdict,
    observed_late,
    verdicts,
)
from fx_assets.forecasting.certificate import AtHorizon, Certificate, Finding, Printed, Tail, Words
from fx_assets.forecasting.scores import LIVE
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow

TAIL_LEVELS = (0.01, 0.025, 0.05)
REFERENCES = {"garch": "GARCH-t", "har": "HAR"}
Floats = NDArray[np.float64]
Windows = Mapping[int, pa.Table]


def current(table: pa.Table, model_id: str, version: str, walk: Sequence[str]) -> pa.Table:
    """Of a pair's scores, those of one model: of its live `version`, and of earlier selves named in `walk`.

    An origin that both forecast counts once, as the earlier self said it: it was made first.
    """
    names = pa.array([version, *walk], pa.string())
    own = pc.and_(
        pc.equal(table.column("model_id"), model_id), pc.is_in(table.column("model_version"), value_set=names)
    )
    rows = table.filter(own).sort_by([("horizon", "ascending"), ("origin", "ascending"), ("fold", "descending")])
    if not rows.num_rows:
        return rows
    keys = [rows.column(name).to_numpy().astype(np.int64) for name in ("horizon", "origin")]
    repeated = np.append(False, (np.diff(keys[0]) == 0) & (np.diff(keys[1]) == 0))
    return rows.filter(pa.array(~repeated))


def certify(
    scores: pa.Table,
    champion: pa.Table,
    *,
    spec: ModelSpec,
    version: str,
    champion_id: str,
    target_start: Mapping[datetime, datetime] | None = None,
    trials: int,
    now: datetime,
) -> Certificate:
    """The certificate of a model from its `scores` (as `current` gives them) and the champion's on the same pair.

    Only windows that both have been judged on count for the density. `target_start`: by origin, the instant of the
    price that the target starts from, where that is not the origin itself. Raises `ValueError` for no scores.
    """
    if not scores.num_rows:
        raise ValueError(f"{spec.model_id}: no scores to certify; materialize scores/{spec.model_id}")
    windows = _by_horizon(scores)
    unfair = {h: late(rows, target_start) for h, rows in windows.items()}
    location = verdicts(_losses(windows, "loss_se"), _losses(windows, "loss_se_walk"), untradeable=unfair)
    shared = {h: _shared(rows, champion, h) for h, rows in windows.items()}
    density = verdicts(
        {h: own for h, (own, _) in shared.items()},
        {h: theirs for h, (_, theirs) in shared.items()},
        untradeable={h: bool(flags.any()) for h, flags in unfair.items()},
    )
    volatility = {name: _volatility(windows, name) for name in REFERENCES}
    horizons = tuple(
        _at_horizon(h, rows, location[h], density[h], shared[h], volatility, champion_id) for h, rows in windows.items()
    )
    said = {
        "location": overall([verdict.words for verdict in location.values()]),
        "density": overall([verdict.words for verdict in density.values()]),
        "volatility": overall([against_all([at.verdict for at in row.volatility]) for row in horizons]),
    }
    first = windows[min(windows)]
    folds = list(dict.fromkeys(first.column("fold").to_pylist()))
    return Certificate(
        pair=first.column("pair")[0].as_py(),
        frequency=spec.frequency,
        model_id=spec.model_id,
        model_version=version,
        measured_at=now,
        verdict=said["density"],
        **said,
        density_benchmark=champion_id,
        horizons=horizons,
        tails=_tails(first) if min(windows) == 1 else (),
        folds=tuple(fold for fold in folds if fold != LIVE) + ((LIVE,) if LIVE in folds else ()),
        trials=trials,
    ).sealed()


def overall(words: Sequence[str]) -> Words:
    """One verdict for several that were adjusted for each other: skill or harm where any shows it, else what is left.

    Where some show skill and others harm, the claim is the weaker one.
    """
    for verdict in (WORSE, SHOWN, NOT_SHOWN):
        if verdict in words:
            return _word(verdict)
    return _word(TOO_LITTLE)


def against_all(words: Sequence[str]) -> Words:
    """One verdict against several references: skill where it is shown against each, harm where against any."""
    for verdict in (WORSE, NOT_SHOWN, TOO_LITTLE):
        if verdict in words:
            return _word(verdict)
    return _word(SHOWN if words else TOO_LITTLE)


def _word(text: str) -> Words:
    return next(word for word in get_args(Words) if word == text)


def _by_horizon(scores: pa.Table) -> dict[int, pa.Table]:
    horizons = sorted(set(scores.column("horizon").to_pylist()))
    return {h: scores.filter(pc.equal(scores.column("horizon"), h)).sort_by("origin") for h in horizons}


def _floats(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows.column(name).combine_chunks().to_numpy(zero_copy_only=False), dtype=np.float64)


def _losses(windows: Windows, name: str) -> dict[int, Floats]:
    return {h: _floats(rows, name) for h, rows in windows.items()}


def late(rows: pa.Table, target_start: Mapping[datetime, datetime] | None) -> NDArray[np.bool_]:
    """Whether an input saw the market after the price that the target starts from; `target_start` as of `certify`."""
    start = rows.column("origin")
    if target_start is not None:
        start = pa.array([target_start.get(at, at) for at in start.to_pylist()], start.type)
    seen, begun = (times.to_numpy().astype("datetime64[us]") for times in (rows.column("observed_until"), start))
    return observed_late(seen, begun)


def _shared(rows: pa.Table, champion: pa.Table, h: int) -> tuple[Floats, Floats]:
    """CRPS of the windows that the champion was judged on too, and of the champion's ranges around the last price."""
    theirs = champion.filter(pc.equal(champion.column("horizon"), h)).sort_by("origin")
    own_at, their_at = (table.column("origin").to_numpy().astype(np.int64) for table in (rows, theirs))
    _, mine, other = np.intersect1d(own_at, their_at, assume_unique=True, return_indices=True)
    return _floats(rows, "loss_crps")[mine], _floats(theirs, "loss_crps_still")[other]


def _volatility(windows: Windows, name: str) -> dict[int, tuple[Verdict, float, float]]:
    """Verdict and mean QLIKEs against a reference, at the horizons where it was there."""
    own, theirs = {}, {}
    for h, rows in windows.items():
        reference = _floats(rows, f"loss_qlike_{name}")
        known = np.isfinite(reference)
        if known.any():
            own[h], theirs[h] = _floats(rows, "loss_qlike")[known], reference[known]
    found = verdicts(own, theirs, may_be_negative=True)
    return {h: (found[h], float(own[h].mean()), float(theirs[h].mean())) for h in found}


def _at_horizon(
    h: int,
    rows: pa.Table,
    location: Verdict,
    density: Verdict,
    shared: tuple[Floats, Floats],
    volatility: Mapping[str, Mapping[int, tuple[Verdict, float, float]]],
    champion_id: str,
) -> AtHorizon:
    own, theirs = shared
    walk = f"random walk with the volatility of {champion_id}"
    return AtHorizon(
        horizon=h,
        windows=rows.num_rows,
        independent_windows=EvaluationWindow.independent(rows.num_rows, h),
        first=rows.column("origin")[0].as_py(),
        last=pc.max(rows.column("target_time")).as_py(),
        location=_finding(
            location, "driftless random walk", _mean(_floats(rows, "loss_se")), _mean(_floats(rows, "loss_se_walk"))
        ),
        density=_finding(density, walk, _mean(own), _mean(theirs)),
        volatility=tuple(
            _finding(found[h][0], REFERENCES[name], *found[h][1:]) for name, found in volatility.items() if h in found
        ),
        coverage_80=_mean(_floats(rows, "covered_80")),
        coverage_90=_mean(_floats(rows, "covered_90")),
        crps_of_constant_walk=_mean(_floats(rows, "loss_crps_walk")),
        printed=_printed(h, rows, own, theirs),
    )


def _finding(verdict: Verdict, against: str, loss: float, benchmark: float) -> Finding:
    return Finding(
        verdict=_word(verdict.words),
        against=against,
        loss=loss,
        benchmark=benchmark,
        ratio=verdict.ratio,
        p_value=verdict.p_value,
        adjusted_p_value=verdict.adjusted_p_value,
        reason=verdict.reason,
    )


def _printed(h: int, rows: pa.Table, own: Floats, theirs: Floats) -> Printed:
    y, location = _floats(rows, "y"), _floats(rows, "location")
    called = (location != 0) & (y != 0)
    enough = EvaluationWindow.independent(rows.num_rows, h) >= LEAST_WINDOWS
    return Printed(
        clark_west=clark_west(y, np.zeros_like(y), location, horizon=h).p_value if enough else None,
        giacomini_white=giacomini_white(theirs - own, horizon=h).p_value if len(own) >= h * LEAST_WINDOWS else None,
        pesaran_timmermann=pesaran_timmermann(y, location).p_value if enough and h == 1 else None,
        hit_rate=_mean((np.sign(y) == np.sign(location))[called].astype(np.float64)) if called.any() else None,
    )


def _tails(rows: pa.Table) -> tuple[Tail, ...]:
    pit = _floats(rows, "pit")
    found = []
    for level in TAIL_LEVELS:
        for side, beyond in (("below", pit < level), ("above", pit > 1 - level)):
            count, n = int(beyond.sum()), len(beyond)
            found.append(
                Tail(
                    side=side,
                    level=level,
                    exceptions=count,
                    share=count / n,
                    kupiec=kupiec(exceptions=beyond, level=level).p_value,
                    christoffersen=christoffersen_independence(exceptions=beyond).p_value if n > 1 else None,
                    light=traffic_light(count=count, n=n, level=level),
                )
            )
    return tuple(found)


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else 0.0
