"""The perceptual loss: its formula, its gradient and its modes.

Thin networks with random weights stand in for VGG16, the code takes the widths from the file; the shift-tolerant
networks are the real ones, from the package stlpips-pytorch.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from thin_vgg16 import CONVOLUTIONS, clips, in_slices, save_one_file, thin_vgg16
from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses import Objective, Perceptual, build_perceptual, weights
from vaelab.losses.backbones import SCALE, SHIFT
from vaelab.losses.perceptual import _normalised

torch.set_num_threads(1)

needs_stlpips = pytest.mark.skipif(
    importlib.util.find_spec("stlpips_pytorch") is None, reason="the optional package stlpips-pytorch is not installed"
)


def lpips_again(state: dict[str, torch.Tensor], x: torch.Tensor, r: torch.Tensor) -> float:
    """LPIPS of two pictures (3, H, W) as its paper writes it, in float64."""
    total, level = 0.0, {}
    for name, picture in (("x", x), ("r", r)):
        f = (picture.double() - torch.tensor(SHIFT).double().view(3, 1, 1)) / torch.tensor(SCALE).double().view(3, 1, 1)
        f, part_before = f[None], 1
        for number, part in CONVOLUTIONS.items():
            if part != part_before:
                f, part_before = F.max_pool2d(f, 2), part
            weight, bias = (state[f"features.{number}.{kind}"].double() for kind in ("weight", "bias"))
            f = F.conv2d(f, weight, bias, padding=1).clamp(min=0)
            level[name, part] = f[0]
    for part in range(1, 6):
        units = [f / (f.square().sum(0).sqrt() + 1e-10) for f in (level["x", part], level["r", part])]
        squared = (units[0] - units[1]).square()
        for channel, weight in enumerate(state[f"lin{part - 1}.model.1.weight"].flatten().double()):
            total += float(weight * squared[channel].mean())
    return total


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    return save_one_file(tmp_path / "vgg_lpips.pth")


@pytest.fixture
def perceptual(one_file: Path) -> Perceptual:
    return build_perceptual(LossConfig(perceptual_weights=str(one_file)), 3)


def test_vgg16_is_lpips_frame_by_frame(perceptual: Perceptual) -> None:
    x, r = clips()
    distance = perceptual(x, r)
    assert distance.shape == (2 * 3,) and distance.dtype == torch.float32
    expected = [lpips_again(thin_vgg16(), x[b, :, t], r[b, :, t]) for b in range(2) for t in range(3)]
    assert distance.tolist() == pytest.approx(expected, rel=1e-4)


def test_one_channel_is_repeated(perceptual: Perceptual) -> None:
    x, r = clips(channels=1)
    torch.testing.assert_close(perceptual(x, r), perceptual(x.expand(-1, 3, -1, -1, -1), r.expand(-1, 3, -1, -1, -1)))


def test_identical_pictures_have_distance_zero_and_a_finite_gradient(perceptual: Perceptual) -> None:
    x, _ = clips()
    r = x.clone().requires_grad_()
    distance = perceptual(x, r)
    distance.sum().backward()
    assert distance.tolist() == [0.0] * 6
    assert r.grad is not None and float(r.grad.abs().max()) == 0.0


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_the_norm_has_a_finite_gradient_where_the_squares_of_all_features_vanish(size: float) -> None:
    # tested without the ReLU before it, which would turn the NaN of exact zeros, and of nothing else, into 0
    features = torch.full((1, 4, 2, 2), size, requires_grad=True)
    _normalised(features).sum().backward()
    assert features.grad is not None and bool(features.grad.isfinite().all())


def test_the_gradient_is_finite_where_all_features_are_zero(tmp_path: Path) -> None:
    # a bias far below zero: every output of the first ReLU vanishes for dark pictures
    state = in_slices(thin_vgg16())
    state["net.slice1.2.bias"] = torch.full_like(state["net.slice1.2.bias"], -1.0)
    torch.save(state, tmp_path / "dead.pth")
    network = build_perceptual(LossConfig(perceptual_weights=str(tmp_path / "dead.pth")), 3)
    x, other = clips()
    dead = torch.tensor(SHIFT).view(1, 3, 1, 1, 1).expand_as(x)
    for first, second in ((dead, dead), (x, dead), (dead, other)):
        r = second.clone().requires_grad_()
        network(first, r).sum().backward()
        assert r.grad is not None and bool(r.grad.isfinite().all())


def test_the_gradient_goes_to_the_reconstruction_only_and_is_right(perceptual: Perceptual) -> None:
    x, r = (clip[:1, :, :1].clone().requires_grad_() for clip in clips())
    perceptual(x, r).sum().backward()
    assert x.grad is None and r.grad is not None
    direction = torch.randn(r.shape, generator=torch.Generator().manual_seed(1))
    step = 1e-3 * direction / direction.norm()
    up, down = (lpips_again(thin_vgg16(), x[0, :, 0].detach(), (r + s)[0, :, 0].detach()) for s in (step, -step))
    assert float((r.grad * step).sum()) == pytest.approx((up - down) / 2, rel=2e-2)


def test_it_stays_in_evaluation_mode(perceptual: Perceptual) -> None:
    objective = Objective(LossConfig(), perceptual)
    objective.train()
    perceptual.train()
    assert objective.training and not any(module.training for module in perceptual.modules())


def test_no_checkpoint_and_no_optimizer_holds_it(perceptual: Perceptual) -> None:
    objective = Objective(LossConfig(logvar="learned"), perceptual)
    assert list(objective.state_dict()) == ["logvar"]
    assert [name for name, _ in objective.named_parameters()] == ["logvar"]
    assert objective.load_state_dict({"logvar": torch.tensor(1.0)}, strict=True).missing_keys == []
    # it still moves with the module that holds it: every tensor is a buffer
    assert all(buffer.device.type == "meta" for _, buffer in objective.to("meta").named_buffers())


def test_a_weight_of_zero_leaves_the_network_out(perceptual: Perceptual) -> None:
    objective = Objective(LossConfig(perceptual_weight=0), perceptual)
    assert objective.perceptual is None
    assert objective.reconstruction(*clips()).perceptual.item() == 0.0


def test_reductions_are_float32_under_autocast(perceptual: Perceptual) -> None:
    x, r = clips(size=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distance = perceptual(x, r)
        pairs = []
        of_x, of_r = (perceptual.backbone.scaled(c.transpose(1, 2).flatten(0, 1)) for c in (x, r))
        for layers, head in perceptual.backbone.levels:
            of_x, of_r = layers(of_x), layers(of_r)
            assert of_r.dtype == torch.bfloat16  # the convolutions do follow autocast
            pairs.append((of_x.double(), of_r.double(), head.double()))
    expected = torch.zeros(6, dtype=torch.float64)
    for a, b, head in pairs:
        a, b = a / a.norm(dim=1, keepdim=True).clamp(min=1e-4), b / b.norm(dim=1, keepdim=True).clamp(min=1e-4)
        expected += ((a - b).square() * head).sum(1).mean((1, 2))
    assert distance.dtype == torch.float32
    assert distance.tolist() == pytest.approx(expected.tolist(), rel=1e-4)  # bf16 would be off by 4e-3


@pytest.mark.parametrize("kind", ["vgg16", "stlpips-vgg", "stlpips-alex"])
def test_a_picture_that_is_too_small_is_refused_by_its_size(kind: str, one_file: Path) -> None:
    if kind == "vgg16":
        network = build_perceptual(LossConfig(perceptual_weights=str(one_file)), 3)
    elif importlib.util.find_spec("stlpips_pytorch") is None:
        pytest.skip("the optional package stlpips-pytorch is not installed")
    else:
        network = build_perceptual(LossConfig(perceptual=kind), 3)
    n = network.backbone.smallest
    x = torch.zeros(1, 3, 1, n, n + 3)
    assert bool(network(x, x).isfinite().all())
    small = torch.zeros(1, 3, 1, 64, n - 1)
    with pytest.raises(ConfigError, match=rf"64x{n - 1} are too small .* needs {n}x{n}"):
        network(small, small)
    # one less does not pass through the layers, so `smallest` is not larger than it has to be
    with pytest.raises(RuntimeError):
        f = network.backbone.scaled(torch.zeros(1, 3, n - 1, n - 1))
        for layers, _ in network.backbone.levels:
            f = layers(f)


def test_other_shapes_and_channels_are_refused(perceptual: Perceptual) -> None:
    for x, r in (((1, 2, 1, 16, 16),) * 2, ((1, 3, 16, 16),) * 2, ((1, 3, 2, 16, 16), (1, 3, 1, 16, 16))):
        with pytest.raises(ConfigError, match="compares clips"):
            perceptual(torch.zeros(x), torch.zeros(r))
    with pytest.raises(ConfigError, match="1 or 3 channels, not 4"):
        build_perceptual(LossConfig(), 4)


# ---- the real shift-tolerant networks -------------------------------------------------------------------------------


def picture(size: int = 64) -> torch.Tensor:
    """A smooth colour gradient with a disc and a bar on it, (1, 3, 1, size, size)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    disc = torch.sigmoid(40 * (0.45 - torch.sqrt((x + 0.2).square() + y.square())))
    bar = torch.sigmoid(40 * (0.1 - (x - 0.6).abs()))
    colours = [0.5 * x + 0.6 * disc, 0.5 * y - 0.5 * disc + 0.4 * bar, 0.3 * torch.sin(4 * x * y) + 0.5 * bar]
    return torch.stack(colours).clamp(-1, 1)[None, :, None]


