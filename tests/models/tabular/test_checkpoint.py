"""Two files, the same bytes every time, proven equal to what was fitted, and run without scikit-learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_info, threadpool_limits

from fx_assets.models import onnx_stack
from fx_assets.models.base import ModelMismatch
from fx_assets.models.errors import FitFailed, InvalidCheckpoint, NotLoaded
from fx_assets.models.inputs import PairHistory
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.gradient_boosting import _round_thresholds
from fx_assets.models.predictors.ridge import RidgePredictor
from fx_assets.models.tabular import TabularPredictor
from tests.models.simulated import cuts, pair_history
from tests.models.tabular import helpers
from tests.models.tabular.helpers import HORIZON, KINDS, WINDOW, unseen

each = pytest.mark.parametrize("kind", KINDS)


def empty(kind: str, history: PairHistory, **changes: Any) -> TabularPredictor:
    """With few trees: enough for files."""
    if kind == "gradient_boosting":
        changes["hyperparameters"] = {"max_iter": 5, **changes.get("hyperparameters", {})}
    return helpers.empty(kind, history, **changes)


def files_of(kind: str, history: PairHistory) -> dict[str, bytes]:
    return empty(kind, history).fit({history.pair: history}, cuts(history), seed=7)


@each
def test_a_checkpoint_is_json_and_one_onnx_file_of_equal_bytes(kind: str) -> None:
    history = pair_history(n=400, features=2)
    files = files_of(kind, history)
    assert set(files) == {PARAMS, ONNX}
    assert files_of(kind, history) == files
    params = json.loads(files[PARAMS])
    assert params["steps"] == [1, 5, 8]
    assert params["inputs"] == ["feature_0", "feature_1", *(f"log_return_{lag}" for lag in range(1, 6))]
    model = onnx.load_model_from_string(files[ONNX])
    assert model.graph.name == "tabular"
    assert not model.metadata_props
    assert not model.doc_string
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)


@each
def test_rows_after_the_training_cut_change_no_byte(kind: str) -> None:
    history = pair_history(n=400, features=2)
    later = np.arange(len(history)) > int(len(history) * 0.6)

    def changed(rows: Any) -> PairHistory:
        return PairHistory(
            history.pair,
            history.ends,
            history.trading_dates,
            np.where(rows, history.closes * 3, history.closes),
            np.where(rows[:, None], 9.0, history.features),
            history.feature_names,
        )

    assert files_of(kind, changed(later)) == files_of(kind, history)
    assert files_of(kind, changed(np.roll(later, -1))) != files_of(kind, history)


@each
def test_every_target_and_scope_fits_and_predicts(kind: str) -> None:
    a, b = (pair_history(pair, n=400, seed=seed, features=2) for pair, seed in (("EURUSD", 1), ("USDJPY", 2)))
    windows, _ = unseen(a, every=20)
    for target in sorted(empty(kind, a).targets):
        predictor = empty(kind, a, scope="panel", target=target, hyperparameters={"lags": 2, "steps": [1, 3]})
        files = predictor.fit({"EURUSD": a, "USDJPY": b}, cuts(a), seed=7)
        assert predictor.load_model(files, predictor.identity()).skipped == []
        answer = predictor.predict(windows)
        assert answer.location.shape == answer.scale.shape == (len(windows), HORIZON)
        if kind != "elastic_net":  # which may find nothing in noise
            assert answer.location.any() == (target != "volatility")


@each
def test_one_window_and_many_agree_to_the_last_bit(kind: str) -> None:
    history = pair_history(n=400, features=2)
    predictor = empty(kind, history)
    predictor.load_model(files_of(kind, history), predictor.identity())
    windows, _ = unseen(history, every=20)
    many = predictor.predict(windows)
    for number in range(len(windows)):
        one = predictor.predict(windows[number : number + 1])
        assert one.location.tobytes() == many.location[number].tobytes()
        assert one.scale.tobytes() == many.scale[number].tobytes()


def test_another_model_than_the_fitted_one_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard, by breaking what it guards: a converter that is off by 3e-5."""
    honest = onnx_stack._converted

    def off(estimator: Any, inputs: int) -> Any:
        bent = Ridge()
        bent.__dict__.update(estimator.__dict__)
        bent.coef_ = estimator.coef_ + 3e-5
        return honest(bent, inputs)

    history = pair_history(n=400, features=2)
    files_of("ridge", history)
    monkeypatch.setattr(onnx_stack, "_converted", off)
    with pytest.raises(FitFailed, match=r"model\.onnx differs from what was fitted by .* nothing is stored"):
        files_of("ridge", history)


def test_numbers_that_are_not_finite_do_not_leave() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    linear = Ridge().fit(rows, rows[:, 0])
    linear.coef_ = np.array([np.nan, 0.0])
    with pytest.raises(FitFailed, match="differs from what was fitted by nan"):
        onnx_stack.stacked([linear], rows)


def test_rows_between_neighbouring_numbers_go_to_the_side_they_were_fitted_on() -> None:
    """Thresholds lie half way between neighbours of 32 bits; rounding to nearest puts some rows on the wrong side."""
    low = np.linspace(1, 2, 41).astype(np.float32)
    rows = np.concatenate([low, np.nextafter(low, np.float32(3))])[:, None]
    targets = np.concatenate([np.zeros(41), np.ones(41)])  # apart only by which neighbour a row is
    with threadpool_limits(1):  # waiting for threads of so small a fit takes seconds
        trees = HistGradientBoostingRegressor(
            max_iter=5, learning_rate=0.5, min_samples_leaf=1, max_leaf_nodes=90, early_stopping=False
        ).fit(rows, targets)
    before = trees.predict(rows)
    with pytest.raises(FitFailed, match="differs"):
        onnx_stack.stacked([trees], rows)
    _round_thresholds(trees)
    assert trees.predict(rows).tobytes() == before.tobytes()
    onnx_stack.stacked([trees], rows)


