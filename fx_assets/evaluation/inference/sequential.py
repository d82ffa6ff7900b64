"""Evidence that may be looked at every night: an e-process on a challenger's gains against the serving champion.

Let x_i, -1 or more, be gain i over a bound known at its origin, and D_i its expectation given all that was known
there. A stake s in (0, 1), the same at all origins, bets on them: wealth is the product of 1 + s x_i, from 1. Divided
by the product of 1 + s D_i it is a martingale above 0, and that product is at most exp(s sum(D_i)). So as long as
sum(D_i) is not above 0, wealth, and the mean of wealths over a fixed set of stakes, ever reaches 1 / level with a
probability of at most `level`, whoever looks when (Ville). Hence the null is the weak one of Choe and Ramdas,
"Comparing sequential forecasters", Operations Research 72 (2024): *the expected gains, summed from the first origin,
have at no time been above 0*. A good spell that only makes up for a bad one is under it. The wealth is that of
Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024); stakes that follow
the newest gains, as theirs may, would hold for the stronger null alone that no single D_i is above 0.

Unbounded gains. No test of a mean is valid for every law of unbounded gains, however it clips: cutting rare great
losses off raises the mean. There are two ways here, each valid for what it says:

- `bounds` given: |gain i| is never above bound i, known at the origin. Nothing is cut; D_i is the expected gain itself
  (relative to its bound). For the CRPS of quantile forecasts `crps_bounds` gives such bounds.
- without: a predictable scale, the exponentially weighted mean of the absolute gains matured at the origin, and caps
  that do not treat both sides alike: gains count up to 4 scales, losses up to 8. The null is about these *capped*
  gains (relative to the scale). A mean gain of at most 0 implies it wherever the expected excess of losses over 8
  scales is no more than that of gains over 4 scales: always for symmetric laws, however heavy their tails. A challenger
  that wins nearly always and loses beyond 8 scales now and then is judged by the capped loss: give `bounds` there.

Overlap. At horizon h every h-th gain makes a process of its own, settled before the next stake is placed, and the
null is about the sums of each. The mean of the h processes is an e-value at any fixed time; but who stops may use what
is known of stakes not yet settled, and against that a mean of processes in different filtrations is not safe (Arnold,
Henzi and Ziegel, Annals of Statistics 51 (2023)). One over the largest value so far of each is a p-value, whenever one
stops; the mean of those largest values is one over their harmonic mean, and a harmonic mean of h p-values is a p-value
once multiplied by a(h), however they depend (Vovk and Wang, "Combining p-values via averaging", Biometrika 107 (2020),
791-808). So the mean is divided by a(h): 2.7 at 3 bars, 3.6 at 5, 5.5 at 20. Then the guarantee holds for everybody's
stopping; what it costs is power.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference.outcome import checked_horizon
from fx_assets.metrics.losses import Floats

LEVEL = 0.025
GAIN_CAP, LOSS_CAP = 4.0, 8.0
# Matured gains before the first stake, where the scale has to be learned from them.
WARM_UP = 20
_ALPHA = 0.03
# The best stake is the mean over the variance, in units of the bound: unknown, so these share the money.
_STAKES = np.geomspace(0.02, 0.9, 10)


def e_process(gains: ArrayLike, *, horizon: int = 1, bounds: ArrayLike | None = None) -> Floats:
    """Log e-values after each of `gains` (..., n), champion's loss less challenger's, in the order of their origins.

    Value i counts gains 0 to i, so it is known when gain i has matured. Promote at the first one of -log(`LEVEL`) or
    more (`first_crossing`); among K challengers watched at once, of log K more. `bounds` (..., n): see above. Raises
    `ValueError` for gains that are not finite, and for one above its bound.
    """
    array, horizon = np.asarray(gains, dtype=np.float64), checked_horizon(horizon)
    if array.ndim < 1 or not np.isfinite(array).all():
        raise ValueError(f"gains: expected finite values of shape (..., n), got shape {array.shape}")
    relative = _scaled(array, horizon) if bounds is None else _bounded(array, bounds)
    n = array.shape[-1]
    rows = -(-n // horizon)
    padded = np.zeros((*array.shape[:-1], rows * horizon))
    padded[..., :n] = relative
    streams = padded.reshape(*array.shape[:-1], rows, horizon)
    wealth = np.zeros((*array.shape[:-1], rows + 1, horizon))
    wealth[..., 1:, :] = _mixed(streams)
    path = np.empty_like(streams)
    for offset in range(horizon):
        # When this stream settles, those after it still stand where they were one row before.
        path[..., offset] = _log_mean(
            np.concatenate([wealth[..., 1:, : offset + 1], wealth[..., :-1, offset + 1 :]], axis=-1)
        )
    found: Floats = path.reshape(padded.shape)[..., :n] - np.log(merging_factor(horizon))
    return found


def first_crossing(log_e: Floats, *, level: float = LEVEL) -> int | None:
    """Index of the first of log e-values (n,) that refuses the null at `level`; None where none does."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")
    above = np.asarray(log_e) >= -np.log(level)
    return int(np.argmax(above)) if above.any() else None


