"""Faults of the discriminator, of its start and of its weight (group D, and G1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hooks import change_settings
from recipe import AFTER_START, LATE, Check, Recipe, logged, number, share, worse
from systems import DISC_START, STEPS
from torch import Tensor
from training import Result, Training

import vaelab.training.step as step_module

LATE_DISC_LOSS = logged("disc_loss", LATE)


def replaced(name: str, make: Callable[[Training, Callable], Callable]) -> Callable[[Training], None]:
    """Another function in place of one that the training step calls, for the time of this run."""

    def plant(training: Training) -> None:
        original = getattr(step_module, name)
        setattr(step_module, name, make(training, original))
        training.undo.append(lambda: setattr(step_module, name, original))

    return plant


def _input(change: Callable[[Training, Tensor], Tensor]) -> Callable[[Training], None]:
    """Changes what the discriminator is shown."""

    def plant(training: Training) -> None:
        discriminator = training.step.discriminator
        assert discriminator is not None
        forward = discriminator.forward
        discriminator.forward = lambda x: forward(change(training, x))  # type: ignore[method-assign]

    return plant


def _only_brightness(training: Training, x: Tensor) -> Tensor:
    """Each frame's mean alone: real and reconstructed frames look the same."""
    return x.mean((3, 4), keepdim=True).expand_as(x)


def _swapped(training: Training, disc_loss: Callable) -> Callable:
    return lambda kind, real, fake: disc_loss(kind, fake, real)


def _wrong_sign(training: Training, gen_loss: Callable) -> Callable:
    return lambda kind, fake: -gen_loss(kind, fake)


def _real_is_dimmed(training: Training) -> None:
    """Real samples are scaled once too often before the discriminator sees them."""
    step = training.step
    pass_ = step._discriminator_pass
    step._discriminator_pass = lambda x, reconstruction, share: pass_(0.4 * x + 0.3, reconstruction, share)  # type: ignore[method-assign]


def _drifts(training: Training) -> None:
    """Both logits rise together, faster than the discriminator can answer."""
    discriminator = training.step.discriminator
    assert discriminator is not None
    forward = discriminator.forward
    discriminator.forward = lambda x: forward(x) + 6e-4 * max(0, training.now - DISC_START) ** 2  # type: ignore[method-assign]


def _trained_four_times(training: Training) -> None:
    """Three updates of the discriminator more at each step."""

    def again(step: int) -> None:
        updater = training.step.disc_update
        assert updater is not None
        if step >= training.config.loss.disc_start:
            for _ in range(3):
                x = training.batch(step)
                with torch.no_grad():
                    r = training.step.autoencoder(x).x
                training.step._discriminator_pass(x, r, 1.0)
                updater.apply(training.step.disc_lr(step))

    training.after.append(again)


def _ratio_runs_away(training: Training, d_weight_ratio: Callable) -> Callable:
    """The measured gradient of g_loss shrinks (an underflow), so that the weight grows by 5% a step to its clamp."""

    def ratio(of_nll: Tensor, of_g: Tensor, maximum: float) -> tuple[Tensor, Tensor]:
        steps = max(0, training.now - AFTER_START)
        return d_weight_ratio(of_nll, of_g / min(1.05**steps, 1e9), maximum)

    return ratio


def _memorises(training: Training) -> None:
    """The discriminator is trained on the same eight real samples for ever and has no say on others."""
    step = training.step
    pass_ = step._discriminator_pass
    known = training.batch(0)[:2]
    step._discriminator_pass = lambda x, reconstruction, share: pass_(
        known.expand_as(x[: len(known)]), reconstruction[: len(known)], share
    )  # type: ignore[method-assign]


def _starts_at(step_number: int) -> Callable[[Training], None]:
    """The start that takes place; the settings, and so the log's header, name another."""
    return lambda training: change_settings(training, disc_start=step_number)


def _late(name: str) -> Callable:
    return logged(name, LATE)


def gap_late(run: Result) -> float:
    return _late("logits_real")(run) - _late("logits_fake")(run)


