"""The example scripts of diffusers, and vqgan-training, each checked against its source."""

from __future__ import annotations

from vaelab.trainers.shared import ADAPTIVE, HINGE
from vaelab.trainers.types import KnownFault, Trainer

TRAINERS = (
    Trainer(
        id="diffusers",
        title="diffusers train_autoencoderkl.py",
        signature=("p_loss", "disc_weight", "nll_loss"),
        columns={"disc_weight": "d_weight"},
        rec_kind="mse+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        d_weight_logged_before_start=True,
        formulas={
            "rec_loss": "mean (x - recon)^2 + perceptual_scale * LPIPS",
            "nll_loss": "N * rec_loss",
            "total_loss": "nll_loss + kl_scale * kl_loss + disc_weight * disc_factor * g_loss",
            "d_weight": "printed as disc_weight: " + ADAPTIVE,
            "kl_loss": "sum over dims 1..3 (for 5-D latents too), mean over the rest",
            "disc_loss": HINGE,
            "g_loss": "-mean D(recon)",
        },
        options={
            "kl_weight": "--kl_scale {}",
            "perceptual_weight": "--perceptual_scale {}",
            "lr": "--learning_rate {}",
            "disc_start": "--disc_start {}",
            "disc_lr": "--disc_learning_rate {}",
        },
        known_faults=(
            KnownFault("B2", "LPIPS is computed under no_grad: it is added to the loss and trains nothing"),
            KnownFault(
                "H1", "the VAE is called through unwrap_model: with several GPUs gradients are not synchronised"
            ),
            KnownFault(
                "D10",
                "the discriminator step does not detach the reconstruction: its gradient leaks into the generator",
            ),
        ),
    ),
    Trainer(
        id="diffusers_vqgan",
        title="diffusers train_vqgan.py",
        signature=("step_gen_loss", "step_discr_loss"),
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        formulas={
            "total_loss": "printed as step_gen_loss: mse + commitment + LPIPS + adaptive weight * -mean D(recon)",
            "disc_loss": "printed as step_discr_loss: mean relu(1 + fake) + mean relu(1 - real), not halved, + 10 *"
            " gradient penalty: chance is 2.0",
        },
    ),
    Trainer(
        id="vqgan_training",
        title="vqgan-training (vae_trainer.py)",
        signature=("overall_vae_loss", "mse_loss"),
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
