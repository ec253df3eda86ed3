"""VidTok's video tokenizers, trained under Lightning."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, LOSSCONFIG
from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="vidtok",
        title="VidTok (Lightning)",
        recognised_by=(
            # above latent-diffusion, whose columns it prints too
            Signature(frozenset({"non_saturated_d_loss", "rec_loss"}), 0.97, frozenset({"reconstruct_loss"})),
        ),
        source="microsoft/VidTok at d6ad92d",
        losses=frozenset(
            {
                "total_loss",
                "kl_loss",
                "nll_loss",
                "rec_loss",
                "p_loss",
                "aux_loss",
                "g_loss",
                "disc_loss",
                "non_saturated_d_loss",
                "lecam_loss",
                "commit_loss",
                "entropy_loss",
            }
        ),
        setting_names={"lecam_loss_weight": "lecam_weight"},
        rec_kind="l1+lpips",
        nll_reduction="sum-per-frame",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        d_weight_logged_before_start=True,
        steps_per_batch=2,
        logvar_learned=True,
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS",
            "nll_loss": "N * (rec_loss / exp(logvar) + logvar) with N per frame: negative once logvar has learned",
            "kl_loss": "sum over the whole clip, mean over the batch: T times heavier than an image's",
            "total_loss": "nll_loss + d_weight * disc_factor * g_loss + 1e-6 * kl_loss",
            "disc_loss": "disc_factor * (non_saturated_d_loss + lecam_loss_weight * lecam_loss)",
            "g_loss": "softplus(-mean D(recon)): starts at 0.693, never negative",
            "d_weight": ADAPTIVE,
        },
        options={k: f"model.params.loss_config.params.{k}={{}}" for k in LOSSCONFIG},
        known_faults=(
            KnownFault(
                "G1",
                "disc_start is compared with Lightning's global_step, two per batch: 20,001 means batch 10,001",
            ),
            KnownFault("A4", "a video that cannot be read becomes a black clip, and is trained on"),
        ),
    ),
)
