"""The last stage, over the columns of all others: none of what a kept one says already.

Which is kept is a matter of the stage it is from, then of its cost: an indicator beats its tsfresh twin.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.redundancy import choose
from fx_assets.features.stages.base import Fit, FittedStage, Json, Sample, StageOptions


class SelectionOptions(StageOptions):
    """`threshold`: |Spearman correlation| from which on a column is redundant; 0.95 drops twins, 0.88 close kin too.

    `max_missing`: largest share of rows without a value. `max_features`: keep at most that many, the first in order.
    """

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.2
    max_features: Annotated[int, Field(ge=1)] | None = None


class Selection(FittedStage):
    """Keeps columns in order of stage, cost, gaps and name; fills gaps with the median of the training rows."""

    name = "selection"
    priority = 1000
    Options = SelectionOptions

    def fit(self, sample: Sample, options: SelectionOptions, *, scratch: Path, seed: int) -> Fit:
        """`params`: `keep`, the names in the order given, and `fill`, the median of each.

        `report`: `threshold`, `rows` that were ranked of `rows_given`, numbers of `candidates` and `kept`, and
        `dropped`: name, reason, and of a redundant one its keeper and their correlation. Raises `FeatureError` where
        nothing is left.
        """
        del scratch, seed
        choice = choose(
            sample,
            threshold=options.threshold,
            max_missing=options.max_missing,
            max_features=options.max_features,
        )
        if not choice.medians:
            reasons = [dropped.reason for dropped in choice.dropped]
            raise FeatureError(
                f"stage {self.name!r} has nothing to keep in {len(sample.values)} rows: of {len(sample.names)} columns "
                f"{reasons.count('constant')} never change and {reasons.count('missing')} have no value in more than "
                f"{options.max_missing:.0%} of the rows; train on more rows, or raise max_missing"
            )
        return Fit(
            params={"keep": list(choice.medians), "fill": choice.medians},
            report={
                "threshold": options.threshold,
                "rows": choice.rows,
                "rows_given": len(sample.values),
                "candidates": len(sample.names),
                "kept": len(choice.medians),
                "dropped": [asdict(dropped) for dropped in choice.dropped],
            },
        )

    def names(self, given: tuple[str, ...], params: Json) -> tuple[str, ...]:
        """The kept ones."""
        del given
        return tuple(params["keep"])

    def transform(self, given: tuple[str, ...], values: FloatArray, params: Json) -> FloatArray:
        """The kept columns, all finite: what is not is replaced by the median of the training rows."""
        places = {name: place for place, name in enumerate(given)}
        absent = [name for name in params["keep"] if name not in places]
        if absent:
            raise FeatureError(
                f"stage {self.name!r} needs columns {absent}, which are not among the {len(given)} given; build the "
                "feature set that this model was trained on, or train again"
            )
        result = values[:, [places[name] for name in params["keep"]]]
        fill = np.array([params["fill"][name] for name in params["keep"]])
        return np.where(np.isfinite(result), result, fill)
