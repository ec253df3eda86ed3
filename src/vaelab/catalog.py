"""The catalogue of metrics: canonical names and their aliases, units, direction, meaning and bands.

Adding a metric is one entry in ``METRICS``. Formulas that differ by trainer live in ``vaelab.trainers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Direction = Literal["down", "up", "none", "zero"]


@dataclass(frozen=True)
class Band:
    """A named rule of thumb, kept with the condition under which it means anything and with its standing.

    ``standing`` is ``holds``, ``conditional`` or ``refuted``; ``why`` says what a normalised fact says instead.
    """

    name: str
    low: float | None
    high: float | None
    condition: str
    standing: Literal["holds", "conditional", "refuted"]
    why: str
    source: str


@dataclass(frozen=True)
class Metric:
    """One canonical metric. ``aliases`` are the names it has in trainers' logs (lower case, no ``train/`` prefix)."""

    name: str
    title: str
    aliases: tuple[str, ...]
    family: str
    direction: Direction = "none"
    unit: str = ""
    meaning: str = ""
    read_as: str = ""
    fixes: str = ""
    without: str = ""
    bands: tuple[Band, ...] = ()
    sources: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("total_loss", "total loss", ("total_loss", "total", "loss", "vae_loss", "aeloss", "generator_loss", "all", "overall_vae_loss", "loss/total", "gen_loss", "step_gen_loss"), "loss", "down"),
        Metric("nll_loss", "nll loss", ("nll_loss", "nll", "loss/nll"), "loss", "down"),
        Metric("rec_loss", "reconstruction loss", ("rec_loss", "recon_loss", "reconstruct_loss", "reconstruction_loss", "loss/rec", "recon", "mse_loss", "nll_rec", "l1_loss"), "reconstruction", "down"),
        Metric("perceptual_loss", "perceptual loss (LPIPS)", ("perception_loss", "perceptual_loss", "p_loss", "lpips_loss", "nll_per", "percep_loss"), "reconstruction", "down"),
        Metric("kl_loss", "KL loss", ("kl_loss", "kl", "kld", "kl_div", "kld_loss"), "latent", "none"),
        Metric("logvar", "output log-variance", ("logvar", "scalars/logvar"), "loss", "none"),
        Metric("g_loss", "generator GAN loss", ("g_loss", "loss/g", "gen", "gan_loss", "adversarial_gen_loss", "generator_adv_loss", "g_adv_loss", "unsacled_g_loss"), "adversarial", "none"),
        Metric("g_loss_weighted", "weighted generator GAN loss", ("gen_w",), "adversarial", "none"),
        Metric("disc_loss", "discriminator loss", ("disc_loss", "d_loss", "discr_loss", "discloss", "discriminator_loss", "loss/disc", "disc", "step_discr_loss", "discriminator_adv_loss"), "adversarial", "none"),
        Metric("non_saturated_d_loss", "discriminator loss without LeCam", ("non_saturated_d_loss",), "adversarial", "none"),
        Metric("lecam_loss", "LeCam regulariser", ("lecam_loss",), "adversarial", "none"),
        Metric("logits_real", "mean logit on real data", ("logits_real", "logits/real", "avg_real_logits"), "adversarial", "none"),
        Metric("logits_fake", "mean logit on reconstructions", ("logits_fake", "logits/fake", "avg_fake_logits"), "adversarial", "none"),
        Metric("d_weight", "adaptive GAN weight", ("d_weight", "scalars/d_weight", "adaptive_weight"), "adversarial", "none"),
        Metric("disc_factor", "GAN switch", ("disc_factor",), "adversarial", "none"),
        Metric("lr", "learning rate", ("lr", "learning_rate", "lr_abs", "lr-adam", "lr_g", "optim/lr"), "optimiser", "none"),
        Metric("min_lr", "learning rate of the slowest group", ("min_lr",), "optimiser", "none"),
        Metric("disc_lr", "discriminator learning rate", ("disc_lr", "lr_disc", "lr-adam-1", "lr_d"), "optimiser", "none"),
        Metric("disc_min_lr", "discriminator learning rate, slowest group", ("disc_min_lr",), "optimiser", "none"),
        Metric("grad_norm", "gradient norm before clipping", ("grad_norm", "global_grad_norm", "gradient_norm", "grad_norm_g"), "optimiser", "none"),
        Metric("disc_grad_norm", "discriminator gradient norm before clipping", ("disc_grad_norm", "grad_norm_d"), "optimiser", "none"),
        Metric("loss_scale", "AMP loss scale", ("loss_scale",), "optimiser", "none"),
        Metric("disc_loss_scale", "AMP loss scale of the discriminator", ("disc_loss_scale",), "optimiser", "none"),
        Metric("weight_decay", "weight decay", ("weight_decay",), "optimiser", "none"),
        Metric("step_time", "time per step", ("time", "step_time", "batch_time", "time_taken_till_step"), "speed", "none", "s"),
        Metric("data_time", "time waiting for data", ("data", "data_time", "time_taken_till_load"), "speed", "none", "s"),
        Metric("memory", "peak device memory", ("max mem", "max_mem", "memory"), "speed", "none", "MiB"),
        Metric("quant_loss", "codebook loss", ("quant_loss", "commit_loss", "aux_loss", "codebook_loss", "codebook_quant_loss"), "latent", "none"),
        Metric("entropy_loss", "codebook entropy loss", ("entropy_loss", "codebook_entropy_loss"), "latent", "none"),
        Metric("perplexity", "codebook perplexity", ("perplexity",), "latent", "up"),
        Metric("cluster_usage", "codebook usage", ("cluster_usage", "codebook_usage"), "latent", "up"),
        Metric("latents_std", "latent standard deviation", ("latents_std", "latent_std"), "latent", "none"),
        Metric("psnr", "PSNR", ("psnr",), "evaluation", "up", "dB"),
        Metric("ssim", "SSIM", ("ssim",), "evaluation", "up"),
        Metric("lpips", "LPIPS (evaluation)", ("lpips",), "evaluation", "down"),
        Metric("rfvd", "rFVD", ("rfvd", "fvd"), "evaluation", "down"),
        Metric("rfid", "rFID", ("rfid", "fid"), "evaluation", "down"),
        Metric("flickering", "temporal flicker", ("flickering",), "evaluation", "down"),
    )
}

_ALIASES: dict[str, str] = {alias: m.name for m in METRICS.values() for alias in (m.name, *m.aliases)}

_SPLIT = re.compile(r"^(?P<split>train|training|val_ema|val\[_ema\]|valid|validation|val|eval|test)[/_.](?P<rest>.+)$")


def canonical(original: str) -> str:
    """Canonical name of a logged column: ``train/p_loss_step`` -> ``perceptual_loss``, ``val/rec_loss`` stays a
    validation metric (``val/rec_loss``). A name the catalogue does not know keeps its own (lower-cased) name."""
    name = original.strip().lower()
    prefix = ""
    if match := _SPLIT.match(name):
        split, name = match["split"], match["rest"]
        prefix = {"train": "", "training": "", "valid": "val/", "validation": "val/", "eval": "val/"}.get(split, f"{split}/")
    for suffix in ("_step", "_epoch"):
        if name.endswith(suffix) and name not in _ALIASES:
            stem = name[: -len(suffix)]
            if stem in _ALIASES:
                name = stem
                prefix += "epoch/" if suffix == "_epoch" and not prefix else ""
    return prefix + _ALIASES.get(name, name)
