"""Hooks that several faults use: a trainer without a guard, changed settings in mid-run, a resume."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from training import Training

from vaelab.training.update import Applied, Updater


def unguarded(training: Training) -> None:
    """Updates are made whatever the gradient is, as in trainers that have no guard: NaN then fills the weights."""
    for updater in (training.step.generator_update, training.step.disc_update):
        if updater is not None:
            updater.apply = _without_guard(training, updater, updater is training.step.generator_update)  # type: ignore[method-assign]


def _without_guard(training: Training, updater: Updater, scales: bool) -> Any:
    def apply(lr: float) -> Applied:
        for group in updater.optimizer.param_groups:
            group["lr"] = lr * training.lr_factor(training.now) if scales else lr
        gradients = [p.grad for p in updater.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        coefficient = torch.ones_like(norm)
        if updater.clip is not None:
            coefficient = (updater.clip / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, coefficient)
        updater.optimizer.step()
        updater.optimizer.zero_grad(set_to_none=True)
        return Applied(norm.detach(), coefficient.detach(), torch.ones(()))

    return apply


def change_settings(training: Training, **options: Any) -> None:
    """Options of the loss or the optimizer from now on; the log's header does not know of it."""
    loss = {name: value for name, value in options.items() if name in type(training.step.loss).model_fields}
    optim = {name: value for name, value in options.items() if name in type(training.step.optim).model_fields}
    training.step.configure(
        training.step.loss.model_copy(update=loss), training.step.optim.model_copy(update=optim)
    )


def resumed(training: Training) -> None:
    """The run is interrupted and goes on from a checkpoint of this very step."""
    training.events.append(("resume", training.now, {"world": 1, "device": "cpu"}))


def forget_optimizer(training: Training) -> None:
    training.step.generator_update.optimizer.state.clear()


def forget_discriminator(training: Training) -> None:
    """New weights and a new optimizer."""
    from vaelab.models import build_discriminator

    assert training.step.discriminator is not None and training.step.disc_update is not None
    fresh = build_discriminator(training.step.loss, training.system.channels)
    training.step.discriminator.load_state_dict(fresh.state_dict())
    training.step.disc_update.optimizer.state.clear()
