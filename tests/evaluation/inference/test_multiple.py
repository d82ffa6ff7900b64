"""Holm by hand and against statsmodels; the confidence set and superior predictive ability: size, power, seeds."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from fx_assets.evaluation.inference import multiple
from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.multiple import holm, model_confidence_set, superior_predictive_ability
from fx_assets.metrics.losses import Floats


def losses(n: int, gains: dict[str, float], seed: int) -> tuple[Floats, dict[str, Floats]]:
    """Of a benchmark, and of models whose losses are lower by `gains` on average."""
    rng = np.random.default_rng(seed)
    benchmark = 5 + rng.normal(size=n)
    return benchmark, {name: benchmark - gain + rng.standard_t(6, n) for name, gain in gains.items()}


def test_holm_by_hand() -> None:
    assert holm({1: 0.01, 2: 0.04, 3: 0.03}) == pytest.approx({1: 0.03, 2: 0.06, 3: 0.06})
    assert list(holm({"b": 0.9, "a": 0.1})) == ["b", "a"]
    assert holm({}) == {}
    assert holm({1: 0.7, 2: 0.8}) == {1: 1.0, 2: 1.0}


def test_holm_is_that_of_statsmodels() -> None:
    multipletests = import_module("statsmodels.stats.multitest").multipletests
    p = np.random.default_rng(0).uniform(size=12) ** 2
    ours = holm(dict(enumerate(p)))
    assert list(ours.values()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"p_values: that of 5 is nan; expected a probability"):
        holm({1: 0.5, 5: float("nan")})


@pytest.mark.parametrize(("n", "horizon", "block"), [(250, 1, 7), (1000, 20, 80), (100, 20, 25), (8, 1, 2)])
def test_block_length(n: int, horizon: int, block: int) -> None:
    assert multiple.block_length(n, horizon) == block


def test_confidence_set_is_that_of_arch_and_keeps_the_best() -> None:
    from arch.bootstrap import MCS

    _, models = losses(400, {"best": 0.5, "near": 0.45, "bad": -0.5}, 1)
    found = model_confidence_set(models, horizon=1, seed=3)
    theirs = MCS(np.column_stack(list(models.values())), 0.1, 1000, 8, seed=3)
    theirs.compute()
    assert found.p_values == {name: theirs.pvalues["Pvalue"][k] for k, name in enumerate(models)}
    assert found.included == ("best", "near")
    assert "stationary bootstrap, 1000 draws, blocks of 8, seed 3" in found.assumed


def test_confidence_set_takes_equal_losses_for_one_model() -> None:
    """arch divides by the deviation of their difference, which is 0."""
    _, models = losses(200, {"a": 0.0, "b": -1.0}, 2)
    found = model_confidence_set(models | {"twin": models["a"]}, horizon=1, seed=0)
    assert found.p_values["twin"] == found.p_values["a"] == 1.0
    assert set(found.included) == {"a", "twin"}
    alone = model_confidence_set({"a": models["a"], "twin": models["a"]}, horizon=1, seed=0)
    assert alone.included == ("a", "twin")


def test_superior_ability_of_one_model_is_diebold_mariano() -> None:
    benchmark, models = losses(300, {"only": 0.1}, 3)
    mariano = diebold_mariano(benchmark - models["only"], horizon=5)
    found = superior_predictive_ability(benchmark, models, horizon=5, seed=0, repetitions=20_000)
    assert found.statistic == pytest.approx(mariano.statistic)
    assert found.p_value == pytest.approx(mariano.p_value, abs=0.01)


@pytest.mark.parametrize("way", ["cosines", "bootstrap"])
def test_a_noisy_model_does_not_hide_a_good_one(way: multiple.Way) -> None:
    """With gains in their own units, as arch has them, p is .2 here."""
    from arch.bootstrap import SPA

    rng = np.random.default_rng(4)
    good, noisy = rng.normal(-0.2, 1, 500), rng.normal(0, 50, 500)
    found = superior_predictive_ability(np.zeros(500), {"noisy": noisy, "good": good}, horizon=1, seed=0, way=way)
    assert found.p_value < 0.02
    assert "best: good" in found.assumed
    theirs = SPA(np.zeros(500), np.column_stack([noisy, good]), 8, 200, seed=0)
    theirs.compute()
    assert theirs.pvalues["consistent"] > 0.1


def test_many_bad_models_do_not_hide_a_good_one() -> None:
    """What makes it consistent: those clearly worse are no competition."""
    benchmark, models = losses(400, {"good": 0.15, **{f"bad{k}": -1.0 for k in range(40)}}, 5)
    alone = superior_predictive_ability(benchmark, {"good": models["good"]}, horizon=1, seed=0)
    among = superior_predictive_ability(benchmark, models, horizon=1, seed=0)
    assert among.p_value == pytest.approx(alone.p_value, abs=0.01)


def test_the_best_of_many_nulls_is_not_superior() -> None:
    """Each alone would be: the best of 60 has p under .05 nearly always."""
    single, among = [], []
    for seed in range(40):
        benchmark, models = losses(250, {str(k): 0.0 for k in range(60)}, 100 + seed)
        single.append(min(diebold_mariano(benchmark - loss, horizon=1).p_value for loss in models.values()) < 0.05)
        among.append(superior_predictive_ability(benchmark, models, horizon=1, seed=0, repetitions=200).p_value < 0.05)
    assert np.mean(single) > 0.8
    assert np.mean(among) <= 0.15  # at most 6 of 40: the one-sided 99 % bound of 5 %


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "n"), [(1, 250), (5, 400), (20, 800)])
def test_size_of_superior_ability_under_overlap(horizon: int, n: int) -> None:
    rng = np.random.default_rng(6)
    refused = 0
    for seed in range(600):
        total = np.cumsum(rng.standard_t(6, (n + horizon, 5)), axis=0)
        models = {str(k): gain for k, gain in enumerate((total[horizon:] - total[:-horizon]).T)}
        p = superior_predictive_ability(np.zeros(n), models, horizon=horizon, seed=seed, repetitions=300).p_value
        refused += p < 0.05
    assert 0.025 < refused / 600 < 0.077


@pytest.mark.parametrize("way", ["cosines", "bootstrap"])
def test_the_seed_decides(way: multiple.Way) -> None:
    benchmark, models = losses(120, {"a": 0.0, "b": -0.2}, 10)
    p = [
        superior_predictive_ability(benchmark, models, horizon=1, seed=seed, way=way, repetitions=300).p_value
        for seed in (1, 1, 2, 3, 4)
    ]
    assert p[0] == p[1]
    assert len(set(p)) > 1
    sets = [model_confidence_set(models, horizon=1, seed=seed, repetitions=300).p_values["b"] for seed in (1, 1, 2, 3)]
    assert sets[0] == sets[1]
    assert len(set(sets)) > 1


def test_a_model_that_is_the_benchmark_gains_nothing() -> None:
    benchmark, models = losses(120, {"a": 0.3}, 8)
    alone = superior_predictive_ability(benchmark, {"itself": benchmark}, horizon=1, seed=0)
    assert (alone.statistic, alone.p_value) == (0.0, 1.0)
    both = superior_predictive_ability(benchmark, {"itself": benchmark, **models}, horizon=1, seed=0)
    assert "best: a" in both.assumed
    assert "of 2 tried" in both.assumed


def test_refusals() -> None:
    benchmark, models = losses(120, {"a": 0.3}, 9)
    with pytest.raises(ValueError, match="losses of b: 1 of 120 windows are not finite, the first is 0"):
        superior_predictive_ability(benchmark, models | {"b": np.append(np.nan, benchmark[1:])}, horizon=1, seed=0)
    with pytest.raises(ValueError, match=r"expected the same windows for all models, got {'a': 120, 'b': 119}"):
        model_confidence_set(models | {"b": benchmark[1:]}, horizon=1, seed=0)
    with pytest.raises(ValueError, match="expected one shape, got benchmark 119 and models 120 windows"):
        superior_predictive_ability(benchmark[1:], models, horizon=1, seed=0)
    with pytest.raises(ValueError, match=r"losses: expected two models or more, got \['a'\]"):
        model_confidence_set(models, horizon=1, seed=0)
    with pytest.raises(ValueError, match="models: expected one or more"):
        superior_predictive_ability(benchmark, {}, horizon=1, seed=0)
    with pytest.raises(ValueError, match="losses of c: the gain never varies"):
        superior_predictive_ability(benchmark, {"c": benchmark - 1.0}, horizon=1, seed=0)
    with pytest.raises(ValueError, match="way: expected cosines or bootstrap, got 'both'"):
        superior_predictive_ability(benchmark, models, horizon=1, seed=0, way="both")  # type: ignore[arg-type]
