"""SEED-Voken: Open-MAGVIT2 and IBQ, trained under Lightning."""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="seed_voken",
        title="SEED-Voken (Open-MAGVIT2, IBQ)",
        recognised_by=(Signature(frozenset({"reconstruct_loss", "perceptual_loss"}), 0.9),),
        source="TencentARC/SEED-Voken at b9a17ea",
        setting_names={"lecam_loss_weight": "lecam_weight"},
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
    Dialect(
        id="seed_voken_ibq",
        title="SEED-Voken IBQ (Lightning)",
        recognised_by=(Signature(frozenset({"unsacled_g_loss", "codebook_quant_loss"}), 0.95),),
        source="TencentARC/SEED-Voken at b9a17ea",
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
)
