"""Freshness and the champion: pure functions of what they are given."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from fx_assets.forecasting.champion import champion_of, served_by_default
from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.freshness import Behind, as_served, behind, freshness
from fx_assets.specs.loader import load_catalog
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end
from tests.forecasting.conftest import CONFIGS

TARGET = calendar("target")
FRIDAY = date(2026, 10, 30)


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        (bar_end(FRIDAY), 0),
        (datetime(2026, 11, 1, 12, tzinfo=UTC), 0),
        (bar_end(date(2026, 11, 2)) - timedelta(seconds=1), 0),
        (bar_end(date(2026, 11, 2)), 1),
        (bar_end(date(2026, 11, 3)), 2),
        (bar_end(date(2026, 11, 4)), 3),
        (datetime(2026, 11, 21, tzinfo=UTC), 15),
    ],
)
def test_stale_when_more_open_dates_ended_than_the_limit(now: datetime, missed: int) -> None:
    found = freshness(FRIDAY, TARGET, 2, now)
    assert found.missed == missed
    assert found.stale == (missed > 2)
    # The next open date is Monday, whenever it is asked.
    assert found.valid_until == bar_end(date(2026, 11, 2))


def test_a_limit_of_none_is_fresh_until_the_next_bar_ends() -> None:
    assert not freshness(FRIDAY, TARGET, 0, bar_end(FRIDAY)).stale
    assert freshness(FRIDAY, TARGET, 0, bar_end(date(2026, 11, 2))).stale


def test_closed_days_are_not_missed() -> None:
    found = freshness(date(2026, 12, 24), TARGET, 0, datetime(2026, 12, 28, 12, tzinfo=UTC))
    assert (found.missed, found.stale) == (0, False)
    assert found.valid_until == bar_end(date(2026, 12, 28))


def test_the_reader_judges_freshness_again_and_changes_nothing_else(document: ForecastDocument) -> None:
    assert not document.stale
    later = as_served(document, TARGET, 2, datetime(2026, 11, 21, tzinfo=UTC))
    assert later.stale
    assert later.model_copy(update={"stale": False}) == document
    assert as_served(later, TARGET, 2, document.issued_at) == document


def model(model_id: str, kind: str, pairs: object = "all") -> ModelSpec:
    return ModelSpec.model_validate({"model_id": model_id, "kind": kind, "pairs": pairs, "window": 9, "horizon": 1})


PAIRS = ("EURUSD", "USDJPY")


def catalog(*models: ModelSpec) -> dict[str, ModelSpec]:
    return {spec.model_id: spec for spec in models}


def test_without_evidence_the_random_walk_is_served() -> None:
    models = catalog(model("aaa", "har"), model("zero", "random_walk"), model("walk_b", "random_walk"))
    assert champion_of(models, "EURUSD", "1d", PAIRS) == "walk_b"


def test_where_no_walk_covers_the_pair_the_first_model_is_served() -> None:
    models = catalog(
        model("zeta", "har"), model("beta", "itransformer", ["EURUSD"]), model("walk", "random_walk", ["USDJPY"])
    )
    assert champion_of(models, "EURUSD", "1d", PAIRS) == "beta"
    assert champion_of(models, "USDJPY", "1d", PAIRS) == "walk"


def test_a_pair_without_a_model_and_an_unknown_pair_are_errors() -> None:
    models = catalog(model("walk", "random_walk", ["USDJPY"]))
    with pytest.raises(LookupError, match="no model forecasts EURUSD at 1d"):
        champion_of(models, "EURUSD", "1d", PAIRS)
    with pytest.raises(LookupError, match="no model forecasts USDJPY at 1h"):
        champion_of(models, "USDJPY", "1h", PAIRS)
    with pytest.raises(LookupError, match=r"unknown pair 'EURUSE'. Did you mean 'EURUSD'\?"):
        champion_of(models, "EURUSE", "1d", PAIRS)


def test_the_document_issued_last_says_which_model_is_served(document: ForecastDocument) -> None:
    later = document.issued_at + timedelta(hours=1)
    other = document.model_copy(update={"model_id": "other", "champion": "other", "issued_at": later})
    assert served_by_default([document]) == document
    assert served_by_default([document, other]) == other
    assert served_by_default([other.model_copy(update={"champion": "gone"}), document]) is None
    assert served_by_default([]) is None


def test_pairs_behind_are_the_missing_and_the_stale(document: ForecastDocument) -> None:
    pairs = load_catalog(CONFIGS, environ={}).pairs
    chosen = {name: pairs[name] for name in ("EURUSD", "GBPUSD", "USDJPY")}
    served = {"USDJPY": document, "EURUSD": None}
    assert behind(served, chosen, document.issued_at) == Behind(("EURUSD", "GBPUSD"), {})
    assert behind(served, chosen, datetime(2026, 11, 21, tzinfo=UTC)) == Behind(("EURUSD", "GBPUSD"), {"USDJPY": 15})
