"""Healthy runs, plain ones and those that look alarming."""

from __future__ import annotations

from typing import Any

import torch
from hooks import resumed
from recipe import MSE, SAME, Check, Recipe
from recipes_data import data
from systems import STEPS, kl_weight
from training import Training

LEARNED = Check("share of the variance that is left on held-out data, against the twin", MSE, at_most=4.0)
DONE_RIGHT = 270


def _resumes(training: Training) -> None:
    training.at(DONE_RIGHT, lambda: resumed(training))


def _buckets(x: torch.Tensor, step: int) -> torch.Tensor:
    """Every third batch is of another kind, of half the contrast: two levels of every loss, all the run."""
    return x * 0.5 if step % 3 == 0 else x


def _calls_all_real(training: Training) -> None:
    discriminator: Any = training.step.discriminator
    with torch.no_grad():
        discriminator.layers[-1].bias += 0.8


RECIPES = [
    Recipe("plain", "nothing special", SAME),
    Recipe("plain-constant-lr", "constant rate to the end", SAME, change={"optim.schedule": "constant"}),
    Recipe("pretrained-lr-zero", "a trained model, the rate starts at 0 and grows for a long time", SAME, start="pretrained",
           base={"optim.warmup_steps": 200}, times={"optim.lr": 0.3}),
    Recipe("finetune", "a trained model at a tenth of the rate: everything is flat", SAME, start="pretrained", times={"optim.lr": 0.1}),
    Recipe("gan-shock-recovers", "a GAN start with a shock that recovers", SAME,
           change={"loss.disc_start": 150}, times={"loss.disc_weight": 2, "optim.disc_lr": 2}),
    Recipe("batch-size-1", "one sample a step: noise", Check("held-out MSE after the last step", MSE, at_most=2.2),
           change={"run.batch_size": 1}, times={"optim.lr": 0.5}),
    Recipe("kl-rises", "KL rises all the run at a tiny weight", SAME, change={"loss.kl_weight": 1e-9}),
    Recipe("learned-logvar", "nll is negative with a learned logvar", SAME, systems=("video", "rgb"),
           dialects=("vaelab", "lightning", "tensorboard"),
           change={"loss.logvar": "learned", "loss.logvar_init": -1.0}),
    Recipe("lr-decay-plateau", "cosine to 0: the last part is flat", SAME, change={"optim.schedule": "cosine", "optim.min_lr": 0.0}),
    Recipe("long-warmup", "warm-up over 40% of the run", Check("held-out MSE after the last step", MSE, at_most=2.0),
           change={"optim.warmup_steps": int(0.4 * STEPS)}),
    Recipe("negative-total", "a new discriminator that calls everything real: total_loss is far below 0 for a while", SAME,
           plant=_calls_all_real, systems=("radio", "rgb")),
    Recipe("compression-bound", "one latent channel: rec is flat at what one channel can hold", LEARNED,
           change={"model.config": {"latent_channels": 1}}),
    Recipe("kl-annealed", "the KL weight grows over 60% of the run: total rises", SAME, systems=("video", "rgb"),
           dialects=("vaelab", "lightning", "tensorboard"),
           change={"loss.kl_warmup": 240, "loss.kl_weight": lambda system: kl_weight(system, 0.02)}),
    Recipe("resume-done-right", "a resume with everything restored", SAME, plant=_resumes),
    Recipe("bucketed-data", "batches of two kinds in turn", SAME, plant=data(_buckets)),
    Recipe("no-gan", "no discriminator at all", SAME, change={"loss.disc": "none"}, systems=("video", "pyramid")),
    Recipe("vanilla-gan", "the discriminator's loss is a cross entropy", SAME, systems=("video", "rgb"), change={"loss.disc_loss": "vanilla"}),
    Recipe("linear-decay", "linear decay of the rate and a late GAN", SAME,
           change={"optim.schedule": "linear", "loss.disc_start": 310}),
    Recipe("no-clip-noisy", "no clipping, betas 0.9 and 0.999", Check("held-out MSE after the last step", MSE, at_most=2.0),
           change={"optim.clip_grad": None, "optim.betas": (0.9, 0.999)}),
    Recipe("disc-warmed-up", "the discriminator alone before, a ramp after, LeCam", SAME, systems=("video", "pyramid"),
           dialects=("vaelab", "tensorboard", "pyramid_flow"),
           change={"loss.disc_warmup": 60, "loss.disc_ramp": 80, "loss.lecam_weight": 0.01}),
]  # fmt: skip
