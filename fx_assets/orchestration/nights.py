"""The plan of a night: which jobs run for which pairs, wave by wave. Pure functions.

1. one run per pair: prices, bars, features, and the models for all pairs (where features read other pairs, in two);
2. models that list their pairs, and each panel checkpoint once;
3. panel forecasts per pair;
4. what closes the night of each pair: its scorecard, and who serves from now on;
5. what looks at all pairs: the joint forecast, the leaderboard, the freshness check.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec

NIGHT_TAG = "fx/night"
WAVE_TAG = "fx/wave"
LAUNCH_TAG = "fx/launch"
PAIRS_TAG = "fx/pairs"

PAIRS_JOB = "night_pairs"
CROSSING_JOB = "night_crossing"
BOARD_JOB = "night_board"
FRESHNESS_JOB = "freshness"


def list_job(model_id: str) -> str:
    """Job of a model that lists its pairs: checkpoint, forecast and scores of one pair."""
    return f"night_{model_id}"


def panel_train_job(model_id: str) -> str:
    """Job that trains a panel checkpoint once."""
    return f"train_{model_id}"


def panel_forecast_job(model_id: str) -> str:
    """Job that forecasts and scores one pair with a panel checkpoint."""
    return f"forecast_{model_id}"


def close_job(frequency: str) -> str:
    """Job that closes the night of one pair at a frequency."""
    return f"night_close_{frequency}"


@dataclass(frozen=True)
class Launch:
    """One run of the night; `key` is stable, so that a second ask launches nothing.

    `pairs` are all pairs of the night: a later wave must know them although some runs failed.
    """

    job: str
    partition: str | None
    wave: int
    night: date
    pairs: tuple[str, ...]

    @property
    def key(self) -> str:
        """Run key: night, job and pair."""
        return f"{self.night.isoformat()}:{self.job}:{self.partition or 'panel'}"

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags by which the sensor and the UI find the runs of a night."""
        return {
            NIGHT_TAG: self.night.isoformat(),
            WAVE_TAG: str(self.wave),
            LAUNCH_TAG: self.key,
            PAIRS_TAG: ",".join(self.pairs),
        }


def nightly_models(catalog: Catalog) -> list[ModelSpec]:
    """Models that take part in the night, by id."""
    return [spec for _, spec in sorted(catalog.models.items()) if spec.schedule.nightly]


def is_shared(spec: ModelSpec) -> bool:
    """Whether a model lives in a job over all pairs."""
    return spec.scope == "pair" and spec.pairs == "all"


def waves(catalog: Catalog, night: date, pairs: Iterable[str]) -> tuple[tuple[Launch, ...], ...]:
    """The launches of a night for `pairs` (those whose source's calendar was open), wave by wave.

    First prices and all that needs one pair's alone; then, where there is such a thing, features that read other pairs,
    and the models for all pairs on them; then models with a list of pairs and panels; then the panels' forecasts; then
    what is made of all models of a pair, and of all pairs.
    """
    wanted = tuple(pair for pair in catalog.pairs if pair in set(pairs))
    first = [(PAIRS_JOB, pair) for pair in wanted]
    crossing = [(CROSSING_JOB, pair) for pair in wanted] if catalog.crossing else []
    listed: list[tuple[str, str | None]] = []
    last: list[tuple[str, str | None]] = []
    for spec in nightly_models(catalog):
        own = [pair for pair in catalog.pairs_of(spec) if pair in wanted]
        if is_shared(spec) or not own:
            continue
        if spec.scope == "panel":
            listed.append((panel_train_job(spec.model_id), None))
            last += [(panel_forecast_job(spec.model_id), pair) for pair in own]
        else:
            listed += [(list_job(spec.model_id), pair) for pair in own]
    close = [
        (close_job(frequency), pair)
        for frequency in catalog.forecast_frequencies()
        for pair in catalog.forecast_at(frequency)
        if pair in wanted
    ]
    board = [*([(BOARD_JOB, None)] if close else []), *([(FRESHNESS_JOB, None)] if wanted else [])]
    filled = (wave for wave in (first, crossing, listed, last, close, board) if wave)
    return tuple(
        tuple(Launch(job, pair, number, night, wanted) for job, pair in wave) for number, wave in enumerate(filled, 1)
    )
