"""Pixel losses, one value for each value of the clip."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.errors import ConfigError

CHARBONNIER_EPS = 1e-3


def pixel_loss(kind: str, x: Tensor, r: Tensor) -> Tensor:
    """Distance of reconstruction ``r`` to data ``x``, value by value, in float32.

    x, r: the same shape, in [-1, 1], of any floating type. With d = x - r:

    - ``mse``: d^2 (Pyramid-Flow)
    - ``l1``: abs(d) (latent-diffusion, VidTok)
    - ``l1+mse``: abs(d) + d^2 (RadioDiff)
    - ``charbonnier``: sqrt(d^2 + eps^2), eps = 1e-3, an L1 that is smooth at 0 (Lai et al. 2017, LapSRN); its smallest
      value is eps, not 0

    Raises ConfigError for another kind or for shapes that differ: broadcasting would hide the mistake.
    """
    if x.shape != r.shape:
        raise ConfigError(
            f"the reconstruction has shape {tuple(r.shape)} and the data {tuple(x.shape)}: choose frames and resolution"
            " that are on the model's grid"
        )
    d = x.float() - r.float()
    if kind == "mse":
        return d.square()
    if kind == "l1":
        return d.abs()
    if kind == "l1+mse":
        return d.abs() + d.square()
    if kind == "charbonnier":
        return torch.sqrt(d.square() + CHARBONNIER_EPS**2)
    raise ConfigError(f"loss.pixel_loss {kind!r} is not known: use mse, l1, l1+mse or charbonnier")
