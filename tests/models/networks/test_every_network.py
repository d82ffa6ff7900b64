"""What every network must do under every head: shapes, a start at the random walk, learning, and one export."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from fx_assets.models.networks.base import Network
from fx_assets.models.networks.encoder import EncoderLayer
from fx_assets.models.networks.heads import HeadName, make_head
from fx_assets.training.export import export
from tests.models.networks.cases import (
    AHEAD,
    HEADS,
    HORIZON,
    NETWORKS,
    VARIATES,
    WINDOW,
    ahead_of,
    examples,
    forecaster,
    make,
    spoken,
)

each = pytest.mark.parametrize("name", NETWORKS)
under_each_head = pytest.mark.parametrize("head", HEADS)


@each
@under_each_head
def test_shapes(name: str, head: HeadName) -> None:
    outputs = make_head(head).outputs
    for targets, count in ((1, 1), (2, 2), (None, VARIATES)):
        model = forecaster(name, head, targets=targets)
        assert model.raw(*examples(name)).shape == (3, count, HORIZON, outputs)
        answer = model(*examples(name))
        assert answer.shape == (3, count, HORIZON, 2)
        assert (answer[..., 1] > 0).all()


@each
@under_each_head
def test_untrained_it_is_the_random_walk(name: str, head: HeadName) -> None:
    answer = forecaster(name, head).eval()(*examples(name))
    assert torch.equal(answer[..., 0], torch.zeros_like(answer[..., 0]))
    torch.testing.assert_close(answer[..., 1], torch.ones_like(answer[..., 1]))


@each
def test_it_can_start_elsewhere(name: str) -> None:
    model = make(name, zero_start=False).eval()
    assert model(*examples(name)).abs().min() > 0


@each
def test_equal_seeds_give_equal_networks(name: str) -> None:
    def answer(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made: torch.Tensor = make(name, zero_start=False)(*examples(name))  # dropout, too
            return made

    assert torch.equal(answer(1), answer(1))
    assert not torch.equal(answer(1), answer(2))


@each
@under_each_head
def test_every_weight_learns(name: str, head: HeadName) -> None:
    model = spoken(forecaster(name, head))
    loss = model.head.loss(model.raw(*examples(name, 8)), torch.randn(8, 1, HORIZON))
    weights = dict(model.named_parameters())
    for weight, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
        assert torch.isfinite(gradient).all(), weight
        if not weight.endswith("attention.key.bias"):  # it adds the same to all products of a token: softmax drops it
            assert gradient.abs().max() > 0, weight


@each
def test_windows_do_not_see_each_other(name: str) -> None:
    model, inputs = spoken(make(name)), examples(name)
    alone = model(*(part[1:2] for part in inputs))
    torch.testing.assert_close(model(*inputs)[1:2], alone, rtol=1e-4, atol=1e-5)


@each
def test_levels_are_standardised_and_put_back(name: str) -> None:
    model = spoken(make(name, targets=None, normalise=True))
    inputs, *ahead = examples(name)
    if ahead and name != "itransformer":  # what the linear ones add for it is in units of the answer
        ahead = [torch.zeros_like(ahead[0])]
    factor, shift = torch.tensor([2.0, 5, 0.5]), torch.tensor([1.0, -4, 100])
    expected = model(inputs, *ahead) * factor[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(model(inputs * factor + shift, *ahead), expected, rtol=1e-3, atol=1e-3)


class Counting(TorchFunctionMode):
    """Counts the functions of torch that are called while it lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        self.calls[getattr(func, "__name__", str(func))] += 1
        return func(*args, **(kwargs or {}))


@each
def test_the_work_is_done_on_whole_batches(name: str) -> None:
    """No loop over windows, and attention only by the one function that has a fast kernel."""
    model, counts = spoken(make(name)), []
    for count in (1, 9):
        inputs = examples(name, count)
        with Counting() as counting:
            model(*inputs)
        counts.append(counting.calls)
    assert counts[0] == counts[1]
    layers = sum(isinstance(module, EncoderLayer) for module in model.modules())
    assert counts[0]["scaled_dot_product_attention"] == layers
    assert counts[0]["softmax"] == 0


@pytest.mark.parametrize("name", ["itransformer", "patchtst"])
def test_half_precision_ends_at_the_head(name: str) -> None:
    model, inputs = spoken(forecaster(name, "student_t")), examples(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.network(*inputs).dtype == torch.bfloat16
        raw = model.raw(*inputs)
        assert raw.dtype == model(*inputs).dtype == model.head.loss(raw, raw[..., 0]).dtype == torch.float32


def exported(name: str, head: HeadName, **changes: Any) -> None:
    """By the project's own export, which compares both files with the network to 1e-5, and warns of nothing."""
    build = partial(forecaster, name, head, **changes)
    model = spoken(build())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export(model, build, examples(name))
    with torch.no_grad():
        assert (model(*examples(name)) - build().eval()(*examples(name))).abs().max() > 0.1


AT_ONCE: tuple[tuple[str, HeadName], ...] = (("rlinear", "quantile"), ("patchtst", "student_t"))
LATER = [(name, head) for name in NETWORKS for head in HEADS if (name, head) not in AT_ONCE]


@pytest.mark.parametrize(("name", "head"), AT_ONCE)
def test_it_exports(name: str, head: HeadName) -> None:
    exported(name, head)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "head"), LATER)
def test_every_other_pairing_exports(name: str, head: HeadName) -> None:
    exported(name, head)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["itransformer", "rlinear"])
def test_levels_export(name: str) -> None:
    exported(name, "point", targets=None, normalise=True)


@each
def test_inputs_of_another_shape_are_refused(name: str) -> None:
    model: Network = make(name)
    inputs, *ahead = examples(name)
    for wrong in (inputs[:, 1:], inputs[..., :2], inputs[0]):
        with pytest.raises(ValueError, match=rf"inputs: expected \(batch, {WINDOW}, {VARIATES}\), got"):
            model(wrong, *ahead)
    if ahead_of(name):
        with pytest.raises(ValueError, match=rf"ahead: expected \(batch, {HORIZON}, {AHEAD}\), got nothing"):
            model(inputs)
        with pytest.raises(ValueError, match=rf"ahead: expected \(batch, {HORIZON}, {AHEAD}\), got \(3, 3, 2\)"):
            model(inputs, ahead[0][:, 1:])
    else:
        with pytest.raises(ValueError, match=r"ahead: expected nothing, got \(3, 4, 2\)"):
            model(inputs, torch.zeros(3, HORIZON, AHEAD))


@each
def test_sizes_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="4 targets cannot be forecast from 3 variates"):
        make(name, targets=4)
    with pytest.raises(ValueError, match="normalise puts a point forecast back"):
        make(name, outputs=3, normalise=True)
    if name in ("itransformer", "patchtst"):
        with pytest.raises(ValueError, match="width 16 cannot be split into 3 heads; make it a multiple"):
            make(name, heads=3)
        with pytest.raises(ValueError, match="4 targets cannot be forecast from 3 variates"):
            make(name, targets=4, variates=None)(*examples(name))
