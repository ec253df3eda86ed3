"""A limit of the gradient norm that follows the norm: only what stands out from the steps before is clipped."""

from __future__ import annotations

import torch

DECAY = 0.97
"""Of the running mean and variance of the norm (ZClip)."""
OUTLIER = 2.5
"""Standard deviations above the mean from which a norm is clipped (ZClip)."""
FIRST = 25
"""Norms that make the first mean and variance; none of them is clipped (ZClip)."""


class AutoClip:
    """After Kumar et al. 2025, "ZClip" (arXiv 2504.02507): a norm above mean + 2.5 std is clipped to that limit, and the running mean and
    variance move with the clipped norm. ZClip clips to mean + 2.5² / z * std, the lower the farther a norm stands out; after a lasting
    rise by ten times, as a GAN can bring at its start, that clips every step for ever. Here the limit grows by some percent a step until
    it has followed.

    All tensors stay on the device. A norm that is not finite changes nothing; its step is skipped elsewhere.
    """

    def __init__(self, device: torch.device) -> None:
        self.mean = torch.zeros((), device=device)
        self.variance = torch.zeros((), device=device)
        self.count = torch.zeros((), device=device)

    @property
    def limit(self) -> torch.Tensor:
        """Norm from which the next step is clipped; infinite for the first 25."""
        return torch.where(self.count >= FIRST, self.mean + OUTLIER * self.variance.sqrt(), torch.inf)

    def coefficient(self, norm: torch.Tensor) -> torch.Tensor:
        """The factor of this step's gradient, at most 1; takes the norm into the mean and variance."""
        norm = norm.detach().float()
        limit = self.limit
        factor = torch.where((norm > limit) & torch.isfinite(norm), limit / norm, 1.0)
        self._take(norm * factor)
        return factor

    def _take(self, norm: torch.Tensor) -> None:
        finite = torch.isfinite(norm)
        # over the first norms the plain mean and variance
        decay = torch.where(self.count < FIRST, self.count / (self.count + 1), DECAY)
        off = norm - self.mean
        self.mean = torch.where(finite, self.mean + (1 - decay) * off, self.mean)
        self.variance = torch.where(finite, decay * (self.variance + (1 - decay) * off.square()), self.variance)
        self.count = self.count + finite

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        for name, value in state.items():
            setattr(self, name, value.to(self.mean.device))
