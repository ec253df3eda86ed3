"""A run before it is trained: its settings, and the dials and hooks that the training turns and calls.

Whatever a setting or a fault can change is a *dial*: a number for every step, planned before the training begins.  What a number
cannot say is a hook.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaelab.config import TrainConfig
from vaelab.losses import Objective
from vaelab.training.schedule import disc_learning_rate, learning_rate

FAULT_DIALS: Mapping[str, float] = {
    "perceptual_gradient": 1, "perceptual_dropout": 0, "gan_gradient": 1, "gan_underflow": 1, "logit_shift": 0,
    "swap": 0, "real_gain": 1, "real_shift": 0, "fake_gain": 1, "disc_blind": 0, "disc_noise": 0, "latent_gain": 1,
    "latent_scale": 1, "logvar_shift": 0, "latent_lost": 0, "channels_lost": 0, "hot_spot": 0, "sample": 1,
    "gradient": 1, "gradient_kept": 0, "gradient_noise": 0, "encoder_gradient": 1, "decoder_gradient": 1,
    "generator_steps": 1, "disc_steps": 1, "ema": 1, "half_gain": 0, "logvar_clamp": 1, "codebook": 1, "commitment": 1,
    "codes_lost": 0, "output_noise": 0,
}  # fmt: skip
"""What only faults turn, with the value that does nothing."""


@dataclass
class Plan:
    """One run before it is trained. config: settings, as its log states them."""

    config: TrainConfig
    init: int
    dials: dict[str, Tensor]
    """name -> (steps,)"""
    data: list[Callable[[Tensor, int], Tensor]] = field(default_factory=list)
    """Change the pixels (B, C, H, W) of a step."""
    order: Callable[[int, Tensor], Tensor] | None = None
    """Other indices in place of those of a step."""
    real_order: Callable[[int], Tensor] | None = None
    """Other real samples for the discriminator."""
    once: list[tuple[int, str]] = field(default_factory=list)
    """(step, what): forget-optimizer, forget-discriminator, decay-moments; before the step."""
    events: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    guarded: bool = True
    stops_at_nan: bool = False
    pretrained: bool = False


def planned(config: TrainConfig, init: int) -> Plan:
    """A healthy run: its dials follow from its settings."""
    steps, loss, optim = config.run.steps, config.loss, config.optim
    objective = Objective(loss.model_copy(update={"perceptual_weight": 0.0}), None)
    first_disc = loss.disc_start - loss.disc_warmup
    schedules: dict[str, Callable[[int], float]] = {
        "lr": lambda s: learning_rate(optim, s, steps),
        "disc_lr": lambda s: disc_learning_rate(optim, s, first_disc, steps) if s >= first_disc else 0.0,
        "kl": objective.kl_weight,
        "factor": objective.disc_factor,
        "trains": lambda s: float(objective.trains_disc(s)),
    }
    values = {
        "clip": optim.clip_grad or math.inf, "disc_clip": optim.disc_clip_grad or math.inf, "decay": optim.weight_decay,
        "disc_decay": 0.0, "pixel": loss.pixelloss_weight, "perceptual": loss.perceptual_weight, "gan": loss.disc_weight,
        "adaptive": float(loss.disc_weight_mode == "adaptive"),
    }  # fmt: skip
    dials = {name: torch.tensor([of(step) for step in range(steps)]) for name, of in schedules.items()}
    dials |= {name: torch.full((steps,), float(v)) for name, v in (values | dict(FAULT_DIALS)).items()}
    return Plan(config, init, dials)


def planned_value(config: TrainConfig, name: str) -> Tensor:
    loss = config.loss
    return torch.tensor(
        {"pixel": loss.pixelloss_weight, "perceptual": loss.perceptual_weight, "kl": loss.kl_weight}[name]
    )
