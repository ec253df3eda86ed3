"""Faults of what is differentiated, clipped and applied."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn

from faults.fault import Fault
from small_training import (
    batches,
    recorded_gradients,
    relative_distance,
    small_config,
    small_networks,
    small_step,
    take_steps,
    weights,
)
from textbook import Textbook
from vaelab.losses import Objective, objective
from vaelab.training import step as step_module
from vaelab.training.step import TrainingStep
from vaelab.training.update import Updater


def check_gradients_are_the_textbooks() -> None:
    """Both networks' gradients over two updates, and g_loss is the discriminator's judgement."""
    config = small_config(loss={"disc_weight_mode": "fixed"})
    step = small_step(config)
    autoencoder, discriminator = small_networks(config)
    textbook = Textbook(autoencoder, discriminator, nn.Identity(), config)
    data = batches(config, 2)
    with recorded_gradients() as record:
        take_steps(step, data)
    for number, micro_batches in enumerate(data):
        torch.manual_seed(number)
        theirs = textbook.update(micro_batches, number)
        # the second update starts from weights that AdamW moved by rounding too
        tolerance = 1e-4 if number == 0 else 0.05
        assert relative_distance(record[id(step.generator_update)][number], theirs.generator) < tolerance
        assert relative_distance(record[id(step.disc_update)][number], theirs.discriminator or []) < tolerance


def disc_loss_reaches_the_autoencoder(patch: pytest.MonkeyPatch) -> None:
    """The discriminator sees the reconstruction with its graph, so that its loss fills the autoencoder's .grad too."""
    real_backward, real_pass, kept = torch.autograd.backward, TrainingStep._discriminator_pass, {}

    def retaining(tensors: Any, gradients: Any = None, retain_graph: bool | None = None, *args: Any, **kw: Any) -> None:
        real_backward(tensors, gradients, True, *args, **kw)

    def generator_pass(self: TrainingStep, x: torch.Tensor, step: int, share: float, real: Any) -> Any:
        hook = self.autoencoder.register_forward_hook(lambda module, inputs, out: kept.update(r=out.x))
        try:
            return real(self, x, step, share)
        finally:
            hook.remove()

    real_generator_pass = TrainingStep._generator_pass
    patch.setattr(torch.autograd, "backward", retaining)
    patch.setattr(TrainingStep, "_generator_pass", functools.partialmethod(generator_pass, real=real_generator_pass))
    patch.setattr(
        TrainingStep, "_discriminator_pass", lambda self, x, r, share: real_pass(self, x, kept["r"].float(), share)
    )


def generator_pass_fills_the_discriminator(patch: pytest.MonkeyPatch) -> None:
    """The generator's loss goes back into a discriminator that is not frozen, and nobody zeroes its .grad."""
    real = step_module.gen_loss

    def backward_at_once(kind: str, fake: torch.Tensor) -> torch.Tensor:
        loss = real(kind, fake)
        loss.backward(retain_graph=True)
        return loss

    patch.setattr(step_module, "gen_loss", backward_at_once)
    patch.setattr(step_module, "frozen", lambda network: step_module.nullcontext())


def generator_loss_ignores_the_discriminator(patch: pytest.MonkeyPatch) -> None:
    """fake_logits = reconstruction: the generator maximises the mean pixel."""
    real = TrainingStep._adversarial_gradient

    def ignoring(self: TrainingStep, *args: Any) -> Any:
        discriminator, self.discriminator = self.discriminator, nn.Identity()
        try:
            return real(self, *args)
        finally:
            self.discriminator = discriminator

    patch.setattr(TrainingStep, "_adversarial_gradient", ignoring)


def check_one_step_of_each_optimizer() -> None:
    config = small_config(loss={"disc_start": 1})
    step = small_step(config)
    take_steps(step, batches(config, 3))
    for update, expected in ((step.generator_update, 3), (step.disc_update, 2)):
        assert update is not None
        assert {int(state["step"]) for state in update.optimizer.state.values()} == {expected}


def discriminator_is_stepped_twice(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def twice(self: Updater, lr: float) -> Any:
        self.optimizer.step()
        return real(self, lr)

    patch.setattr(Updater, "apply", twice)


def check_the_perceptual_loss_has_a_gradient() -> None:
    config = small_config(loss={"perceptual_weight": 1.0, "pixelloss_weight": 0.0, "kl_weight": 0.0, "disc": "none"})
    (measured,) = take_steps(small_step(config), batches(config, 1))
    assert measured["perceptual_loss"] > 0
    assert measured["grad_norm"] > 1e-6, "the perceptual loss trains nothing"


def perceptual_loss_without_gradient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Objective, "_perceptual", torch.no_grad()(Objective._perceptual))


