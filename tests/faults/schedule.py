"""Faults of schedules: learning rates, the start of the discriminator, and what a step is."""

from __future__ import annotations

import pytest
import torch

from faults.fault import Fault
from small_training import batches, small_config, small_step, take_steps, weights
from vaelab.config import TrainConfig, presets
from vaelab.losses import Objective
from vaelab.training import schedule
from vaelab.training import step as step_module
from vaelab.training.step import TrainingStep


def rates(steps: int, **optim: object) -> tuple[list[float], list[float]]:
    """The rates that both optimizers really used, step by step."""
    config = small_config(optim=optim, run={"steps": steps})
    step = small_step(config)
    assert step.disc_update is not None
    used: tuple[list[float], list[float]] = ([], [])
    for number, micro_batches in enumerate(batches(config, steps)):
        step(micro_batches, number)
        for kept, update in zip(used, (step.generator_update, step.disc_update), strict=True):
            kept.append(update.optimizer.param_groups[0]["lr"])
    return used


def check_rates_end_at_their_floor() -> None:
    for kind in ("cosine", "linear"):
        generator, disc = rates(
            4, lr=5e-3, min_lr=5e-4, schedule=kind, disc_lr=2e-3, disc_min_lr=1e-4, disc_schedule=kind
        )
        assert (generator[0], generator[-1]) == pytest.approx((5e-3, 5e-4))
        assert (disc[0], disc[-1]) == pytest.approx((2e-3, 1e-4))


def floor_multiplied_by_the_rate(patch: pytest.MonkeyPatch) -> None:
    def rate(lr: float, min_lr: float, kind: str, warmup: int, step: int, steps: int) -> float:
        return lr * max((1 - step / (steps - 1)) ** 0.95, min_lr)

    patch.setattr(schedule, "_rate", rate)


def check_warmup_moves_from_the_first_step_on() -> None:
    generator, disc = rates(5, lr=4e-3, warmup_steps=4, disc_lr=2e-3, disc_warmup_steps=2)
    assert generator == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3, 4e-3])
    assert disc == pytest.approx([1e-3, 2e-3, 2e-3, 2e-3, 2e-3])


def schedulers_are_never_stepped(patch: pytest.MonkeyPatch) -> None:
    """LambdaLR multiplies by factor(0) = 0 / warm-up when it is built, and nobody steps it."""
    patch.setattr(step_module, "learning_rate", lambda config, step, steps: 0.0)
    patch.setattr(step_module, "disc_learning_rate", lambda config, step, first, steps: 0.0)


def check_the_discriminator_starts_at_its_step() -> None:
    """disc_start counts updates of the generator, whatever the number of batches in each."""
    for accumulate in (1, 2):
        config = small_config(loss={"disc_start": 3, "disc_warmup": 1}, optim={"accumulate": accumulate})
        measured = take_steps(small_step(config), batches(config, 5))
        assert [number for number, values in enumerate(measured) if "g_loss" in values] == [3, 4]
        assert [number for number, values in enumerate(measured) if "disc_loss" in values] == [2, 3, 4]


def start_in_half_steps(patch: pytest.MonkeyPatch) -> None:
    """The counter moves once for each of the two optimizers."""
    for name in ("disc_factor", "trains_disc"):
        real = getattr(Objective, name)
        patch.setattr(Objective, name, lambda self, step, real=real: real(self, 2 * step))
    patch.setattr(TrainingStep, "disc_lr", lambda self, step: 1e-3)  # its own schedule knows no step before the start


def check_the_discriminator_is_trained_when_the_decoder_first_sees_it() -> None:
    """disc_warmup trains it beforehand; before that it is not touched at all, not even by weight decay."""
    config = small_config(loss={"disc_start": 5, "disc_warmup": 4}, optim={"disc_lr": 1e-2})
    step = small_step(config)
    assert step.discriminator is not None
    start = weights(step.discriminator)
    data = batches(config, 1) * 6
    take_steps(step, data[:1])
    assert all(torch.equal(a, b) for a, b in zip(start, weights(step.discriminator), strict=True))
    measured = take_steps(step, data[1:], first=1)
    assert measured[0]["disc_grad_norm"] > 0
    assert "g_loss" in measured[4] and measured[4]["disc_loss"] < measured[0]["disc_loss"] - 0.05


def discriminator_loss_times_zero(patch: pytest.MonkeyPatch) -> None:
    """Before disc_start the discriminator runs every step on a loss that is multiplied by 0."""
    real_call, real_loss, now = TrainingStep.__call__, step_module.disc_loss, {"factor": 0.0}

    def call(self: TrainingStep, micro_batches: list[torch.Tensor], step: int) -> step_module.Measured:
        now["factor"] = self.objective.disc_factor(step)
        return real_call(self, micro_batches, step)

    patch.setattr(TrainingStep, "__call__", call)
    patch.setattr(step_module, "disc_loss", lambda kind, real, fake: real_loss(kind, real, fake) * now["factor"])


def check_every_recipe_reaches_its_gan() -> None:
    """The presets, as settings; and a run with settings whose GAN starts within it."""
    for name, config in presets().items():
        if config.loss.disc != "none":
            assert config.loss.disc_start + config.loss.disc_ramp < config.run.steps, f"{name} never trains its GAN"
            assert config.uses_gan
    config = small_config(loss={"disc_start": 1}, run={"steps": 3})
    assert "g_loss" in take_steps(small_step(config), batches(config, 3))[-1]


def discriminator_is_not_built(patch: pytest.MonkeyPatch) -> None:
    """A switch of its own, --add_discriminator, is off in the shipped recipe."""
    patch.setattr(TrainConfig, "uses_gan", property(lambda self: False))


def start_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """disc_start 250,000 of 200,000 steps."""
    changed = {
        name: config.model_copy(
            update={"loss": config.loss.model_copy(update={"disc_start": config.run.steps + 50_000})}
        )
        for name, config in presets().items()
    }
    patch.setitem(globals(), "presets", lambda: changed)


FAULTS = [
    Fault("PF-3", "no discriminator is built", check_every_recipe_reaches_its_gan, discriminator_is_not_built),
    Fault("PF-3", "disc_start lies after the last step", check_every_recipe_reaches_its_gan, start_after_the_end),
    Fault("RD-6", "floor of the learning rate times the rate", check_rates_end_at_their_floor,
          floor_multiplied_by_the_rate),
    Fault("TT-2", "untrained discriminator at the start", check_the_discriminator_is_trained_when_the_decoder_first_sees_it,
          discriminator_loss_times_zero),
    Fault("VT-1", "disc_start in half steps", check_the_discriminator_starts_at_its_step, start_in_half_steps),
    Fault("SV-1", "schedulers that nobody steps", check_warmup_moves_from_the_first_step_on,
          schedulers_are_never_stepped),
]  # fmt: skip
