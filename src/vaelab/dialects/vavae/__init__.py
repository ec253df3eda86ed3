"""VA-VAE, read from hustvl/LightningDiT at 2725fed: vavae/ldm/modules/losses/contperceptual.py, vavae/ldm/models/autoencoder.py, vavae/configs.

A fork of latent-diffusion that aligns the latent with the features of a vision foundation model; without ``use_vf`` it
prints its parent's columns and cannot be told from it.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="vavae",
        title="VA-VAE (LightningDiT, Lightning)",
        recognised_by=(
            Signature(frozenset({"vf_loss", "vf_weight", "nll_loss"}), 0.98),
            Signature(frozenset({"vf_loss", "kl_loss", "rec_loss"}), 0.96),
        ),
        source="hustvl/LightningDiT at 2725fed: vavae/ldm/modules/losses/contperceptual.py, vavae/ldm/models/autoencoder.py",
        columns={
            "aeloss": "total_loss",
            "discloss": "disc_loss",
            "vf_loss": "alignment_loss",
            "vf_weight": "vf_weight",
        },
        weighted_terms={"alignment_loss": "vf_weight"},
        rec_kind="l1+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        d_weight_logged_before_start=True,
        steps_per_batch=2,
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS",
            "nll_loss": "N * (rec_loss / exp(logvar) + logvar), N = C*H*W (196,608 for 256x256x3); the mean instead, with"
            " logvar left out, if pp_style",
            "kl_loss": "sum over all latent elements, mean over the batch; the mean over all if pp_style",
            "alignment_loss": "printed as vf_loss: distmat_weight * mean relu(|difference of cosine similarities| -"
            " distmat_margin) + cos_weight * mean relu(1 - cos_margin - cosine similarity)",
            "vf_weight": "with adaptive_vf: vf_weight * clamp(|d nll/d W| / (|d vf_loss/d W| + 1e-4), 0, 1e8) at the"
            " encoder's last layer, anew in each step; else the setting itself. 1,000 and more is usual: nll is a sum",
            "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss + vf_weight * vf_loss",
            "d_weight": "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, 1e4), computed and printed"
            " before disc_start too",
            "g_loss": "-mean D(recon)",
            "disc_loss": "disc_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))); 0 before disc_start",
        },
        known_faults=(
            KnownFault(
                "G1",
                "disc_start is compared with Lightning 2's global_step, two per batch: 5,001 means batch 2,501",
            ),
            KnownFault("F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"),
        ),
        defaults={"disc_start": 5001, "disc_weight": 0.5, "kl_weight": 1e-6, "vf_weight": 0.1, "lr": 1e-4},
    ),
)
