"""The linear networks against the papers' formulas, computed by numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fx_assets.models.networks.base import running_mean
from fx_assets.models.networks.linear import LinearNetwork, moving_average
from tests.models.networks.cases import spoken


def network(variant: str, **changes: Any) -> LinearNetwork:
    shape = {"window": 30, "horizon": 6, "targets": None, "variant": variant}
    return spoken(LinearNetwork(**{**shape, **changes}))


def levels(variates: int = 3, rows: int = 30) -> torch.Tensor:
    return torch.randn(4, rows, variates, generator=torch.Generator().manual_seed(1)).cumsum(1) + 5


def numbers(tensor: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    return tensor.detach().numpy().astype(np.float64)


@pytest.mark.parametrize(("rows", "kernel"), [(30, 25), (30, 5), (8, 25), (30, 1)])
def test_moving_average_repeats_the_ends(rows: int, kernel: int) -> None:
    series = levels(rows=rows).transpose(1, 2)
    half = kernel // 2
    padded = np.pad(numbers(series), ((0, 0), (0, 0), (half, half)), mode="edge")
    expected = np.apply_along_axis(lambda row: np.convolve(row, np.full(kernel, 1 / kernel), "valid"), -1, padded)
    np.testing.assert_allclose(numbers(moving_average(series, kernel)), expected, rtol=1e-5, atol=1e-6)


def test_dlinear_is_the_published_one() -> None:
    model = network("dlinear")
    assert model.trend is not None
    assert sum(p.numel() for p in model.parameters()) == 2 * (30 * 6 + 6)
    series = levels().transpose(1, 2)
    trend = numbers(moving_average(series, 25))
    expected = (numbers(series) - trend) @ numbers(model.head.weight).T + numbers(model.head.bias)
    expected += trend @ numbers(model.trend.weight).T + numbers(model.trend.bias)
    np.testing.assert_allclose(numbers(model(levels()))[..., 0], expected, rtol=1e-4, atol=1e-4)


def test_nlinear_is_the_published_one() -> None:
    model = network("nlinear")
    series = numbers(levels().transpose(1, 2))
    last = series[..., -1:]
    expected = (series - last) @ numbers(model.head.weight).T + numbers(model.head.bias) + last
    np.testing.assert_allclose(numbers(model(levels()))[..., 0], expected, rtol=1e-4, atol=1e-4)


def test_rlinear_is_the_published_one_with_its_last_column_set_off() -> None:
    """mean + deviation * W z, as published, where each row of W counts the last value once more than ours."""
    model = network("rlinear")
    weight = numbers(model.head.weight)
    weight[:, -1] += 1
    series = numbers(levels().transpose(1, 2))
    mean = series.mean(-1, keepdims=True)
    deviation = np.sqrt(series.var(-1, keepdims=True) + 1e-5)
    expected = mean + deviation * ((series - mean) / deviation @ weight.T + numbers(model.head.bias))
    np.testing.assert_allclose(numbers(model(levels()))[..., 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", ["nlinear", "rlinear"])
def test_untrained_they_repeat_the_last_level(variant: str) -> None:
    model = LinearNetwork(window=30, horizon=6, targets=None, variant=variant)  # type: ignore[arg-type]
    assert torch.equal(model(levels())[..., 0], levels()[:, -1, :, None].expand(-1, -1, 6))


def test_levels_may_lie_anywhere() -> None:
    inputs = levels()
    torch.testing.assert_close(network("nlinear")(inputs + 7), network("nlinear")(inputs) + 7, rtol=1e-4, atol=1e-4)
    moved = network("rlinear")(3 * inputs + 7)
    torch.testing.assert_close(moved, 3 * network("rlinear")(inputs) + 7, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(network("dlinear")(inputs + 7), network("dlinear")(inputs) + 7, atol=0.1)


@pytest.mark.parametrize("variant", ["nlinear", "rlinear"])
def test_only_the_location_lies_on_the_last_level(variant: str) -> None:
    model = network(variant, outputs=3)
    inputs = levels()
    answer, moved = model(inputs), model(inputs + 7)
    torch.testing.assert_close(moved[..., 0], answer[..., 0] + 7, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(moved[..., 1:], answer[..., 1:], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("variant", ["dlinear", "nlinear", "rlinear"])
def test_variates_are_forecast_from_themselves_by_the_same_weights(variant: str) -> None:
    model, inputs = network(variant), levels()
    answer = model(inputs)
    torch.testing.assert_close(model(inputs[..., [2, 0, 1]]), answer[:, [2, 0, 1]])
    changed = inputs.clone()
    changed[..., 1] += torch.randn(30)
    torch.testing.assert_close(model(changed)[:, [0, 2]], answer[:, [0, 2]])
    assert not torch.allclose(model(changed)[:, 1], answer[:, 1], atol=0.1)


def test_features_add_by_their_last_row() -> None:
    model = network("dlinear", targets=1, variates=3)
    assert model.exogenous is not None
    inputs = levels()
    earlier, last = inputs.clone(), inputs.clone()
    earlier[:, :-1, 1:] += 1
    last[:, -1, 1:] += torch.tensor([1.0, 2.0])
    answer = model(inputs)
    assert torch.equal(model(earlier), answer)
    weight = numbers(model.exogenous.weight)
    expected = numbers(answer)[:, 0, :, 0] + weight @ np.array([1.0, 2.0])
    np.testing.assert_allclose(numbers(model(last))[:, 0, :, 0], expected, rtol=1e-4, atol=1e-4)


def test_what_is_known_ahead_adds_by_its_mean_up_to_the_step() -> None:
    model = network("nlinear", ahead=2, outputs=3)
    assert model.coming is not None
    ahead = torch.randn(4, 6, 2)
    bare = model(levels(), torch.zeros(4, 6, 2))
    steps = np.cumsum(numbers(ahead), axis=1) / np.arange(1, 7)[:, None]
    expected = numbers(bare) + (steps @ numbers(model.coming.weight).T)[:, None]
    np.testing.assert_allclose(numbers(model(levels(), ahead)), expected, rtol=1e-4, atol=1e-4)


def test_running_mean() -> None:
    torch.testing.assert_close(running_mean(3) @ torch.tensor([[3.0], [1.0], [5.0]]), torch.tensor([[3.0], [2], [3]]))


def test_a_kernel_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="over 24 rows has no middle; make kernel odd"):
        network("dlinear", kernel=24)


def test_unknown_features_are_refused() -> None:
    with pytest.raises(ValueError, match="say how many variates there are"):
        network("dlinear", targets=1)
