"""What a training looked like: its losses by epoch and the trials of its search, drawn and in figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fx_assets.training.records import Event, Progress, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _MUTED, _GRID = "#1f2933", "#697586", "#e4e7eb"
_BLUE, _ORANGE = "#0072b2", "#d55e00"
_ROWS = 30


class Kept:
    """Keeps the events of a training for its pictures, in the order in which they came."""

    def __init__(self) -> None:
        self.epochs: list[Progress] = []
        self.trials: dict[tuple[str, int], Trial] = {}

    def __call__(self, event: Event) -> None:
        """Take an event; a trial that is told again counts once."""
        if isinstance(event, Progress):
            self.epochs.append(event)
        elif isinstance(event, Trial):
            self.trials[event.study, event.number] = event

    def pictures(self) -> dict[str, bytes]:
        """PNGs by name; none where there is nothing to draw."""
        drawn = {}
        if len(self.epochs) > 1:
            drawn["learning"] = learning_curve(self.epochs)
        if self.trials:
            drawn["trials"] = trials_chart(list(self.trials.values()))
        return drawn

    def tables(self) -> dict[str, str]:
        """Markdown by name: the best trials first."""
        return {"trials": trials_table(list(self.trials.values()))} if self.trials else {}


def learning_curve(epochs: Sequence[Progress]) -> bytes:
    """PNG: training and validation loss by epoch; the epoch that was kept is marked. Epoch 0 is before training."""

    def draw(axes: Axes) -> None:
        best = [event for event in epochs if event.best][-1]
        trained = [event for event in epochs if event.train_loss is not None]
        axes.plot([e.epoch for e in trained], [e.train_loss or 0 for e in trained], color=_MUTED, label="training")
        axes.plot([e.epoch for e in epochs], [e.validation_loss for e in epochs], color=_BLUE, label="validation")
        axes.plot([best.epoch], [best.validation_loss], "o", color=_ORANGE, label=f"kept: epoch {best.epoch}")
        axes.set_xlabel("epoch (0: before training)")
        axes.set_title("loss, in units of the random walk's width", loc="left", fontsize=10, color=_INK)

    return _picture(draw)


def trials_chart(trials: Sequence[Trial]) -> bytes:
    """PNG: the out-of-fold loss of each trial, pruned ones hollow, and the best so far."""

    def draw(axes: Axes) -> None:
        best: float | None = None
        path: list[tuple[int, float]] = []
        for trial in sorted(trials, key=lambda trial: trial.number):
            if trial.loss is None:
                continue
            done = trial.state == "complete"
            axes.plot(trial.number, trial.loss, "o", color=_BLUE, fillstyle="full" if done else "none")
            if done:
                best = trial.loss if best is None else min(best, trial.loss)
                path.append((trial.number, best))
        if path:
            axes.step(*zip(*path, strict=True), where="post", color=_ORANGE, label="best so far")
        axes.set_xlabel("trial (hollow: pruned)")
        axes.set_title("out-of-fold CRPS, in units of the random walk's width", loc="left", fontsize=10, color=_INK)

    return _picture(draw)


def trials_table(trials: Sequence[Trial]) -> str:
    """Markdown: complete trials by loss, then the others."""
    order = {"complete": 0, "pruned": 1, "failed": 2}
    ranked = sorted(trials, key=lambda t: (order[t.state], float("inf") if t.loss is None else t.loss, t.number))
    names = sorted({name for trial in trials for name in trial.values})
    lines = [f"| trial | state | loss | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for trial in ranked[:_ROWS]:
        loss = "" if trial.loss is None else f"{trial.loss:.5f}"
        values = " | ".join(_short(trial.values.get(name, "")) for name in names)
        lines.append(f"| {trial.number} | {trial.state} | {loss} | {values} |")
    if len(ranked) > _ROWS:
        lines.append(f"| and {len(ranked) - _ROWS} more, all of them in `fx-assets trials` |")
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _picture(draw: Callable[[Axes], None]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 3.2), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_MUTED, labelcolor=_INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
