"""Whether losses are under a benchmark's: their difference over time, and by horizon with the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.inference.long_run import cosine_variance, cosines, mean_test
from fx_assets.evaluation.inference.verdict import LEAST_WINDOWS, SHOWN, TOO_LITTLE, WORSE, verdicts
from fx_assets.evaluation.pictures import dress
from fx_assets.evaluation.pictures.windows import Scored, against, folds, horizons, scored, spans
from fx_assets.metrics.losses import Floats
from fx_assets.timegrid.windows import EvaluationWindow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS = 60
_LEVEL = 0.05


@dataclass(frozen=True)
class Measure:
    """A loss of the scores table and the benchmark's; `negative`: it may be below 0, so that a ratio means nothing."""

    name: str
    said: str
    loss: str
    benchmark: str
    unit: str
    negative: bool = False


# The three questions of a certificate, and other benchmarks that one may look at.
BENCHMARKS: Mapping[str, tuple[Measure, ...]] = {
    "certificate": (
        Measure("location", "squared error, against a driftless random walk", "loss_se", "loss_se_walk", "bp²"),
        Measure("density", "CRPS, against a walk of calibrated volatility", "loss_crps", "loss_crps_still", "bp"),
        Measure("volatility", "QLIKE, against GARCH-t", "loss_qlike", "loss_qlike_garch", "QLIKE", negative=True),
    ),
    "walk": (
        Measure("location", "squared error, against a driftless random walk", "loss_se", "loss_se_walk", "bp²"),
        Measure("density", "CRPS, against a walk of constant volatility", "loss_crps", "loss_crps_walk", "bp"),
    ),
    "har": (Measure("volatility", "QLIKE, against HAR", "loss_qlike", "loss_qlike_har", "QLIKE", negative=True),),
}


