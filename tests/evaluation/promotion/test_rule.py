"""Who serves: kept without evidence, promoted by much of it, never on few origins, and always with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.promotion.evidence import LEAST_ORIGINS
from fx_assets.evaluation.promotion.losses import ModelLosses
from fx_assets.evaluation.promotion.rule import Ruling, rule
from fx_assets.evaluation.promotion.standing import Standing, standing
from fx_assets.metrics.losses import Floats
from fx_assets.storage.decisions import Decision
from tests.evaluation.promotion.worlds import BEGAN, BEGAN_AT, FX, fair_gains, losses, moment, nights, until

SERVES = Standing("walk", BEGAN_AT, BEGAN_AT, BEGAN)
NIGHTS = nights(620)
EARLY, DECISION, NEXT = date(2022, 12, 15), date(2023, 3, 15), date(2024, 3, 15)  # with 247, 311 and 259 new origins
PLAIN = date(2023, 3, 14)


def gains(shift: float, count: int = len(NIGHTS), seed: int = 1) -> Floats:
    return fair_gains(count, 1, np.random.default_rng(seed))[:, 0] + shift


WALK = losses("walk", 50 + gains(0.0, seed=9))


def against(name: str, gained: Floats, *, first: int = 0, barred: str = "") -> ModelLosses:
    return losses(name, WALK.crps[first : first + len(gained), 0] - gained, first=first, barred=barred)


def ruled(night: date, *candidates: ModelLosses, walk: ModelLosses = WALK, **more: Any) -> Ruling:
    """The ruling on the evening of a trading date."""
    at = NIGHTS.index(night)
    given = {"standing": SERVES, "today": night, "calendar": FX, "trials": 7, **more}
    return rule(champion=until(walk, at), candidates=[until(one, at) for one in candidates], **given)


def decision(found: Ruling, newest: Decision | None, decided_at: datetime) -> Decision:
    return found.decision(newest, "EURUSD", "1d", decided_at=decided_at, decided_by="promotion", run_id="run-1")


def test_a_decision_date_promotes_what_is_better() -> None:
    found = ruled(DECISION, against("garch", gains(0.0, seed=3)), against("har", gains(0.5)))
    assert (found.kind, found.champion_before, found.champion_after) == ("scheduled", "walk", "har")
    assert found.decision_date == DECISION
    facts = found.evidence["scheduled"]
    har = facts["candidates"]["har"]
    assert (facts["origins"], har["origins"], found.evidence["trials"]) == (311, 311, 7)
    assert facts["first"].startswith("2022-01-04T22:00")
    assert facts["last"].startswith("2023-03-14T21:00")
    assert facts["spa_p_value"] < 0.025
    assert 0 < har["p_value_holm"] == 2 * har["p_value"] < 0.025
    assert facts["candidates"]["garch"]["p_value_holm"] > 0.025
    assert har["gain"] == pytest.approx(0.5 / 50, rel=0.5)
    assert json.loads(json.dumps(found.evidence)) == found.evidence
    assert found.reason.startswith(
        f"har has a one-bar CRPS {har['gain']:.2%} under walk's: best of 2 candidates on 311"
    )
    assert ruled(DECISION, against("garch", gains(0.0, seed=3)), against("har", gains(0.5))) == found


def test_without_evidence_the_champion_stays_and_the_reason_says_so() -> None:
    found = ruled(DECISION, against("har", gains(0.0)), against("garch", gains(-0.5, seed=3)))
    assert (found.kind, found.champion_after) == ("scheduled", "walk")
    assert found.reason.startswith("walk stays. Decision dates: nobody is shown better among 2 candidates on 311 new")
    assert "Every night: the best bet, on har, has made" in found.reason
    assert decision(found, None, moment(DECISION)).changed is False


def test_both_tests_must_refuse() -> None:
    """One of all, and the one by itself: gains at the border, on which the two differ."""
    only_alone = ruled(DECISION, against("har", gains(0.2, seed=27))).evidence["scheduled"]
    assert only_alone["candidates"]["har"]["p_value_holm"] < 0.025 < only_alone["spa_p_value"]
    alike = [against(f"har_{k}", gains(0.25, seed=84) + 1e-3 * gains(0.0, seed=900 + k)) for k in range(3)]
    only_together = ruled(DECISION, *alike).evidence["scheduled"]
    assert only_together["spa_p_value"] < 0.025 < only_together["candidates"]["har_0"]["p_value_holm"]
    for found in (ruled(DECISION, against("har", gains(0.2, seed=27))), ruled(DECISION, *alike)):
        assert (found.kind, found.champion_after) == ("scheduled", "walk")


def test_on_other_nights_nothing_is_decided_by_tests() -> None:
    decided = replace(SERVES, decided_at=BEGAN_AT, decision_date=EARLY)
    assert diebold_mariano(gains(0.4)[:310], horizon=1).p_value < 0.001
    found = ruled(PLAIN, against("har", gains(0.4)), standing=decided)
    assert (found.kind, found.champion_after) == (None, "walk")
    assert "2022-12-15, the newest decision date, lies behind the decision of 2022-12-15" in found.reason
    with pytest.raises(ValueError, match="nothing was decided"):
        decision(found, None, moment(PLAIN))


def test_under_250_new_origins_nothing_is_promoted_however_much_better() -> None:
    much = against("har", gains(50.0))
    early = ruled(EARLY, much)
    assert (early.kind, early.champion_after) == (None, "walk")
    assert "247 new origins of a candidate at most, and 250 are needed" in early.reason
    assert "on 247 origins of the 250 needed" in early.reason
    nights_until = [ruled(NIGHTS[at], much) for at in (248, 249, 250)]
    assert [found.kind for found in nights_until] == [None, None, "sequential"]
    assert nights_until[2].evidence["sequential"]["origins"] == LEAST_ORIGINS
    # The other way as well: not by a date on which the candidate is young.
    young = ruled(DECISION, against("har", gains(50.0)[62:], first=62))
    assert (young.kind, young.champion_after) == (None, "walk")
    assert ruled(DECISION, against("har", gains(50.0)[61:], first=61)).kind == "scheduled"


def test_every_night_much_evidence_promotes() -> None:
    night = NIGHTS[400]
    found = ruled(night, against("garch", gains(0.0, seed=3)), against("har", gains(1.0)), standing=late(DECISION))
    assert (found.kind, found.champion_after, found.decision_date) == ("sequential", "har", night)
    facts = found.evidence["sequential"]
    assert facts["log_wanted"] == pytest.approx(np.log(2 / 0.025))
    assert facts["candidates"]["har"]["log_capital"] > facts["log_wanted"]
    assert found.reason.startswith("har has a one-bar CRPS")
    assert "and 80 was asked of one of 2" in found.reason
    alone = ruled(night, against("har", gains(1.0)), standing=late(DECISION))
    assert alone.evidence["sequential"]["log_wanted"] == pytest.approx(np.log(40))


def late(day: date) -> Standing:
    """The same champion, with a decision to keep it on `day`."""
    return replace(SERVES, decided_at=moment(day), decision_date=day)


def test_a_decision_uses_its_origins_up() -> None:
    """A candidate that was better before a decision, and is no more, is not promoted by the next one."""
    once = against("har", np.where(np.arange(len(NIGHTS)) < 312, gains(0.2), gains(-0.3)))
    kept = ruled(NEXT, once, standing=late(DECISION))
    assert (kept.kind, kept.decision_date, kept.champion_after) == ("scheduled", NEXT, "walk")
    assert kept.evidence["scheduled"]["origins"] == 259
    assert kept.evidence["sequential"]["origins"] == 571
    # While nothing was decided, for too few origins, they go on counting.
    assert ruled(NEXT, once).evidence["scheduled"]["origins"] == 571


def test_a_date_whose_night_failed_is_made_up_for_from_what_it_would_have_seen() -> None:
    har = against("har", gains(0.5))
    on_time = ruled(DECISION, har)
    later = ruled(NIGHTS[NIGHTS.index(DECISION) + 9], har)
    assert later.evidence["scheduled"] == on_time.evidence["scheduled"]
    assert (later.kind, later.decision_date, later.reason) == ("scheduled", DECISION, on_time.reason)


def test_of_two_better_ones_the_best_is_promoted() -> None:
    both = [against("har", gains(0.4)), against("garch", gains(0.7))]
    assert ruled(DECISION, *both).champion_after == ruled(DECISION, *both[::-1]).champion_after == "garch"


def test_a_barred_candidate_counts_but_does_not_serve() -> None:
    gone = against("garch", gains(0.7), barred="configured no longer")
    found = ruled(DECISION, against("har", gains(0.5)), gone)
    assert found.champion_after == "har"
    assert "p_value_holm" in found.evidence["scheduled"]["candidates"]["garch"]
    alone = ruled(DECISION, gone)
    assert (alone.kind, alone.champion_after) == ("scheduled", "walk")
    assert "garch is better one bar ahead but may not serve: configured no longer" in alone.reason


def with_longer(model: ModelLosses, excess: float) -> ModelLosses:
    """Its losses at 5 and 20 bars: those of the walk at one bar and more, noise that lasts, and `excess` at 20 bars."""
    n = len(model.crps)
    noise = np.random.default_rng(len(model.model_id)).normal(0, 1, n + 20)
    lasting = np.convolve(noise, np.ones(20) / 20, mode="valid")[:n]
    return replace(
        model, horizons=(1, 5, 20), crps=np.column_stack([model.crps[:, 0], 100 + lasting, 200 + lasting + excess])
    )


@pytest.mark.parametrize("night", [NEXT, NIGHTS[500]], ids=["scheduled", "sequential"])
def test_a_candidate_that_is_worse_further_ahead_is_not_promoted(night: date) -> None:
    way = "scheduled" if night == NEXT else "sequential"
    stands, walk = late(DECISION if night == NEXT else NEXT), with_longer(WALK, 0.0)
    # Better one bar ahead for sure; by the date's test alone where it is the date's turn.
    har = against(
        "har", np.where(np.arange(len(NIGHTS)) < 312, gains(-0.7), gains(0.7)) if night == NEXT else gains(1.5)
    )

    def found(excess: float) -> Ruling:
        return ruled(night, with_longer(har, excess), walk=walk, standing=stands)

    assert [found(excess).kind for excess in (-1.0, 0.0)] == [way] * 2
    worse = found(5.0)
    assert worse.champion_after == "walk"
    assert "har is better one bar ahead but may not serve: it is worse 20 bars ahead" in worse.reason
    assert worse.evidence[way]["candidates"]["har"]["worse_at"] == [20]


def test_the_first_ruling_is_where_new_origins_begin() -> None:
    found = ruled(DECISION, against("har", gains(0.5)), standing=standing([], "walk"))
    assert (found.kind, found.champion_after) == ("initial", "walk")
    assert found.reason == "nothing was decided before: walk serves, and new origins count from here"
    first = decision(found, None, moment(DECISION))
    assert (first.number, first.champion_before, first.champion_after) == (1, None, "walk")
    known = standing([first], "other")
    assert known == Standing("walk", moment(DECISION), moment(DECISION), DECISION)
    later = ruled(NIGHTS[400], against("har", gains(0.5)), standing=known)
    assert later.kind is None
    assert later.evidence["sequential"]["origins"] == 400 - 312


def test_where_nobody_else_forecasts_the_champion_stays() -> None:
    found = ruled(DECISION)
    assert (found.kind, found.champion_after) == (None, "walk")
    assert "0 new origins of a candidate at most" in found.reason
    assert "no bet has been settled yet" in found.reason
    assert ruled(NIGHTS[0], against("har", gains(1.0))).kind is None


def test_a_champion_that_cannot_serve_is_a_matter_for_people() -> None:
    found = ruled(DECISION, against("har", gains(0.5)), walk=replace(WALK, barred="configured no longer"))
    assert (found.kind, found.champion_after) == (None, "walk")
    assert found.reason == "walk cannot serve (configured no longer): promote another model or roll back by hand"


def test_losses_of_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match="losses of walk for the champion, but har serves"):
        ruled(DECISION, standing=replace(SERVES, champion="har"))
    with pytest.raises(ValueError, match="har: given twice"):
        ruled(DECISION, against("har", gains(0.0)), against("har", gains(0.0)))
    with pytest.raises(ValueError, match="walk: given twice"):
        ruled(DECISION, against("walk", gains(0.0)))


def test_decisions_follow_each_other_and_standing_reads_them() -> None:
    first = decision(ruled(DECISION, standing=standing([], "walk")), None, BEGAN_AT)
    kept = decision(ruled(DECISION, against("har", gains(0.0))), first, moment(DECISION))
    assert (kept.id, kept.kind, kept.decision_date) == ("EURUSD/1d/2", "scheduled", DECISION)
    assert standing([first, kept], "walk") == Standing("walk", moment(DECISION), BEGAN_AT, DECISION)
    night = NIGHTS[450]
    won = ruled(night, against("har", gains(1.0)), standing=standing([first, kept], "walk"))
    third = decision(won, kept, moment(night))
    assert (third.number, third.kind, third.champion_before, third.champion_after) == (3, "sequential", "walk", "har")
    after = standing([first, kept, third], "walk")
    assert after == Standing("har", moment(night), moment(night), night)
    assert after.serving_since is not None
    assert after.serving_since - BEGAN_AT > timedelta(days=600)
