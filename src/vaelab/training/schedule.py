"""Learning rate as a pure function of the step: nothing to save, nothing that can be forgotten to step."""

from __future__ import annotations

import math

from vaelab.config import OptimConfig


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """The autoencoder's rate at ``step`` (0 ...) of ``steps``.

    Warm-up starts at ``lr / warmup_steps``, not at 0, so that the first step does something; cosine and linear end at
    ``min_lr`` on the last step.
    """
    return _rate(config.lr, config.min_lr, config.schedule, config.warmup_steps, step, steps)


def disc_learning_rate(config: OptimConfig, step: int, first_step: int, steps: int) -> float:
    """The discriminator's rate; its warm-up and schedule are counted from ``first_step``, its own first update."""
    lr = config.lr if config.disc_lr is None else config.disc_lr
    return _rate(
        lr, config.disc_min_lr, config.disc_schedule, config.disc_warmup_steps, step - first_step, steps - first_step
    )


def _rate(lr: float, min_lr: float, schedule: str, warmup: int, step: int, steps: int) -> float:
    if step < warmup:
        return lr * (step + 1) / warmup
    if schedule == "constant":
        return lr
    progress = min(1.0, max(0.0, (step - warmup) / max(1, steps - 1 - warmup)))
    left = 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1 - progress
    return min_lr + (lr - min_lr) * left
