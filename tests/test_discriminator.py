"""PatchGAN: shapes, receptive field, norms, smallest picture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.models import PatchGAN, build_discriminator

torch.set_num_threads(1)
NORMS = ["group", "instance", "spectral", "none"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("disc", ["patch2d", "patch3d"])
@pytest.mark.parametrize("channels, frames", [(1, 1), (3, 5)])
def test_logits_and_gradients(disc: str, norm: str, channels: int, frames: int) -> None:
    loss = LossConfig(disc=disc, disc_norm=norm, disc_channels=8, disc_layers=3)
    model = build_discriminator(loss, channels)
    x = torch.randn(2, channels, frames, 32, 40, requires_grad=True)
    logits = model(x)
    assert logits.shape == ((2 * frames, 1, 2, 3) if disc == "patch2d" else (2, 1, 1, 2, 3))
    logits.square().mean().backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in model.parameters())


@pytest.mark.parametrize("layers, field", [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_is_what_the_gradient_sees(layers: int, field: int) -> None:
    model = PatchGAN(1, layers, 8, "none")
    assert model.receptive_field == field
    size = field + 2**layers * 4
    x = torch.randn(1, 1, 1, size, size, requires_grad=True)
    logits = model(x)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    assert x.grad is not None
    seen = x.grad[0, 0, 0].abs().amax(1).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == field


def test_receptive_frames() -> None:
    model = PatchGAN(1, 1, 8, "none", temporal=True)
    assert model.receptive_frames == 11 and PatchGAN(1, 1, 8, "none").receptive_frames == 1
    x = torch.randn(1, 1, 25, 8, 8, requires_grad=True)
    logits = model(x)
    logits[0, 0, logits.shape[2] // 2].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().amax((0, 1, 3, 4)).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == 11


def test_frames_are_judged_one_by_one_in_2d_and_together_in_3d() -> None:
    x = torch.randn(1, 3, 4, 32, 32)
    changed = x.clone()
    changed[:, :, -1] += 1
    flat, joint = PatchGAN(3, 2, 8), PatchGAN(3, 2, 8, temporal=True)
    assert torch.equal(flat(x)[:3], flat(changed)[:3]) and not torch.equal(flat(x)[3], flat(changed)[3])
    assert not torch.equal(joint(x)[:, :, 0], joint(changed)[:, :, 0])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("temporal", [False, True])
def test_a_joined_batch_gives_the_logits_of_two_single_ones(norm: str, temporal: bool) -> None:
    """Real and fake may share one call: no statistics cross samples (they would with batch norm)."""
    model = PatchGAN(3, 2, 8, norm, temporal).eval()
    real, fake = torch.randn(2, 3, 3, 16, 16), torch.randn(2, 3, 3, 16, 16) * 3
    torch.testing.assert_close(model(torch.cat([real, fake])), torch.cat([model(real), model(fake)]))


@pytest.mark.parametrize("layers, smallest", [(1, 6), (3, 24)])
@pytest.mark.parametrize("temporal", [False, True])
def test_smallest_picture(layers: int, smallest: int, temporal: bool) -> None:
    model = PatchGAN(3, layers, 8, "instance", temporal)
    assert model(torch.randn(1, 3, 1, smallest, smallest)).shape == (1, 1, *([1] if temporal else []), 1, 1)
    with pytest.raises(ConfigError, match=rf"at least {smallest} x {smallest} pixels, not {smallest - 1} x 64"):
        model(torch.randn(1, 3, 9, smallest - 1, 64))


def test_layout_is_pix2pix() -> None:
    convs = [layer for layer in PatchGAN(3, 3, 64).modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride[0]) for c in convs] == [
        (3, 64, 2),
        (64, 128, 2),
        (128, 256, 2),
        (256, 512, 1),
        (512, 1, 1),
    ]
    assert isinstance(PatchGAN(3).layers[1], nn.LeakyReLU)  # no norm after the first
    assert sum(weight.numel() for weight in PatchGAN(3, norm="none").parameters()) // 10_000 == 276  # 2.77 M with norms
    assert PatchGAN(3, 5, 8).layers[-1].in_channels == 64  # at most eight times the first


def test_initialisation() -> None:
    torch.manual_seed(0)
    model = PatchGAN(3, 3, 64)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 10_000:
            assert abs(layer.weight.std().item() - 0.02) < 5e-4 and abs(layer.weight.mean().item()) < 5e-4
        if isinstance(layer, nn.GroupNorm):
            assert layer.num_channels // layer.num_groups >= 4
            assert abs(layer.weight.mean().item() - 1) < 0.01


def test_spectral_norm_bounds_every_convolution() -> None:
    model = PatchGAN(3, 2, 8, "spectral").train()
    for _ in range(20):
        model(torch.randn(1, 3, 1, 16, 16))
    convs = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convs) == 4
    for conv in convs:
        largest = torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item()
        assert abs(largest - 1) < 0.05


def test_none_and_unknown_norm_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"loss.disc is none"):
        build_discriminator(LossConfig(disc="none"), 3)
    with pytest.raises(ConfigError, match="Unknown norm 'batch'"):
        PatchGAN(3, norm="batch")
