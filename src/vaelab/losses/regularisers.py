"""Terms of the total that shape the latent and are no part of the reconstruction or the KL; all are off by default."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.config.schema import LossConfig
from vaelab.losses.latent import local_correlation, standardised
from vaelab.losses.pixel import pixel_loss


class Term(NamedTuple):
    """value: a scalar in float32, without its weight. weight: what it is multiplied by in the total."""

    value: Tensor
    weight: float


REGULARISERS = ("lcr", "equivariance", "alignment")
"""Each with the columns ``NAME_loss`` and ``NAME_weight``."""


def local_correlation_term(loss: LossConfig, centre: Tensor) -> tuple[Term, Tensor]:
    """relu(threshold - correlation of neighbouring latents), and that correlation. centre: posterior means (B, C, T, H, W)."""
    correlation = local_correlation(standardised(centre.float()))
    return Term(torch.relu(loss.lcr_threshold - correlation), loss.lcr_weight), correlation


def equivariance_term(loss: LossConfig, target: Tensor, output: Tensor, elements: int) -> Term:
    """Mean pixel loss of what a moved latent decodes to, against the picture moved alike, both (B, C, T, H, W).

    elements: over how many values nll_loss sums; the term's weight is multiplied by it, so that 1 is as much as the pixel loss's.
    """
    return Term(pixel_loss(loss.pixel_loss, target, output).mean(), loss.equivariance_weight * elements)
