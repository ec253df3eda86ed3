"""Alignment of the latent to a frozen vision network: VA-VAE (Yao, Yang, Wang 2025, arXiv 2501.01423)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vaelab.losses.features import VisionTransformer

COSINE_MARGIN, DISTANCE_MARGIN = 0.5, 0.25
"""What is near enough: 1 - cosine, and difference of two cosines (VA-VAE's margins)."""
MOST_PLACES = 1024
"""Places of a latent frame whose distances are compared: the matrix has their square."""


class Alignment(nn.Module):
    """A trained linear map from the latent's channels to those of the network's last features, and the loss between both.

    Its parameters are those of the map alone. They stand outside the autoencoder: with several processes they need the mean of their
    gradients over them.
    """

    def __init__(self, network: VisionTransformer, latent_channels: int) -> None:
        super().__init__()
        self.network = network
        self.projection = nn.Conv2d(latent_channels, network.widths[-1], 1, bias=False)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """A scalar in float32. z: latents (B, C_lat, T_lat, h, w); x: their clips (B, 1 or 3, T, H, W) in [-1, 1].

        Mean over places of relu(1 - 0.5 - cosine) between mapped latents and features, plus mean over pairs of places of one frame of
        relu(|cosine of two mapped latents - cosine of their features| - 0.25). A latent frame is compared with the picture at the same
        share of the clip, resized so that the network has one patch for each latent.
        """
        frames = torch.linspace(0, x.shape[2] - 1, z.shape[2]).round().long().to(x.device)
        pictures = x.index_select(2, frames).transpose(1, 2).flatten(0, 1).expand(-1, 3, -1, -1)
        height, width = z.shape[-2:]
        with torch.no_grad():
            wanted = _unit(self.network.on_grid(pictures, height, width)[-1])
        got = _unit(self.projection(z.transpose(1, 2).flatten(0, 1)))
        cosine = F.relu(1 - COSINE_MARGIN - (got * wanted).sum(1)).mean()
        places = torch.linspace(0, height * width - 1, min(height * width, MOST_PLACES)).long().to(x.device)
        own, other = (_cosines(one.index_select(2, places)) for one in (got, wanted))
        return cosine + F.relu((own - other).abs() - DISTANCE_MARGIN).mean()


def _unit(features: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, h * w) of length 1 over channels, in float32."""
    return F.normalize(features.float().flatten(2), dim=1)


def _cosines(unit: Tensor) -> Tensor:
    with torch.autocast(unit.device.type, enabled=False):
        return unit.transpose(1, 2) @ unit
