"""The package's pictures in a notebook: each function draws one from the lake and shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fx_assets.evaluation.pictures import calibration, fans, skill
from fx_assets.features.stored import bars_table
from fx_assets.orchestration.resources import Stores
from fx_assets.specs.loader import Catalog
from fx_assets.storage.lake import Lake
from fx_assets.storage.two_times import current_rows

from . import frames

if TYPE_CHECKING:
    from IPython.display import Image


def show(picture: bytes) -> Image:
    """A PNG as a cell's result."""
    from IPython import display

    untyped: Any = display
    image: Image = untyped.Image(data=picture, format="png")
    return image


def fan(stores: Stores, catalog: Catalog, pair: str, model_id: str, origins: Sequence[int]) -> Image:
    """What the newest checkpoint says from past rows of the history (-60: sixty bars ago), and what came."""
    documents = frames.replays(stores, catalog, pair, model_id, origins)
    prices = current_rows(stores.lake.read(bars_table(catalog.models[model_id].frequency), pair))
    return show(fans.fan_with_outcomes(prices, documents, prices))


def pit(lake: Lake, pair: str, model_id: str, horizon: int = 1) -> Image:
    """Where outcomes fell in their forecasts."""
    return _of_scores(lake, pair, model_id, partial(calibration.reliability, horizon=horizon))


def coverage(lake: Lake, pair: str, model_id: str, horizon: int = 1, span: int = 250) -> Image:
    """Coverage of the 80 % and 90 % ranges over the last `span` windows."""
    return _of_scores(lake, pair, model_id, partial(calibration.coverage_over_time, horizon=horizon, span=span))


def tails(lake: Lake, pair: str, model_id: str, horizon: int = 1) -> Image:
    """Outcomes beyond the 1, 2.5 and 5 % quantiles."""
    return _of_scores(lake, pair, model_id, partial(calibration.tail_exceptions, horizon=horizon))


def loss_difference(
    lake: Lake,
    pair: str,
    model_id: str,
    horizon: int = 1,
    *,
    benchmark: str = "certificate",
    champion: str = "random_walk",
) -> Image:
    """The gain over a benchmark, summed up over time; `benchmark`: certificate, walk or har."""
    theirs = frames.scores_table(lake, pair, champion)
    draw = partial(skill.loss_difference, benchmark=benchmark, horizon=horizon, champion=theirs)
    return _of_scores(lake, pair, model_id, draw)


def skill_by_horizon(lake: Lake, pair: str, model_id: str, *, champion: str = "random_walk") -> Image:
    """Losses against the benchmarks at each horizon, with verdicts."""
    draw = partial(skill.skill_by_horizon, champion=frames.scores_table(lake, pair, champion))
    return _of_scores(lake, pair, model_id, draw)


def _of_scores(lake: Lake, pair: str, model_id: str, draw: Callable[[pa.Table], bytes]) -> Image:
    return show(draw(frames.scores_table(lake, pair, model_id)))
