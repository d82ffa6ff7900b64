"""The benchmark on small worlds: a planted GARCH world has volatility to find, a world of noise has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fx_assets.evaluation.skill.book import book_track
from fx_assets.evaluation.skill.candidates import CANDIDATES, HEADLINE, Candidate
from fx_assets.evaluation.skill.comparisons import CRPS, QLIKE, compared
from fx_assets.evaluation.skill.figures import figures
from fx_assets.evaluation.skill.tables import Scored, scored, steps_of
from fx_assets.evaluation.skill.walked import Said, walk
from fx_assets.evaluation.skill.worlds import ECB_PAIRS, World
from fx_assets.models.inputs import PairHistory
from fx_assets.models.predictors.garch import Garch
from fx_assets.settings import Settings
from fx_assets.specs.loader import load_catalog
from fx_assets.specs.schema import FeatureSetSpec, StageSpec
from tests.evaluation.skill.helpers import PLAN, world
from tests.models.arch_worlds import GARCH, simulated

TRIED = (Candidate("random_walk", "random_walk", target="log_return"), Candidate("garch", "garch"))
PAIRS = ("EURUSD", "USDJPY")


def table(made: World, home: Path) -> Scored:
    shown: list[str] = []
    found = scored(made, PLAN, TRIED, features={}, settings=Settings(home=home), show=shown.append)
    assert len(shown) == steps_of(PLAN, made, TRIED)
    return found


@pytest.fixture(scope="module")
def garch_world(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    moves = {pair: simulated(Garch, GARCH, 1_400, seed=seed)[0] for seed, pair in enumerate(PAIRS, 11)}
    return table(world(moves), tmp_path_factory.mktemp("home"))


def test_a_garch_world_shows_volatility_skill(garch_world: Scored) -> None:
    tracks = garch_world.tracks
    ours, walk = ([tracks[name][pair] for pair in PAIRS] for name in ("garch", "constant"))
    assert compared(ours, walk, QLIKE).verdict == "skill shown"
    assert compared(ours, walk, CRPS).verdict == "skill shown"
    # Against the world's own process there is nothing to win.
    row = garch_world.rows["garch"]
    assert row.garch.verdict != "skill shown"
    assert row.garch.ratio == pytest.approx(1.0, abs=0.01)
    assert row.walk.ratio < 0.995
    assert garch_world.rows["random_walk"].qlike.difference > 0
    # And none in the location: it is 0 as the random walk's.
    assert not garch_world.said["garch"]["EURUSD"].forecasts.location.any()


@pytest.mark.slow
def test_a_world_of_noise_shows_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(21)
    found = table(world({pair: rng.standard_t(6, 1_900) * 4e-3 for pair in PAIRS}), tmp_path)
    tracks = found.tracks
    for name in ("garch", "random_walk"):
        ours, walk = ([tracks[each][pair] for pair in PAIRS] for each in (name, "constant"))
        assert compared(ours, walk, QLIKE).verdict != "skill shown"


def test_features_and_panel_know_nothing_later(tmp_path: Path) -> None:
    """Bars are spoilt after a row inside the last test, features made anew of them: all forecasts up to it stay."""
    moves = {pair: simulated(Garch, GARCH, 1_400, seed=seed)[0] for seed, pair in enumerate(PAIRS, 3)}
    spec = CANDIDATES[-1].spec(PAIRS, horizon=5)
    options = {"log_scale": {"own": [5, 20], "panel": [3]}}
    chosen = FeatureSetSpec(name="scale", stages=(StageSpec(stage="indicators", options=options),))

    def forecasts(later: float) -> tuple[dict[str, Said], dict[str, PairHistory]]:
        spoilt = {pair: np.concatenate([values[:-100], values[-100:] * later]) for pair, values in moves.items()}
        made = world(spoilt)
        histories = made.histories(chosen)
        folds = PLAN.folds(made.histories())
        settings = Settings(home=tmp_path)
        return walk(
            spec, histories, folds, PLAN.steps, features=chosen, settings=settings, show=lambda _: None
        ), histories

    (plain, histories), (other, _) = forecasts(1.0), forecasts(8.0)
    for pair in PAIRS:
        one, two = plain[pair].forecasts, other[pair].forecasts
        kept = one.rows < len(histories[pair]) - 100
        assert kept.sum() > 300
        assert one.scale[kept].tobytes() == two.scale[kept].tobytes()
        assert not np.isclose(one.scale[~kept], two.scale[~kept]).all()
    assert plain["EURUSD"].noted < 5  # it is the scale model that forecasts, not what stands in for it


def test_the_document_is_the_designs(garch_world: Scored) -> None:
    document = garch_world.document()
    assert document["model"] == "garch"
    assert document["refits"] == 3
    assert list(document["pairs"]) == list(PAIRS)
    for found in document["pairs"].values():
        assert {
            "coverage",
            "crps_ratio_to_random_walk",
            "crps_ratio_to_garch_t",
            "qlike_minus_garch",
            "p_value",
            "verdict",
        } <= found.keys()
        assert found["coverage"].keys() == {"0.8", "0.9"}
        assert found["coverage"]["0.8"] == pytest.approx(0.8, abs=0.05)
        assert found["coverage_ahead"].keys() == {"5"}
    assert set(document["models"]) == {
        "constant",
        "ewma",
        "ewma_t",
        "garch_t",
        "egarch_t",
        "har_t",
        "random_walk",
        "garch",
    }
    assert document["models"]["garch_t"]["crps_ratio_to_garch_t"] == 1.0
    assert list(document["parts"]) == ["2019 to 2021"]


def test_figures_of_some_years_are_of_those_years(garch_world: Scored) -> None:
    whole, part = garch_world.rows["garch"], figures(garch_world.tracks, "garch", PAIRS, span=(2020, 2020))
    assert part.origins < whole.origins
    assert np.isnan(part.worst_stretch[80])
    assert part.document()["worst_stretch"] == {"0.8": None, "0.9": None}
    track = garch_world.tracks["garch"]["EURUSD"]
    alone = figures(garch_world.tracks, "garch", ["EURUSD"], span=(2020, 2020))
    assert alone.lower == np.mean(track.lower[track.kept(span=(2020, 2020))])


def test_a_book_of_both_is_exceeded_as_often_as_said(garch_world: Scored) -> None:
    closes = garch_world.world.histories()
    found = book_track(garch_world.said["garch"], closes, draws=500)
    assert found is not None
    assert (found.pairs, found.account) == (PAIRS, "USD")
    assert len(found.held) == len(garch_world.tracks["garch"]["EURUSD"].dates) - 250
    for exceptions in (found.held, found.turned):
        assert np.mean(exceptions) == pytest.approx(0.01, abs=0.01)
    assert found.held.any()
    alone = {"EURUSD": closes["EURUSD"]}
    assert book_track(garch_world.said["garch"], alone) is None


def test_the_candidates_are_the_shipped_models() -> None:
    shipped = load_catalog(Path(__file__).parents[3] / "configs", environ={}).models
    names = [candidate.name for candidate in CANDIDATES]
    assert names[-1] == HEADLINE
    assert len(set(names)) == len(names)
    said = {"kind", "scope", "features", "window", "horizon", "target", "known_ahead", "hyperparameters", "training"}
    for candidate in CANDIDATES:
        spec = candidate.spec(ECB_PAIRS, horizon=20)
        if candidate.name in shipped:
            own = shipped[candidate.name]
            assert spec.model_dump(include=said) == own.model_dump(include=said)
    assert {"random_walk", "har", "garch", "scale"} <= shipped.keys()


def test_a_missing_feature_set_says_where_it_belongs(tmp_path: Path) -> None:
    made = world({"EURUSD": simulated(Garch, GARCH, 900, seed=1)[0]})
    plan = PLAN
    wanting = (Candidate("scale", "scale", scope="panel", features="scale"),)
    with pytest.raises(ValueError, match=r"configs/features/scale\.yaml"):
        scored(made, plan, wanting, features={}, settings=Settings(home=tmp_path), show=lambda _: None)
