"""Pixel losses, KL, latent statistics, adversarial losses, LeCam, adaptive weight."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaelab.errors import ConfigError
from vaelab.losses import (
    LeCam,
    d_weight_ratio,
    disc_loss,
    gen_loss,
    kl_divergence,
    kl_per_element,
    latent_stats,
    pixel_loss,
)

torch.set_num_threads(1)

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mse", [0.0, 0.25, 4.0]),
        ("l1", [0.0, 0.5, 2.0]),
        ("l1+mse", [0.0, 0.75, 6.0]),
        ("charbonnier", [1e-3, math.sqrt(0.25 + 1e-6), math.sqrt(4 + 1e-6)]),
    ],
)
def test_pixel_loss_of_known_differences(kind: str, expected: list[float]) -> None:
    x, r = torch.tensor([0.3, 0.5, 1.0]), torch.tensor([0.3, 0.0, -1.0])
    torch.testing.assert_close(pixel_loss(kind, x, r), torch.tensor(expected))
    torch.testing.assert_close(pixel_loss(kind, r, x), torch.tensor(expected))


@pytest.mark.parametrize("kind", ["mse", "l1", "l1+mse", "charbonnier"])
def test_pixel_loss_is_float32_with_a_finite_gradient_at_equality(kind: str) -> None:
    x = torch.zeros(4, dtype=torch.bfloat16)
    r = torch.zeros(4, dtype=torch.bfloat16, requires_grad=True)
    value = pixel_loss(kind, x, r)
    value.sum().backward()
    assert value.dtype == torch.float32 and r.grad is not None and bool(r.grad.isfinite().all())


def test_pixel_loss_refuses_shapes_that_would_broadcast_and_unknown_kinds() -> None:
    with pytest.raises(ConfigError, match=r"\(2, 3, 1, 8, 8\).*\(2, 3, 5, 8, 8\)"):
        pixel_loss("l1", torch.zeros(2, 3, 5, 8, 8), torch.zeros(2, 3, 1, 8, 8))
    with pytest.raises(ConfigError, match="'l2' is not known"):
        pixel_loss("l2", torch.zeros(1), torch.zeros(1))


@given(st.floats(-5, 5), st.floats(-10, 5))
def test_kl_is_that_of_torch_distributions(mean: float, logvar: float) -> None:
    posterior = torch.distributions.Normal(torch.tensor(mean).double(), torch.tensor(logvar).double().div(2).exp())
    prior = torch.distributions.Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    expected = torch.distributions.kl_divergence(posterior, prior).item()
    shape = (2, 3, 2, 2, 2)
    ours = kl_per_element(torch.full(shape, mean), torch.full(shape, logvar)).item()
    assert ours == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert ours >= -1e-7


def test_kl_keeps_its_digits_near_the_prior_and_in_bf16() -> None:
    logvar = torch.full((1, 1, 1, 1, 1), 1e-3)
    # 0.5 * (exp(v) - 1 - v) = v^2 / 4 + v^3 / 12 for small v
    assert kl_per_element(torch.zeros_like(logvar), logvar).item() == pytest.approx(1e-6 / 4 + 1e-9 / 12, rel=1e-3)
    assert kl_divergence(logvar.bfloat16(), logvar.bfloat16(), "sum").dtype == torch.float32


def test_kl_refuses_an_unknown_reduction() -> None:
    with pytest.raises(ConfigError, match="channel_mean"):
        kl_divergence(torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1), "batchmean")


def test_latent_statistics() -> None:
    g = torch.Generator().manual_seed(0)
    mean = torch.randn(4, 2, 3, 8, 8, generator=g)
    mean[:, 1] = 0.7 + 0.01 * mean[:, 1]  # a channel that says nothing about the data
    logvar = torch.full_like(mean, math.log(0.25))
    z = mean + 0.5 * torch.randn(mean.shape, generator=g)
    stats = latent_stats(z, mean, logvar)
    assert all(value.shape == () and value.dtype == torch.float32 for value in stats.values())
    assert stats["latents_std"].item() == pytest.approx(z.numpy().std(), rel=1e-5)
    assert stats["latent_abs_mean"].item() == pytest.approx(abs(z.numpy()).mean(), rel=1e-5)
    assert stats["latent_mean_std"].item() == pytest.approx(mean.numpy().std(), rel=1e-5)
    assert stats["latent_noise_std"].item() == pytest.approx(0.5, rel=1e-5)
    assert stats["latent_active_share"].item() == 0.5
    assert set(latent_stats(z)) == {"latents_std", "latent_abs_mean", "latent_active_share"}


def test_adversarial_losses_at_chance() -> None:
    zero = torch.zeros(2, 1, 4, 4)
    assert disc_loss("hinge", zero, zero).item() == 1.0
    for kind in ("vanilla", "non-saturating"):
        assert disc_loss(kind, zero, zero).item() == pytest.approx(math.log(2))
    assert gen_loss("hinge", zero).item() == gen_loss("vanilla", zero).item() == 0.0
    assert gen_loss("non-saturating", zero).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("kind", ["hinge", "vanilla", "non-saturating"])
def test_adversarial_gradients_point_the_right_way(kind: str) -> None:
    real, fake = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    disc_loss(kind, real, fake).backward()
    assert bool((real.grad < 0).all()) and bool((fake.grad > 0).all())
    seen = torch.zeros(3, requires_grad=True)
    gen_loss(kind, seen).backward()
    assert bool((seen.grad < 0).all())


@pytest.mark.parametrize("kind", ["hinge", "vanilla", "non-saturating"])
def test_adversarial_losses_are_float32_and_finite_for_extreme_logits(kind: str) -> None:
    logits = torch.tensor([1e4, -1e4], dtype=torch.bfloat16)
    for value in (disc_loss(kind, logits, logits), gen_loss(kind, logits)):
        assert value.dtype == torch.float32 and bool(value.isfinite())


def test_hinge_is_zero_beyond_the_margin() -> None:
    assert disc_loss("hinge", torch.full((4,), 1.5), torch.full((4,), -1.0)).item() == 0.0
    with pytest.raises(ConfigError, match="wgan"):
        disc_loss("wgan", torch.zeros(1), torch.zeros(1))
    with pytest.raises(ConfigError, match="wgan"):
        gen_loss("wgan", torch.zeros(1))


def test_lecam_follows_its_paper() -> None:
    lecam = LeCam(decay=0.9)
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    assert lecam.penalty(real, fake).item() == 0.0  # nothing to compare with yet
    lecam.update(torch.tensor(1.0), torch.tensor(-1.0))
    assert (lecam.ema_real.item(), lecam.ema_fake.item()) == (1.0, -1.0)
    # relu(2 + 1)^2, relu(-1 + 1)^2; relu(1 - 0.5)^2, relu(1 + 3)^2
    assert lecam.penalty(real, fake).item() == pytest.approx((9 + 0) / 2 + (0.25 + 16) / 2)
    lecam.update(torch.tensor(3.0), torch.tensor(-2.0))
    assert lecam.ema_real.item() == pytest.approx(0.9 * 1.0 + 0.1 * 3.0)
    assert lecam.ema_fake.item() == pytest.approx(0.9 * -1.0 + 0.1 * -2.0)


def test_lecam_from_zero_is_vidtoks() -> None:
    """VidTok moves its means from 0 and then takes the penalty, from the first batch on (vidtok/modules/losses.py)."""
    lecam, means, decay = LeCam(decay=0.9, from_zero=True), [0.0, 0.0], 0.9
    for real, fake in (([2.0, -1.0], [0.5, -3.0]), ([1.0, 4.0], [-2.0, 0.0])):
        means = [decay * m + (1 - decay) * sum(logits) / 2 for m, logits in zip(means, (real, fake), strict=True)]
        expected = sum(max(a - means[1], 0) ** 2 for a in real) / 2 + sum(max(means[0] - b, 0) ** 2 for b in fake) / 2
        lecam.update(torch.tensor(real).mean(), torch.tensor(fake).mean())
        assert lecam.penalty(torch.tensor(real), torch.tensor(fake)).item() == pytest.approx(expected)


def test_lecam_is_not_moved_by_validation_and_comes_back_from_a_checkpoint() -> None:
    lecam = LeCam(decay=0.5)
    lecam.update(torch.tensor(1.0), torch.tensor(-1.0))
    lecam.eval()
    lecam.update(torch.tensor(100.0), torch.tensor(100.0))
    assert lecam.ema_real.item() == 1.0
    restored = LeCam(decay=0.5)
    restored.load_state_dict(lecam.state_dict())
    for state in (lecam.train(), restored):
        state.update(torch.tensor(2.0), torch.tensor(0.0))
    # without `started` in the checkpoint the first update would replace the mean instead of moving it
    assert restored.ema_real.item() == lecam.ema_real.item() == 1.5
    assert restored.ema_fake.item() == -0.5


def test_lecam_gradient_reaches_the_logits_only() -> None:
    lecam = LeCam(decay=0.9)
    real = torch.tensor([2.0], requires_grad=True)
    lecam.update(real.mean(), torch.tensor(0.0))
    assert not lecam.ema_real.requires_grad
    lecam.penalty(real, torch.tensor([-1.0])).backward()
    assert real.grad is not None and real.grad.item() == pytest.approx(4.0)
    assert list(lecam.parameters()) == []


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(1e-3, 1e5))
def test_d_weight_ratio_is_the_clamped_ratio_of_norms(a: float, b: float, maximum: float) -> None:
    ratio, clamped = d_weight_ratio(torch.tensor([0.6 * a, 0.8 * a]), torch.tensor([[b]]), maximum)
    raw = a / (b + 1e-4)
    # abs: squares of values below 1e-23 vanish in float32
    assert ratio.item() == pytest.approx(min(raw, maximum), rel=1e-4, abs=1e-12)
    assert 0 <= ratio.item() <= maximum * (1 + 1e-6)
    if abs(raw / maximum - 1) > 1e-3:
        assert clamped.item() is (raw > maximum)


def test_d_weight_ratio_at_its_edges() -> None:
    dead = d_weight_ratio(torch.ones(4), torch.zeros(4), 1e4)  # a discriminator without gradient
    assert dead.value.item() == 1e4 and dead.clamped.item() is True
    assert d_weight_ratio(torch.zeros(4), torch.zeros(4), 1e4).value.item() == 0.0
    for bad in (INF, -INF, NAN):
        for pair in ((torch.tensor([bad, 1.0]), torch.ones(2)), (torch.ones(2), torch.tensor([bad, 1.0]))):
            broken = d_weight_ratio(*pair, 1e4)
            assert math.isnan(broken.value.item()) and broken.clamped.item() is False
    # 70,000 values of 300: their sum of squares is beyond fp16, and bf16 would lose digits
    large = torch.full((70_000,), 300.0, dtype=torch.float16)
    kept = d_weight_ratio(large, large, 1e4)
    assert kept.value.dtype == torch.float32 and kept.value.item() == pytest.approx(1.0, rel=1e-5)


def test_d_weight_ratio_carries_no_gradient() -> None:
    w = torch.ones(2, requires_grad=True)
    assert not d_weight_ratio(w * 2, w * 3, 1e4).value.requires_grad