AT_CHANCE = Check("disc_loss in the last 30% of the run", LATE_DISC_LOSS, at_least=1.15)
RECIPES = [
    Recipe("gan-never-starts", "disc_start lies behind the end", Check("steps with a discriminator that acts", share(lambda r: r.get("disc_factor", 0) > 0), at_most=0),
           ("D1",), ("G1",), onset=DISC_START, change={"loss.disc_start": 50 * STEPS}, systems=("pyramid", "radio", "rgb"),
           dialects=("pyramid_flow", "radiodiff", "lightning")),
    Recipe("gan-weight-zero", "disc_weight is 0", Check("d_weight after the start", logged("d_weight", DISC_START), at_most=0),
           ("D18",), onset=DISC_START, change={"loss.disc_weight": 0.0}),
    Recipe("disc-not-updated", "no update of the discriminator takes place",
           Check("scatter of disc_loss around 1 late", logged("disc_loss", LATE, None, lambda v: max(abs(a - 1) for a in v)), at_most=0.5),
           ("D10", "D3"), onset=DISC_START, change={"optim.disc_lr": 1e-9}),
    Recipe("disc-uninformative", "the discriminator sees brightness only", AT_CHANCE, ("D3",), ("D10",), onset=DISC_START,
           plant=_input(_only_brightness)),
    Recipe("disc-labels-swapped", "real and fake are swapped in the discriminator's loss",
           Check("logits_real - logits_fake late", gap_late, at_most=0),
           ("D10",), ("D3", "D6"), onset=DISC_START, plant=replaced("disc_loss", _swapped)),
    Recipe("g-loss-sign", "the decoder is driven to look more fake",
           Check("logits_real - logits_fake late", gap_late, at_least=1.2), ("D10",), ("D4", "D6"), onset=DISC_START,
           base={"loss.disc_weight": lambda system: 4 * system.settings["loss.disc_weight"]},
           plant=replaced("gen_loss", _wrong_sign)),
    Recipe("disc-too-strong", "four updates of the discriminator a step, and a decoder that hardly answers",
           Check("disc_loss late", LATE_DISC_LOSS, at_most=0.6), ("D4",), ("D6", "D12"), onset=120,
           base={"loss.disc_start": 120}, times={"loss.disc_weight": 0.1}, plant=_trained_four_times),
    Recipe("disc-sees-dim-real", "real samples are scaled once too often for the discriminator",
           Check("disc_loss late", LATE_DISC_LOSS, at_most=0.5), ("D12",), ("D4",), onset=DISC_START, plant=_real_is_dimmed),
    Recipe("disc-logit-drift", "both logits drift upwards", Check("mean of both logits late", lambda r: _late("logits_real")(r) + _late("logits_fake")(r) + 1, at_least=3),
           ("D8",), onset=DISC_START, plant=_drifts),
    Recipe("disc-cold-at-peak", "the discriminator starts without warm-up at twenty times its rate and full weight",
           Check("rec_loss of the 60 steps after the start", logged("rec_loss", DISC_START, DISC_START + 60), at_least=1.1),
           ("D14",), ("D4", "D6", "D5"), onset=DISC_START,
           change={"optim.disc_warmup_steps": 0, "loss.disc_weight": 2.0, "optim.disc_lr": 4e-3}),
    Recipe("gan-damage", "GAN weight twenty times too large", worse(1.3), ("D6", "D19"), ("D7", "D4"), onset=DISC_START,
           times={"loss.disc_weight": 20}),
    Recipe("gan-damage-fixed", "a fixed GAN weight far above what the adaptive one would be", worse(1.3), ("D6", "D19"), ("D7", "D4"), onset=DISC_START,
           change={"loss.disc_weight_mode": "fixed",
                   "loss.disc_weight": lambda s: {"video": 2.0, "pyramid": 10.0, "radio": 3000.0, "rgb": 8000.0}[s.name]}),
    Recipe("d-weight-runaway", "the adaptive weight grows to its clamp", Check("d_weight late", _late("d_weight"), at_least=20),
           ("D7",), ("D6",), onset=AFTER_START, plant=replaced("d_weight_ratio", _ratio_runs_away), diverges=True),
    Recipe("disc-memorises", "the discriminator is trained on two real samples",
           Check("gap of the logits on held-out data", number("disc_gap_val"), at_most=0.6), ("D9",), ("D4", "D3"), onset=DISC_START,
           plant=_memorises, systems=("rgb",), dialects=("lightning",)),
    Recipe("start-in-other-unit", "the start counts both optimizers: half the planned step",
           Check("steps with a discriminator that acts", share(lambda r: r.get("disc_factor", 0) > 0), at_least=1.2),
           ("G1",), onset=DISC_START // 2, plant=_starts_at(DISC_START // 2)),
    Recipe("start-in-micro-steps", "the start counts something else: 1.6 times the planned step",
           Check("steps with a discriminator that acts", share(lambda r: r.get("disc_factor", 0) > 0), at_most=0.8),
           ("G1",), ("D1",), onset=DISC_START, plant=_starts_at(int(1.6 * DISC_START))),
    Recipe("disc-restarts", "the discriminator gets new weights every 40 steps",
           Check("disc_loss late", LATE_DISC_LOSS, at_least=1.15), ("D15", "H3"), ("D3", "D10"), onset=DISC_START + 40,
           plant=lambda training: _restarts(training)),
]  # fmt: skip


def _restarts(training: Training) -> None:
    from hooks import forget_discriminator

    training.before.append(
        lambda step: forget_discriminator(training) if step > DISC_START and (step - DISC_START) % 40 == 0 else None
    )