def blurred(clip: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = int(4 * sigma)
    line = torch.exp(-torch.arange(-reach, reach + 1).float().square() / (2 * sigma**2))
    kernel = torch.outer(line, line)[None, None].expand(3, 1, -1, -1) / line.sum() ** 2
    return F.conv2d(F.pad(clip[:, :, 0], (reach,) * 4, mode="reflect"), kernel, groups=3)[:, :, None]


@needs_stlpips
@pytest.mark.parametrize("kind", ["stlpips-alex", "stlpips-vgg"])
def test_real_weights_see_more_blur_and_more_noise(kind: str) -> None:
    network = build_perceptual(LossConfig(perceptual=kind), 3)
    assert network.name == f"{kind} (stlpips-pytorch 0.0.2)"
    assert network.checksum.startswith(weights.STLPIPS_SHA256[kind.removeprefix("stlpips-")])
    assert "stlpips_pytorch" not in sys.modules  # only its files are read: part of its code has another licence
    clean = picture()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    worse = [clean, *(blurred(clean, sigma) for sigma in (0.5, 1, 2, 4))]
    by_blur = [network(clean, other).item() for other in worse]
    by_noise = [network(clean, (clean + amount * noise).clamp(-1, 1)).item() for amount in (0, 0.05, 0.2, 0.6)]
    for distances in (by_blur, by_noise):
        assert distances[0] == 0 and all(a < b for a, b in itertools.pairwise(distances))
    assert by_noise[-1] > 0.1


@needs_stlpips
def test_real_weights_give_a_gradient_that_lowers_the_loss() -> None:
    network = build_perceptual(LossConfig(perceptual="stlpips-alex"), 3)
    clean = picture(32)
    r = blurred(clean, 1.0).requires_grad_()
    before = network(clean, r).sum()
    (gradient,) = torch.autograd.grad(before, r)
    after = network(clean, r - 0.1 * gradient / gradient.norm()).sum()
    assert after.item() < before.item()
