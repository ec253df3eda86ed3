"""Networks small enough to train on one CPU core at some ten milliseconds a step.

The discriminator is vaelab's PatchGAN.  The autoencoder has diffusers' interface with a dozen layers, and the perceptual
loss compares features of a fixed random network: trained LPIPS alone would take more time than all the rest of the step.
Its values are small, and mean less than those of LPIPS.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaelab.models.causal_layers import fold_frames

LOGVAR_RANGE = (-30.0, 20.0)
# brings the distance to the size that LPIPS has
PERCEPTUAL_SCALE = 0.1


class SmallAutoencoder(nn.Module):
    """KL autoencoder of pictures (B, C, H, W) with f = 4, or of clips (B, C, 2n+1, H, W) with f = 4 and 2 in time.

    clamp: whether logvar is held in the range of diffusers' DiagonalGaussianDistribution.
    """

    def __init__(self, channels: int, latent_channels: int, clips: bool) -> None:
        super().__init__()
        self.clips, self.clamp = clips, True
        self.patch = 4 if clips else 2
        inside = channels * self.patch**2
        near, far = (24, 32) if clips else (24, 48)
        self.encoder = nn.Sequential(
            self._conv(inside, near, frame=True), nn.SiLU(), self._conv(near, far, 2), nn.SiLU(),
            self._conv(far, far), nn.SiLU(), self._conv(far, 2 * latent_channels),
        )  # fmt: skip
        # linear ways past the others: large shapes and colours are learned in some hundred steps
        self.encoder_shortcut = self._conv(inside, 2 * latent_channels, 2)
        self.decoder_shortcut = self._conv(latent_channels, inside)
        self.decoder_in = nn.Sequential(self._conv(latent_channels, far), nn.SiLU(), self._conv(far, far), nn.SiLU())
        self.decoder_out = nn.Sequential(self._conv(far, near), nn.SiLU(), self._conv(near, inside, frame=True))

    def encode(self, x: Tensor) -> SimpleNamespace:
        mean, logvar = self._encoded(self._to_patches(x)).chunk(2, dim=1)
        if self.clamp:
            logvar = logvar.clamp(*LOGVAR_RANGE)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, logvar=logvar))

    def decode(self, z: Tensor) -> Tensor:
        shortcut = self.decoder_shortcut(self._enlarged(z))
        return self._to_pixels(shortcut + self.decoder_out(self._enlarged(self.decoder_in(z))))

    def _encoded(self, patches: Tensor) -> Tensor:
        return self.encoder_shortcut(patches) + self.encoder(patches)

    def _enlarged(self, h: Tensor) -> Tensor:
        if self.clips:
            return functional.interpolate(h, size=(2 * h.shape[2] - 1, *h.shape[3:]))
        return functional.interpolate(h, scale_factor=2.0)

    def _conv(self, before: int, after: int, stride: int = 1, frame: bool = False) -> nn.Module:
        """frame: of single frames also in clips."""
        if self.clips:  # clips are halved in time only: their patches have done the rest
            kernel = (1, 3, 3) if frame else (3, 3, 3)
            return nn.Conv3d(before, after, kernel, stride=(stride, 1, 1), padding=(0 if frame else 1, 1, 1))
        return nn.Conv2d(before, after, 3, stride=stride, padding=1)

    def _to_patches(self, x: Tensor) -> Tensor:
        if not self.clips:
            return functional.pixel_unshuffle(x, self.patch)
        return functional.pixel_unshuffle(x.transpose(1, 2), self.patch).transpose(1, 2)

    def _to_pixels(self, h: Tensor) -> Tensor:
        if not self.clips:
            return functional.pixel_shuffle(h, self.patch)
        return functional.pixel_shuffle(h.transpose(1, 2), self.patch).transpose(1, 2)


class RandomFeatures(nn.Module):
    """A perceptual distance in LPIPS's form: squared difference of normalised features of two fixed random layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Buffer(torch.randn(16, channels, 3, 3, generator=generator) * 0.3)
        self.second = nn.Buffer(torch.randn(32, 16, 3, 3, generator=generator) * 0.1)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """(B*T,): one distance a frame of clips (B, C, T, H, W)."""
        x, r = fold_frames(x), fold_frames(r)
        distance = torch.zeros(len(x))
        for weight, stride in ((self.first, 1), (self.second, 2)):
            x = functional.relu(functional.conv2d(x, weight, stride=stride, padding=1))
            r = functional.relu(functional.conv2d(r, weight, stride=stride, padding=1))
            distance = distance + (_normalised(x) - _normalised(r)).square().sum(1).mean((1, 2))
        return PERCEPTUAL_SCALE * distance


def _normalised(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
