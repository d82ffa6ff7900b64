"""The YAML schema of exogenous series, one daily value each, and the loader of `configs/exog/*.yaml`.

Strict and frozen as every spec. One file is one lake table `exog/<name>`; its series take the place of the pairs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise, permutations
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from fx_assets.settings import environment
from fx_assets.specs import overrides
from fx_assets.specs.loader import _refuse, _section, _unmatched
from fx_assets.specs.overrides import Override
from fx_assets.specs.problems import Problem, SpecError
from fx_assets.specs.schema import Strict

SeriesName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,15}$", description="e.g. CNN")]
ExogCheck = Callable[["ExogSpec"], Iterable[tuple[str, str]]]
DATE = "date"
_NO_PLACE = {"Factory", "localtime"}  # in the zone database, but of no place
_PREFIX, _STAND_IN = "FX_EXOG__", "FX_PAIRS__"


class ValueColumns(Strict):
    """What the file calls the time and the value."""

    time: str
    value: str


class KnownAt(Strict):
    """When a value could be known: `at` this hour of its date plus `days`, or at the very stamp of its row.

    `clock` also says which date a stamp is of, and when that date begins.
    """

    days: int = Field(default=0, ge=0, le=366, description="Days from the value's date to its publication")
    at: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time of day, e.g. '16:30'")
    clock: str = Field(default="UTC", description="IANA zone")
    as_stamped: bool = False

    @property
    def after_midnight(self) -> timedelta:
        """From the date's midnight to the publication, as the clock shows it."""
        hours, _, minutes = (self.at or "00:00").partition(":")
        return timedelta(days=self.days, hours=int(hours), minutes=int(minutes))

    @field_validator("clock")
    @classmethod
    def _zone(cls, value: str) -> str:
        zones = available_timezones() - _NO_PLACE
        if value not in zones:
            close = difflib.get_close_matches(value, sorted(zones), n=1, cutoff=0.6)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"expected an IANA zone such as America/New_York.{hint}")
        return value

    @model_validator(mode="after")
    def _one_rule(self) -> KnownAt:
        if self.as_stamped and {"days", "at"} & self.model_fields_set:
            raise ValueError("as_stamped: true takes the stamp itself; leave out days and at")
        if not self.as_stamped and self.at is None:
            raise ValueError("expected at: e.g. '16:30' with its clock, or as_stamped: true")
        return self


class SeriesSpec(Strict):
    """One series: where its files lie, how they are read, when its values are known, what is believable of them."""

    files: str | tuple[str, ...] = Field(
        default=(), description="Files or globs, relative to the project; inbox/<name>/<SERIES>* if not given"
    )
    columns: ValueColumns
    time_format: str = Field(description="date (ISO), iso, epoch_s, epoch_ms, epoch_us or a pattern of strptime")
    options: dict[str, Any] = Field(default_factory=dict, description="Those of the source csv, e.g. separator")
    known_at: KnownAt
    range: tuple[float, float] = Field(description="Lowest and highest possible value")
    gap_limit: int = Field(ge=1, description="Most days from one value to the next; 1: every date has one")
    reject_limit: float = Field(default=0.005, ge=0, le=1, description="Share of rejected rows that fails a run")
    changes: tuple[date, ...] = Field(default=(), description="Dates from which the series is made by another method")

    @field_validator("range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not value[0] < value[1]:
            raise ValueError("expected [low, high] with low < high")
        return value

    @field_validator("changes")
    @classmethod
    def _increasing(cls, value: tuple[date, ...]) -> tuple[date, ...]:
        if any(before >= after for before, after in pairwise(value)):
            raise ValueError("expected increasing dates, each once")
        return value

    @model_validator(mode="after")
    def _fits(self) -> SeriesSpec:
        if self.known_at.as_stamped and self.time_format == DATE:
            raise ValueError("known_at.as_stamped needs stamps with a time of day; time_format: date has none")
        if self.columns.time == self.columns.value:
            raise ValueError(f"columns: time and value are taken from one column {self.columns.value!r}")
        if "time_format" in self.options:
            raise ValueError("options.time_format: say time_format beside options instead")
        return self


class ExogSpec(Strict):
    """A group of exogenous series that share a table."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    enabled: bool = Field(default=True, description="false: checked, but not part of any run; an example to switch on")
    series: dict[SeriesName, SeriesSpec] = Field(min_length=1)

    @property
    def table(self) -> str:
        """The lake table that keeps the series."""
        return f"exog/{self.name}"

    @model_validator(mode="after")
    def _files_told_apart(self) -> ExogSpec:
        for short, long in permutations(self.series, 2):
            if long.startswith(short) and not self.series[short].files:
                raise ValueError(f"series.{short}: {short}* would also take the files of {long}; give its files")
        return self


@dataclass(frozen=True)
class ExogCatalog:
    """Every usable group by name, those switched off, and the problems of every file that is not usable."""

    groups: Mapping[str, ExogSpec]
    disabled: Mapping[str, ExogSpec] = field(default_factory=dict)
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()

    def require_sound(self) -> None:
        """Raise `SpecError` with every problem of every file, if there is any."""
        problems = [problem for group in self.broken.values() for problem in group]
        if problems:
            raise SpecError(problems)


def load_exog(
    configs: Path, *, environ: Mapping[str, str] | None = None, check: ExogCheck = lambda _: ()
) -> ExogCatalog:
    """Read `configs/exog/*.yaml`, apply overrides (`FX_EXOG__FEAR_GREED__ENABLED=true`), and `check` each.

    One broken file never hides another: it lands in `ExogCatalog.broken` under `exog/name`. `check` adds what a room
    above knows, as (dotted path, message). Without a folder `exog` there are none.
    """
    found = _overrides(environment() if environ is None else environ)
    broken: dict[str, tuple[Problem, ...]] = {}
    loaded = _section(configs, "exog", "name", ExogSpec, found, broken)
    _unmatched(found, {"exog": loaded}, broken)
    _refuse(loaded, "exog", check, broken)
    sound = {name: item.spec for name, item in loaded.items() if isinstance(item.spec, ExogSpec)}
    return ExogCatalog(
        groups={name: spec for name, spec in sound.items() if spec.enabled},
        disabled={name: spec for name, spec in sound.items() if not spec.enabled},
        broken=broken,
        overrides=tuple(found),
    )


def _overrides(environ: Mapping[str, str]) -> list[Override]:
    """The overrides of this section, read as those of the sections that `overrides.find` knows."""
    ours = {name.replace(_PREFIX, _STAND_IN, 1): value for name, value in environ.items() if name.startswith(_PREFIX)}
    return [
        replace(found, variable=found.variable.replace(_STAND_IN, _PREFIX, 1), section="exog")
        for found in overrides.find(ours)
    ]
