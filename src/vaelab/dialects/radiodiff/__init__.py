"""RadioDiff's autoencoder of radio maps (``train_vae.py``)."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE, LOSSCONFIG
from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="radiodiff",
        title="RadioDiff (train_vae.py)",
        recognised_by=(
            Signature(frozenset(), 0.99, formats=("radiodiff_log",)),
            Signature(
                frozenset({"total_loss", "rec_loss", "kl_loss", "d_weight", "disc_factor", "learning_rate"}),
                0.9,
                frozenset({"nll_loss"}),
            ),
            Signature(
                frozenset({"nll_loss", "rec_loss", "kl_loss", "logvar", "lr"}),
                0.75,
                frozenset({"perception_loss", "p_loss", "grad_norm"}),
            ),
        ),
        source="UNIC-Lab/RadioDiff at 14c4a8c",
        losses=frozenset({"total_loss", "kl_loss", "nll_loss", "rec_loss", "g_loss", "disc_loss"}),
        setting_names={"train_num_steps": "total_steps", "pixel_weight": "pixelloss_weight"},
        rec_kind="l1+mse+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        latent_channels=3,
        compression=(1, 4, 4),
        images_only=True,
        input_channels=1,
        d_weight_logged_before_start=True,
        half_total_in=("tensorboard",),
        clip_before_step=False,
        formulas={
            "rec_loss": "mean (|x - recon| + (x - recon)^2) + perceptual_weight * LPIPS: PSNR cannot be read from"
            " it, only bounded",
            "nll_loss": "N * (rec_loss / exp(logvar) + logvar), N = pixels of one map (65,536 for 256x256x1);"
            " logvar stays 0",
            "kl_loss": "sum over all latent elements, mean over the batch",
            "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss; in TensorBoard"
            " (that + disc_loss) / 2",
            "g_loss": "-mean D(recon); printed from step 0 although it is multiplied by disc_factor 0",
            "d_weight": ADAPTIVE + "; printed (and meaningless) before disc_start",
            "disc_loss": HINGE + "; 0 before disc_start because disc_factor is 0",
            "lr": "printed with 5 decimals: 5e-6 reads 0.00001 or 0.00000",
        },
        options={k: f"model.lossconfig.{k}: {{}}" for k in LOSSCONFIG}
        | {
            "lr": "trainer.lr: {}",
            "total_steps": "trainer.train_num_steps: {}",
            "batch_size": "data.batch_size: {}",
        },
        known_faults=(
            KnownFault("E5", "gradients are clipped after the optimizer step: clipping does nothing"),
            KnownFault(
                "H1", "training calls model.module directly: with several GPUs gradients are never synchronised"
            ),
            KnownFault("E8", "min_lr is used as a multiplier: the learning rate falls to 2.5e-12, not to 5e-7"),
            KnownFault(
                "E9",
                "gradient_accumulate_every is used as the number of optimizers: nothing is"
                " accumulated and both losses are halved",
            ),
            KnownFault("A6", "the train split (map 0..600 inclusive) overlaps validation and test (from 600)"),
            KnownFault("I1", "preview images come from the training batch"),
            KnownFault(
                "E2",
                "the learning rate (5e-6) is not scaled by the batch; latent-diffusion's 4.5e-6 is scaled to 1.08e-4",
            ),
            KnownFault("G3", "resolution 320 in the config is not read: data are 256x256"),
        ),
        defaults={"disc_start": 50001, "disc_weight": 0.5, "kl_weight": 1e-6, "total_steps": 150000},
    ),
)
