"""What is put to the test: the project's own kinds with the settings that its configs ship, nothing tuned here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fx_assets.specs.schema import FeatureSetSpec, KnownAhead, ModelSpec, StageSpec

# The model that the aims are about, named before anything was run.
HEADLINE = "scale"
WINDOW = 128


@dataclass(frozen=True)
class Candidate:
    """A model to test: its name in the tables, what its spec says, and the name of its feature set, if it has one."""

    name: str
    kind: str
    scope: Literal["pair", "panel"] = "pair"
    target: Literal["log_return", "volatility"] = "volatility"
    features: str | None = None
    known_ahead: tuple[KnownAhead, ...] = ()
    window: int = WINDOW
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, pairs: Sequence[str], *, horizon: int) -> ModelSpec:
        """Its spec for `pairs`, `horizon` bars ahead."""
        return ModelSpec(
            model_id=self.name,
            kind=self.kind,
            pairs=tuple(pairs),
            scope=self.scope,
            features=self.features,
            window=self.window,
            horizon=horizon,
            target=self.target,
            known_ahead=self.known_ahead,
            hyperparameters=dict(self.hyperparameters),
        )


_SCALE = Candidate(
    HEADLINE,
    "scale",
    scope="panel",
    features="scale",
    known_ahead=("weekday", "gap", "payroll", "after_payroll", "year_end"),
    hyperparameters={"beside": "egarch"},
)
CANDIDATES: tuple[Candidate, ...] = (
    Candidate("random_walk", "random_walk", target="log_return"),
    Candidate("har", "har"),
    Candidate("garch", "garch"),
    Candidate("egarch", "egarch"),
    _SCALE,
)

# The sizes of the shipped set of the kind `scale` and the volatility that hours realised, over the day, week and month
# of HAR. Half-lives are halved: five of them are what a feature looks back, and the OANDA files have 18 months before
# the test.
REALISED_FEATURES = FeatureSetSpec(
    name="scale_realised",
    stages=(
        StageSpec(
            stage="indicators",
            options={
                "log_scale": {"own": [5, 20], "coarse": [{"bars": 10, "half_life": 10}], "panel": [3, 10]},
                "log_realised": [1, 5, 20],
            },
        ),
    ),
)
# On bars that know the variance realised inside them: the regression alone. An EGARCH knows daily closes only, and
# wants 128 of them; without it the window only says whether the scale is believable.
REALISED_CANDIDATES: tuple[Candidate, ...] = (
    *CANDIDATES[:-1],
    replace(_SCALE, features=REALISED_FEATURES.name, window=32, hyperparameters={"beside": "none"}),
)
