"""`bench skill`: is there skill in volatility, do ranges hold, does risk add up? Printed as it comes out.

Every number is of rows that nothing was fitted to or chosen on: each year (each quarter on the short OANDA history)
everything is learned anew from rows that end before, and asked for what comes after. The order of work: fixings of
the ECB; where OANDA's files lie, daily bars made of their hours with the variance realised by these; hourly ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.evaluation.skill.aims import Aim, book_aim, daily_aims, hourly_aim, realised_aims
from fx_assets.evaluation.skill.book import BookTrack, book_track
from fx_assets.evaluation.skill.candidates import (
    CANDIDATES,
    REALISED_CANDIDATES,
    REALISED_FEATURES,
    Candidate,
)
from fx_assets.evaluation.skill.figures import EGARCH, GARCH
from fx_assets.evaluation.skill.hourly import coverage_by_hour, hourly_ranges
from fx_assets.evaluation.skill.tables import DAILY, REALISED, Plan, Scored, Show, scored, steps_of
from fx_assets.evaluation.skill.worlds import ECB_PAIRS, Hours, World, from_ecb, from_oanda
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec

Start = Callable[[int], Show]

QUICK_PAIRS = ("EURUSD", "USDJPY")
_QUICK_HISTORY = date(2014, 1, 1)
_QUICK = replace(DAILY, first=date(2022, 1, 1))


@dataclass(frozen=True)
class Task:
    """What is asked. `oanda`: the folder of OANDA's hourly files, None where there are none. `features`: sets by name.

    `quick`: few years only; a trial of the command.
    """

    settings: Settings
    features: Mapping[str, FeatureSetSpec]
    pairs: tuple[str, ...] = ECB_PAIRS
    oanda: Path | None = None
    quick: bool = False
    candidates: tuple[Candidate, ...] = CANDIDATES
    realised: tuple[Candidate, ...] = REALISED_CANDIDATES


@dataclass(frozen=True, eq=False)
class Hourly:
    """Hourly 80 % ranges from July 2017 on: share held and their number by hour of the day in New York."""

    by_hour: Mapping[int, tuple[float, int]]
    by_pair: Mapping[str, Mapping[int, tuple[float, int]]]

    @property
    def worst(self) -> str:
        """The hour of a single pair that is furthest off."""
        pair, hour = max(
            ((pair, hour) for pair, hours in self.by_pair.items() for hour in hours),
            key=lambda each: abs(self.by_pair[each[0]][each[1]][0] - 0.8),
        )
        return f"{pair} at {hour:02d}:00, {self.by_pair[pair][hour][0]:.3f}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        by_pair = {pair: {str(hour): share for hour, (share, _) in by.items()} for pair, by in self.by_pair.items()}
        return {"coverage": {str(hour): share for hour, (share, _) in self.by_hour.items()}, "pairs": by_pair}


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a task; without OANDA's files only `daily`, and `book` where its pairs share currencies."""

    task: Task
    daily: Scored
    book: BookTrack | None
    realised: Scored | None
    hourly: Hourly | None

    def daily_aims(self, model: str) -> list[Aim]:
        """Those of the daily table, as any of its models would have them."""
        tracks = self.daily.tracks
        return daily_aims(tracks[model], tracks[GARCH], tracks[EGARCH])

    @property
    def aims(self) -> list[Aim]:
        """All that were set, in the order of the tables, of the headline model."""
        aims = self.daily_aims(self.daily.headline)
        if self.book is not None:
            aims += [book_aim(self.book.held, "held"), book_aim(self.book.turned, "turned round")]
        if self.realised is not None:
            tracks = self.realised.tracks
            aims += realised_aims(tracks[self.realised.headline], tracks[GARCH])
        if self.hourly is not None:
            aims.append(hourly_aim(self.hourly.by_hour, self.hourly.worst))
        return aims

    def document(self) -> dict[str, Any]:
        """One JSON object: the daily table with `pairs` of the headline model, then the others, and the aims."""
        book = self.book
        return {
            **self.daily.document(),
            "quick": self.task.quick,
            "book": None
            if book is None
            else {
                "pairs": list(book.pairs),
                "account": book.account,
                "origins": len(book.held),
                "value_at_risk_exceptions": {
                    "held": float(np.mean(book.held)),
                    "turned_round": float(np.mean(book.turned)),
                },
            },
            "realised": None if self.realised is None else self.realised.document(),
            "hourly": None if self.hourly is None else self.hourly.document(),
            "aims": [aim.document() for aim in self.aims],
            "daily_aims_met": {
                model: sum(aim.met is True for aim in self.daily_aims(model)) for model in self.daily.said
            },
        }


def run(task: Task, start: Start) -> Result:
    """Do the task. `start(total)` is called once, and what it answers after each of so many steps.

    Raises `ValueError` for a file that cannot be read, a missing feature set, or a history too short.
    """
    daily, plan = from_ecb(task.pairs, first=_QUICK_HISTORY if task.quick else None), _QUICK if task.quick else DAILY
    intraday: tuple[World, dict[str, Hours]] | None = None if task.oanda is None else from_oanda(task.oanda)
    total = steps_of(plan, daily, task.candidates) + 1
    if intraday is not None:
        total += steps_of(REALISED, intraday[0], task.realised) + len(intraday[1])
    show = start(total)
    features = {**task.features, REALISED_FEATURES.name: REALISED_FEATURES}
    known: dict[str, Any] = {"features": features, "settings": task.settings, "show": show}
    table = scored(daily, plan, task.candidates, **known)
    book = book_track(table.said[table.headline], daily.histories())
    show("the book of all pairs")
    if intraday is None:
        return Result(task, table, book, None, None)
    world, hours = intraday
    realised = scored(world, REALISED, task.realised, **known)
    return Result(task, table, book, realised, _hourly(hours, REALISED, show))


def _hourly(hours: Mapping[str, Hours], plan: Plan, show: Show) -> Hourly:
    by_pair = {}
    for pair, rows in hours.items():
        ranges = hourly_ranges(rows)
        by_pair[pair] = coverage_by_hour(ranges, rows.starts[1:][ranges.rows] >= np.datetime64(plan.first))
        show(f"{pair}: hourly ranges")
    return Hourly(_pooled(by_pair), by_pair)


def _pooled(by_pair: Mapping[str, Mapping[int, tuple[float, int]]]) -> dict[int, tuple[float, int]]:
    pooled = {}
    for hour in sorted({hour for by_hour in by_pair.values() for hour in by_hour}):
        parts = [by_hour[hour] for by_hour in by_pair.values() if hour in by_hour]
        count = sum(number for _, number in parts)
        pooled[hour] = (sum(share * number for share, number in parts) / count, count)
    return pooled
