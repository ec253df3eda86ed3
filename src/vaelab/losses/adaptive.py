"""The adaptive weight of the adversarial loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Esser et al. 2021 (taming-transformers), kept by latent-diffusion, Pyramid-Flow, VidTok and others
EPS = 1e-4


class Ratio(NamedTuple):
    """value: the ratio, a float32 scalar. clamped: a bool scalar, whether it was above the maximum."""

    value: Tensor
    clamped: Tensor


@torch.no_grad()
def d_weight_ratio(grad_nll: Tensor, grad_g: Tensor, maximum: float) -> Ratio:
    """norm(grad_nll) / (norm(grad_g) + 1e-4), clamped to [0, maximum]; norms in float32, no host sync.

    grad_nll, grad_g: gradients of nll_loss and g_loss at the same place, of any shape (Esser et al. 2021, "Taming
    Transformers for High-Resolution Image Synthesis", equation 7: at the decoder's last layer).
    ``d_weight = disc_weight * ratio`` is left to the caller, who may smooth the ratio first.

    A gradient that is not finite gives a ratio of NaN, not 0 and not the maximum: the step is then seen as non-finite and
    skipped, instead of trained with an invented weight. Keep such a value out of a running mean.
    """
    nll = torch.linalg.vector_norm(grad_nll, dtype=torch.float32)
    gan = torch.linalg.vector_norm(grad_g, dtype=torch.float32)
    raw = nll / (gan + EPS)
    finite = torch.isfinite(nll) & torch.isfinite(gan)
    return Ratio(torch.where(finite, raw.clamp(0.0, maximum), torch.nan), finite & (raw > maximum))