def check_the_pixel_loss_trains() -> None:
    config = small_config(loss={"kl_weight": 0.0, "disc": "none"})
    (measured,) = take_steps(small_step(config), batches(config, 1))
    assert measured["rec_loss"] > 0.01 and measured["grad_norm"] > 1e-3


def pixel_loss_times_zero(patch: pytest.MonkeyPatch) -> None:
    real = objective.pixel_loss
    patch.setattr(objective, "pixel_loss", lambda kind, x, r: real(kind, x, r) * 0.0)


# -- clipping


def gradients_at_the_optimizers(config: Any) -> tuple[dict[str, list[torch.Tensor]], Any]:
    """What each optimizer's step finds in .grad, and what the update reports."""
    step = small_step(config)
    found: dict[str, list[torch.Tensor]] = {}

    def look(name: str, update: Updater, *_: Any) -> None:
        found[name] = [p.grad.clone() for p in update.parameters]

    for name, update in (("generator", step.generator_update), ("disc", step.disc_update)):
        assert update is not None
        update.optimizer.register_step_pre_hook(functools.partial(look, name, update))
    (measured,) = take_steps(step, batches(config, 1))
    return found, measured


def check_clipping_acts_before_the_step() -> None:
    clip = 0.01
    found, measured = gradients_at_the_optimizers(small_config(optim={"clip_grad": clip, "disc_clip_grad": clip}))
    for name, prefix in (("generator", ""), ("disc", "disc_")):
        norm = torch.cat([g.flatten() for g in found[name]]).norm().item()
        assert norm == pytest.approx(clip, rel=1e-3)
        assert measured[f"{prefix}grad_norm"] > 10 * clip, "the norm that is logged is that before clipping"
        assert measured[f"{prefix}clip_coefficient"] < 0.1 and measured[f"{prefix}clipped"] == 1


