"""MONAI's generative tutorials and MAISI.

Read from Project-MONAI/GenerativeModels at 7428fce (tutorials/generative: 2d_ and 3d_autoencoderkl, 3d_ldm, 2d_vqgan, 2d_ and 3d_vqvae;
generative/losses/adversarial_loss.py) and Project-MONAI/tutorials at b3c6c998 (generation/3d_ldm/train_autoencoder.py,
generation/maisi/maisi_train_vae_tutorial.ipynb).
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

_GENERATOR = (
    "mean (leaky_relu(D(recon)) - 1)^2 (least squares, unweighted): 0.25 where D answers 0.5 for everything, 1 where"
    " it calls every reconstruction false"
)
_DISCRIMINATOR = (
    "0.5 * (mean leaky_relu(D(recon))^2 + mean (leaky_relu(D(x)) - 1)^2) (least squares, unweighted): 0.25 is chance, 0 a"
    " discriminator that has won"
)
_RUNNING = (
    "printed as the mean since the epoch began, so its first row in an epoch is one batch and its last the epoch's mean"
)

DIALECTS = (
    Dialect(
        id="monai",
        title="MONAI AutoencoderKL and VQGAN tutorials",
        recognised_by=(Signature(frozenset({"recons_loss", "gen_loss", "disc_loss"}), 0.9),),
        source="Project-MONAI/GenerativeModels at 7428fce: tutorials/generative",
        columns={"recons_loss": "rec_loss", "gen_loss": "g_loss", "disc_loss": "disc_loss"},
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="sum-per-sample",
        input_range=(0.0, 1.0),
        disc_loss_family="least-squares",
        formulas={
            "rec_loss": f"mean |x - recon| of intensities in [0, 1]; {_RUNNING}",
            "g_loss": f"printed as gen_loss: {_GENERATOR}; {_RUNNING}",
            "disc_loss": f"{_DISCRIMINATOR}; {_RUNNING}; 3d_ldm prints 0 for both in its first six epochs",
            "total_loss": "not printed: rec_loss + 1e-6 * KL (or the quantiser's loss) + 0.001 * perceptual + 0.01 * g_loss",
        },
        defaults={"disc_weight": 0.01, "perceptual_weight": 0.001, "kl_weight": 1e-6, "lr": 1e-4},
    ),
    Dialect(
        id="monai_vqvae",
        title="MONAI VQVAE tutorials",
        recognised_by=(Signature(frozenset({"recons_loss", "quantization_loss"}), 0.85, frozenset({"gen_loss"})),),
        source="Project-MONAI/GenerativeModels at 7428fce: tutorials/generative/2d_vqvae, 3d_vqvae",
        columns={"recons_loss": "rec_loss", "quantization_loss": "quantization_loss_over_batches"},
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="none",
        input_range=(0.0, 1.0),
        formulas={
            "rec_loss": f"mean |x - recon| of intensities in [0, 1]; {_RUNNING}",
            "quantization_loss_over_batches": "printed as quantization_loss: the last batch's loss divided by the number of"
            " batches so far, so it falls within every epoch whatever the codebook does",
        },
        known_faults=(
            KnownFault("F7", "the printed quantization_loss is divided by the batches so far: its fall says nothing"),
        ),
    ),
    Dialect(
        id="monai_ldm",
        title="MONAI train_autoencoder.py (TensorBoard)",
        recognised_by=(Signature(frozenset({"recon_loss_iter", "kl_loss_iter", "perceptual_loss_iter"}), 0.95),),
        source="Project-MONAI/tutorials at b3c6c998: generation/2d_ldm and 3d_ldm/train_autoencoder.py",
        columns={
            "recon_loss_iter": "rec_loss",
            "kl_loss_iter": "kl_loss",
            "perceptual_loss_iter": "perceptual_loss",
            "adv_loss_iter": "g_loss",
            "fake_loss_iter": "disc_loss_fake",
            "real_loss_iter": "disc_loss_real",
        },
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="sum-per-sample",
        input_range=(0.0, 1.0),
        disc_loss_family="least-squares",
        disc_loss_scale=2.0,
        formulas={
            "rec_loss": "mean |x - recon|, or mean (x - recon)^2 with recon_loss l2",
            "perceptual_loss": "before its weight",
            "kl_loss": "sum over all latent elements, mean over the batch, before its weight",
            "g_loss": f"{_GENERATOR}; only logged from the seventh epoch on",
            "disc_loss_fake": "mean leaky_relu(D(recon))^2, not halved: 0.25 is chance",
            "disc_loss_real": "mean (leaky_relu(D(x)) - 1)^2, not halved: 0.25 is chance",
            "val/rec_loss": "rec_loss + perceptual_weight * perceptual, and its step is the epoch: not comparable with the"
            " training column",
        },
        known_faults=(KnownFault("G1", "validation is logged against the epoch, training against the step"),),
        defaults={"disc_weight": 0.01, "perceptual_weight": 0.001, "kl_weight": 1e-7, "lr": 1e-5},
    ),
    Dialect(
        id="maisi",
        title="MAISI VAE (MONAI)",
        recognised_by=(
            Signature(frozenset({"recons_loss", "kl_loss", "p_loss"}), 0.92),
            Signature(frozenset({"recons_loss_iter", "kl_loss_iter", "p_loss_iter"}), 0.95),
        ),
        source="Project-MONAI/tutorials at b3c6c998: generation/maisi/maisi_train_vae_tutorial.ipynb",
        columns={
            "vae_loss": "total_loss",
            "recons_loss": "rec_loss",
            "p_loss": "perceptual_loss",
            "recons_loss_iter": "rec_loss",
            "kl_loss_iter": "kl_loss",
            "p_loss_iter": "perceptual_loss",
            "adv_loss_iter": "g_loss",
            "fake_loss_iter": "disc_loss_fake",
            "real_loss_iter": "disc_loss_real",
        },
        rec_kind="l1",
        nll_reduction="mean",
        kl_reduction="sum-per-sample",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        disc_loss_family="least-squares",
        disc_loss_scale=2.0,
        formulas={
            "rec_loss": "printed as recons_loss: mean |x - recon|, or mean (x - recon)^2 with recon_loss l2; epoch mean",
            "perceptual_loss": "printed as p_loss: before its weight",
            "kl_loss": "sum over all latent elements, mean over the batch, before its weight (10,000 is usual)",
            "total_loss": "printed as train_vae_loss: rec_loss + kl_weight * kl_loss + perceptual_weight * perceptual_loss,"
            " without the adversarial term that is trained beside it",
            "g_loss": _GENERATOR,
            "disc_loss_fake": "mean leaky_relu(D(recon))^2, not halved: 0.25 is chance",
            "disc_loss_real": "mean (leaky_relu(D(x)) - 1)^2, not halved: 0.25 is chance",
        },
        known_faults=(
            KnownFault("E2", "the learning rate is 1% of its value for ten epochs and 10% for ten more: both are flat"),
            KnownFault(
                "G1", "in TensorBoard recons_loss, kl_loss and p_loss without a prefix are validation, by epoch"
            ),
        ),
        defaults={"disc_weight": 0.1, "perceptual_weight": 0.3, "kl_weight": 1e-7, "lr": 1e-4},
    ),
)
