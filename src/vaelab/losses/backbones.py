"""The networks whose features the perceptual loss compares: layers only, their weights come from ``weights.py``.

Weights are buffers that are not persistent: no optimizer, weight decay or EMA ever sees them, no checkpoint holds them,
and ``.to(device)`` still moves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vaelab.errors import ConfigError


class Layout(NamedTuple):
    """Where one backbone's layers stand.

    slices: the features are taken after each of the five slices, whose layers are written as ``conv`` (with stride and
    padding), ``relu``, ``pool`` (max pooling: size and stride) and ``blur`` (fixed filter, stride 2); the position of a
    layer, counted over all slices, is its number in the weights file. smallest: least height and width of an input.
    """

    slices: tuple[tuple[tuple[str, int, int], ...], ...]
    smallest: int


CONV, RELU, POOL, BLUR = ("conv", 1, 1), ("relu", 0, 0), ("pool", 2, 2), ("blur", 2, 2)
DENSE_POOL, ALEX_POOL = ("pool", 2, 1), ("pool", 3, 1)

LAYOUTS: dict[str, Layout] = {
    # Simonyan and Zisserman 2015; slices of Zhang et al. 2018 (LPIPS): relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
    "vgg16": Layout(
        (
            (CONV, RELU) * 2,
            (POOL, *(CONV, RELU) * 2),
            (POOL, *(CONV, RELU) * 3),
            (POOL, *(CONV, RELU) * 3),
            (POOL, *(CONV, RELU) * 3),
        ),
        smallest=16,
    ),
    # Ghildyal and Liu 2022, shift-tolerant LPIPS: strides are replaced by a blur with stride 2 (Zhang 2019)
    "stlpips-vgg": Layout(
        (
            (CONV, RELU) * 2,
            (DENSE_POOL, BLUR, *(CONV, RELU) * 2),
            (DENSE_POOL, BLUR, *(CONV, RELU) * 3),
            (DENSE_POOL, BLUR, *(CONV, RELU) * 3),
            (DENSE_POOL, BLUR, *(CONV, RELU) * 3),
        ),
        smallest=18,
    ),
    "stlpips-alex": Layout(
        (
            (("conv", 1, 2), BLUR, RELU),
            (ALEX_POOL, BLUR, ("conv", 1, 2), RELU),
            (ALEX_POOL, BLUR, CONV, RELU),
            (CONV, RELU),
            (CONV, RELU),
        ),
        smallest=21,
    ),
}

# Mean and standard deviation of ImageNet, for an input in [-1, 1] (LPIPS' scaling layer)
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class FrozenConv(nn.Module):
    """A convolution without parameters."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, padding: int) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias, persistent=False)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class Blur(nn.Module):
    """A fixed low-pass filter of each channel, then every ``stride``-th value; borders are reflected."""

    filter: Tensor

    def __init__(self, filter: Tensor, stride: int, padding: int) -> None:
        super().__init__()
        self.register_buffer("filter", filter, persistent=False)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.padding,) * 4, mode="reflect")
        return F.conv2d(x, self.filter, stride=self.stride, groups=x.shape[1])


class Backbone(nn.Module):
    """Features of a picture at five depths, and the weight of each feature channel (LPIPS' linear heads)."""

    shift: Tensor
    scale: Tensor

    def __init__(self, kind: str, state: Mapping[str, Tensor]) -> None:
        """kind: a key of LAYOUTS. state: tensors named as in LPIPS' own files: ``net.slice1.0.weight``,
        ``lin0.model.1.weight``, optionally ``scaling_layer.shift`` and ``.scale``.

        Raises ConfigError for a tensor that is missing or of another shape than the layers need.
        """
        super().__init__()
        layout = LAYOUTS[kind]
        self.kind, self.smallest = kind, layout.smallest
        self.slices = nn.ModuleList()
        number, channels = 0, 3
        for i, layers in enumerate(layout.slices):
            modules: list[nn.Module] = []
            for layer, a, b in layers:
                key = f"net.slice{i + 1}.{number}"
                if layer == "conv":
                    weight = _tensor(state, f"{key}.weight", (None, channels, None, None))
                    channels = weight.shape[0]
                    modules.append(FrozenConv(weight, _tensor(state, f"{key}.bias", (channels,)), a, b))
                elif layer == "blur":
                    modules.append(Blur(_tensor(state, f"{key}.filt", (channels, 1, 3, 3)), a, b))
                else:
                    modules.append(nn.ReLU() if layer == "relu" else nn.MaxPool2d(a, b))
                number += 1
            self.slices.append(nn.Sequential(*modules))
            head = _tensor(state, f"lin{i}.model.1.weight", (1, channels, 1, 1))
            self.register_buffer(f"head{i}", head, persistent=False)
        for name, usual in (("shift", SHIFT), ("scale", SCALE)):
            value = state.get(f"scaling_layer.{name}", torch.tensor(usual))
            self.register_buffer(name, value.float().reshape(1, 3, 1, 1), persistent=False)

    @property
    def levels(self) -> list[tuple[nn.Module, Tensor]]:
        """The five slices in order, each with the weights (1, C, 1, 1) of its feature channels."""
        return [(layers, getattr(self, f"head{i}")) for i, layers in enumerate(self.slices)]

    def check_size(self, height: int, width: int) -> None:
        """Raises ConfigError for a picture that the layers would shrink to nothing."""
        if min(height, width) < self.smallest:
            raise ConfigError(
                f"pictures of {height}x{width} are too small for the perceptual network {self.kind}, which needs"
                f" {self.smallest}x{self.smallest}: use a larger data.resolution or loss.perceptual_weight=0"
            )

    def scaled(self, picture: Tensor) -> Tensor:
        """The input of the first slice, in float32. picture: (N, 3, H, W) in [-1, 1]."""
        return (picture.float() - self.shift) / self.scale


def _tensor(state: Mapping[str, Tensor], key: str, shape: tuple[int | None, ...]) -> Tensor:
    """The named tensor in float32; None in ``shape`` stands for any size."""
    if key not in state:
        raise ConfigError(f"the perceptual weights have no tensor {key}: the file is of another network or layout")
    value = state[key]
    if value.dim() != len(shape) or any(want not in (None, got) for want, got in zip(shape, value.shape, strict=True)):
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise ConfigError(f"the perceptual weights' {key} has shape {tuple(value.shape)}, not {wanted}")
    return value.detach().float().clone()
