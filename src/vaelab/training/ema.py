"""Exponential moving average of the weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class EMA(Generic[Network]):
    """Averaged weights beside the trained ones.

    The decay grows as (1 + n) / (10 + n) up to ``decay``, so early averages are not held by the initial weights
    (TensorFlow's ExponentialMovingAverage with num_updates). One fused operation over all tensors; no host sync.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network: Network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the weights of ``network`` that are trained; buffers are copied."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
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
