"""Searches by Optuna. Imports it: only the supervised child, and tests, import this module."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from fx_assets.specs.schema import Choice, Range, SearchSpec
from fx_assets.storage.trial_series import PackedSeries
from fx_assets.training.records import Report, Step, TrainingFailed, Trial
from fx_assets.training.search.coordinator import Objective, Pruned
from fx_assets.training.search.optuna_database import Study, database_url, opened, told
from fx_assets.training.search.pruning import hopeless, mean_loss
from fx_assets.training.search.turns import turn
from fx_assets.training.search.windows import PairWindows, packed_windows

OUTCOME, SERIES, KILLED = "outcome", "series", "killed"  # attributes that we give Optuna's trials
LONGEST_REASON = 2000
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class OptunaCoordinator:
    """TPE proposals (Bergstra et al. 2011), kept in a database at a SQLAlchemy URL: SQLite or PostgreSQL.

    What is proposed is a function of the seed, the number of the trial and what came of the trials before it, so a
    search that was killed and goes on ends as an undisturbed one. A trial that a killed process left begun is marked
    `killed` in Optuna's database and tried again: under its number, with its values. Two processes at one study take
    turns: the second waits, and then finds the trials of the first. A study that has trials enough proposes nothing.
    Where the database is lost, or changed for another, the study begins anew under another name.
    """

    def __init__(self, url: str) -> None:
        self._url = database_url(url)

    def search(self, study: str, spec: SearchSpec, objective: Objective, report: Report) -> list[Trial]:
        """See `OptimizationCoordinator`."""

        def waiting() -> None:
            report(Step(f"search {study}: another process is at it; waiting for its trials"))

        with told(self._url), turn(self._url, study, waiting), opened(self._url, study) as found:
            _settle(found)
            trials = _ended(found)
            for trial in trials:
                report(trial)
            while len(trials) < spec.trials:
                trials.append(_try(found, spec, objective, trials))
                report(trials[-1])
        return _ranked(trials[: spec.trials])


def _try(study: Study, spec: SearchSpec, objective: Objective, before: Sequence[Trial]) -> Trial:
    """Propose values, judge them, and store what came of it."""
    number, began = len(before), datetime.now(UTC)
    # A generator for each trial: where a restart lies between two makes no difference.
    seed = int(np.random.SeedSequence([spec.seed, number]).generate_state(1)[0])
    study.inner.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=False)
    asked = study.inner.ask({key: _distribution(place) for key, place in sorted(spec.space.items())})
    complete = [trial.folds for trial in before if trial.state == "complete"]
    folds: list[float] = []
    seen: list[PairWindows] = []

    def judge(loss: float, windows: Sequence[PairWindows] = (), /) -> None:
        if not math.isfinite(loss):
            raise ValueError(f"fold {len(folds) + 1} of {spec.folds}: the loss is {loss}")
        folds.append(float(loss))
        seen.extend(windows)
        asked.report(mean_loss(folds), len(folds) - 1)
        if len(folds) < spec.folds and hopeless(folds, complete):
            raise Pruned(f"worse than the median after fold {len(folds)} of {spec.folds}")

    state, reason = "complete", ""
    try:
        objective(_values(asked.params, asked.distributions), judge)
        if not folds:
            raise ValueError("it was judged by no fold")
    except Pruned:
        state = "pruned"
    except (ValueError, TrainingFailed) as error:
        state, reason = "failed", f"{type(error).__name__}: {error}"[:LONGEST_REASON]
    outcome = {
        "number": number,
        "state": state,
        "folds": folds,
        "reason": reason,
        "started_at": began.isoformat(),
        "ended_at": datetime.now(UTC).isoformat(),
    }
    # Before the outcome, which says that all of the trial is stored.
    asked.set_user_attr(SERIES, [asdict(series) for series in packed_windows(seen)])
    asked.set_user_attr(OUTCOME, outcome)
    return _end(study, asked.number, outcome)


def _end(study: Study, number: int, outcome: Mapping[str, Any]) -> Trial:
    loss = mean_loss(outcome["folds"]) if outcome["state"] == "complete" else None
    return _trial(study, study.inner.tell(number, loss, state=_STATES[outcome["state"]]))


def _settle(study: Study) -> None:
    """End what a killed process left begun: by its outcome where that was stored, else as killed."""
    for left in study.inner.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if OUTCOME in left.user_attrs:
            _end(study, left.number, left.user_attrs[OUTCOME])
        else:
            study.mark(left.number, KILLED)
            study.inner.tell(left.number, state=TrialState.FAIL)


def _ended(study: Study) -> list[Trial]:
    """Trials with an outcome, in the order of their numbers, which have no gap."""
    trials = study.inner.get_trials(deepcopy=False, states=tuple(_STATES.values()))
    return [_trial(study, trial) for trial in trials if OUTCOME in trial.user_attrs]


def _trial(study: Study, ended: FrozenTrial) -> Trial:
    """As stored, and so the same each time it is reported."""
    outcome = ended.user_attrs[OUTCOME]
    folds = tuple(outcome["folds"])
    return Trial(
        study=study.name,
        number=outcome["number"],
        values=_values(ended.params, ended.distributions),
        state=outcome["state"],
        loss=mean_loss(folds) if folds else None,
        folds=folds,
        started_at=datetime.fromisoformat(outcome["started_at"]),
        ended_at=datetime.fromisoformat(outcome["ended_at"]),
        reason=outcome["reason"],
        series=tuple(PackedSeries(**one) for one in ended.user_attrs.get(SERIES, ())),
    )


def _ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Complete ones by loss, then pruned ones, then failed ones; by number where that is all."""

    def rank(trial: Trial) -> tuple[int, float, int]:
        loss = trial.loss if trial.state == "complete" and trial.loss is not None else 0.0
        return list(_STATES).index(trial.state), loss, trial.number

    ranked = sorted(trials, key=rank)
    if ranked[0].state != "complete":
        reasons = "; ".join(dict.fromkeys(trial.reason for trial in trials))
        raise TrainingFailed(
            f"none of {len(trials)} trials was completed: {reasons[:LONGEST_REASON]}. Mend the cause, then write "
            f"another search.seed, or more search.trials, to try again"
        )
    return ranked


def _distribution(place: Range | Choice) -> BaseDistribution:
    if isinstance(place, Choice):
        # As JSON: Optuna takes True, 1 and 1.0 for one value.
        return CategoricalDistribution(list(dict.fromkeys(json.dumps(choice) for choice in place.choices)))
    if place.whole:
        return IntDistribution(int(place.low), int(place.high), log=place.log)
    return FloatDistribution(place.low, place.high, log=place.log)


def _values(params: Mapping[str, Any], places: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Values by dotted key, of the types that the spec means."""
    found: dict[str, Any] = {}
    for key in sorted(params):
        if isinstance(places[key], CategoricalDistribution):
            found[key] = json.loads(params[key])
        else:
            found[key] = int(params[key]) if isinstance(places[key], IntDistribution) else float(params[key])
    return found
