"""Faults of the discriminator, of its start and of its weight (family D, and F2, G1)."""

from __future__ import annotations

import math

import torch
from faults_data import NAN_CAUSES
from mechanism import Mechanism, between, climbs, fixed, grows, rises, times, to
from torch import Tensor

PUBLIC = ("pyramid_flow", "radiodiff", "lightning", "taming")


def _few_real(step: int, batch: int, s: float) -> Tensor:
    return (step * batch + torch.arange(batch)) % max(2, round(between(100, 2)(s)))


FAULTS = [
    Mechanism("gan-never-starts", "disc_start lies behind the end", ("D1",), ("G1",), when="gan", settings=lambda s, steps: {"loss.disc_start": 50 * steps}, dialects=PUBLIC),
    Mechanism("gan-factor-zero", "disc_factor stays 0", ("D1", "D18"), ("G1",), when="gan", turns=(times("factor", 0.3, 1e-9), )),
    Mechanism("gan-starts-late", "the start counts something else: later than planned", ("G1", "D1"), when="gan", hidden_settings=True,
              settings=lambda s, steps: {"loss.disc_start": ("times", between(1.3, 6)(s))}),
    Mechanism("gan-starts-early", "the start counts both optimizers: half the planned step", ("G1",), when="gan", hidden_settings=True,
              settings=lambda s, steps: {"loss.disc_start": ("times", between(0.9, 0.3)(s))}),
    Mechanism("gan-weight-zero", "disc_weight is 0, or next to it", ("D18",), ("D1",), when="gan", turns=(times("gan", 0.2, 1e-7),)),
    Mechanism("gan-weight-lost", "disc_weight is 0 from some step on", ("D18",), ("E6",), when="after-gan", turns=(times("gan", 0.2, 1e-7),)),
    Mechanism("gan-gradient-lost", "the decoder gets no gradient from the discriminator", ("D18", "D10"), ("D3",), when="gan", turns=(to("gan_gradient", 0.5, 0.0),)),
    Mechanism("disc-frozen", "the discriminator hardly learns", ("D10", "D3"), ("E2",), when="gan", turns=(times("disc_lr", 0.2, 1e-6),)),
    Mechanism("disc-stops", "the discriminator is no longer updated", ("D10", "D3"), ("E2",), when="after-gan", turns=(fixed("disc_steps", 0.0),)),
    Mechanism("disc-blind", "the discriminator sees brightness only", ("D3",), ("D10",), when="gan", turns=(to("disc_blind", 0.5, 1.0),)),
    Mechanism("disc-noise", "noise on the discriminator's input drowns the pictures", ("D3",), ("D10",), when="gan", turns=(to("disc_noise", 0.2, 30),)),
    Mechanism("disc-decays", "weight decay shrinks the discriminator", ("E10", "D3"), ("D10",), when="gan", turns=(to("disc_decay", 10, 1500),)),
    Mechanism("disc-strong", "the discriminator's rate is far too high", ("D4", "D14"), ("D6", "D12"), when="gan", turns=(times("disc_lr", 3, 200),)),
    Mechanism("disc-strong-later", "the discriminator's rate jumps", ("D4", "D14"), ("D6", "E1"), when="after-gan", turns=(times("disc_lr", 3, 200),)),
    Mechanism("gan-weak-strong-disc", "a strong discriminator, and a decoder that hardly answers", ("D4",), ("D6", "D12", "D18"), when="gan",
              turns=(times("disc_lr", 3, 50), times("gan", 0.5, 0.01))),
    Mechanism("gan-heavy", "GAN weight too large", ("D6", "D19"), ("D7", "D4"), when="gan", turns=(times("gan", 2, 1000),)),
    Mechanism("gan-heavy-later", "the GAN weight is too large from some step on", ("D6", "D19"), ("D7", "D4", "E6"), when="after-gan", ends=True, turns=(times("gan", 2, 1000),)),
    Mechanism("gan-heavy-fixed", "a fixed GAN weight far above what the adaptive one would be", ("D6", "D19"), ("D7", "D4"), when="gan",
              settings=lambda s, steps: {"loss.disc_weight_mode": "fixed", "loss.disc_weight": between(0.3, 3e4)(s)}),
    Mechanism("d-weight-runs", "the adaptive weight grows to its clamp", ("D7",), ("D6",), when="after-gan", turns=(grows("gan_underflow", 0.1, 1e-9),)),
    Mechanism("d-weight-jumps", "the measured gradient of g_loss is far too small", ("D7",), ("D6", "D19"), when="after-gan", turns=(times("gan_underflow", 0.3, 1e-5),)),
    Mechanism("d-weight-start", "the adaptive weight is far too large from the start", ("D7", "D19"), ("D6",), when="gan", turns=(times("gan_underflow", 0.3, 1e-5),)),
    Mechanism("logit-drift", "both logits drift upwards", ("D8",), ("D4", "D3"), when="gan", turns=(rises("logit_shift", 1, 300),)),
    Mechanism("logit-drift-down", "both logits drift downwards", ("D8",), ("D4", "D3"), when="gan", turns=(rises("logit_shift", -1, -300),)),
    Mechanism("logit-runs", "both logits run away faster and faster", ("D8",), ("D4", "D3"), when="after-gan", turns=(climbs("logit_shift", 1, 1000),)),
    Mechanism("disc-memorises", "the discriminator is trained on few real samples", ("D9",), ("D4", "D3"), when="start", real_order=_few_real),
    Mechanism("labels-swapped", "real and fake are swapped in the discriminator's loss", ("D10",), ("D3", "D6", "D4"), when="gan", turns=(fixed("swap", 1.0),)),
    Mechanism("g-loss-sign", "the decoder is driven to look more fake", ("D10",), ("D4", "D6", "D7", "D19"), when="gan", turns=(to("gan_gradient", -0.5, -1.0), times("gan", 1, 20))),
    Mechanism("disc-sees-other-real", "real samples are scaled once too often for the discriminator", ("D12",), ("D4",), when="gan", turns=(times("real_gain", 0.95, 0.2),)),
    Mechanism("disc-sees-shifted-real", "real samples are shifted for the discriminator", ("D12",), ("D4",), when="gan", turns=(to("real_shift", 0.03, 1.5),)),
    Mechanism("disc-sees-other-fake", "reconstructions are scaled once too often for the discriminator", ("D12",), ("D4",), when="gan", turns=(times("fake_gain", 0.95, 0.2),)),
    Mechanism("disc-cold-at-peak", "the discriminator starts without warm-up, at a high rate and weight", ("D14",), ("D4", "D6", "D5", "D19"), when="gan",
              settings=lambda s, steps: {"optim.disc_warmup_steps": 0, "loss.disc_weight": ("times", between(1.5, 8)(s)), "optim.disc_lr": ("times", between(2, 60)(s))}),
    Mechanism("disc-restarts", "the discriminator gets new weights again and again", ("D15", "H3"), ("D3", "D10"), when="after-gan", once=("forget-discriminator",), every=between(400, 25)),
    Mechanism("disc-lost", "the discriminator is new from some step on", ("D15", "H3"), ("D5",), when="after-gan", once=("forget-discriminator",)),
    Mechanism("disc-lost-at-resume", "a resume that forgets the discriminator", ("H3", "D15"), ("D5",), when="after-gan", resume=True, once=("forget-discriminator",)),
    Mechanism("disc-lost-heavy", "a resume that forgets the discriminator, under a heavy GAN", ("H3", "D15"), ("D5", "D6"), when="after-gan", resume=True, once=("forget-discriminator",),
              base={"loss.disc_weight": 2.0}),
    Mechanism("nan-at-gan-start", "NaN from the discriminator at the start", ("D2", "F2"), (*NAN_CAUSES, "A2"), when="gan", dialects=PUBLIC, unguarded=True, turns=(fixed("gan_gradient", math.nan),)),
    Mechanism("nan-after-gan", "NaN from the discriminator some time after the start", ("F2",), (*NAN_CAUSES, "A2", "D2"), when="after-gan", dialects=PUBLIC, unguarded=True,
              turns=(fixed("gan_gradient", math.nan),)),
    Mechanism("inf-logits", "the logits overflow", ("F2", "D8"), (*NAN_CAUSES, "A2", "D2"), when="after-gan", dialects=PUBLIC, unguarded=True, turns=(grows("real_gain", 1e3, 1e38),)),
]  # fmt: skip
