"""A discriminator on the features of a frozen network: small heads judge each depth, the network itself is not trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vaelab.models.causal_layers import fold_frames

STRIDE = 8
"""Pixels between two logits, as of a PatchGAN with three strided layers."""


class FeatureDiscriminator(nn.Module):
    """Projected GANs (Sauer et al. 2021, arXiv 2111.01007) and the discriminator of StyleGAN-T (2301.09515) without its text.

    features: a module that gives feature maps of frames (N, 3, H, W) at several depths, and their channels as ``widths``; it is not
    saved with the discriminator. width: channels of the heads. Every depth is brought to the same grid (mean over pixels, or nearest),
    so that all depths count alike in a mean over the logits. No norm mixes samples; the heads' convolutions have spectral norm.
    """

    def __init__(self, features: nn.Module, width: int = 64) -> None:
        super().__init__()
        self.features = features
        widths: list[int] = features.widths  # type: ignore[assignment]
        self.heads = nn.ModuleList(_head(channels, width) for channels in widths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 1 or 3, T, H, W) in [-1, 1] -> logits (B * T, depths, h, w). Errors: ConfigError for pictures that are too small."""
        height, width = x.shape[-2:]
        self.features.check_size(height, width)  # type: ignore[operator]
        frames = fold_frames(x).expand(-1, 3, -1, -1)
        grid = (max(1, height // STRIDE), max(1, width // STRIDE))
        maps = [_on_grid(one, grid) for one in self.features(frames)]
        return torch.cat([head(one) for head, one in zip(self.heads, maps, strict=True)], dim=1)


def _head(channels: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.GroupNorm(1, channels, affine=False),
        spectral_norm(nn.Conv2d(channels, width, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )


def _on_grid(features: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    if features.shape[-2] >= grid[0] and features.shape[-1] >= grid[1]:
        return F.adaptive_avg_pool2d(features, grid)
    return F.interpolate(features, grid, mode="nearest-exact")
