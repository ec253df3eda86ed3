"""AdamW of one network of several runs side by side."""

from __future__ import annotations

import math

import torch
from networks import Layout
from torch import Tensor


class Side:
    """Weights of one network of all runs, with their AdamW."""

    def __init__(self, layout: Layout, matrix: Tensor, betas: tuple[float, float]) -> None:
        self.layout, self.matrix, self.betas = layout, matrix, betas
        self.first, self.second = torch.zeros_like(matrix), torch.zeros_like(matrix)
        self.age = torch.zeros(len(matrix), 1)
        self.decays = torch.tensor(
            [1.0 if len(shape) > 1 else 0.0 for shape in layout.shapes.values() for _ in range(math.prod(shape))]
        )

    def forget(self, k: int | slice = slice(None)) -> None:
        self.first[k], self.second[k], self.age[k] = 0.0, 0.0, 0.0

    def update(
        self, gradient: Tensor, lr: Tensor, clip: Tensor, decay: Tensor, guarded: Tensor, wanted: Tensor
    ) -> dict[str, Tensor]:
        """Clip and apply; a guarded run skips a gradient that is not finite. lr, clip, decay: (K,)."""
        norm = gradient.norm(dim=1)
        finite = norm.isfinite()
        coefficient = (clip / (norm + 1e-6)).clamp(max=1.0)
        gradient = gradient * coefficient[:, None]
        act = wanted & (finite | ~guarded)
        kept = None if bool(act.all()) else [v[~act].clone() for v in (self.matrix, self.first, self.second)]
        one, two = self.betas
        self.age += act[:, None]
        age = self.age.clamp(min=1)
        self.first.lerp_(gradient, 1 - one)
        self.second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        root = (self.second / (1 - two**age)).sqrt_().add_(1e-8)
        if bool((decay > 0).any()):
            self.matrix *= 1 - (lr * decay)[:, None] * self.decays
        self.matrix -= (self.first * (lr[:, None] / (1 - one**age))).div_(root)
        if kept is not None:
            self.matrix[~act], self.first[~act], self.second[~act] = kept
        ok = torch.where(guarded, finite, True).float()
        return {"grad_norm": norm, "clip_coefficient": coefficient, "clipped": (coefficient < 1).float(), "finite": ok}
