"""The perceptual loss: its formula, its gradient, its modes, and where its weights come from.

Thin networks with random weights stand in for VGG16, the code takes the widths from the file; the shift-tolerant
networks are the real ones, from the package stlpips-pytorch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import math
import sys
import urllib.error
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses import Objective, Perceptual, PerceptualWeightsError, build_perceptual, weights
from vaelab.losses.backbones import SCALE, SHIFT

torch.set_num_threads(1)

# Layers of VGG16 with weights: number in torchvision's list, slice of LPIPS; pooling stands before slices 2 to 5.
CONVOLUTIONS = {0: 1, 2: 1, 5: 2, 7: 2, 10: 3, 12: 3, 14: 3, 17: 4, 19: 4, 21: 4, 24: 5, 26: 5, 28: 5}
WIDTHS = (4, 5, 6, 7, 8)

needs_stlpips = pytest.mark.skipif(
    importlib.util.find_spec("stlpips_pytorch") is None, reason="the optional package stlpips-pytorch is not installed"
)


def thin_vgg16(seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights as torchvision names them, with few channels, and LPIPS' heads."""
    g = torch.Generator().manual_seed(seed)
    state, channels = {}, 3
    for number, part in CONVOLUTIONS.items():
        width = WIDTHS[part - 1]
        state[f"features.{number}.weight"] = torch.randn(width, channels, 3, 3, generator=g) / math.sqrt(3 * channels)
        state[f"features.{number}.bias"] = torch.randn(width, generator=g) / 10
        channels = width
    for i, width in enumerate(WIDTHS):
        state[f"lin{i}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=g)
    return state


def heads(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.startswith("lin")}


def in_slices(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same as one file of Pyramid-Flow names it."""
    renamed = dict(heads(state))
    for number, part in CONVOLUTIONS.items():
        for kind in ("weight", "bias"):
            renamed[f"net.slice{part}.{number}.{kind}"] = state[f"features.{number}.{kind}"]
    renamed["scaling_layer.shift"] = torch.tensor(SHIFT).view(1, 3, 1, 1)
    renamed["scaling_layer.scale"] = torch.tensor(SCALE).view(1, 3, 1, 1)
    return renamed


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
    path = tmp_path / "vgg_lpips.pth"
    torch.save(in_slices(thin_vgg16()), path)
    return path


@pytest.fixture
def perceptual(one_file: Path) -> Perceptual:
    return build_perceptual(LossConfig(perceptual_weights=str(one_file)), 3)


def clips(seed: int = 0, channels: int = 3, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2, channels, 3, size, size, generator=g) * 2 - 1
    return x, (x + 0.2 * torch.randn(x.shape, generator=g)).clamp(-1, 1)


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


# ---- where the weights come from ------------------------------------------------------------------------------------


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_network(*args: object, **kwargs: object) -> None:
    raise urllib.error.URLError("Name or service not known")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no packages of weights, no torch hub cache and no network; returns the cache's folder."""
    monkeypatch.setattr(weights, "_package", lambda name: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", without_network)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def lpips_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installed package lpips with thin heads; importing it fails."""
    folder = tmp_path / "site" / "lpips"
    (folder / "weights" / "v0.1").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    path = folder / "weights" / "v0.1" / "vgg.pth"
    torch.save(heads(thin_vgg16()), path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", without_network)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(weights, "HEADS_SHA256", sha256(path)[:16])
    return path


def test_a_single_file_names_itself_and_its_checksum(perceptual: Perceptual, one_file: Path) -> None:
    assert perceptual.name == "vgg16 (vgg_lpips.pth)"
    assert perceptual.checksum == sha256(one_file)


def test_torchvision_file_with_heads_beside_it_is_the_same_network(
    perceptual: Perceptual, bare: Path, tmp_path: Path
) -> None:
    state = thin_vgg16()
    features = {key: value for key, value in state.items() if key.startswith("features")}
    split = tmp_path / "split"
    split.mkdir()
    torch.save(features | {"classifier.0.weight": torch.zeros(4, 4)}, split / "vgg16-397923af.pth")
    torch.save(heads(state), split / "vgg.pth")
    network = build_perceptual(LossConfig(perceptual_weights=str(split / "vgg16-397923af.pth")), 3)
    torch.testing.assert_close(network(*clips()), perceptual(*clips()), rtol=0, atol=0)
    assert network.name == "vgg16 (vgg16-397923af.pth, heads vgg.pth)"
    assert network.checksum == f"{sha256(split / 'vgg16-397923af.pth')}+{sha256(split / 'vgg.pth')}"

    (split / "vgg.pth").unlink()
    with pytest.raises(PerceptualWeightsError, match=r"not LPIPS' five heads.*vgg\.pth.*the package lpips"):
        build_perceptual(LossConfig(perceptual_weights=str(split / "vgg16-397923af.pth")), 3)


def test_nothing_to_be_had_says_what_was_tried_and_the_ways_out(bare: Path) -> None:
    with pytest.raises(PerceptualWeightsError) as caught:
        build_perceptual(LossConfig(), 3)
    said = str(caught.value)
    assert isinstance(caught.value, ConfigError)
    for part in (
        "the package lpips, which is not installed",
        "loss.perceptual_weights=FILE",
        "loss.perceptual=stlpips-vgg",
        "pip install --no-deps stlpips-pytorch==0.0.2",
        "loss.perceptual_weight=0",
    ):
        assert part in said
    for kind in ("stlpips-vgg", "stlpips-alex"):
        with pytest.raises(PerceptualWeightsError, match="stlpips-pytorch, which is not installed"):
            build_perceptual(LossConfig(perceptual=kind), 3)


def test_usual_vgg16_from_the_cache_the_download_or_an_error(
    lpips_package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, perceptual: Perceptual
) -> None:
    with pytest.raises(
        PerceptualWeightsError, match=r"then the download .*Name or service not known.*loss\.perceptual="
    ):
        build_perceptual(LossConfig(), 3)

    def download(url: str, to: str, hash_prefix: str) -> None:
        assert hash_prefix == weights.VGG16_SHA256 and url.endswith("vgg16-397923af.pth")
        torch.save({key: value for key, value in thin_vgg16().items() if key.startswith("features")}, to)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(PerceptualWeightsError, match="is not the published file"):
        build_perceptual(LossConfig(), 3)
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "vgg16-397923af.pth"
    monkeypatch.setattr(weights, "VGG16_SHA256", sha256(cached)[:8])
    monkeypatch.setattr(torch.hub, "download_url_to_file", without_network)
    network = build_perceptual(LossConfig(), 3)
    torch.testing.assert_close(network(*clips()), perceptual(*clips()), rtol=0, atol=0)
    assert "lpips" not in sys.modules

    monkeypatch.setattr(weights, "HEADS_SHA256", "0" * 16)
    with pytest.raises(PerceptualWeightsError, match="install the package lpips again"):
        build_perceptual(LossConfig(), 3)


def test_files_that_are_something_else_are_named(bare: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"

    def message() -> str:
        with pytest.raises(ConfigError) as caught:
            build_perceptual(LossConfig(perceptual_weights=str(path)), 3)
        return str(caught.value)

    assert "is not a file" in message()
    path.write_bytes(b"")
    assert "cannot be read" in message()
    path.write_bytes(b"<html>404</html>")
    assert "cannot be read" in message()
    torch.save([1, 2], path)
    assert "holds a list" in message()
    torch.save(heads(thin_vgg16()), path)
    assert "only LPIPS' heads" in message()
    torch.save({"model.weight": torch.zeros(1)}, path)
    assert "no weights of vgg16" in message()
    state = in_slices(thin_vgg16())
    torch.save({key: value for key, value in state.items() if key != "net.slice3.12.bias"}, path)
    assert "have no tensor net.slice3.12.bias" in message()
    torch.save(state | {"lin2.model.1.weight": torch.zeros(1, 3, 1, 1)}, path)
    assert "lin2.model.1.weight has shape (1, 3, 1, 1), not 1 x 6 x 1 x 1" in message()


def test_a_file_that_would_run_code_is_not_run(bare: Path, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"lin0.model.1.weight": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(PerceptualWeightsError, match="cannot be read"):
        build_perceptual(LossConfig(perceptual_weights=str(tmp_path / "harmful.pth")), 3)
    assert not (tmp_path / "ran").exists()
