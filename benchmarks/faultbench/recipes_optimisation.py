"""Faults of optimisation, numerics and resume (groups E, F, G and H)."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from hooks import change_settings, forget_discriminator, forget_optimizer, resumed
from recipe import EARLY, LATE, MIDDLE, Check, Recipe, logged, number, share, worse
from recipes_data import MAX_REC
from systems import DISC_START, STEPS
from torch import Tensor
from training import Result, Training

from vaelab.training.update import Applied

NAN_DIALECTS: dict[str, Any] = {
    "systems": ("pyramid", "radio", "rgb"),
    "dialects": ("pyramid_flow", "radiodiff", "lightning"),
}
RESUME_AT = 270
NAN_CAUSES = ("F1", "F2", "F3", "F4", "F5", "F6")


def _lr(factor: Callable[[int], float]) -> Callable[[Training], None]:
    def plant(training: Training) -> None:
        training.lr_factor = factor

    return plant


def _nan_rows(result: Result) -> float:
    """1 + steps that are missing or not finite."""
    return 1 + STEPS - sum(math.isfinite(row["total_loss"]) for row in result.rows)


def _keeps_gradients(training: Training) -> None:
    """No zero_grad: every step adds to the gradients of all steps before."""
    for updater in (training.step.generator_update, training.step.disc_update):
        if updater is not None:
            updater.optimizer.zero_grad = lambda set_to_none=True: None  # type: ignore[method-assign]


def _sums_micro_batches(training: Training) -> None:
    """Gradients of 16 micro-batches are summed, not averaged: AdamW does not mind, but the clipping is always active."""
    updater = training.step.generator_update
    apply = updater.apply

    def summed(lr: float) -> Any:
        for parameter in updater.parameters:
            if parameter.grad is not None:
                parameter.grad *= 16
        return apply(lr)

    updater.apply = summed  # type: ignore[method-assign]


def _clips_after_the_step(training: Training) -> None:
    """The norm is measured and logged, the threshold acts on gradients that were already used; a bad batch passes."""
    training.data.append(lambda x, step: 25 * torch.randn_like(x) if step >= EARLY and step % 50 == 30 else x)
    updater = training.step.generator_update
    updater.clip = None


def _ema_stands_still(training: Training) -> None:
    assert training.step.ema is not None
    training.step.ema.update = lambda network: None  # type: ignore[method-assign]


def _second_moment_shock(training: Training) -> None:
    """In a long quiet phase the second moments have decayed; then a gradient of normal size comes."""

    def decay() -> None:
        for state in training.step.generator_update.optimizer.state.values():
            state["exp_avg_sq"] *= 1e-7

    training.at(MIDDLE, decay)


def _non_finite_batch(value: float, at: int) -> Callable[[Training], None]:
    def plant(training: Training) -> None:
        def change(x: Tensor, step: int) -> Tensor:
            if step == at:
                x = x.clone()
                x[0, 0, 0, 3, 3] = value
            return x

        training.data.append(change)

    return plant


def _half_precision(training: Training) -> None:
    """The decoder's output is held in fp16 and grows, as with activations that fp32 weights let grow."""
    autoencoder = training.step.autoencoder
    decode = autoencoder.decode

    def in_half(z: Tensor) -> Tensor:
        gain = 10.0 ** max(0.0, (training.now - MIDDLE) / 8)
        with suppress(OverflowError):
            # overflows where |x| * gain is above 65504
            out = decode(z)
            return (out * gain).half().float() / gain
        return decode(z)

    autoencoder.decode = in_half  # type: ignore[method-assign]


def _nan_after_start(training: Training) -> None:
    """A bf16 discriminator: the gradient of g_loss is NaN once its logits have grown."""
    discriminator = training.step.discriminator
    assert discriminator is not None
    forward = discriminator.forward
    discriminator.forward = lambda x: forward(x) * (math.nan if training.now >= DISC_START + 110 else 1)  # type: ignore[method-assign]


