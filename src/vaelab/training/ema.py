"""Exponential moving average of the weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import nn


def power_of(sigma_rel: float) -> float:
    """gamma of the profile t ** gamma on (0, 1] whose standard deviation is ``sigma_rel``, between 0 and 1 / sqrt(12).

    Its variance is (gamma + 1) / ((gamma + 2)^2 (gamma + 3)); this is the one root of that cubic that is not negative.
    """
    t = sigma_rel**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


Network = TypeVar("Network", bound=nn.Module)


class EMA(Generic[Network]):
    """Averaged weights beside the trained ones.

    The decay grows as (1 + n) / (10 + n) up to ``decay``, so early averages are not held by the initial weights
    (TensorFlow's ExponentialMovingAverage with num_updates). One fused operation over all tensors; no host sync.

    sigma_rel: in place of that, a power-function average (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of
    Diffusion Models", arXiv 2312.02696): weights of update t count as t ** gamma, so the average is as wide, as a share of the run so
    far, at every step; sigma_rel is that share, as a standard deviation.
    """

    def __init__(self, network: Network, decay: float, sigma_rel: float | None = None) -> None:
        self.decay = decay
        self.gamma = None if sigma_rel is None else power_of(sigma_rel)
        self.updates = 0
        self.network: Network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the weights of ``network`` that are trained; buffers are copied."""
        self.updates += 1
        if self.gamma is None:
            decay = min(self.decay, self.updates / (9 + self.updates))
        else:
            decay = (1 - 1 / self.updates) ** (self.gamma + 1)
        pairs = zip(self.network.parameters(), network.parameters(), strict=True)
        trained = [(average, weight.detach()) for average, weight in pairs if weight.requires_grad]
        torch._foreach_lerp_([a for a, _ in trained], [weight for _, weight in trained], 1 - decay)
        for kept, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def take_over(self, network: nn.Module) -> None:
        """Weights of ``network`` that are not trained any more, as they are: an average of them would stand beside them."""
        for average, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            if not weight.requires_grad:
                average.copy_(weight)
