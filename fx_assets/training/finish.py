"""The end of every training: calibration and the golden sample, by the code that predicts at night."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.base import BasePredictor, MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.golden import GOLDEN, golden_file
from fx_assets.models.inputs import FloatArray, PairHistory, windows
from fx_assets.models.params import dump_params
from fx_assets.models.results import Prediction
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.origins import origins


def calibrated(
    predictor: BasePredictor, files: Mapping[str, bytes], histories: Mapping[str, PairHistory], cuts: EvaluationWindow
) -> tuple[dict[str, bytes], int]:
    """The files with calibration of each pair and golden sample, and how many validation windows calibrated them."""
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    calibrations, count, golden = {}, 0, b""
    for pair, history in histories.items():
        rows = origins(predictor.spec, history, cuts, "validation")
        batch, ahead = windows(history, rows, predictor.spec)
        prediction = predictor.predict(batch, ahead)
        calibrations[pair] = fit_calibration(scores(prediction, history, rows))
        golden = golden or golden_file(batch[0], None if ahead is None else ahead[0], prediction)
        count += len(rows)
    return {**files, GOLDEN: golden, CALIBRATION: dump_params(calibrations)}, count


def scores(prediction: Prediction, history: PairHistory, rows: NDArray[np.int64]) -> FloatArray:
    """|y - location| / scale (n, H) of predictions from the windows that end with `rows` (n,)."""
    result: FloatArray = np.abs(
        history.outcomes(rows, range(1, prediction.location.shape[1] + 1)) - prediction.location
    )
    return result / prediction.scale
