"""Where the weights of the perceptual loss come from, and what is said when they are not to be had."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from thin_vgg16 import clips, heads, in_slices, save_one_file, thin_vgg16
from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses import Perceptual, PerceptualWeightsError, build_perceptual, weights

torch.set_num_threads(1)


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    return save_one_file(tmp_path / "vgg_lpips.pth")


@pytest.fixture
def perceptual(one_file: Path) -> Perceptual:
    return build_perceptual(LossConfig(perceptual_weights=str(one_file)), 3)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ADDRESS = "https://weights.example/vgg16-397923af.pth"


def torchvision(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    """A torchvision that knows the address of the weights, or none."""
    named = SimpleNamespace(VGG16_Weights=SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=ADDRESS)))
    monkeypatch.setitem(sys.modules, "torchvision.models", named if installed else None)


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
    torchvision(monkeypatch, installed=False)
    with pytest.raises(
        PerceptualWeightsError, match=r"torchvision, which knows their address, is not installed; .*loss"
    ):
        build_perceptual(LossConfig(), 3)
    torchvision(monkeypatch, installed=True)
    with pytest.raises(
        PerceptualWeightsError, match=r"then the download .*Name or service not known.*loss\.perceptual="
    ):
        build_perceptual(LossConfig(), 3)

    def download(url: str, to: str, hash_prefix: str) -> None:
        assert hash_prefix == weights.VGG16_SHA256 and url == ADDRESS
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
