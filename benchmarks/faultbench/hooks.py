"""Hooks that several faults use: changed settings in mid-run, a resume."""

from __future__ import annotations

from typing import Any

from training import Training

from vaelab.models import build_discriminator


def change_settings(training: Training, **options: Any) -> None:
    """Options of the loss or the optimizer from now on; the log's header does not know of it."""
    loss = {name: value for name, value in options.items() if name in type(training.step.loss).model_fields}
    optim = {name: value for name, value in options.items() if name in type(training.step.optim).model_fields}
    training.step.configure(training.step.loss.model_copy(update=loss), training.step.optim.model_copy(update=optim))


def resumed(training: Training) -> None:
    """The run is interrupted and goes on from a checkpoint of this very step."""
    training.events.append(("resume", training.now, {"world": 1, "device": "cpu"}))


def forget_optimizer(training: Training) -> None:
    training.step.generator_update.optimizer.state.clear()


def forget_discriminator(training: Training) -> None:
    """New weights and a new optimizer."""
    assert training.step.discriminator is not None and training.step.disc_update is not None
    fresh = build_discriminator(training.step.loss, training.system.channels)
    training.step.discriminator.load_state_dict(fresh.state_dict())
    training.step.disc_update.optimizer.state.clear()
