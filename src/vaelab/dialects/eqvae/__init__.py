"""EQ-VAE, read from zelaki/eqvae at c34589c: train_eqvae/ldm/models/autoencoder.py, ldm/modules/losses/contperceptual.py, configs/eqvae_config.yaml.

A fork of latent-diffusion that trains half of its batches on scaled and turned latents: the size of the picture changes
from batch to batch, and with it every sum over pixels.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="eqvae",
        title="EQ-VAE (Lightning)",
        recognised_by=(
            Signature(frozenset({"aeloss_scale-1-image", "rec_loss"}), 0.97),
            Signature(frozenset({"discloss_scale-1-image", "rec_loss"}), 0.97),
        ),
        source="zelaki/eqvae at c34589c: train_eqvae/ldm/models/autoencoder.py, ldm/modules/losses/contperceptual.py",
        rec_kind="l1+lpips",
        nll_reduction="sum-per-sample",
        size_varies=True,
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS, of the picture at this batch's scale",
            "nll_loss": "N * rec_loss with N = the pixels of the scaled picture: 1/16 to 1 of C*H*W, so it jumps from batch"
            " to batch and cannot be compared between rows",
            "kl_loss": "sum over all latent elements, mean over the batch",
            "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss",
            "aeloss_scale-S-M": "total_loss of the batches at scale S, mode M: latent (scaled and turned latents) or image"
            " (prior preservation); aeloss_scale-1-image is the plain VAE's and the one to compare",
            "d_weight": "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, 1e4); grows and shrinks with"
            " the scale",
            "disc_loss": "disc_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon)))",
            "g_loss": "-mean D(recon)",
        },
        known_faults=(
            KnownFault("F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"),
        ),
        defaults={"disc_start": 0, "disc_weight": 0.5, "kl_weight": 1e-6},
    ),
)
