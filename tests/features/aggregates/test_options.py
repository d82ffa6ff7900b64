"""What the options allow, which bars they need, and how far back they look."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fx_assets.features.stages.base import FIXING_COLUMNS, REGISTRY
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions
from fx_assets.specs.schema import Frequency

STAGE = Featuretools()


def test_it_is_a_stateless_stage_that_no_server_computes() -> None:
    assert REGISTRY["featuretools"] is Featuretools
    options = FeaturetoolsOptions()
    assert (STAGE.stateless, STAGE.online(options), STAGE.priority) == (True, False, 30)
    assert all(column.missing for column in STAGE.columns(options))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"groups": []}, "at least 1 item"),
        ({"groups": ["hour"]}, "'day', 'session', 'week' or 'month'"),
        ({"primitives": ["rolling_mean"]}, "'mean', 'std'"),
        ({"columns": ["open"]}, "'close', 'returns'"),
        ({"windows": [0]}, "greater than or equal to 1"),
        ({"windows": [21]}, "less than or equal to 20"),
        ({"windows": [1, 2, 3, 4, 5]}, "at most 4 items"),
        ({"windows": [5, 5]}, "each may stand once"),
        ({"windows": ["5"]}, "valid integer"),
        ({"days": [5]}, "Extra inputs"),
    ],
    ids=lambda value: str(value),
)
def test_options_out_of_bounds_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FeaturetoolsOptions(**given)


@pytest.mark.parametrize(
    ("columns", "needed"),
    [
        (["returns", "close"], {"close"}),
        (["range"], {"high", "low"}),
        (["spread"], {"spread", "close"}),
        (["ticks", "volume"], {"ticks", "volume"}),
    ],
    # Not the sets: their order differs from process to process.
    ids=["returns and close", "range", "spread", "ticks and volume"],
)
def test_needs_follow_from_the_columns_so_that_fixings_refuse_all_but_the_close(
    columns: list[Any], needed: set[str]
) -> None:
    options = FeaturetoolsOptions(columns=columns)
    assert STAGE.needs(options) == needed
    assert (STAGE.needs(options) <= FIXING_COLUMNS) == (needed == {"close"})
    assert {source for column in STAGE.columns(options) for source in column.sources} == needed


@pytest.mark.parametrize(
    ("frequency", "options", "said"),
    [
        ("1h", {"groups": ["day", "session"]}, []),
        ("2h", {"groups": ["session"]}, []),
        ("1d", {"groups": ["week", "month"]}, []),
        ("1w", {"groups": ["month"]}, []),
        ("8h", {"primitives": ["skew"]}, []),
        ("12h", {"primitives": ["skew"], "windows": [2]}, []),
        ("12h", {"primitives": ["mean", "skew", "trend"]}, ["a day of 12h bars has 2, too few for skew and trend"]),
        ("4h", {"groups": ["session"]}, ["session needs bars of at most 2h, these are 4h"]),
        ("1d", {"groups": ["day", "session"]}, ["day needs bars shorter", "session needs bars shorter"]),
        ("1h", {"groups": ["week", "month"]}, ["week needs bars of a day", "month needs bars of a day"]),
        ("1w", {"groups": ["week"]}, ["week needs bars shorter than a week"]),
    ],
    ids=str,
)
def test_groups_fit_the_length_of_the_bars(frequency: Frequency, options: dict[str, Any], said: list[str]) -> None:
    found = STAGE.problems(FeaturetoolsOptions(**options), frequency)
    assert len(found) == len(said)
    for (option, message), start in zip(found, said, strict=True):
        assert message.startswith(start)
        assert option == ("primitives" if "too few" in start else "groups")


@pytest.mark.parametrize(
    ("frequency", "options", "rows"),
    [
        # A bar's own date, a day, a weekend, and 4 holidays or dates without bars; of 25 hours at most.
        ("1h", {"windows": [1]}, (1 + 1 + 2 + 4) * 25),
        ("1h", {"windows": [5, 1]}, (1 + 5 + 2 + 4) * 25),
        ("1min", {"windows": [20]}, (1 + 20 + 8 + 4) * 1_500),
        ("12h", {"windows": [1]}, 8 * 3),
        ("1d", {"groups": ["week"], "windows": [2]}, 21),
        ("1d", {"groups": ["month", "week"], "windows": [1]}, 62),
        ("1w", {"groups": ["month"], "windows": [1]}, 9),
    ],
    ids=str,
)
def test_the_look_back_holds_the_longest_window(frequency: Frequency, options: dict[str, Any], rows: int) -> None:
    assert STAGE.lookback(FeaturetoolsOptions(**options), frequency) == rows


def test_a_column_says_what_it_is() -> None:
    options = FeaturetoolsOptions(
        groups=["day", "session"], primitives=["mean", "std", "trend"], columns=["close", "spread"], windows=[1, 5]
    )
    about = {column.name: column.about for column in STAGE.columns(options)}
    assert about["mean_close_day_1"] == "distance of the close from its mean over the newest finished day, bp"
    assert about["std_close_day_5"] == "std over the 5 newest finished days: log close, bp"
    assert about["mean_spread_new_york_5"] == (
        "mean over the 5 newest finished new_york sessions: mean spread over close, bp"
    )
    assert about["trend_close_day_1"] == "slope over the newest finished day, a day: log close, bp"
