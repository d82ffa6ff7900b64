"""The golden sample: a checkpoint that answers otherwise than when it was trained is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import InvalidCheckpoint
from fx_assets.models.golden import GOLDEN, golden_file, read_golden
from fx_assets.models.params import PARAMS
from fx_assets.models.predictors.random_walk import RandomWalk
from fx_assets.training.finish import calibrated
from tests.models.simulated import cuts, model_spec, pair_history

HISTORY = pair_history()


def trained() -> dict[str, bytes]:
    predictor = RandomWalk(model_spec())
    files = predictor.fit({"EURUSD": HISTORY}, cuts(HISTORY), seed=1)
    return calibrated(predictor, files, {"EURUSD": HISTORY}, cuts(HISTORY))[0]


def load(files: dict[str, bytes]) -> RandomWalk:
    predictor = RandomWalk(model_spec())
    predictor.load_model(files, predictor.identity())
    return predictor


def changed(files: dict[str, bytes], **values: Any) -> dict[str, bytes]:
    return {**files, GOLDEN: json.dumps({**json.loads(files[GOLDEN]), **values}).encode()}


def test_a_sound_checkpoint_answers_its_sample() -> None:
    files = trained()
    sample = read_golden(files)
    prediction = load(files).predict(sample.window[None])
    assert sample.unlike(prediction.location[0], prediction.scale[0]) == ""


def test_other_parameters_do_not_pass() -> None:
    files = trained()
    params = json.loads(files[PARAMS])
    files[PARAMS] = json.dumps({**params, "initial_variance": params["initial_variance"] * 1.1}).encode()
    with pytest.raises(InvalidCheckpoint, match=r"golden\.json: scale differs by .* when it was trained"):
        load(files)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": [[1.0], [2.0]]}, "golden.json"),
        ({"location": [0.0]}, "not one number a horizon"),
        ({"location": [0.0], "scale": [1.0]}, r"location has shape \(5,\), it was \(1,\)"),
        ({"scale": [0, 1, 1, 1, 1]}, "the scale above 0"),
        ({"scale": "wide"}, "train again"),
        ({"window": 7}, "expected 2 dimensions"),
    ],
)
def test_a_spoilt_sample_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        load(changed(trained(), **values))


def test_missing_features_survive_the_file() -> None:
    window = np.array([[1.0, np.nan], [2.0, 3.0]])
    prediction = load(trained()).predict(read_golden(trained()).window[None])
    sample = read_golden({GOLDEN: golden_file(window, np.ones((5, 2)), prediction)})
    assert np.array_equal(sample.window, window, equal_nan=True)
    assert sample.ahead is not None
    assert sample.ahead.shape == (5, 2)
