"""Whether ranges hold: where outcomes fell in their forecasts (PIT), coverage over time, and the tails."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fx_assets.evaluation.inference.tails import exact_interval, expected_counts, traffic_light
from fx_assets.evaluation.pictures import dress
from fx_assets.evaluation.pictures.windows import Scored, scored
from fx_assets.metrics.losses import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 20
_LEVELS = np.arange(1, 100) / 100
_WORLDS = 1000
_TAILS = (0.01, 0.025, 0.05)
_SIDES = ("lower", "upper")


def reliability(table: pa.Table, *, horizon: int | None = None) -> bytes:
    """PNG under 100 kB: the histogram of PIT values, beside how often outcomes came below each quantile.

    `table`: scores of one pair and model, see `windows.scored`; `pit` in [0, 1], flat where the forecasts are right.
    Bands hold 95 % of the values of a forecaster who is right, at each place by itself: binomial, of as many windows
    as do not overlap. Source: Gneiting, Balabdaoui and Raftery (2007), doi 10.1111/j.1467-9868.2007.00587.x.
    """
    windows = scored(table, horizon)
    pit, n = windows.numbers("pit"), windows.independent
    figure, (left, right) = dress.canvas(4.4, columns=2)
    counts = np.histogram(pit, bins=BINS, range=(0, 1))[0]
    share = counts * BINS / len(pit)
    low, high = _band(n, np.array([1 / BINS])) * BINS
    inside = (low[0] <= share) & (share <= high[0])
    edges = np.arange(BINS) / BINS
    left.bar(
        edges, share, width=1 / BINS, align="edge", color=np.where(inside, dress.GREY, dress.ORANGE), edgecolor="white"
    )
    # Over the bars, which would hide its lower half.
    left.axhspan(low[0], high[0], color=dress.BLUE, alpha=0.18, linewidth=0, zorder=2)
    left.axhline(1, color=dress.INK, linewidth=1)
    left.set_xlim(0, 1)
    left.set_ylim(0, max(1.1 * share.max(), 1.2 * high[0]))
    dress.panel(left, "Share of outcomes in each twentieth", x="where the outcome fell (PIT)", y="1 = as forecast")

    observed = np.searchsorted(np.sort(pit), _LEVELS, side="right") / len(pit)
    low, high = _band(n, _LEVELS)
    right.fill_between(100 * _LEVELS, *(100 * (edge - _LEVELS) for edge in (low, high)), color=dress.BAND, linewidth=0)
    right.axhline(0, color=dress.INK, linewidth=1)
    off = 100 * (observed - _LEVELS)
    right.plot(100 * _LEVELS, off, color=dress.BLUE, linewidth=1.6)
    out = (observed < low) | (observed > high)
    right.plot(100 * _LEVELS[out], off[out], ".", markersize=5, color=dress.ORANGE)
    right.set_xlim(0, 100)
    bound = max(1.2 * np.abs(off).max(), 130 * (high - _LEVELS).max())
    right.set_ylim(-bound, bound)
    dress.panel(
        right, "Outcomes below each quantile, less its level", x="level of the quantile, %", y="percentage points"
    )
    dress.head(
        figure,
        f"{windows.name}: where outcomes fell in their forecasts, {windows.ahead}",
        f"{windows.counted}. Blue band: 95 % of the values of a forecaster who is right. "
        f"{int(inside.sum())} of {BINS} bars and {int((~out).sum())} of {len(_LEVELS)} quantiles\nlie inside, "
        "orange ones do not. A hump in the middle means ranges too wide, a valley too narrow.",
    )
    return dress.png(figure, f"reliability of {windows.name}")


def coverage_over_time(table: pa.Table, *, horizon: int | None = None, span: int = 250) -> bytes:
    """PNG under 100 kB: the share of outcomes inside the 80 % and 90 % ranges over the last `span` windows.

    `table`: scores of one pair and model, see `windows.scored`. The bands are what the whole line of a forecaster who
    is right stays within in 95 % of worlds of independent returns, simulated with the overlap of the horizon; the
    volatility of real returns clusters, and a line that leaves them has not followed it. Raises `ValueError` for a
    `span` under 20 or over the number of windows.
    """
    windows = scored(table, horizon)
    if not 20 <= span <= len(windows):
        raise ValueError(f"span: expected 20 to {len(windows)} windows of {windows.name}, got {span}")
    when = dress.times(windows.times("target_time"))[span - 1 :]
    figure, axes = dress.canvas(5.0, rows=2, sharex=True)
    said = []
    for each, mass in zip(axes, (90, 80), strict=True):
        hits = windows.numbers(f"covered_{mass}")
        share = 100 * _rolling(hits, span)
        margin = 100 * _margin(len(windows), span, mass / 100, windows.horizon)
        each.axhspan(mass - margin, min(mass + margin, 100), color=dress.BAND, zorder=0)
        each.axhline(mass, color=dress.INK, linewidth=1)
        each.plot(when, share, color=dress.BLUE, linewidth=1.4)
        out = np.abs(share - mass) > margin
        each.plot(when[out], share[out], ".", markersize=3.5, color=dress.ORANGE)
        dress.panel(each, f"{mass} % range: {100 * hits.mean():.1f} % over all windows", y="% inside")
        said.append(f"the {mass} % range {'left its band' if out.any() else 'stayed in its band'}")
        each.margins(x=0.01)
    dress.days(axes[-1])
    dress.head(
        figure,
        f"{windows.name}: did the ranges hold? Coverage over time, {windows.ahead}",
        f"Share of the last {span} outcomes inside the range; {', '.join(said)}.\nBlue band: where the whole line of a "
        "forecaster who is right about independent returns stays in 95 % of worlds.",
    )
    return dress.png(figure, f"coverage of {windows.name}")


def tail_exceptions(table: pa.Table, *, horizon: int | None = None) -> bytes:
    """PNG under 100 kB: how often outcomes lay beyond the 1, 2.5 and 5 % quantiles of either side, and when.

    `table`: scores of one pair and model, see `windows.scored`; exceptions are told by `pit`, of windows that do not
    overlap. Bars are exact 95 % intervals of the true share (Clopper and Pearson), bands the counts that a forecaster
    who is right has with 95 % probability; the traffic light is Basel's for the 1 % level.
    """
    windows = scored(table, horizon)
    apart = windows.apart
    pit, when = windows.numbers("pit")[apart], windows.times("target_time")[apart]
    figure, (left, right) = dress.canvas(4.4, columns=2, width_ratios=(4, 5))
    lights = [_shares(left, pit, side) for side in _SIDES]
    left.set_yticks(
        [_place(side, k) for side in _SIDES for k in range(len(_TAILS))],
        [f"{side} {100 * level:g} %" for side in _SIDES for level in _TAILS],
    )
    left.set_xlim(0, 1.4 * left.get_xlim()[1])
    left.grid(axis="y", visible=False)
    dress.panel(left, "Outcomes beyond the quantile", x="% of windows")
    _when(right, windows, pit, when)
    dress.head(
        figure,
        f"{windows.name}: outcomes in the tails, {windows.ahead}",
        f"{len(pit):,} windows that do not overlap. Blue band: 95 % of the shares of a forecaster who is right; line: "
        f"exact 95 % interval.\nTraffic light at 1 %: lower side {lights[0]}, upper side {lights[1]}.",
    )
    return dress.png(figure, f"tails of {windows.name}")


def _band(n: int, levels: Floats) -> Floats:
    """Lower and upper share (2, levels) that `n` independent windows of a right forecaster keep with 95 %."""
    from scipy.stats import binom

    return np.asarray(np.stack([binom.ppf(edge, n, levels) for edge in (0.025, 0.975)]) / n, dtype=np.float64)


def _rolling(hits: Floats, span: int) -> Floats:
    """Means (..., n - span + 1) over `span` neighbours of (..., n)."""
    sums = np.cumsum(np.concatenate([np.zeros((*hits.shape[:-1], 1)), hits], axis=-1), axis=-1)
    return np.asarray((sums[..., span:] - sums[..., :-span]) / span)


def _margin(n: int, span: int, mass: float, horizon: int) -> float:
    """How far a right forecaster's rolling coverage strays from `mass` at most, in 95 % of simulated worlds.

    Outcomes are sums of `horizon` independent normal returns, as neighbouring windows share them.
    """
    random = np.random.default_rng(20_260)
    limit = NormalDist().inv_cdf(0.5 + mass / 2) * np.sqrt(horizon)
    furthest = np.empty(_WORLDS)
    for world in range(_WORLDS):
        outcomes = _rolling(random.standard_normal(n + horizon - 1), horizon) * horizon
        furthest[world] = np.abs(_rolling((np.abs(outcomes) <= limit).astype(np.float64), span) - mass).max()
    return float(np.quantile(furthest, 0.95))


def _place(side: str, k: int) -> float:
    return k + (len(_TAILS) + 0.6 if side == "upper" else 0)


def _beyond(pit: Floats, side: str, level: float) -> Floats:
    return np.asarray(pit < level if side == "lower" else pit > 1 - level)


def _shares(axes: Axes, pit: Floats, side: str) -> str:
    """Draws the three levels of one side; returns the traffic light's word at the first."""
    n = len(pit)
    for k, level in enumerate(_TAILS):
        count, place = int(_beyond(pit, side, level).sum()), _place(side, k)
        fewest, most = expected_counts(n=n, level=level)
        low, high = exact_interval(count=count, n=n)
        right = fewest <= count <= most
        colour = dress.BLUE if right else dress.ORANGE
        axes.barh(place, 100 * (most - fewest) / n, left=100 * fewest / n, height=0.62, color=dress.BAND, zorder=1)
        axes.plot([100 * level] * 2, [place - 0.31, place + 0.31], color=dress.INK, linewidth=1.2)
        axes.plot([100 * low, 100 * high], [place] * 2, color=colour, linewidth=1.6)
        axes.plot(100 * count / n, place, "o", markersize=5.5, color=colour)
        axes.annotate(
            f"{count} ({fewest} to {most})",
            (100 * max(high, most / n), place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=dress.SMALL,
            color=dress.MUTED,
        )
    axes.margins(x=0.16)
    return traffic_light(count=int(_beyond(pit, side, _TAILS[0]).sum()), n=n, level=_TAILS[0])


def _when(axes: Axes, windows: Scored, pit: Floats, when: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> None:
    """Outcomes of the outer 5 % of either side over time, in units of the volatility that was forecast."""
    z = (windows.numbers("y") - windows.numbers("location"))[windows.apart] / windows.numbers("volatility")[
        windows.apart
    ]
    shades = {0.05: dress.GREY, 0.025: dress.DEEP, 0.01: dress.ORANGE}
    for level, inner in zip((0.05, 0.025, 0.01), (0.025, 0.01, 0.0), strict=True):
        rest = np.minimum(pit, 1 - pit)
        chosen = (rest < level) & (rest >= inner)
        axes.plot(
            dress.times(when[chosen]),
            z[chosen],
            ".",
            markersize=5,
            color=shades[level],
            label=f"outer {100 * level:g} %",
        )
    axes.axhline(0, color=dress.INK, linewidth=0.8)
    dress.days(axes)
    dress.panel(axes, "When they came", y="in volatilities forecast")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.15 * (high - low))
    dress.legend(axes, columns=3, where="upper center")
