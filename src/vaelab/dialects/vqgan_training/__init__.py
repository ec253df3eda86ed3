"""vqgan-training (``vae_trainer.py``)."""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="vqgan_training",
        title="vqgan-training (vae_trainer.py)",
        recognised_by=(Signature(frozenset({"overall_vae_loss"}), 0.95),),
        source="cloneofsimo/vqgan-training at 379fe36",
        rec_kind="unknown",
        nll_reduction="mean",
        kl_reduction="unknown",
        disc_loss_family="unknown",
        columns={"mse_loss": "mse_loss"},
        formulas={
            "kl_loss": "mean of z^2: not a KL",
            "rec_loss": "not logged: mse_loss is always 0, the pixel loss is off",
            "total_loss": "perceptual_loss + gan_loss + 0.1 * kl_loss; gradients are renormalised, so its value does not"
            " describe the update",
            "disc_loss": "binary cross-entropy or hinge: ln 2 = 0.693 or 1 is chance",
        },
    ),
)