def crps_bounds(ours: ArrayLike, theirs: ArrayLike, levels: ArrayLike) -> Floats:
    """The most by which the CRPS of two quantile forecasts can differ, whatever the outcome: (n,), in their unit.

    `ours`, `theirs` (n, q) on evenly spaced `levels` (q,), scored by `metrics.losses.crps_quantiles`: the pinball loss
    at level a moves by at most max(a, 1 - a) times the distance of the quantiles. Known at the origin.
    """
    a, b, level = (np.asarray(value, dtype=np.float64) for value in (ours, theirs, levels))
    if level.ndim != 1 or a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(level):
        raise ValueError(f"expected ours and theirs (n, q) and levels (q,), got {a.shape}, {b.shape}, {level.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("ours, theirs: expected finite quantiles")
    bounds: Floats = 2.0 * (np.maximum(level, 1.0 - level) * np.abs(a - b)).mean(axis=1)
    return bounds


@lru_cache(maxsize=64)
def merging_factor(count: int) -> float:
    """a(K): K dependent p-values have a harmonic mean that is a p-value once multiplied by it.

    Source: Vovk and Wang (2020), harmonic mean: (y + K)^2 / ((y + 1) K), where y^2 = K ((y + 1) log(y + 1) - y).
    """
    from scipy.optimize import brentq

    if count <= 2:
        return float(count)
    y = brentq(lambda y: y**2 - count * ((y + 1) * np.log1p(y) - y), 1e-3, 1e3 * count)
    return float((y + count) ** 2 / ((y + 1) * count))


def _mixed(x: Floats) -> Floats:
    """Log wealth (..., rows, h) of the mixture over stakes, for each column of x (..., rows, h) on its own."""
    total: Floats = np.full_like(x, -np.inf)
    for stake in _STAKES:
        total = np.logaddexp(total, np.cumsum(np.log1p(stake * x), axis=-2))
    mean: Floats = total - np.log(len(_STAKES))
    return mean


def _log_mean(values: Floats) -> Floats:
    top = values.max(axis=-1, keepdims=True)
    mean: Floats = top[..., 0] + np.log(np.exp(values - top).mean(axis=-1))
    return mean


def _scaled(gains: Floats, horizon: int) -> Floats:
    """Gains over 8 times their predictable scale, within [-1, .5]; 0 where nothing has matured to tell the scale."""
    from scipy.signal import lfilter

    size = np.abs(gains)
    total = lfilter([_ALPHA], [1.0, _ALPHA - 1.0], size, axis=-1)
    weight = 1.0 - (1.0 - _ALPHA) ** np.arange(1, gains.shape[-1] + 1)
    scale = np.zeros_like(gains)
    # At the origin of gain i the newest matured gain is that of i - horizon.
    first = horizon + WARM_UP - 1
    scale[..., first:] = (total / weight)[..., WARM_UP - 1 : max(gains.shape[-1] - horizon, WARM_UP - 1)]
    ratio = np.divide(gains, LOSS_CAP * scale, out=np.zeros_like(gains), where=scale > 0)
    capped: Floats = np.clip(ratio, -1.0, GAIN_CAP / LOSS_CAP)
    return capped


def _bounded(gains: Floats, bounds: ArrayLike) -> Floats:
    limit = np.asarray(bounds, dtype=np.float64)
    if limit.shape != gains.shape or not np.isfinite(limit).all() or (limit < 0).any():
        raise ValueError(f"bounds: expected finite values of 0 or more of shape {gains.shape}, got {limit.shape}")
    over = np.abs(gains) > limit * (1 + 1e-9)
    if over.any():
        at = np.unravel_index(int(np.argmax(over)), gains.shape)
        raise ValueError(f"gains: {gains[at]:.6g} of window {at[-1]} is above its bound of {limit[at]:.6g}")
    return np.divide(gains, limit, out=np.zeros_like(gains), where=limit > 0)
