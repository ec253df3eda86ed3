"""VGG16 with few channels and random weights, as the files of LPIPS and torchvision hold it, and clips to compare."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from vaelab.losses.backbones import SCALE, SHIFT

# Layers of VGG16 with weights: number in torchvision's list, slice of LPIPS; pooling stands before slices 2 to 5.
CONVOLUTIONS = {0: 1, 2: 1, 5: 2, 7: 2, 10: 3, 12: 3, 14: 3, 17: 4, 19: 4, 21: 4, 24: 5, 26: 5, 28: 5}
WIDTHS = (4, 5, 6, 7, 8)


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


def save_one_file(path: Path) -> Path:
    """Writes the whole network as one file of Pyramid-Flow's layout."""
    torch.save(in_slices(thin_vgg16()), path)
    return path


def clips(seed: int = 0, channels: int = 3, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(2, channels, 3, size, size, generator=g) * 2 - 1
    return x, (x + 0.2 * torch.randn(x.shape, generator=g)).clamp(-1, 1)
