"""The YAML schema of dated swap rates and of dated bank holidays, and the loader of `configs/financing/*.yaml`.

Strict and frozen as every spec. One file is one price list, e.g. that of a broker; without any, a back-test says
`before financing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fx_assets.settings import environment
from fx_assets.specs import overrides
from fx_assets.specs.loader import _refuse, _section, _unmatched
from fx_assets.specs.overrides import Override
from fx_assets.specs.problems import Problem, SpecError
from fx_assets.specs.schema import PairName, Strict

SECTION = "financing"
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="e.g. JPY")]
Unit = Literal["pips", "annual_percent"]
_PREFIX, _STAND_IN = "FX_FINANCING__", "FX_PAIRS__"


class SwapRate(Strict):
    """What a position receives for each day that its value date moves on; below 0 it pays."""

    since: date = Field(description="First trading date whose 17:00 New York roll is paid at this rate")
    long: float
    short: float


class SwapRates(Strict):
    """Dated rates of one pair; each holds until the next one, the last one up to and including the roll of `until`."""

    unit: Unit = Field(description="pips: pips a day; annual_percent: percent of the position's value a year")
    days_a_year: Literal[360, 365] = Field(default=365, description="Of annual_percent: days that make a year")
    until: date = Field(description="Last trading date whose roll the list covers; later ones are not financed")
    rates: tuple[SwapRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _increasing(cls, value: tuple[SwapRate, ...]) -> tuple[SwapRate, ...]:
        if any(before.since >= after.since for before, after in pairwise(value)):
            raise ValueError("expected increasing dates since, each once")
        return value

    @model_validator(mode="after")
    def _ends(self) -> SwapRates:
        if self.until < self.rates[-1].since:
            raise ValueError(f"until: {self.until} lies before the last rate, which begins {self.rates[-1].since}")
        if self.unit == "pips" and "days_a_year" in self.model_fields_set:
            raise ValueError("days_a_year: belongs to unit: annual_percent; pips are paid by the day")
        return self


class HolidayChanges(Strict):
    """Dates on which a currency's banks do other than the calendar of `holiday_calendars` says."""

    closed: tuple[date, ...] = Field(default=(), description="Closed although the calendar says open")
    open: tuple[date, ...] = Field(default=(), description="Open although the calendar says closed")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> HolidayChanges:
        if both := set(self.closed) & set(self.open):
            raise ValueError(f"{min(both)} is both closed and open")
        return self


class FinancingSpec(Strict):
    """One price list of swap rates, with corrections of bank holidays."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    enabled: bool = Field(default=True, description="false: checked, but used by nothing; an example to switch on")
    source: str = Field(default="", description="Where the rates are from, in words")
    pairs: dict[PairName, SwapRates] = Field(default_factory=dict)
    holidays: dict[Currency, HolidayChanges] = Field(default_factory=dict)


@dataclass(frozen=True)
class FinancingCatalog:
    """Every usable price list by name, those switched off, and the problems of every file that is not usable."""

    lists: Mapping[str, FinancingSpec]
    disabled: Mapping[str, FinancingSpec] = field(default_factory=dict)
    broken: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()

    def rates(self, pair: str) -> SwapRates | None:
        """The pair's rates, or None where no list in use has any."""
        return next((spec.pairs[pair] for spec in self.lists.values() if pair in spec.pairs), None)

    def source(self, pair: str) -> str:
        """Which list the pair's rates are from: its name, and its `source` where it says one."""
        found = next((spec for spec in self.lists.values() if pair in spec.pairs), None)
        if found is None:
            return ""
        return f"{found.name}: {found.source}" if found.source else found.name

    @property
    def holidays(self) -> dict[str, HolidayChanges]:
        """Corrections of bank holidays by currency, those of all lists in use together."""
        found: dict[str, HolidayChanges] = {}
        for spec in self.lists.values():
            for currency, changes in spec.holidays.items():
                known = found.get(currency, HolidayChanges())
                found[currency] = HolidayChanges(
                    closed=tuple(sorted({*known.closed, *changes.closed})),
                    open=tuple(sorted({*known.open, *changes.open})),
                )
        return found

    def require_sound(self) -> None:
        """Raise `SpecError` with every problem of every file, if there is any."""
        problems = [problem for group in self.broken.values() for problem in group]
        if problems:
            raise SpecError(problems)


def load_financing(configs: Path, *, environ: Mapping[str, str] | None = None) -> FinancingCatalog:
    """Read `configs/financing/*.yaml` and apply overrides (`FX_FINANCING__BROKER__ENABLED=true`).

    One broken file never hides another: it lands in `FinancingCatalog.broken` under `financing/name`. Of two lists in
    use that have the same pair, or that contradict each other on a holiday, the later file is broken. Without a folder
    `financing` there are none.
    """
    found = _overrides(environment() if environ is None else environ)
    broken: dict[str, tuple[Problem, ...]] = {}
    loaded = _section(configs, SECTION, "name", FinancingSpec, found, broken)
    _unmatched(found, {SECTION: loaded}, broken)
    earlier: list[FinancingSpec] = []

    def twins(spec: FinancingSpec) -> Iterable[tuple[str, str]]:
        if not spec.enabled:
            return
        problems = list(_twins(spec, earlier))
        if not problems:
            earlier.append(spec)
        yield from problems

    _refuse(loaded, SECTION, twins, broken)
    sound = {name: item.spec for name, item in loaded.items() if isinstance(item.spec, FinancingSpec)}
    return FinancingCatalog(
        lists={name: spec for name, spec in sound.items() if spec.enabled},
        disabled={name: spec for name, spec in sound.items() if not spec.enabled},
        broken=broken,
        overrides=tuple(found),
    )


def _twins(spec: FinancingSpec, earlier: Iterable[FinancingSpec]) -> Iterable[tuple[str, str]]:
    for other in earlier:
        for pair in spec.pairs:
            if pair in other.pairs:
                yield f"pairs.{pair}", f"{other.name!r} has rates of {pair} too; switch one of the two off"
        for currency, changes in spec.holidays.items():
            known = other.holidays.get(currency, HolidayChanges())
            if both := (set(changes.closed) & set(known.open)) | (set(changes.open) & set(known.closed)):
                yield f"holidays.{currency}", f"{other.name!r} says the opposite of {min(both)}"


def _overrides(environ: Mapping[str, str]) -> list[Override]:
    """The overrides of this section, read as those of the sections that `overrides.find` knows."""
    ours = {name.replace(_PREFIX, _STAND_IN, 1): value for name, value in environ.items() if name.startswith(_PREFIX)}
    return [
        replace(found, variable=found.variable.replace(_STAND_IN, _PREFIX, 1), section=SECTION)
        for found in overrides.find(ours)
    ]
