"""One network's update: gradients are scaled back, measured, clipped, and only then applied, if they are finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from vaelab.config.schema import Clip
from vaelab.training.clipping import AutoClip


class Applied(NamedTuple):
    """What one update did; 0-d tensors on the device. norm: before clipping. coefficient: factor that clipping applied.
    finite: 1 if the update was made, 0 if it was skipped. limit: norm above which this step was clipped, where it follows the norms."""

    norm: torch.Tensor
    coefficient: torch.Tensor
    finite: torch.Tensor
    limit: torch.Tensor | None = None


class Updater:
    """AdamW on one network with clipping before the step and a non-finite guard that needs no host sync.

    A non-finite gradient norm sets ``found_inf`` on the fused optimizer, as torch's GradScaler does: weights, moments and
    the optimizer's step count all stay as they were. Weight decay acts on parameters with two or more dimensions only.

    clip: largest norm; ``auto``: see :class:`vaelab.training.clipping.AutoClip`; None: no clipping. fp16: gradients are scaled by a GradScaler of this network's own.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        betas: tuple[float, float],
        weight_decay: float,
        clip: Clip,
        fp16: bool,
        device: torch.device,
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        matrices = [p for p in self.parameters if p.ndim >= 2]
        vectors = [p for p in self.parameters if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, betas=betas, fused=True)
        self.scaler = torch.amp.GradScaler(device.type, enabled=fp16)
        self.clip: Clip = clip
        self.auto = AutoClip(device)

    def scale(self, value: torch.Tensor) -> torch.Tensor:
        """``value`` times the loss scale (1 unless fp16)."""
        return self.scaler.scale(value)

    def apply(self, lr: float) -> Applied:
        """Unscale, clip, step, and forget the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.unscale_(self.optimizer)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        coefficient, limit = torch.ones_like(norm), None
        if self.clip == "auto":
            limit, coefficient = self.auto.limit, self.auto.coefficient(norm)
            torch._foreach_mul_(gradients, coefficient)
        elif self.clip is not None:
            coefficient = (self.clip / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, coefficient)
        finite = torch.isfinite(norm)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Applied(norm.detach(), coefficient.detach(), finite.float(), limit)

    def state_dict(self) -> dict:
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "auto_clip": self.auto.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if "auto_clip" in state:  # checkpoints of before have none
            self.auto.load_state_dict(state["auto_clip"])
