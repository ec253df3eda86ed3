"""REPA-E, read from End2End-Diffusion/REPA-E at 3ad8046: train_repae.py, loss/losses.py, configs/l1_lpips_kl_gan.yaml.

A trained VAE is tuned on together with a diffusion transformer: its losses start low and may stay level in a healthy run.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="repae",
        title="REPA-E train_repae.py",
        recognised_by=(
            Signature(frozenset({"vae_align_loss", "sit_loss"}), 0.98),
            Signature(frozenset({"vae_align_loss", "weighted_gan_loss"}), 0.98),
        ),
        source="End2End-Diffusion/REPA-E at 3ad8046: train_repae.py, loss/losses.py",
        columns={
            "vae_loss": "total_loss",
            "reconstruction_loss": "rec_loss",
            "weighted_gan_loss": "g_loss_weighted",
            "gan_loss": "g_loss",
            "discriminator_factor": "disc_factor",
            "vae_align_loss": "alignment_loss",
            "d_loss": "disc_loss",
            "grad_norm_vae": "grad_norm",
            "grad_norm_disc": "disc_grad_norm",
            "grad_norm_sit": "sit_grad_norm",
            "proj_loss": "sit_proj_loss",
            "denoising_loss": "sit_denoising_loss",
        },
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        fixed_d_weight=True,
        extra_terms={"alignment_loss": "vae_align_proj_coeff"},
        formulas={
            "rec_loss": "printed as reconstruction_loss: mean |x - recon| of pictures in [-1, 1]",
            "perceptual_loss": "LPIPS, already multiplied by perceptual_weight",
            "kl_loss": "already multiplied by kl_weight: sum over all latent elements, mean over the batch, times 1e-6",
            "alignment_loss": "printed as vae_align_loss: minus the cosine similarity with the encoder's features, so"
            " between -1 and 1 and falling",
            "total_loss": "printed as vae_loss: rec_loss + perceptual_loss + kl_loss + g_loss_weighted + 1.5 *"
            " vae_align_loss",
            "d_weight": "discriminator_weight (0.1) itself, a constant",
            "disc_loss": "0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))), from step 0",
            "sit_loss": "loss of the diffusion model (denoising_loss + 0.5 * proj_loss): none of the VAE's",
        },
        defaults={
            "disc_start": 0,
            "disc_weight": 0.1,
            "kl_weight": 1e-6,
            "perceptual_weight": 1.0,
            "pixelloss_weight": 1.0,
            "lr": 1e-4,
        },
    ),
)