def loss_difference(
    table: pa.Table, benchmark: str = "certificate", *, horizon: int | None = None, champion: pa.Table | None = None
) -> bytes:
    """PNG under 100 kB: the gain over the benchmark (its loss less the model's), summed up over time.

    `table`: scores of one pair and model, see `windows.scored`; `benchmark`: one of `BENCHMARKS`, a panel for each of
    its losses that the table has; `champion`: scores of the model whose volatility the density's random walk has, by
    default this one. A rising line is a model that gains. Blue (orange) where the mean of all windows up
    to there is above (below) 0 at 5 %, one-sided, looked at by itself: Diebold-Mariano on equal-weighted cosines.
    Folds are marked where they begin. Raises `ValueError` for another benchmark, and where no loss has values.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark {benchmark!r}: expected one of {', '.join(BENCHMARKS)}")
    windows = scored(table if champion is None else against(table, champion), horizon)
    drawn = [
        (measure, kept)
        for measure in BENCHMARKS[benchmark]
        if (kept := _both(windows, measure)) is not None and len(kept) > 1
    ]
    if not drawn:
        raise ValueError(f"no loss of {windows.name} beside {benchmark!r} at horizon {windows.horizon}")
    figure, axes = dress.canvas(1.7 + 1.75 * len(drawn), rows=len(drawn), sharex=True)
    for place, (each, (measure, kept)) in enumerate(zip(axes, drawn, strict=True)):
        _cumulative(each, measure, kept)
        each.margins(x=0.01, y=0.12)
        _folds(each, windows, named=place == 0)
    dress.days(axes[-1])
    dress.head(
        figure,
        f"{windows.name}: gain over the benchmark, summed up, {windows.ahead}",
        f"{windows.counted}. A rising line is a model that is better. "
        "Blue: the mean gain so far is above 0 at 5 %,\norange: below 0, grey: neither (one-sided Diebold-Mariano, "
        "each look by itself). Dotted: fitted anew.",
    )
    return dress.png(figure, f"loss difference of {windows.name}")


def skill_by_horizon(
    table: pa.Table, words: Mapping[str, Mapping[int, str]] | None = None, *, champion: pa.Table | None = None
) -> bytes:
    """PNG under 100 kB: the model's loss in per cent of the benchmark's at each horizon, with verdicts.

    `table`: scores of one pair and model at all horizons; `words`: what a certificate says of `location`, `density` and
    `volatility` at each horizon, by default the verdicts of `inference.verdict` on these losses (which cannot know what
    is untradeable); `champion`: as `loss_difference` takes it. QLIKE, which may be negative, is a difference of
    hundredths. Lines are two-sided 95 % intervals from equal-weighted cosines, of the mean of loss - ratio x benchmark
    (the delta method). Horizons under 20 windows that do not overlap have a verdict and no interval. Raises
    `ValueError` where no loss has values.
    """
    table = table if champion is None else against(table, champion)
    measures = [measure for measure in BENCHMARKS["certificate"] if _valid(table, measure)]
    if not measures:
        raise ValueError("no loss beside that of a benchmark; pass rows of the scores table")
    steps = horizons(table)
    figure, axes = dress.canvas(3.9, columns=len(measures))
    name = ""
    for each, measure in zip(axes, measures, strict=True):
        kept = {step: rows for step in steps if (rows := _both(scored(table, step), measure)) is not None}
        name = next(iter(kept.values())).name
        _by_horizon(each, measure, kept, words[measure.name] if words is not None else _judged(measure, kept))
    dress.head(
        figure,
        f"{name}: skill by horizon",
        "Below the line is better than the benchmark. Points: all windows together; bars: 95 % interval of each by "
        f"itself, horizons under {LEAST_WINDOWS}\nwindows that do not overlap without one. Words: the verdict, which "
        "counts all horizons of a panel together.",
    )
    return dress.png(figure, f"skill of {name}")


def _valid(table: pa.Table, measure: Measure) -> bool:
    return bool(
        pc.any(pc.and_(table.column(measure.loss).is_valid(), table.column(measure.benchmark).is_valid())).as_py()
    )


def _both(windows: Scored, measure: Measure) -> Scored | None:
    """The windows that have both losses; None without any."""
    there = np.isfinite(windows.numbers(measure.loss)) & np.isfinite(windows.numbers(measure.benchmark))
    if not there.any():
        return None
    return Scored(windows.pair, windows.model_id, windows.horizon, windows.table.filter(pa.array(there)))


def _gain(windows: Scored, measure: Measure) -> Floats:
    return windows.numbers(measure.benchmark) - windows.numbers(measure.loss)


def _looks(gain: Floats, horizon: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows up to which the mean is looked at, and what it shows there: 1 above 0, -1 below, 0 neither."""
    first = min(len(gain), LEAST_WINDOWS * horizon)
    ends = np.unique(np.linspace(first, len(gain), _LOOKS).astype(np.int64))
    shown = []
    for end in ends.tolist():
        # Both sides are asked: a gain that is 0 everywhere has p = 1 on either.
        above, below = (mean_test(side, horizon=horizon).p_value < _LEVEL for side in (gain[:end], -gain[:end]))
        shown.append(int(above) - int(below) if EvaluationWindow.independent(end, horizon) >= LEAST_WINDOWS else 0)
    return ends, np.array(shown)


def _cumulative(axes: Axes, measure: Measure, windows: Scored) -> None:
    gain = _gain(windows, measure)
    total, when = np.cumsum(gain), dress.times(windows.times("target_time"))
    ends, shown = _looks(gain, windows.horizon)
    states = np.zeros(len(gain), dtype=np.int64)
    # What a look showed is true of the windows since the look before.
    for begin, end, state in zip([0, *ends[:-1].tolist()], ends.tolist(), shown.tolist(), strict=True):
        states[begin:end] = state
    states[: ends[0] - 1] = 0
    colours = {1: dress.BLUE, -1: dress.ORANGE, 0: dress.MUTED}
    axes.axhline(0, color=dress.INK, linewidth=1)
    for first, last in spans(states):
        # One window back, so that the line has no gaps.
        part = slice(max(first - 1, 0), last + 1)
        axes.plot(when[part], total[part], color=colours[int(states[first])], linewidth=1.5, solid_capstyle="butt")
    p = mean_test(gain, horizon=windows.horizon).p_value
    enough = windows.independent >= LEAST_WINDOWS
    dress.panel(
        axes,
        f"{measure.name}: {measure.said};  mean gain {np.mean(gain):.3g} {measure.unit}"
        f"{f', p {_p(p)}' if enough else f', {TOO_LITTLE}'}",
        y=f"sum, {measure.unit}",
    )
    axes.yaxis.set_major_formatter("{x:,.6g}")


