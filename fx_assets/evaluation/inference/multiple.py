"""Many tests at once: Holm, the model confidence set, superior predictive ability.

Bootstraps are those of the `arch` package (stationary bootstrap of Politis and Romano 1994), the same for the same
seed. For superior predictive ability they are the second way: with five models that are all as good as the benchmark,
5 % tests on 250 origins at horizon 1, 400 at 5 and 800 at 20 refuse in 6, 12 and 16 % of 150 to 300 draws, while the
joint law of the cosine transforms refuses in 5.7, 4.0 and 4.3 % of 1,000, and takes a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference.long_run import bartlett_variance, cosines, transforms
from fx_assets.evaluation.inference.outcome import Test, checked_horizon, series
from fx_assets.metrics.losses import Floats

Key = TypeVar("Key")
Way = Literal["cosines", "bootstrap"]

REPETITIONS = 1000


@dataclass(frozen=True)
class ConfidenceSet:
    """Models that cannot be told from the best at `size`, and the p-value of each (the largest size that keeps it)."""

    included: tuple[str, ...]
    p_values: dict[str, float]
    size: float
    n: int
    block: int
    assumed: str


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p-values, in the order given: the smallest times their number, the next times one less, never falling.

    Refusing all under a level makes one false claim or more with at most that probability, however the tests depend.
    Raises `ValueError` for a value outside [0, 1]. Source: Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    for key, value in p_values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"p_values: that of {key} is {value}; expected a probability")
    adjusted: dict[Key, float] = {}
    highest = 0.0
    for rank, (key, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p_values) - rank)))
        adjusted[key] = highest
    return {key: adjusted[key] for key in p_values}


def block_length(n: int, horizon: int) -> int:
    """Expected block of the bootstraps: n^(1/3), but 4 horizons where windows overlap, and a quarter of n at most.

    A block of one horizon would lose half of the overlap's covariance, one of four loses 8 % (of the variance).
    """
    wanted = max(int(np.ceil(n ** (1 / 3))), 4 * horizon if checked_horizon(horizon) > 1 else 1)
    return max(1, min(wanted, n // 4))


def model_confidence_set(
    losses: Mapping[str, ArrayLike], *, horizon: int, seed: int, size: float = 0.1, repetitions: int = REPETITIONS
) -> ConfidenceSet:
    """Which of two or more models could be the best, from their `losses` (n,) on the same windows?

    A worse model may well stay (in 82 % at a size of .1, with few windows): being in the set is no skill. Raises
    `ValueError` by name for one model, or losses that are not finite or not aligned. Source: Hansen, Lunde and Nason,
    Econometrica 79 (2011), 453-497, range statistic.
    """
    from arch.bootstrap import MCS

    if not 0 < size < 1:
        raise ValueError(f"size: expected a probability between 0 and 1, got {size}")
    table, names = _table(losses), list(losses)
    if len(names) < 2:
        raise ValueError(f"losses: expected two models or more, got {names}")
    n = len(table)
    block = block_length(n, horizon)
    # arch divides the differences of a pair by their deviation: models with equal losses are one model to it.
    first = _first_alike(table)
    kept = [names[k] for k in dict.fromkeys(first)]
    p_values = dict.fromkeys(kept, 1.0)
    if len(kept) > 1:
        found = MCS(table[:, list(dict.fromkeys(first))], size, repetitions, block, seed=seed)
        found.compute()
        p_values = dict(zip((kept[k] for k in found.pvalues.index), found.pvalues["Pvalue"].tolist(), strict=True))
    by_name = {name: p_values[names[k]] for name, k in zip(names, first, strict=True)}
    said = f"all models in the set equal; stationary bootstrap, {repetitions} draws, blocks of {block}, seed {seed}"
    included = tuple(name for name, p in by_name.items() if p > size)
    return ConfidenceSet(included, by_name, size, n, block, said)


def superior_predictive_ability(
    benchmark: ArrayLike,
    models: Mapping[str, ArrayLike],
    *,
    horizon: int,
    seed: int,
    way: Way = "cosines",
    repetitions: int = 2 * REPETITIONS,
) -> Test:
    """One-sided: is the best of all `models` tried better than `benchmark`, allowing for how many were tried?

    Losses (n,) on the same windows. The statistic is the largest mean gain over its long-run deviation; models that are
    clearly worse are moved out of the way (the paper's consistent p-value). Its law: `cosines` draws mean and deviation
    from the cosine transforms of all gains, so that with one model it is that of Diebold-Mariano, Student t included;
    `bootstrap` is `arch`. That leaves gains in their own units, and one noisy model would hide the others: each is
    divided by its deviation first, as the paper has it. Raises `ValueError` by name for losses that are not finite or
    not aligned. Source: Hansen, Journal of Business and Economic Statistics 23 (2005), 365-380.
    """
    if not models:
        raise ValueError("models: expected one or more")
    if way not in ("cosines", "bootstrap"):
        raise ValueError(f"way: expected cosines or bootstrap, got {way!r}")
    theirs, table = series("benchmark", benchmark, least=8), _table(models)
    n = len(theirs)
    if n != len(table):
        raise ValueError(f"expected one shape, got benchmark {n} and models {len(table)} windows")
    gains = theirs[:, None] - table
    # A model that is the benchmark gains nothing, and says nothing.
    names = [name for name, gain in zip(models, gains.T, strict=True) if gain.any()]
    gains = gains[:, gains.any(axis=0)]
    for name, gain in zip(names, gains.T, strict=True):
        if float(np.ptp(gain)) <= 1e-13 * float(np.abs(gain).max()):
            raise ValueError(f"losses of {name}: the gain never varies, which leaves nothing to test")
    null = f"no model better than the benchmark, of {table.shape[1]} tried"
    if not names:
        return Test(0.0, 1.0, (), n, f"{null}; all are the benchmark")
    law = _by_cosines if way == "cosines" else _by_bootstrap
    statistics, p, said = law(gains, checked_horizon(horizon), seed, repetitions)
    best = int(np.argmax(statistics))
    return Test(float(statistics[best]), p, (), n, f"{null}; best: {names[best]}; {said}, seed {seed}")


def _by_cosines(gains: Floats, horizon: int, seed: int, draws: int) -> tuple[Floats, float, str]:
    """Statistics (k,) of gains (n, k), p, and how."""
    n, k = gains.shape
    count = cosines(n, horizon)
    terms = transforms(np.ascontiguousarray(gains.T), count).T
    scale = np.sqrt(np.square(terms).mean(axis=0))
    terms = terms / scale
    statistics: Floats = np.sqrt(n) * gains.mean(axis=0) / scale
    # Under the null mean and transforms are independent draws of one normal law; these have its estimate as covariance.
    rng = np.random.default_rng(seed)
    shift = np.where(statistics < -np.sqrt(2 * np.log(np.log(n))), statistics, 0.0)
    beyond = 0
    for part in np.array_split(np.arange(draws), max(1, draws * count * (count + k) // 4_000_000)):
        drawn = rng.standard_normal((len(part), count + 1, count)) @ terms / np.sqrt(count)
        ratio = drawn[:, 0] / np.sqrt(np.square(drawn[:, 1:]).mean(axis=1))
        beyond += int(((ratio + shift).max(axis=1) >= statistics.max()).sum())
    return statistics, (1 + beyond) / (1 + draws), f"{count} equal-weighted cosines, {draws} draws"


def _by_bootstrap(gains: Floats, horizon: int, seed: int, draws: int) -> tuple[Floats, float, str]:
    from arch.bootstrap import SPA

    n = len(gains)
    block = block_length(n, horizon)
    scale = np.sqrt([bartlett_variance(gain, block) for gain in gains.T])
    gains = gains / scale
    found = SPA(np.zeros(n), -gains, block, draws, seed=seed)
    found.compute()
    statistics: Floats = np.sqrt(n) * gains.mean(axis=0)
    return statistics, float(found.pvalues["consistent"]), f"stationary bootstrap, {draws} draws, blocks of {block}"


def _table(losses: Mapping[str, ArrayLike]) -> Floats:
    """Losses as (n, models)."""
    columns = {name: series(f"losses of {name}", value, least=8) for name, value in losses.items()}
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"losses: expected the same windows for all models, got {sizes}")
    return np.column_stack(list(columns.values())) if columns else np.empty((0, 0))


def _first_alike(table: Floats) -> list[int]:
    """For each column the first one equal to it."""
    return [next(k for k in range(j + 1) if np.array_equal(table[:, k], table[:, j])) for j in range(table.shape[1])]
