"""What the benchmark chooses from. The list was fixed, by reasoning and by the folds, before the test was scored.

Why these. A currency is close to a random walk, so every candidate is repeat-last moved by a weight towards a model: a
small weight loses little where the model is wrong and gains some where it is right. The models: what a window's moves
say of the next ones (`reversion`, `scales`, `dollar`, `differences`, the last three with two strengths of ridge, all
four also with turbulent windows held down); noise of the last quotes alone (`recent`, learned from the next day and
held); means of the window and its last month, and the opposite, unlearned; drift; the networks at published settings;
and plain means of the closed forms, of the networks, and of all, since a mean of forecasts seldom does worse than its
members. Repeat-last itself is no candidate: it is the row to beat.

Left out on purpose: the pooled direct autoregression of levels (`recipe`), and all that contains it. It was seen to do
well on the published test rows, and what was seen there can be no honest choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fx_assets.evaluation.exchange import closed, neural
from fx_assets.evaluation.exchange.model import Model
from fx_assets.evaluation.exchange.neural import NetworkModel

WEIGHTS = (0.1, 0.25, 0.5, 1.0)
_WEAK, _STRONG = 0.1, 1.0

CLOSED: tuple[Model, ...] = (
    closed.Regression("reversion", closed.reversion, 0.0),
    closed.Regression("scales", closed.scales, _WEAK),
    closed.Regression("scales_strong", closed.scales, _STRONG),
    closed.Regression("dollar", closed.dollar, _WEAK),
    closed.Regression("dollar_strong", closed.dollar, _STRONG),
    closed.Regression("differences", closed.differences, _WEAK),
    closed.Regression("differences_strong", closed.differences, _STRONG),
    *(
        closed.Regression(f"{name}_balanced", moves, penalty, balanced=True)
        for name, moves, penalty in (
            ("reversion", closed.reversion, 0.0),
            ("scales", closed.scales, _WEAK),
            ("dollar", closed.dollar, _WEAK),
            ("differences", closed.differences, _WEAK),
        )
    ),
    closed.Regression("recent", closed.recent, _WEAK, held=True),
    closed.Held("window_mean", -1.0),
    closed.Held("month_mean", -1.0, 21),
    closed.Held("momentum", 1.0),
    closed.Drift(),
)
ITRANSFORMER = NetworkModel("itransformer", neural.itransformer)
NETWORKS: tuple[NetworkModel, ...] = (
    ITRANSFORMER,
    NetworkModel("patchtst", neural.patchtst, learning_rate=5e-4, batch=128),
    NetworkModel("dlinear", neural.dlinear, learning_rate=5e-4),
    NetworkModel("rlinear", neural.rlinear, learning_rate=5e-4),
)


@dataclass(frozen=True)
class Candidate:
    """Repeat-last moved by `weight` towards the mean of the models named `members`."""

    name: str
    members: tuple[str, ...]
    weight: float

    def __str__(self) -> str:
        return f"{self.name} at {self.weight:g}"


@dataclass(frozen=True)
class Family:
    """Models that are fitted, the candidates made of them, and the networks that get a row of their own."""

    closed: tuple[Model, ...]
    networks: tuple[NetworkModel, ...]

    @property
    def models(self) -> tuple[Model, ...]:
        """All, each name once."""
        return (*self.closed, *self.networks)

    def named(self, name: str) -> Model:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Each model and each mean, at each weight."""
        groups: dict[str, tuple[str, ...]] = {model.name: (model.name,) for model in self.models}
        groups |= _mean("mean_of_closed", self.closed) | _mean("mean_of_networks", self.networks)
        if self.closed and self.networks:
            groups |= _mean("mean_of_all", self.models)
        return tuple(Candidate(name, members, weight) for name, members in groups.items() for weight in WEIGHTS)

    def quick(self) -> Family:
        """For trials of the command: the closed forms, and iTransformer for one epoch. Not the protocol."""
        return Family(self.closed, tuple(replace(model, epochs=1) for model in self.networks[:1]))


FAMILY = Family(CLOSED, NETWORKS)


def _mean(name: str, models: Sequence[Model]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(model.name for model in models)} if len(models) > 1 else {}
