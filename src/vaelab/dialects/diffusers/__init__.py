"""The two example scripts of diffusers: ``train_autoencoderkl.py`` and ``train_vqgan.py``."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE
from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="diffusers",
        title="diffusers train_autoencoderkl.py",
        recognised_by=(Signature(frozenset({"p_loss", "nll_loss", "kl_loss", "disc_weight"}), 0.9),),
        source="huggingface/diffusers at 58eb52c080",
        setting_names={
            "kl_scale": "kl_weight",
            "perceptual_scale": "perceptual_weight",
            "disc_learning_rate": "disc_lr",
        },
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
    Dialect(
        id="diffusers_vqgan",
        title="diffusers train_vqgan.py",
        recognised_by=(Signature(frozenset({"step_gen_loss", "step_discr_loss"}), 0.95),),
        source="huggingface/diffusers at 58eb52c080",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        formulas={
            "total_loss": "printed as step_gen_loss: mse + commitment + LPIPS + adaptive weight * -mean D(recon)",
            "disc_loss": "printed as step_discr_loss: mean relu(1 + fake) + mean relu(1 - real), not halved, + 10 *"
            " gradient penalty: chance is 2.0",
        },
    ),
)
