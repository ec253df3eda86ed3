"""Faults of optimisation, numerics, schedule and resume (families E, F, G and H)."""

from __future__ import annotations

import math

from faults_data import NAN_CAUSES
from mechanism import Mechanism, between, climbs, fixed, grows, times, to

PUBLIC = ("pyramid_flow", "radiodiff", "lightning", "taming", "plain")

FAULTS = [
    Mechanism("lr-high", "learning rate too high", ("E1",), ("C3",), when="start", turns=(times("lr", 2, 100),)),
    Mechanism("lr-high-no-clip", "learning rate too high, without clipping", ("E1",), when="start", base={"optim.clip_grad": None}, turns=(times("lr", 2, 100),)),
    Mechanism("lr-jump", "the learning rate jumps", ("E1",), ("H8", "E3"), ends=True, turns=(times("lr", 2, 200),)),
    Mechanism("lr-grows", "the learning rate grows without end", ("E1",), turns=(grows("lr", 3, 1e4),)),
    Mechanism("lr-climbs", "a schedule that runs upwards", ("E1",), turns=(climbs("lr", 0.003, 1.0),)),
    Mechanism("lr-low", "learning rate too low", ("E2",), ("E8",), when="start", turns=(times("lr", 0.4, 1e-4),)),
    Mechanism("lr-drops", "the learning rate falls at once", ("E2", "E8", "E13"), turns=(times("lr", 0.3, 1e-5),)),
    Mechanism("encoder-frozen", "the encoder is hardly trained", ("E2", "G3"), ("C1",), when="start", turns=(to("encoder_gradient", 0.3, 0.0), fixed("gradient", 1.0))),
    Mechanism("warmup-endless", "warm-up that takes most of the run", ("E2",), ("E8",), when="start", settings=lambda s, steps: {"optim.warmup_steps": int(steps * between(0.3, 0.98)(s))}),
    Mechanism("no-warmup-pretrained", "a trained model goes on at a high rate without warm-up", ("E3",), ("E1",), when="start", pretrained=True,
              settings=lambda s, steps: {"optim.warmup_steps": 0, "optim.lr": ("times", between(1.5, 40)(s))}),
    Mechanism("short-warmup-pretrained", "a trained model gets five steps of warm-up", ("E3",), ("E1",), when="start", pretrained=True,
              settings=lambda s, steps: {"optim.warmup_steps": 5, "optim.lr": ("times", between(2, 60)(s))}),
    Mechanism("restart-hot", "a resume that begins at the peak rate without its moments", ("E3", "H4"), ("E1", "H8"), resume=True, once=("forget-optimizer",), turns=(times("lr", 1.5, 30),)),
    Mechanism("clip-tiny", "clipping far below the usual norm", ("E4",), ("E2",), when="start", settings=lambda s, steps: {"optim.clip_grad": between(1.0, 1e-9)(s)}),
    Mechanism("clip-tiny-later", "clipping far below the usual norm from some step on", ("E4",), ("E2", "E6"), turns=(times("clip", 1e-3, 1e-9),), base={"optim.clip_grad": 10.0}),
    Mechanism("gradients-summed", "gradients of micro-batches are summed", ("E9", "E4"), ("E1",), when="start", base={"optim.clip_grad": 1.0}, turns=(times("gradient", 3, 1e4),)),
    Mechanism("no-clip-freak", "clipping acts after the step: bad batches pass", ("E5", "A2"), ("E1",), base={"optim.clip_grad": None},
              data=lambda x, step, s: between(3, 200)(s) * x if step % 50 == 30 else x),
    Mechanism("no-clip-spikes", "without clipping, some gradients are very large", ("E5", "A2"), ("E1", "E11"), base={"optim.clip_grad": None}, turns=(to("gradient_noise", 1, 100),)),
    Mechanism("gradients-kept", "gradients are not set to zero", ("E9",), ("E1", "C3"), when="start", base={"optim.clip_grad": None}, turns=(to("gradient_kept", 0.7, 1.0),)),
    Mechanism("gradients-kept-later", "gradients are not set to zero from some step on", ("E9",), ("E1", "C3"), base={"optim.clip_grad": None}, turns=(to("gradient_kept", 0.7, 1.0),)),
    Mechanism("gradient-noise", "the gradient is mostly noise, as with a batch that is far too small", ("E9",), ("E1",), when="start", turns=(to("gradient_noise", 1, 100),)),
    Mechanism("weight-decay", "weight decay far too large", ("E10", "E6"), ("E1", "C1"), when="start", turns=(to("decay", 1, 300),)),
    Mechanism("weight-decay-later", "weight decay far too large from some step on", ("E10", "E6"), ("E1", "C1"), turns=(to("decay", 1, 300),)),
    Mechanism("moments-decayed", "the second moments have decayed; a normal gradient follows", ("E11",), ("A2", "E1", "H4"), once=("decay-moments",), base={"optim.clip_grad": None},
              turns=(times("gradient", 1.0, 1.0),)),
    Mechanism("moments-decay-often", "the second moments decay again and again", ("E11",), ("A2", "E1", "H4"), once=("decay-moments",), every=between(300, 20), base={"optim.clip_grad": None}),
    Mechanism("moments-lost-hot", "the moments are lost at a high rate", ("E11", "H4"), ("A2", "E1"), once=("forget-optimizer",), every=between(300, 15)),
    Mechanism("ema-frozen", "the averaged weights are never updated", ("E12",), when="start", systems=("video", "rgb"), dialects=("vaelab", "tensorboard"), turns=(times("ema", 0.3, 1e-5),)),
    Mechanism("ema-stops", "the averaged weights are no longer updated", ("E12",), systems=("video", "rgb"), dialects=("vaelab", "tensorboard"), turns=(times("ema", 0.3, 1e-5),)),
    Mechanism("ema-slow", "the decay of the average is far too long for the run", ("E12",), when="start", systems=("video", "rgb"), dialects=("vaelab", "tensorboard"),
              settings=lambda s, steps: {"optim.ema_decay": 1 - between(0.01, 1e-5)(s)}),
    Mechanism("lr-multiplied-away", "the schedule's factor is multiplied twice: the rate goes to 0", ("E8",), ("E2", "E13"), turns=(grows("lr", 0.01, 1e-12),)),
    Mechanism("schedule-short", "the schedule ends long before the run", ("E13",), ("E2", "E8"), when="start", turns=(grows("lr", 0.03, 1e-9),)),
    Mechanism("decays-early", "the rate decays far too early", ("E13",), ("E2", "E8"), when="any", turns=(grows("lr", 0.003, 1e-8),)),
    Mechanism("fp16-overflow", "fp16 activations grow until they overflow", ("F1",), (*NAN_CAUSES, "A2"), dialects=PUBLIC, unguarded=True,
              turns=(fixed("half_gain", 100.0), grows("half_gain", 1e2, 1e9))),
    Mechanism("fp16-overflow-late", "fp16 activations overflow at once", ("F1",), (*NAN_CAUSES, "A2"), dialects=PUBLIC, unguarded=True, turns=(fixed("half_gain", 1e6),)),
    Mechanism("nan-gradient", "NaN gradients from some step on, and no guard", ("F1", "F6"), (*NAN_CAUSES, "A2"), dialects=PUBLIC, unguarded=True, turns=(fixed("gradient", math.nan),)),
    Mechanism("guard-stops", "NaN gradients from some step on; the guard ends the run", ("F6", "F1"), (*NAN_CAUSES, "A2"), dialects=("vaelab", "tensorboard"), turns=(fixed("gradient", math.nan),)),
    Mechanism("steps-skipped", "every step is skipped, as by a loss scaler", ("F8", "E2"), ("F1", "F6", "G3", "E13"), turns=(fixed("generator_steps", 0.0),)),
    Mechanism("steps-skipped-start", "no step is ever made", ("G3", "E2", "F8"), ("H4",), when="start", turns=(fixed("generator_steps", 0.0),)),
    Mechanism("resume-without-optimizer", "a resume that forgets the optimizer's moments", ("H4",), ("A2", "E3"), resume=True, once=("forget-optimizer",),
              base={"optim.lr": ("times", 2.0)}),
    Mechanism("resume-moments-decayed", "a resume with damaged second moments", ("H4", "E11"), ("A2", "E3"), resume=True, once=("decay-moments",)),
    Mechanism("resume-forgets-often", "every resume forgets the optimizer", ("H4",), ("E11", "A2"), resume=True, once=("forget-optimizer",), every=between(400, 40)),
    Mechanism("resume-other-weights", "another weight of the pixel loss after a resume", ("E6", "H8"), ("G4",), resume=True, turns=(times("pixel", 1.5, 30),)),
    Mechanism("resume-other-rate", "another rate after a resume", ("H8", "E1"), ("E3",), resume=True, turns=(times("lr", 2, 200),)),
    Mechanism("resume-other-kl", "another KL weight after a resume", ("H8", "C2"), ("E6", "C1"), resume=True, systems=("video", "pyramid", "radio", "rgb"), turns=(times("kl", 30, 3e6),)),
]  # fmt: skip