def _scaler_never_finds_a_scale(training: Training) -> None:
    """Every gradient overflows in fp16: the scale is halved at each step and no update is made."""
    updater = training.step.generator_update
    apply = updater.apply

    def skipped(lr: float) -> Any:
        if training.now < EARLY:
            return apply(lr)
        training.loss_scale = max((training.loss_scale or 0.0) / 2, 1e-4)
        updater.optimizer.zero_grad(set_to_none=True)
        return Applied(torch.tensor(math.inf), torch.zeros(()), torch.zeros(()))

    training.loss_scale = 65536.0
    updater.apply = skipped  # type: ignore[method-assign]


def _resume(*actions: Callable[[Training], None]) -> Callable[[Training], None]:
    def plant(training: Training) -> None:
        for action in (resumed, *actions):
            training.at(RESUME_AT, lambda action=action: action(training))

    return plant


def _weights_changed(training: Training) -> None:
    weight = training.step.loss.pixelloss_weight * 10
    change_settings(training, pixelloss_weight=weight)


def _spike(name: str) -> Callable[[Result], float]:
    return logged(name, RESUME_AT, RESUME_AT + 12)


RECIPES = [
    Recipe("lr-too-high", "learning rate thirty times too high", worse(1.5), ("E1",), times={"optim.lr": 30}, diverges=True),
    Recipe("lr-high-no-clip", "learning rate twelve times too high, without clipping", worse(1.3), ("E1",), times={"optim.lr": 12},
           base={"optim.clip_grad": None}, diverges=True),
    Recipe("lr-too-low", "learning rate three hundred times too low", worse(1.8), ("E2",), times={"optim.lr": 1 / 300}, change={"optim.min_lr": 0.0}),
    Recipe("lr-late-jump", "the learning rate is forty times as high from 30% on", worse(1.5), ("E1",), onset=EARLY,
           plant=_lr(lambda step: 40.0 if step >= EARLY else 1.0), diverges=True),
    Recipe("lr-jump-near-end", "the learning rate is fifty times as high from 70% on", worse(1.3), ("E1",), onset=LATE,
           plant=_lr(lambda step: 50.0 if step >= LATE else 1.0), diverges=True),
    Recipe("no-warmup-pretrained", "a trained model goes on at a high rate without warm-up",
           Check("rec_loss of the first 40 steps", logged("rec_loss", 1, 40), at_least=1.3), ("E3",), ("E1",), start="pretrained",
           base={"optim.warmup_steps": 200}, change={"optim.warmup_steps": 0}, times={"optim.lr": 4}),
    Recipe("clip-always", "clipping to a hundredth of the usual norm", Check("share of clipped steps", share(lambda r: r["clip_coefficient"] < 0.2), at_least=3),
           ("E4",), change={"optim.clip_grad": 0.005}, systems=("video", "pyramid"), dialects=("vaelab", "pyramid_flow")),
    Recipe("clip-after-step", "gradients are clipped after they were used; spikes in the data pass through", MAX_REC, ("E5", "A2"),
           ("E1",), onset=130, plant=_clips_after_the_step, systems=("video", "pyramid")),
    Recipe("no-zero-grad", "gradients are never set to zero", Check("grad_norm late", logged("grad_norm", LATE), at_least=5), ("E9",), ("E1",),
           plant=_keeps_gradients, base={"optim.clip_grad": None}, systems=("video", "pyramid", "rgb"),
           dialects=("vaelab", "pyramid_flow", "lightning"), diverges=True),
    Recipe("accumulation-sum", "sixteen micro-batches are summed instead of averaged",
           Check("share of clipped steps", share(lambda r: r["clip_coefficient"] < 0.7), at_least=2), ("E9", "E4"), ("E1",),
           plant=_sums_micro_batches, systems=("video", "pyramid"), dialects=("vaelab", "pyramid_flow")),
    Recipe("ema-stands-still", "the averaged weights are never updated",
           Check("held-out MSE of the averaged weights", number("mse_ema"), at_least=3), ("E12",), plant=_ema_stands_still,
           systems=("video", "rgb"), dialects=("vaelab", "tensorboard")),
    Recipe("lr-falls-to-zero", "the rate's factor is multiplied twice: it is 0 from 15% on", worse(1.3), ("E8",), ("E2", "E13"), onset=75,
           plant=_lr(lambda step: 1.0 if step < 40 else max(1e-9, 10 ** (-(step - 40) / 10)))),
    Recipe("pixel-weight-jump", "the pixel loss is weighted ten times as much from 45% on",
           Check("nll_loss after onset", logged("nll_loss", MIDDLE, MIDDLE + 30), at_least=3), ("E6",), ("G4",), onset=MIDDLE,
           plant=lambda training: training.at(MIDDLE, lambda: _weights_changed(training))),
    Recipe("second-moment-shock", "the optimizer's second moments have decayed; a normal gradient follows",
           Check("rec_loss of the 15 steps after", logged("rec_loss", MIDDLE, MIDDLE + 15), at_least=1.5), ("E11",), ("A2", "E1", "H4"),
           onset=MIDDLE, plant=_second_moment_shock, diverges=True),
    Recipe("nan-batch", "one sample holds NaN and the trainer has no guard", Check("steps without a finite row", _nan_rows, at_least=20),
           ("A2", "F6"), NAN_CAUSES, onset=EARLY, plant=_non_finite_batch(math.nan, EARLY), diverges=True, **NAN_DIALECTS),
    Recipe("inf-batch-late", "one sample holds infinity and the trainer has no guard", Check("steps without a finite row", _nan_rows, at_least=20),
           ("A2", "F6"), NAN_CAUSES, onset=LATE, plant=_non_finite_batch(math.inf, LATE), diverges=True, **NAN_DIALECTS),
    Recipe("fp16-overflow", "fp16 activations grow until they overflow", Check("steps without a finite row", _nan_rows, at_least=20),
           ("F1",), (*NAN_CAUSES, "A2"), onset=MIDDLE, plant=_half_precision, diverges=True, **NAN_DIALECTS),
    Recipe("nan-after-gan-start", "NaN from the discriminator 110 steps after the start", Check("steps without a finite row", _nan_rows, at_least=20),
           ("F2",), (*NAN_CAUSES, "A2", "D2"), onset=DISC_START + 110, plant=_nan_after_start, diverges=True, **NAN_DIALECTS),
    Recipe("scaler-skips-all", "every step overflows in fp16 and is skipped",
           Check("held-out MSE after the last step", number("mse"), at_least=1.2), ("F8",), ("F1", "F6"), onset=EARLY,
           plant=_scaler_never_finds_a_scale, systems=("pyramid",)),
    Recipe("resume-without-optimizer", "a resume that forgets the optimizer's moments",
           Check("rec_loss of 12 steps after the resume", _spike("rec_loss"), at_least=1.15), ("H4",), ("A2",), onset=RESUME_AT,
           plant=_resume(forget_optimizer), base={"optim.betas": (0.9, 0.999), "optim.lr": lambda system: 2.5 * system.settings["optim.lr"]}),
    Recipe("resume-without-discriminator", "a resume that forgets the discriminator",
           Check("disc_loss of 12 steps after the resume", _spike("disc_loss"), at_least=1.2), ("H3", "D15"), ("D5",), onset=RESUME_AT,
           plant=_resume(forget_discriminator), base={"loss.disc_start": 90}),
    Recipe("weights-changed-at-resume", "the pixel loss is weighted ten times as much after a resume",
           Check("nll_loss of 12 steps after the resume", _spike("nll_loss"), at_least=3), ("E6", "H8"), ("G4",), onset=RESUME_AT,
           plant=_resume(_weights_changed)),
]  # fmt: skip
