"""What the specs of networks may say is checked before anything is trained, without torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from fx_assets.models.registry import check_model, predictor_class
from tests.models.simulated import model_spec


@pytest.mark.parametrize("kind", ["itransformer", "linear", "patchtst"])
def test_the_shortest_spec_is_sound(kind: str) -> None:
    assert check_model(model_spec(kind)) == []
    for head in ("quantile", "student_t"):
        assert check_model(model_spec(kind, hyperparameters={"head": head}, target="volatility")) == []


@pytest.mark.parametrize(
    ("kind", "changes", "path", "message"),
    [
        ("itransformer", {"width": 10, "heads": 4}, "width", "10 is not a multiple of 4 heads"),
        ("patchtst", {"width": 10, "heads": 4}, "width", "10 is not a multiple of 4 heads"),
        ("patchtst", {"patch_length": 31}, "patch_length", "31 rows are over the window of 30"),
        ("patchtst", {"patch_length": 6, "stride": 7}, "stride", "7 skips rows between patches of 6"),
        ("linear", {"kernel": 24}, "kernel", "no middle; write 25, found 24"),
        ("linear", {"variant": "flinear"}, "variant", "'dlinear', 'nlinear' or 'rlinear'"),
        ("linear", {"width": 8}, "width", "unknown key"),
    ],
    ids=["itransformer_heads", "patchtst_heads", "patch", "stride", "kernel", "variant", "key"],
)
def test_impossible_options_are_named(kind: str, changes: dict[str, Any], path: str, message: str) -> None:
    ((found, said),) = check_model(model_spec(kind, hyperparameters=changes))
    assert found == f"hyperparameters.{path}"
    assert message in said


def test_a_point_cannot_forecast_volatility() -> None:
    ((path, message),) = check_model(model_spec("linear", target="volatility"))
    assert (path, message) == ("hyperparameters.head", "'point' has no width to learn; write quantile or student_t")


def test_a_channel_independent_network_names_those_that_read_more() -> None:
    problems = dict(check_model(model_spec("patchtst", features="core", known_ahead=["weekday"])))
    assert set(problems) == {"features", "known_ahead"}
    for message in problems.values():
        assert "itransformer" in message
        assert "linear" in message
    for kind in ("itransformer", "linear"):
        assert check_model(model_spec(kind, features="core", known_ahead=["weekday"])) == []


def test_what_the_spec_lets_through_can_be_built() -> None:
    """The defaults of every kind fit its network; the network's own checks come second."""
    from fx_assets.models.network import NetworkPredictor
    from fx_assets.training.lightning_trainer import make_forecaster

    for kind in ("itransformer", "linear", "patchtst"):
        predictor = predictor_class(kind)(model_spec(kind))
        assert isinstance(predictor, NetworkPredictor)
        parameters = sum(p.numel() for p in make_forecaster(predictor).parameters())
        assert 0 < parameters < 100_000


def test_predictors_are_imported_without_torch() -> None:
    code = (
        "import sys\n"
        "from fx_assets.models.predictors import itransformer, linear, patchtst\n"
        "assert linear.LinearPredictor.network\n"
        "print([name for name in ('torch', 'onnxruntime', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
