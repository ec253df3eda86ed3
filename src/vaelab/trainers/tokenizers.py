"""VidTok, SEED-Voken and magvit2-pytorch, each checked against its source."""

from __future__ import annotations

from vaelab.trainers.shared import ADAPTIVE, LOSSCONFIG
from vaelab.trainers.types import KnownFault, Trainer

TRAINERS = (
    Trainer(
        id="vidtok",
        title="VidTok (Lightning)",
        signature=("train/non_saturated_d_loss", "train/lecam_loss"),
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
    Trainer(
        id="seed_voken",
        title="SEED-Voken (Open-MAGVIT2, IBQ)",
        signature=("train/reconstruct_loss", "train/perceptual_loss"),
        columns={"g_loss": "g_loss_weighted"},
        extra_terms={"quant_loss": "commit_weight", "entropy_loss": "codebook_weight"},
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        formulas={
            "nll_loss": "reconstruct_loss + perceptual_weight * perceptual_loss",
            "g_loss_weighted": "printed as g_loss: already multiplied by d_weight * disc_factor in training",
            "total_loss": "nll_loss + g_loss + commit_weight * commit_loss + codebook_weight * entropy_loss (times an"
            " enlargement that is annealed to 1)",
            "disc_loss": "disc_factor * (non_saturated_d_loss + lecam weight * lecam_loss)",
        },
    ),
    Trainer(
        id="seed_voken_ibq",
        title="SEED-Voken IBQ (Lightning)",
        signature=("train/unsacled_g_loss", "train/codebook_quant_loss"),
        # their spelling
        columns={"g_loss": "g_loss_weighted", "unsacled_g_loss": "g_loss", "codebook_loss": "codebook_loss"},
        extra_terms={"quant_loss": "codebook_weight", "entropy_loss": "entropy_weight"},
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        formulas={
            "nll_loss": "reconstruct_loss + perceptual_weight * perceptual_loss",
            "g_loss_weighted": "printed as g_loss: already multiplied by d_weight * disc_factor in training",
            "g_loss": "printed as unsacled_g_loss: disc_factor * -mean D(recon)",
            "quant_loss": "printed as codebook_quant_loss; without the entropy loss it is already weighted",
            "total_loss": "nll_loss + g_loss_weighted + codebook_loss, which is quant_loss_weight * quant_loss +"
            " entropy_loss_weight * entropy_loss",
            "disc_loss": "disc_factor * (plain hinge loss + lecam weight * lecam_loss)",
        },
    ),
    Trainer(
        id="magvit2",
        title="magvit2-pytorch",
        signature=("recon_loss", "discr_loss"),
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        disc_loss_scale=2.0,
        formulas={"disc_loss": "mean relu(1 + fake) + mean relu(1 - real), not halved: chance is 2.0"},
    ),
)
