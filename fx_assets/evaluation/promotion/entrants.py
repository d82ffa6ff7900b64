"""Who takes part in tonight's ruling, with which losses: from the scores of a pair, and from when a model counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from fx_assets.evaluation.certify import current, late
from fx_assets.evaluation.promotion.losses import ModelLosses, losses_of
from fx_assets.storage.control import ModelVersion


@dataclass(frozen=True)
class Entrant:
    """One model that forecast the pair, champion or not.

    `version`: its newest; `selves`: names of its earlier selves in the scores; `since`: origins count from here on, for
    before it the model was still being made with these rows in sight; `barred`: why it may not serve.
    """

    model_id: str
    version: str
    selves: Sequence[str]
    since: datetime
    barred: str = ""


@dataclass(frozen=True)
class Field:
    """Losses of the champion and of its challengers; `left_out`: who does not take part, and why."""

    champion: ModelLosses
    challengers: Sequence[ModelLosses]
    left_out: Mapping[str, str] = field(default_factory=dict)


def made_since(versions: Sequence[ModelVersion]) -> datetime:
    """When a model became what it is: its first version with the configuration of the newest (newest first).

    Of rows from before a researcher may have learned what to configure, however cleanly they were left out of the fit.
    """
    config = versions[0].config_hash
    return min(version.created_at for version in versions if version.config_hash == config)


def losses_tonight(
    scores: pa.Table, champion: str, entrants: Iterable[Entrant], starts: Mapping[datetime, datetime]
) -> Field:
    """One pair's losses, one row of each model and origin; `starts` as of `certify.late`.

    The champion counts with all of its origins: it served them, or what it would have lost does it no good. One whose
    inputs saw a later market than the price its target begins with is left out: what it gained is no skill. A champion
    without a score has no origins.
    """
    found: list[ModelLosses] = []
    left_out = {}
    own = ModelLosses(champion, np.array([], dtype="datetime64[us]"), (1,), np.empty((0, 1)))
    for entrant in entrants:
        rows = current(scores, entrant.model_id, entrant.version, entrant.selves)
        if not rows.num_rows:
            left_out[entrant.model_id] = "it has no scores"
            continue
        losses = replace(losses_of(rows)[entrant.model_id], barred=entrant.barred)
        if entrant.model_id == champion:
            own = losses
        elif late(rows, starts).any():
            left_out[entrant.model_id] = "its inputs see a later market than the price its target begins with"
        else:
            found.append(losses.between(entrant.since, None))
    left_out.pop(champion, None)
    return Field(own, found, left_out)
