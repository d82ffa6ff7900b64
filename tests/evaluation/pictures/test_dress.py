"""What all pictures of the room have in common."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fx_assets.evaluation.pictures import dress
from fx_assets.evaluation.pictures.calibration import coverage_over_time, reliability, tail_exceptions
from fx_assets.evaluation.pictures.skill import loss_difference
from tests.evaluation.pictures.conftest import shown
from tests.evaluation.pictures.worlds import scores


def test_a_picture_that_is_too_large_is_refused_by_name() -> None:
    figure, (axes,) = dress.canvas(8)
    axes.imshow(np.random.default_rng(1).random((800, 900)), interpolation="nearest", aspect="auto")
    with pytest.raises(ValueError, match=r"noise has [\d,]+ bytes, limit 100,000; draw fewer"):
        dress.png(figure, "noise")


@pytest.mark.slow
def test_fifteen_years_of_days_fit() -> None:
    table = scores(4000, width=0.8, said=0.2)
    for draw in (reliability, coverage_over_time, tail_exceptions, loss_difference):
        assert shown(draw(table))[1] == 990


def test_the_room_loads_no_plotting_or_statistics_library() -> None:
    code = (
        "import sys, fx_assets.evaluation.scorecard.card, fx_assets.evaluation.pictures.fans;"
        "import fx_assets.evaluation.pictures.calibration, fx_assets.evaluation.pictures.skill;"
        "import fx_assets.evaluation.pictures.board;"
        "bad = {'torch', 'sklearn', 'matplotlib', 'PIL', 'dagster', 'scipy', 'scoringrules', 'statsmodels', 'arch'};"
        "sys.exit(', '.join(sorted(bad & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
