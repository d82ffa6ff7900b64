"""The saved definitions: every primitive of every value of bars, as featuretools' own JSON beside this file.

They were made once by deep feature synthesis (`define`, without data) and are what is computed from; a test holds the
file to what the installed library would define today. To write it anew after a change:
`python -m fx_assets.features.aggregates.definitions`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.features.aggregates.entities import BARS, CLOSED, PERIODS, entity_set
from fx_assets.features.aggregates.remarks import library
from fx_assets.features.aggregates.values import VALUES

PRIMITIVES: tuple[str, ...] = ("mean", "std", "min", "max", "median", "skew", "first", "last", "trend")
"""Those that are safe and quick: none of the Rolling* (1,100 times slower than pandas), none that reads the clock."""

FILE = Path(__file__).with_name("definitions.json")


def feature_name(primitive: str, value: str) -> str:
    """featuretools' own name of one definition."""
    read = f"{BARS}.{value}, {CLOSED}" if primitive == "trend" else f"{BARS}.{value}"
    return f"{primitive.upper()}({read})"


def load(wanted: Sequence[str]) -> list[Any]:
    """The saved definitions of those names, in their order."""
    saved = json.loads(FILE.read_text(encoding="utf-8"))
    # Only these are built: all of them take longer than an aggregate of a month.
    saved["feature_list"] = [f"{PERIODS}: {name}" for name in wanted]
    features: list[Any] = library().load_features(json.dumps(saved))
    return features


def define() -> str:
    """JSON of all definitions, made from the shape of the tables alone."""
    ft = library()
    found = ft.dfs(
        entityset=entity_set(
            0, np.empty(0, np.int64), np.empty(0, "timedelta64[us]"), {name: np.empty(0) for name in VALUES}
        ),
        target_dataframe_name=PERIODS,
        agg_primitives=list(PRIMITIVES),
        trans_primitives=[],
        max_depth=1,
        features_only=True,
    )
    by_name = {feature.get_name(): feature for feature in found}
    features = [by_name[feature_name(primitive, value)] for value in VALUES for primitive in PRIMITIVES]
    return json.dumps(json.loads(ft.save_features(features)), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(define(), encoding="utf-8")
