"""PatchGAN discriminators: a grid of logits, each judging one patch of the picture or clip.

Layout of pix2pix (arXiv 1611.07004), as taming-transformers and its descendants use it: ``n_layers`` strided convolutions
whose channels double up to eight times, one more with stride 1, then one to a single logit. Kernel 4 in space; 3 in time.

Batch norm, which the original uses, is not offered. Its statistics mix the samples of a batch, so that real and fake
batches are told apart by their statistics, a joined batch gives other logits than two single ones, its running means move in
the generator's pass too, and on small batches per process it is noise.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.models.causal_layers import fold_frames
from vaelab.models.feature_discriminator import FeatureDiscriminator


class PatchGAN(nn.Module):
    """PatchGAN on frames (``temporal=False``) or on clips (``temporal=True``).

    channels: of the pixels. width: channels of the first layer (ndf). norm: group, instance, spectral or none.
    A logit sees :attr:`receptive_field` pixels: 16, 34, 70, 142 for 1, 2, 3, 4 layers; on clips also
    :attr:`receptive_frames` frames: 11, 23, 47. Smallest picture: 3 * 2**n_layers pixels (24 for 3 layers); time is
    padded, so that any number of frames will do, also 1.
    """

    def __init__(self, channels: int, n_layers: int = 3, width: int = 64, norm: str = "group", temporal: bool = False):
        super().__init__()
        self.n_layers, self.temporal = n_layers, temporal
        self.smallest = 3 * 2**n_layers
        widths = [min(2**i, 8) * width for i in range(n_layers + 1)]
        layers: list[nn.Module] = [self._conv(channels, widths[0], 2), nn.LeakyReLU(0.2)]
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            # No bias in front of a norm: the norm has its own.
            conv = self._conv(before, after, stride=1 if i == n_layers - 1 else 2, bias=norm in ("spectral", "none"))
            layers += [conv, *_norm(norm, after, temporal), nn.LeakyReLU(0.2)]
        layers.append(self._conv(widths[-1], 1, stride=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_initialise)
        if norm == "spectral":
            for layer in self.layers:
                if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
                    spectral_norm(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pixels (B, C, T, H, W) in [-1, 1] -> logits, (B * T, 1, h, w) on frames and (B, 1, t, h, w) on clips.

        Errors: ConfigError for pictures smaller than the layers need.
        """
        height, width = x.shape[-2:]
        if min(height, width) < self.smallest:
            raise ConfigError(
                f"The discriminator's {self.n_layers} layers need pictures of at least {self.smallest} x {self.smallest}"
                f" pixels, not {height} x {width}: lower loss.disc_layers or raise data.resolution"
            )
        return self.layers(x if self.temporal else fold_frames(x))

    @property
    def receptive_field(self) -> int:
        """Side of the square of pixels that one logit sees."""
        return self._receptive(kernel=4)

    @property
    def receptive_frames(self) -> int:
        """Frames that one logit sees."""
        return self._receptive(kernel=3) if self.temporal else 1

    def _receptive(self, kernel: int) -> int:
        size = 1 + 2 * (kernel - 1)  # the two layers of stride 1
        for _ in range(self.n_layers):
            size = 2 * (size - 1) + kernel
        return size

    def _conv(self, before: int, after: int, stride: int, bias: bool = True) -> nn.Module:
        if self.temporal:
            return nn.Conv3d(before, after, (3, 4, 4), stride=stride, padding=1, bias=bias)
        return nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=bias)


def build_discriminator(loss: LossConfig, channels: int, features: nn.Module | None = None) -> nn.Module:
    """The discriminator of ``loss.disc`` for pixels of 1 or 3 channels. features: the frozen network, for ``features``.

    Errors: ConfigError when loss.disc is none.
    """
    if loss.disc == "none":
        raise ConfigError(
            "loss.disc is none, so there is no discriminator to build: set it to patch2d, patch3d or features"
        )
    if loss.disc == "features":
        if features is None:
            raise ConfigError("loss.disc is features, and no frozen network was given")
        return FeatureDiscriminator(features, loss.disc_channels)
    return PatchGAN(channels, loss.disc_layers, loss.disc_channels, loss.disc_norm, temporal=loss.disc == "patch3d")


def _norm(kind: str, channels: int, temporal: bool) -> list[nn.Module]:
    if kind == "group":
        # At most 32 groups, of four channels or more: with one channel it would be an instance norm.
        groups = max(g for g in range(1, 33) if channels % g == 0 and channels // g >= 4)
        return [nn.GroupNorm(groups, channels)]
    if kind == "instance":
        return [(nn.InstanceNorm3d if temporal else nn.InstanceNorm2d)(channels, affine=True)]
    if kind in ("spectral", "none"):
        return []
    raise ConfigError(f"Unknown norm {kind!r} of the discriminator: use group, instance, spectral or none")


def _initialise(module: nn.Module) -> None:
    """pix2pix's: weights N(0, 0.02), those of norms N(1, 0.02), biases 0."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d, nn.InstanceNorm3d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