def _p(value: float) -> str:
    return "under .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def _folds(axes: Axes, windows: Scored, *, named: bool) -> None:
    """Where each fold begins; names where there is room for them."""
    found = folds(windows.texts("fold"))
    when = dress.times(windows.times("target_time"))
    if len(found) == 1:
        return
    step = -(-len(found) // 16)
    for number, (at, name) in enumerate(found):
        axes.axvline(when[at], color=dress.GREY, linewidth=0.8, linestyle=":")
        if named and number % step == 0:
            axes.annotate(
                name,
                (when[at], 1),
                (2, -2),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                va="top",
                fontsize=7.5,
                color=dress.MUTED,
            )


def _judged(measure: Measure, kept: Mapping[int, Scored]) -> dict[int, str]:
    ours, theirs = (
        {step: windows.numbers(column) for step, windows in kept.items()}
        for column in (measure.loss, measure.benchmark)
    )
    found = verdicts(ours, theirs, may_be_negative=measure.negative)
    return {step: verdict.words for step, verdict in found.items()}


def _interval(measure: Measure, windows: Scored) -> tuple[float, float]:
    """The figure of one horizon and half of its 95 % interval: per cent of the benchmark's loss, or hundredths."""
    ours, theirs = windows.numbers(measure.loss), windows.numbers(measure.benchmark)
    if measure.negative:
        middle, terms = float(np.mean(ours - theirs)), ours - theirs
    else:
        middle = float(np.mean(ours) / np.mean(theirs)) - 1
        terms = (ours - (1 + middle) * theirs) / np.mean(theirs)
    if windows.independent < LEAST_WINDOWS:
        return 100 * middle, 0.0
    from scipy.special import stdtrit

    count = cosines(len(terms), windows.horizon)
    deviation = float(np.sqrt(cosine_variance(terms - terms.mean(), count) / len(terms)))
    return 100 * middle, 100 * deviation * float(stdtrit(count, 0.975))


def _by_horizon(axes: Axes, measure: Measure, kept: Mapping[int, Scored], words: Mapping[int, str]) -> None:
    colours = {SHOWN: dress.BLUE, WORSE: dress.ORANGE}
    axes.axhline(0, color=dress.INK, linewidth=1)
    for place, (step, windows) in enumerate(kept.items()):
        middle, half = _interval(measure, windows)
        word = words[step]
        colour = colours.get(word, dress.MUTED)
        hollow = word == TOO_LITTLE
        axes.plot([place] * 2, [middle - half, middle + half], color=colour, linewidth=2)
        axes.plot(place, middle, "o", markersize=6.5, color=colour, fillstyle="none" if hollow else "full")
        axes.annotate(
            word.replace(" skill", "\nskill").replace(" little", "\nlittle"),
            (place, 0),
            (0, 4),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=dress.SMALL,
            color=colour,
        )
    axes.set_xticks(range(len(kept)), [str(step) for step in kept])
    axes.set_xlim(-0.6, len(kept) - 0.4)
    axes.margins(y=0.1)
    low, high = axes.get_ylim()
    bound = max(abs(low), abs(high), 0.05)
    # Words stand under the points.
    axes.set_ylim(-1.5 * bound, bound)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter("{x:+.3g}")
    unit = "difference of QLIKE, hundredths" if measure.negative else "loss over the benchmark's, %"
    dress.panel(
        axes, f"{measure.name}\n{measure.said.replace(', against', chr(10) + 'against')}", x="bars ahead", y=unit
    )
