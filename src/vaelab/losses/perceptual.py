"""The perceptual loss (LPIPS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses.backbones import Backbone
from vaelab.losses.weights import load_weights

if TYPE_CHECKING:
    from typing_extensions import Self

# Inside the root: the root's own derivative is infinite at 0, so with the epsilon outside, features whose squares vanish
# (all zero, or below 1e-23; in fp16 already below 1e-4) give a gradient of NaN (latent-diffusion issue 176). The ReLU
# before it hides the case of exact zeros, not the others.
EPS = 1e-8


class Perceptual(nn.Module):
    """LPIPS (Zhang et al. 2018): distance of two pictures in the features of a trained network.

    Per slice: features divided by their norm over channels, squared difference, weighted sum over channels, mean over
    places; the five slices are added. The network is always in evaluation mode, its weights are neither parameters nor
    in any state_dict (``backbones.py``), and the gradient flows to the reconstruction only.

    name: backbone and origin of its weights, for log and report. checksum: sha256 of the weights' file or files.
    """

    def __init__(self, backbone: Backbone, name: str, checksum: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.name = name
        self.checksum = checksum
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode whatever ``mode`` says: the field's LPIPS has dropout, which ``train()`` of the whole
        model switches on, and the loss becomes noisy. There is none here, and no later layer can bring it back.
        """
        return super().train(False)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Distance of each frame of ``r`` to that of ``x``: (B*T,) in float32, the frames of a clip side by side.

        x: data, r: reconstruction; both (B, C, T, H, W) in [-1, 1], C = 3, or 1, which is repeated. Convolutions follow
        the autocast in force; norms, differences and means are float32 always.

        Raises ConfigError for shapes that differ, another number of channels, or pictures too small for the network.
        """
        if x.shape != r.shape or x.dim() != 5 or x.shape[1] not in (1, 3):
            raise ConfigError(
                f"the perceptual loss compares clips (B, 1 or 3, T, H, W) of equal shape, not {tuple(x.shape)} and"
                f" {tuple(r.shape)}"
            )
        self.backbone.check_size(*x.shape[-2:])
        of_x, of_r = self.backbone.scaled(_frames(x)), self.backbone.scaled(_frames(r))
        distance = torch.zeros(x.shape[0] * x.shape[2], device=r.device)
        for layers, head in self.backbone.levels:
            with torch.no_grad():
                of_x = layers(of_x)
                target = _normalised(of_x)
            of_r = layers(of_r)
            with torch.autocast(r.device.type, enabled=False):
                difference = (target - _normalised(of_r)).square()
                distance = distance + (difference * head).sum(dim=1).mean(dim=(1, 2))
        return distance


def build_perceptual(loss: LossConfig, channels: int) -> Perceptual:
    """The perceptual loss that the settings name, for data of 1 or 3 channels; never another backbone than that.

    Raises PerceptualWeightsError (a ConfigError) when its weights are not to be had, with what was tried.
    """
    if channels not in (1, 3):
        raise ConfigError(
            f"the perceptual loss needs data of 1 or 3 channels, not {channels}: loss.perceptual_weight=0"
        )
    weights = load_weights(loss.perceptual, loss.perceptual_weights)
    return Perceptual(Backbone(loss.perceptual, weights.state), weights.name, weights.checksum)


def _frames(clip: Tensor) -> Tensor:
    """(B, C, T, H, W) to (B*T, 3, H, W)."""
    return clip.transpose(1, 2).flatten(0, 1).expand(-1, 3, -1, -1)


def _normalised(features: Tensor) -> Tensor:
    """Each place's features divided by their norm over channels, in float32."""
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        return features / torch.sqrt(features.square().sum(dim=1, keepdim=True) + EPS)
