"""StableDiffusion-PyTorch's VQVAE, read from explainingai-code/StableDiffusion-PyTorch at f562b15: tools/train_vqvae.py, config/*.yaml.

One line an epoch, and no colon after ``D Loss``.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="explainingai",
        title="explainingai StableDiffusion-PyTorch train_vqvae.py",
        recognised_by=(Signature(frozenset({"recon_loss", "perceptual_loss", "codebook"}), 0.9),),
        source="explainingai-code/StableDiffusion-PyTorch at f562b15: tools/train_vqvae.py",
        columns={
            "recon_loss": "rec_loss",
            "codebook": "quant_loss",
            "g_loss": "g_loss_weighted",
            "d_loss": "disc_loss",
        },
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="least-squares",
        disc_loss_scale=0.5,  # disc_weight
        formulas={
            "rec_loss": "printed as Recon Loss: mean (x - recon)^2 of pictures in [-1, 1], epoch mean",
            "perceptual_loss": "already multiplied by perceptual_weight (1)",
            "quant_loss": "printed as Codebook: codebook_weight (1) * codebook term; the commitment term is not printed",
            "g_loss_weighted": "printed as G Loss: disc_weight (0.5) * mean (D(recon) - 1)^2, mean over the steps after"
            " disc_start; not printed in epochs before it",
            "disc_loss": "printed as D Loss: disc_weight * 0.5 * (mean D(recon)^2 + mean (D(x) - 1)^2): chance is 0.25 *"
            " disc_weight = 0.125",
        },
        known_faults=(
            KnownFault(
                "E9", "with autoencoder_acc_steps > 1 the last batches of an epoch are stepped whatever their number"
            ),
        ),
        defaults={
            "disc_start": 1000,
            "disc_weight": 0.5,
            "perceptual_weight": 1.0,
            "pixelloss_weight": 1.0,
            "lr": 1e-4,
        },
    ),
)
