"""Features of frozen networks at several depths: what a discriminator on features and the alignment of the latent look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError, reason
from vaelab.losses.backbones import LAYOUTS, Backbone
from vaelab.losses.weights import load_weights

if TYPE_CHECKING:
    from typing_extensions import Self

DEPTHS = 4
"""Depths at which a vision transformer's features are taken, at equal distances, the last one among them."""
# Mean and standard deviation of ImageNet, for an input in [0, 1]
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KINDS = ("dinov2", "dinov2_with_registers")


class ConvolutionFeatures(nn.Module):
    """A perceptual network's features at its five depths. widths: channels at each."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.widths = [head.shape[1] for _, head in backbone.levels]

    def check_size(self, height: int, width: int) -> None:
        """Raises ConfigError for pictures that the layers would shrink to nothing."""
        self.backbone.check_size(height, width)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] to (N, C, h, w) of each depth."""
        x, found = self.backbone.scaled(frames), []
        for layers, _ in self.backbone.levels:
            x = layers(x)
            found.append(x)
        return found


class VisionTransformer(nn.Module):
    """DINOv2 from a folder in transformers' layout (config.json, model.safetensors), frozen.

    Its weights are in no state_dict, no optimizer and no average, and it stays in evaluation mode. widths: channels at each depth.
    """

    def __init__(self, folder: str, setting: str) -> None:
        """setting: that named the folder, for errors. Raises ConfigError where it cannot be had."""
        super().__init__()
        model: Any = _load(folder, setting).eval().requires_grad_(False)
        self.patch: int = model.config.patch_size
        self.widths = [int(model.config.hidden_size)] * DEPTHS
        # in a list: nn.Module does not find it there, and so no checkpoint holds it
        self._hidden = [model]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._hidden[0]._apply(fn)
        return super()._apply(fn, recurse)

    def check_size(self, height: int, width: int) -> None:
        """Any size will do: pictures are resized to whole patches."""

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1] to (N, C, h, w) of each depth, h and w: the nearest whole patches."""
        height, width = (max(1, round(side / self.patch)) for side in frames.shape[-2:])
        return self.on_grid(frames, height, width)

    def on_grid(self, frames: Tensor, height: int, width: int) -> list[Tensor]:
        """The same, of pictures resized so that there are ``height`` x ``width`` patches."""
        model: Any = self._hidden[0]
        mean, std = (torch.tensor(value, device=frames.device).view(1, 3, 1, 1) for value in (_MEAN, _STD))
        size = (height * self.patch, width * self.patch)
        if frames.shape[-2:] != size:
            frames = F.interpolate(frames, size, mode="bicubic", antialias=True)
        states = model(pixel_values=((frames + 1) / 2 - mean) / std, output_hidden_states=True).hidden_states
        layers = len(states) - 1
        chosen = [states[round(layers * (depth + 1) / DEPTHS)] for depth in range(DEPTHS)]
        # before the patches stand the class token and, in some, registers
        return [state[:, -height * width :].transpose(1, 2).unflatten(2, (height, width)) for state in chosen]


def build_features(loss: LossConfig) -> ConvolutionFeatures | VisionTransformer:
    """The network that ``loss.disc_features`` names. Raises ConfigError when its weights are not to be had."""
    kind = loss.disc_features
    if kind in LAYOUTS:
        own = loss.perceptual_weights if loss.perceptual == kind else None
        return ConvolutionFeatures(Backbone(kind, load_weights(kind, own).state))
    return VisionTransformer(kind, "loss.disc_features")


def _load(folder: str, setting: str) -> nn.Module:
    path = Path(folder).expanduser()
    known = f" or one of {', '.join(LAYOUTS)}" if setting == "loss.disc_features" else ""
    if not (path / "config.json").is_file():
        raise ConfigError(
            f"{setting} {folder} is no folder with config.json and model.safetensors of DINOv2, as transformers' save_pretrained"
            f" writes it: give such a folder{known}"
        )
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise ConfigError(f"{setting} needs the package transformers:  pip install transformers") from error
    try:
        kind = AutoConfig.from_pretrained(path, local_files_only=True).model_type
        if kind not in _KINDS:
            raise ConfigError(f"{setting} {folder} holds a model of type {kind}; known are {', '.join(_KINDS)}")
        # safetensors only: nothing of a file is executed
        model: nn.Module = AutoModel.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{setting} {folder} cannot be read: {reason(error)}") from error
    return model
