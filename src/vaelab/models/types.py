"""What an autoencoder gives to the training step."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Reconstruction(NamedTuple):
    """One forward pass. A tuple of tensors, so that DistributedDataParallel finds every output.

    x: the reconstruction, (B, C, T, H, W) as the input. z: the latent that was decoded, without training's noise and mask, (B, C_lat, T_lat, H_lat, W_lat).
    mean, logvar: the posterior's parameters, shaped as z; None for an autoencoder without one. moved: what the moved latent decodes to,
    where one was asked for.
    """

    x: torch.Tensor
    z: torch.Tensor
    mean: torch.Tensor | None
    logvar: torch.Tensor | None
    moved: torch.Tensor | None = None
