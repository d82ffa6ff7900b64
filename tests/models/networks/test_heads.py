"""What raw numbers mean, against scipy and scoringrules; no raw number breaks a head."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import scoringrules
import torch
from torch import Tensor

from fx_assets.models.networks.heads import (
    HUBER_DELTA,
    LEVELS,
    Forecaster,
    Head,
    HeadName,
    PointHead,
    QuantileHead,
    StudentTHead,
    make_head,
)
from tests.models.networks.cases import HEADS, make

each = pytest.mark.parametrize("name", HEADS)
WITH_WIDTH: tuple[HeadName, ...] = ("quantile", "student_t")


def raw_numbers(head: Head, spread: float = 1.0, count: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    raw = spread * torch.randn(count, 2, 3, head.outputs, generator=generator)
    return raw, 2 * torch.randn(count, 2, 3, generator=generator)


@each
def test_raw_zeros_are_the_random_walk(name: HeadName) -> None:
    head = make_head(name)
    answer = head(torch.zeros(2, 1, 3, head.outputs))
    assert torch.equal(answer[..., 0], torch.zeros(2, 1, 3))
    torch.testing.assert_close(answer[..., 1], torch.ones(2, 1, 3), rtol=1e-6, atol=1e-6)


def test_raw_zeros_are_the_quantiles_of_a_normal() -> None:
    found = QuantileHead().quantiles(torch.zeros(1, 1, 1, 7))[0, 0, 0]
    np.testing.assert_allclose(found.numpy(), scipy.stats.norm.ppf(LEVELS), atol=1e-6)


def test_each_raw_number_of_a_quantile_moves_its_own_step() -> None:
    head = QuantileHead()
    start = head.quantiles(torch.zeros(1, 1, 1, 7)).flatten()
    for number in range(7):
        raw = torch.zeros(1, 1, 1, 7)
        raw[..., number] = 0.5
        change = head.quantiles(raw).flatten() - start
        if number == 0:
            torch.testing.assert_close(change, torch.full((7,), 0.5))
            continue
        outside = torch.tensor([at < number if number <= 3 else at >= number for at in range(7)])
        assert ((change < 0) == (outside & torch.tensor(number <= 3))).all(), number
        assert ((change > 0) == (outside & torch.tensor(number > 3))).all(), number


def test_the_deviation_is_that_of_a_normal_with_the_same_80_percent_range() -> None:
    head = QuantileHead()
    raw, _ = raw_numbers(head)
    quantiles = head.quantiles(raw).numpy()
    expected = (quantiles[..., LEVELS.index(0.9)] - quantiles[..., LEVELS.index(0.1)]) / (2 * scipy.stats.norm.ppf(0.9))
    np.testing.assert_allclose(head(raw)[..., 1].numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(head(raw)[..., 0].numpy(), quantiles[..., 3], rtol=1e-6)


@pytest.mark.parametrize("spread", [1.0, 30.0, 1e4])
def test_quantiles_never_cross(spread: float) -> None:
    head = QuantileHead()
    raw, _ = raw_numbers(head, spread, 2_000)
    assert (torch.diff(head.quantiles(raw)) > 0).all() or spread > 100
    assert (torch.diff(head.quantiles(raw)) >= 0).all()
    assert (head(raw)[..., 1] > 0).all()


def test_point_losses() -> None:
    raw, y = raw_numbers(PointHead())
    error = np.abs((y - raw[..., 0]).numpy().astype(np.float64))
    huber = np.where(error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2))
    assert (error > HUBER_DELTA).any()
    assert PointHead().loss(raw, y).item() == pytest.approx(huber.mean(), rel=1e-5)
    assert PointHead(squared=True).loss(raw, y).item() == pytest.approx((error**2).mean(), rel=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_quantile_loss_is_twice_the_pinball_loss(centred: bool) -> None:
    head = QuantileHead(centred=centred)
    raw, y = raw_numbers(head)
    quantiles = head.quantiles(raw).numpy().astype(np.float64)
    scores = [
        scoringrules.quantile_score(y.numpy(), quantiles[..., at], level).mean() for at, level in enumerate(LEVELS)
    ]
    assert head.loss(raw, y).item() == pytest.approx(2 * np.mean(scores), rel=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_student_t_loss_is_the_log_likelihood(centred: bool) -> None:
    head = StudentTHead(centred=centred)
    raw, y = raw_numbers(head)
    location, deviation = head(raw).numpy().astype(np.float64).transpose(3, 0, 1, 2)
    freedom = head.freedom(raw).numpy().astype(np.float64)
    scale = deviation * np.sqrt((freedom - 2) / freedom)
    np.testing.assert_allclose(scipy.stats.t.std(freedom, location, scale), deviation, rtol=1e-6)
    expected = -scipy.stats.t.logpdf(y.numpy(), freedom, location, scale).mean()
    assert head.loss(raw, y).item() == pytest.approx(expected, rel=1e-5)


def test_freedom_keeps_a_variance() -> None:
    raw = torch.zeros(3, 1, 1, 3)
    raw[:, 0, 0, 2] = torch.tensor([-1e4, 0, 1e4])
    least, middle, most = StudentTHead().freedom(raw).flatten().tolist()
    assert 2.5 < least < 2.6
    assert middle == pytest.approx(5.5)
    assert 100 < most < 200


@each
def test_no_number_breaks_a_head(name: HeadName) -> None:
    head = make_head(name)
    extremes = torch.tensor([-1e4, -30.0, 0.0, 30.0, 1e4])
    combined = torch.tensor(list(itertools.product(extremes.tolist(), repeat=min(head.outputs, 3))))
    raw = torch.zeros(len(combined), 1, 1, head.outputs)
    raw[:, 0, 0, : combined.shape[1]] = combined
    for y in (-1e4, 0.0, 1e4):
        asked = raw.clone().requires_grad_()
        loss = head.loss(asked, torch.full((len(raw), 1, 1), y))
        (gradient,) = torch.autograd.grad(loss, asked)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert torch.isfinite(head(raw)).all()
        assert (head(raw)[..., 1] > 0).all()


@pytest.mark.parametrize("name", WITH_WIDTH)
def test_a_width_that_went_astray_comes_back(name: HeadName) -> None:
    """A raw number beyond the bound still learns: cut off, its gradient would be 0 for good."""
    head = make_head(name)
    raw = torch.zeros(500, 1, 1, head.outputs)
    raw[..., 1] = 6.0
    raw.requires_grad_()
    y = torch.randn(500, 1, 1, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad(head.loss(raw, y), raw)
    assert gradient[..., 1].sum() > 0.01


@pytest.mark.parametrize("name", WITH_WIDTH)
def test_a_centred_head_says_nothing_of_the_location(name: HeadName) -> None:
    head = make_head(name, centred=True)
    raw, y = raw_numbers(head)
    moved = raw.clone()
    moved[..., 0] += 3
    assert torch.equal(head(raw)[..., 0], torch.zeros_like(y))
    assert torch.equal(head(moved), head(raw))
    assert torch.equal(head.loss(moved, y), head.loss(raw, y))
    assert not torch.equal(make_head(name).loss(moved, y), make_head(name).loss(raw, y))


def test_a_point_has_no_width_to_learn() -> None:
    with pytest.raises(ValueError, match="a point head has no width to learn; choose quantile or student_t"):
        make_head("point", centred=True)


def test_a_network_for_another_head_is_refused() -> None:
    wrong = Forecaster(make("dlinear", ahead=0, outputs=3), make_head("point"))
    with pytest.raises(ValueError, match=r"LinearNetwork answers \(2, 1, 4, 3\); PointHead needs .* outputs=1"):
        wrong(torch.zeros(2, 40, 3))


@pytest.mark.parametrize("name", WITH_WIDTH)
def test_a_head_learns_the_width_of_the_day(name: HeadName) -> None:
    """Returns whose volatility follows a known column: better than the best constant width on fresh rows."""
    generator = torch.Generator().manual_seed(3)
    known = torch.randn(2_000, 1, generator=generator)
    y = torch.exp(0.7 * known) * torch.randn(2_000, 1, generator=generator)
    y = (y / y.std())[..., None]
    losses = []
    for inputs in (torch.zeros_like(known), known):
        head = make_head(name, centred=True)
        weight = torch.zeros(2, head.outputs, requires_grad=True)
        raw = torch.cat([inputs, torch.ones_like(inputs)], 1)[:, None, None]
        optimizer = torch.optim.Adam([weight], lr=0.1)
        for _ in range(60):
            (weight.grad,) = torch.autograd.grad(head.loss(raw[:1_000] @ weight, y[:1_000]), weight)
            optimizer.step()
        losses.append(head.loss(raw[1_000:] @ weight, y[1_000:]).item())
    constant, learned = losses
    assert learned < 0.97 * constant
    deviation = head(raw @ weight)[:, 0, 0, 1].detach()
    slope = np.polyfit(known[:, 0].numpy(), torch.log(deviation).numpy(), 1)[0]
    assert 0.55 < slope < 0.85