def clip_after_the_step(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def late(self: Updater, lr: float) -> Any:
        clip, self.clip = self.clip, None
        applied = real(self, lr)
        nn.utils.clip_grad_norm_(self.parameters, clip)
        return applied

    patch.setattr(Updater, "apply", late)


def with_arguments(**changed: Any) -> Any:
    """A way to build every Updater with other arguments than the settings say."""

    def put_back(patch: pytest.MonkeyPatch) -> None:
        real = Updater.__init__
        patch.setattr(Updater, "__init__", lambda self, parameters, **kw: real(self, parameters, **{**kw, **changed}))

    return put_back


def check_fp16_clips_true_gradients() -> None:
    free = small_config(optim={"precision": "fp16", "clip_grad": None, "disc_clip_grad": None})
    # far above the true norm, far below the norm times the loss scale of 65536
    high = small_config(optim={"precision": "fp16", "clip_grad": 1e3, "disc_clip_grad": 1e3})
    (unclipped, _), (clipped, _) = gradients_at_the_optimizers(free), gradients_at_the_optimizers(high)
    for name in ("generator", "disc"):
        assert relative_distance(clipped[name], unclipped[name]) < 1e-3


def clip_scaled_gradients(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def scaled(self: Updater, lr: float) -> Any:
        clip, self.clip = self.clip, None
        if clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        return real(self, lr)

    patch.setattr(Updater, "apply", scaled)


# -- settings, precision


def check_every_setting_reaches_its_optimizer() -> None:
    optim = {"betas": (0.8, 0.91), "disc_betas": (0.3, 0.92), "weight_decay": 0.07, "lr": 3e-4, "disc_lr": 5e-4}
    step = small_step(small_config(optim=optim))
    take_steps(step, batches(small_config(), 1))
    assert step.disc_update is not None
    for update, betas, lr in ((step.generator_update, (0.8, 0.91), 3e-4), (step.disc_update, (0.3, 0.92), 5e-4)):
        assert all(g["betas"] == betas and g["lr"] == lr for g in update.optimizer.param_groups)
    assert step.generator_update.optimizer.param_groups[0]["weight_decay"] == 0.07


def check_small_updates_move_the_weights() -> None:
    """With the learning rate of latent-diffusion, bf16 weights stand still: an update is below half their spacing."""
    config = small_config(loss={"disc": "none"}, optim={"precision": "bf16", "lr": 4.5e-6, "clip_grad": None})
    step = small_step(config)
    before = weights(step.autoencoder)
    data = batches(config, 1) * 8
    take_steps(step, data)
    moved = torch.cat(
        [(a.float() - b.float()).flatten() for a, b in zip(weights(step.autoencoder), before, strict=True)]
    )
    large = torch.cat([b.flatten() for b in before]).abs() > 0.05
    assert (moved[large] != 0).float().mean() > 0.9
    assert all(state["exp_avg"].dtype == torch.float32 for state in step.generator_update.optimizer.state.values())


def weights_in_bf16(patch: pytest.MonkeyPatch) -> None:
    """The trainable module is cast after its optimizer was built."""
    real = TrainingStep.__init__

    def cast(self: TrainingStep, *args: Any, **kw: Any) -> None:
        real(self, *args, **kw)
        self.autoencoder.bfloat16()
        self.ema = None

    patch.setattr(TrainingStep, "__init__", cast)
    patch.setattr(TrainingStep, "_generator_pass", in_bf16(TrainingStep._generator_pass))


def in_bf16(real: Any) -> Any:
    def generator_pass(self: TrainingStep, x: torch.Tensor, step: int, share: float) -> Any:
        forward, self._forward = self._forward, lambda x, sample: self.autoencoder(x.bfloat16(), sample=sample)  # type: ignore[assignment]
        try:
            return real(self, x, step, share)
        finally:
            self._forward = forward

    return generator_pass


def check_losses_keep_their_digits() -> None:
    """A sum over a clip, of which bf16 keeps two or three digits."""
    config = small_config(loss={"nll_reduction": "sum", "disc": "none"}, optim={"precision": "bf16"})
    step = small_step(config)
    x = batches(config, 1)[0][0]
    r = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)
    exact = (x.double() - r.double()).abs().sum().item() / len(x)
    with step._autocast():
        terms = step.objective.reconstruction(x, r)
    assert terms.nll.item() == pytest.approx(exact, rel=1e-5)


def losses_in_bf16(patch: pytest.MonkeyPatch) -> None:
    real = objective.pixel_loss
    patch.setattr(objective, "pixel_loss", lambda kind, x, r: real(kind, x.bfloat16(), r.bfloat16()).bfloat16())


def check_a_scaler_only_in_fp16_and_no_silent_skip() -> None:
    for precision in ("fp32", "bf16", "fp16"):
        config = small_config(optim={"precision": precision})
        step = small_step(config)
        bad = batches(config, 1)
        bad[0][0][0, 0, 0, 0, 0] = torch.nan
        (measured,) = take_steps(step, bad)
        assert measured["finite"] == 0 and measured["disc_finite"] == 0, "a skipped update must be reported"
        for update in (step.generator_update, step.disc_update):
            assert update is not None and update.scaler.is_enabled() == (precision == "fp16")


def skip_in_silence(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply
    patch.setattr(Updater, "apply", lambda self, lr: real(self, lr)._replace(finite=torch.ones(())))


FAULTS = [
    Fault("PF-4", "betas are read from the command line and dropped", check_every_setting_reaches_its_optimizer,
          with_arguments(betas=(0.9, 0.999))),
    Fault("RD-2", "clipping after the step", check_clipping_acts_before_the_step, clip_after_the_step),
    Fault("WF-3", "the clipping option is never read", check_clipping_acts_before_the_step, with_arguments(clip=None)),
    Fault("VT-5", "fp16: clipping of scaled gradients", check_fp16_clips_true_gradients, clip_scaled_gradients),
    Fault("WF-10", "a GradScaler in fp32 and bf16 too", check_a_scaler_only_in_fp16_and_no_silent_skip,
          with_arguments(fp16=True)),
    Fault("WF-10", "an update is skipped in silence", check_a_scaler_only_in_fp16_and_no_silent_skip, skip_in_silence),
    Fault("OS-1", "losses in bf16", check_losses_keep_their_digits, losses_in_bf16),
    Fault("DF-1", "perceptual loss under no_grad", check_the_perceptual_loss_has_a_gradient,
          perceptual_loss_without_gradient),
    Fault("DF-4", "weights in bf16", check_small_updates_move_the_weights, weights_in_bf16),
    Fault("DF-5", "the discriminator's loss fills the autoencoder's gradient", check_gradients_are_the_textbooks,
          disc_loss_reaches_the_autoencoder),
    Fault("DF-5", "the generator's pass fills the discriminator's gradient", check_gradients_are_the_textbooks,
          generator_pass_fills_the_discriminator),
    Fault("MV-1", "two discriminator steps an iteration", check_one_step_of_each_optimizer,
          discriminator_is_stepped_twice),
    Fault("MV-2", "the generator's loss is the mean pixel", check_gradients_are_the_textbooks,
          generator_loss_ignores_the_discriminator),
    Fault("CS-3", "pixel loss times 0", check_the_pixel_loss_trains, pixel_loss_times_zero),
]  # fmt: skip