@each
def test_another_schema_is_refused(kind: str) -> None:
    history = pair_history(n=400, features=2)
    files = files_of(kind, history)
    identity = empty(kind, history).identity()
    other = pair_history(n=400, features=3)
    with pytest.raises(ModelMismatch, match="feature_2"):
        empty(kind, other).load_model(files, identity)
    with pytest.raises(ModelMismatch, match=r"config\.hyperparameters"):
        empty(kind, history, hyperparameters={"lags": 3}).load_model(files, identity)
    with pytest.raises(ValueError, match=r"columns .*, but the model was made for"):
        empty(kind, history).fit({"EURUSD": other}, cuts(other), seed=1)


def test_not_strict_says_what_was_left_out_and_predicts_nothing() -> None:
    history = pair_history(n=400, features=2)
    files = files_of("ridge", history)
    predictor = empty("ridge", history, hyperparameters={"lags": 3})
    skipped = predictor.load_model(files, empty("ridge", history).identity(), strict=False).skipped
    said = " | ".join(skipped)
    assert "inputs must be ['feature_0', 'feature_1', 'log_return_1', 'log_return_2', 'log_return_3']" in said
    assert "model.onnx: expected inputs and outputs {'row': [1, 5], 'units': [1, 3]}, got" in said
    with pytest.raises(NotLoaded, match=r"model\.onnx was not loaded"):
        predictor.predict(history.window(300, WINDOW)[None])


def test_spoilt_files_are_refused() -> None:
    history = pair_history(n=400, features=2)
    files, predictor = files_of("ridge", history), empty("ridge", history)
    params = json.loads(files[PARAMS])
    for spoilt, message in (
        ({PARAMS: files[PARAMS]}, r"model\.onnx is missing; the checkpoint has params\.json"),
        ({**files, ONNX: files[ONNX][:-9]}, r"model\.onnx cannot be read"),
        ({**files, ONNX: files_of("gradient_boosting", history)[ONNX]}, r"'units': \[1, 3\]}, got .*\[1, 9\]"),
        ({ONNX: files[ONNX]}, r"params\.json is missing"),
        ({**files, PARAMS: dump_params({**params, "std": [1.0, 0.0]})}, "std is not a list of 2 numbers"),
        ({**files, PARAMS: dump_params({**params, "steps": [1, 2, 8]})}, r"steps must be \[1, 5, 8\]"),
    ):
        with pytest.raises(InvalidCheckpoint, match=message):
            predictor.load_model(spoilt, predictor.identity())


SERVE = """
import json, sys
from pathlib import Path
import numpy as np
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
root = Path(sys.argv[1])
for kind in json.loads(sys.argv[2]):
    spec = ModelSpec.model_validate_json((root / f"{kind}.spec").read_text())
    predictor = predictor_class(kind)(spec, ("close", "feature_0", "feature_1"), feature_schema="0a1b2c3d")
    files = {name: (root / f"{kind}.{name}").read_bytes() for name in ("params.json", "model.onnx")}
    predictor.load_model(files, predictor.identity())
    answer = predictor.predict(np.load(root / "windows.npy"))
    print(answer.location.tobytes().hex() + answer.scale.tobytes().hex())
print(sorted({name.split(".")[0] for name in sys.modules} & {"sklearn", "skl2onnx", "onnx", "torch", "threadpoolctl"}))
"""


def test_predicting_loads_no_scikit_learn_and_answers_as_here(tmp_path: Path) -> None:
    history = pair_history(n=400, features=2)
    windows, _ = unseen(history, every=50)
    np.save(tmp_path / "windows.npy", windows)
    expected = []
    for kind in KINDS:
        predictor = empty(kind, history)
        files = files_of(kind, history)
        (tmp_path / f"{kind}.spec").write_text(predictor.spec.model_dump_json())
        for name, data in files.items():
            (tmp_path / f"{kind}.{name}").write_bytes(data)
        predictor.load_model(files, predictor.identity())
        answer = predictor.predict(windows)
        expected.append(answer.location.tobytes().hex() + answer.scale.tobytes().hex())
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path), json.dumps(KINDS)], capture_output=True, text=True, check=True
    )
    *answers, loaded = done.stdout.split("\n")[:-1]
    assert loaded == "[]"
    assert answers == expected


def test_fitting_keeps_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many, BLAS and OpenMP add up in another order, and wait for one another where processors are few."""
    seen: list[int] = []
    honest = RidgePredictor._estimators

    def watched(*args: Any) -> list[Any]:
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return honest(*args)

    monkeypatch.setattr(RidgePredictor, "_estimators", watched)
    with threadpool_limits(2):
        files_of("ridge", pair_history(n=400, features=2))
    assert {pool["user_api"] for pool in threadpool_info()} == {"blas", "openmp"}
    assert set(seen) == {1}


FIT = """
import hashlib
from tests.models.tabular.helpers import KINDS, led
from tests.models.tabular.test_checkpoint import files_of
history = led(0.3, n=9000)
for kind in KINDS:
    print(kind, {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files_of(kind, history).items())})
"""


@pytest.mark.slow
def test_the_number_of_threads_changes_no_byte() -> None:
    found = []
    for threads in ("1", "2"):
        many = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", FIT], capture_output=True, text=True, check=True, env={**os.environ, **many}
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(found[0].split("\n")) == len(KINDS) + 1
