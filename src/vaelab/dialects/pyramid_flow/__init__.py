"""Pyramid-Flow's causal video VAE (``train_video_vae.py``)."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE
from vaelab.dialects.types import Dialect, KnownFault, Signature

_FLAG = {
    k: f"--{k} {{}}"
    for k in (
        "kl_weight",
        "pixelloss_weight",
        "perceptual_weight",
        "disc_weight",
        "disc_start",
        "lr",
        "clip_grad",
        "warmup_epochs",
        "warmup_steps",
        "epochs",
        "iters_per_epoch",
        "batch_size",
    )
} | {"disc_lr": "--lr_disc {}", "add_discriminator": "--add_discriminator"}

DIALECTS = (
    Dialect(
        id="pyramid_flow",
        title="Pyramid-Flow (train_video_vae.py)",
        recognised_by=(
            Signature(frozenset({"perception_loss"}), 0.99, formats=("metric_logger", "pyramid_flow_json")),
            Signature(frozenset({"vae_loss"}), 0.99, formats=("metric_logger", "pyramid_flow_json")),
            Signature(frozenset({"perception_loss", "rec_loss"}), 0.95),
            Signature(frozenset(), 0.5, settings=frozenset({"pixelloss_weight", "perceptual_weight"})),
        ),
        source="jy0205/Pyramid-Flow at 3040d71",
        losses=frozenset(
            {
                "total_loss",
                "vae_loss",
                "kl_loss",
                "nll_loss",
                "rec_loss",
                "perception_loss",
                "g_loss",
                "disc_loss",
                "loss_scale",
                "disc_loss_scale",
            }
        ),
        setting_names={"lr_disc": "disc_lr"},
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="sum-per-channel",
        disc_loss_family="hinge",
        latent_channels=16,
        compression=(8, 8, 8),
        default_clip=(17, 256, 256),
        smoothed_formats=("metric_logger", "pyramid_flow_json"),
        default_warmup="iters_per_epoch",
        formulas={
            "rec_loss": "mean (x - recon)^2 on inputs in [-1, 1]",
            "perceptual_loss": "mean VGG16-LPIPS over frames (the LPIPS network is left in train mode: dropout)",
            "nll_loss": "(pixelloss_weight * rec_loss + perceptual_weight * perception_loss) / exp(logvar) + logvar;"
            " logvar is in no optimizer, so it stays 0",
            "kl_loss": "sum over T, H, W of 0.5 (mu^2 + var - 1 - log var), then the mean over batch and channels",
            "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss (vae_loss is the same"
            " value)",
            "g_loss": "-mean D(recon)",
            "d_weight": ADAPTIVE + "; 0 before disc_start",
            "disc_loss": HINGE + "; absent before disc_start",
            "grad_norm": "norm before clipping (return value of clip_grad_norm_)",
            "lr": "linear from 0 over the warm-up, then cosine to min_lr",
        },
        options=_FLAG,
        known_faults=(
            KnownFault(
                "H1",
                "with several GPUs the discriminator's gradients are never averaged: one DDP forward, two backwards",
            ),
            KnownFault("E7", "--opt_betas is ignored: AdamW runs with (0.9, 0.999)"),
            KnownFault(
                "D1",
                "the shipped script sets disc_start 250,000 of 200,000 steps and leaves out"
                " --add_discriminator: it never trains a GAN",
            ),
            KnownFault(
                "D14",
                "the discriminator's learning rate follows the global step: one that starts after"
                " the warm-up starts at the peak learning rate",
            ),
            KnownFault("B3", "LPIPS runs in train mode (dropout on): its value is noisy, not biased"),
            KnownFault("H2", "only rank 0 is printed; with mixed image/video training the image ranks are never seen"),
            KnownFault("H7", "the step counter drifts by one at each resume; the discriminator's scaler is not saved"),
        ),
        defaults={"pixelloss_weight": 10.0, "perceptual_weight": 1.0, "disc_weight": 0.5, "kl_weight": 1e-12},
    ),
)
