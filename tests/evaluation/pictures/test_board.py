"""The leaderboard, as a picture and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fx_assets.evaluation.pictures.board import Standing, _shades, leaderboard, leaderboard_table
from tests.evaluation.pictures.conftest import shown, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = [
    Standing("random_walk", "USDJPY", 1.0, "no skill shown"),
    Standing("garch", "USDJPY", 0.9951, "skill shown"),
    Standing("garch", "EURUSD", 1.0012, "no skill shown"),
    Standing("majors", "EURUSD", 1.0345, "worse"),
    Standing("usdjpy", "USDJPY", None, "too little data"),
]
TABLE = """\
| model | EURUSD | USDJPY |
|---|---|---|
| garch | ○ +0.12 % | ▲ -0.49 % |
| random_walk |  | ○ +0.00 % |
| majors | ▼ +3.45 % |  |
| usdjpy |  | ?  |

▲ skill shown;  ▼ worse;  ○ no skill shown;  ? too little data"""


def test_the_table_and_the_picture_say_the_same(drawn: list[Figure]) -> None:
    assert leaderboard_table(ROWS) == TABLE
    assert leaderboard_table(ROWS[::-1]) == TABLE
    leaderboard(ROWS)
    axes = drawn[0].axes[0]
    fields = {text.get_position(): text.get_text().strip() for text in axes.texts}
    assert fields == {
        (0, 0): "○ +0.12 %",
        (1, 0): "▲ -0.49 %",
        (1, 1): "○ +0.00 %",
        (0, 2): "▼ +3.45 %",
        (1, 3): "?",
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["garch", "random_walk", "majors", "usdjpy"]
    assert "Leaderboard: 1 of 5 forecasts have shown skill" in words(drawn[0])


def test_colours_diverge_and_chance_is_pale() -> None:
    values = np.array([[-1.0, 1.0, 0.0, np.nan, -1.0]])
    ((better, worse, none, missing, chance),) = _shades(values, np.array([[True, True, True, False, False]]), 2.0)
    assert better[2] > better[0], "blue"
    assert worse[0] > worse[2], "orange"
    assert none.tolist() == [1, 1, 1]
    assert missing[0] == pytest.approx(0.953, abs=0.01)
    assert (chance > better)[:2].all()


def test_a_readable_picture_whatever_the_order_of_rows() -> None:
    picture = leaderboard(ROWS)
    assert shown(picture)[1] == 990
    assert leaderboard(ROWS[::-1]) == picture


@pytest.mark.slow
def test_many_models_and_pairs_still_fit() -> None:
    rows = [Standing(f"model_{m}", f"EUR{p:03d}", 1 + (m - p) / 1000, "worse") for m in range(20) for p in range(14)]
    height, width = shown(leaderboard(rows))
    assert width == 990
    assert 700 < height < 1100


def test_rows_that_contradict_are_refused() -> None:
    with pytest.raises(ValueError, match="garch on USDJPY stands twice"):
        leaderboard([*ROWS, ROWS[1]])
    with pytest.raises(ValueError, match="'champion' is none of"):
        leaderboard_table([Standing("garch", "USDJPY", 1.0, "champion")])
    with pytest.raises(ValueError, match="no rows"):
        leaderboard([])
