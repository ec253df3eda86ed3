"""TiTok and TA-TiTok, read from bytedance/1d-tokenizer at 942a96f: modeling/modules/losses.py, utils/train_utils.py, utils/logger.py, modeling/quantizer/quantizer.py.

Stage 1 predicts the codes of a MaskGIT-VQGAN, stage 2 (and TA-TiTok's only stage) pixels; the console line is the same in
both, so a console log does not say what its reconstruction loss is.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

_SOURCE = "bytedance/1d-tokenizer at 942a96f: modeling/modules/losses.py, utils/train_utils.py"

_COLUMNS = {
    "reconstruction_loss": "rec_loss",
    "quantizer_loss": "quant_loss",
    "commitment_loss": "commitment_loss",
    "codebook_loss": "codebook_loss",
    "discriminator_factor": "disc_factor",
    "discriminator_loss": "disc_loss",
    "weighted_gan_loss": "g_loss_weighted",
    "gan_loss": "g_loss",
    "lr/generator": "lr",
    "time/data_time": "data_time",
    "time/batch_time": "step_time",
    "rfid": "val/rfid",
    "codebookusage": "val/cluster_usage",
    "codebookentropy": "val/codebook_entropy",
    "inceptionscore": "val/inception_score",
    "ema_eval/rfid": "val_ema/rfid",
    "ema_eval/codebookusage": "val_ema/cluster_usage",
    "ema_eval/codebookentropy": "val_ema/codebook_entropy",
    "ema_eval/inceptionscore": "val_ema/inception_score",
}

_SHARED = {
    "quant_loss": "printed as quantizer_loss: already multiplied by quantizer_weight (0 in stage 2)",
    "commitment_loss": "commitment_cost * mean (sg[z_q] - z)^2; a part of quant_loss before its weight",
    "codebook_loss": "mean (z_q - sg[z])^2; a part of quant_loss before its weight",
    "grad_norm/*": "2-norm of one parameter's gradient divided by its number of elements: about 1e-8 to 1e-5 is usual,"
    " and a large matrix has a small value",
}
_PIXELS = {
    "rec_loss": "reconstruction_weight * mean (x - recon)^2 of pictures in [0, 1]",
    "perceptual_loss": "already multiplied by perceptual_weight",
    "g_loss": "printed as gan_loss: -mean D(recon), 0 before discriminator_start",
    "g_loss_weighted": "d_weight * discriminator_factor * gan_loss",
    "d_weight": "discriminator_weight itself, a constant",
    "disc_loss": "discriminator_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))) + lecam_loss; not logged"
    " before discriminator_start",
    "lecam_loss": "already multiplied by lecam_regularization_weight, and inside disc_loss",
}

DIALECTS = (
    Dialect(
        id="titok_stage1",
        title="TiTok stage 1 (1d-tokenizer)",
        recognised_by=(
            Signature(
                frozenset({"reconstruction_loss", "quantizer_loss"}),
                0.9,
                frozenset({"weighted_gan_loss", "perceptual_loss"}),
            ),
        ),
        source=_SOURCE,
        columns=_COLUMNS,
        rec_kind="cross-entropy",
        nll_reduction="mean",
        kl_reduction="none",
        input_range=None,
        formulas=_SHARED
        | {
            "rec_loss": "cross-entropy of 1,024 proxy codes, mean per token: ln 1024 = 6.93 is knowing nothing",
            "total_loss": "rec_loss + quant_loss",
        },
        defaults={"lr": 1e-4, "warmup_steps": 10000},
    ),
    Dialect(
        id="titok",
        title="TiTok stage 2 and TA-TiTok (1d-tokenizer)",
        recognised_by=(Signature(frozenset({"weighted_gan_loss", "quantizer_loss", "discriminator_factor"}), 0.95),),
        source=_SOURCE,
        columns=_COLUMNS,
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        fixed_d_weight=True,
        d_weight_logged_before_start=True,
        formulas=_SHARED
        | _PIXELS
        | {"total_loss": "rec_loss + perceptual_loss + quant_loss + g_loss_weighted, each with its weight inside"},
        defaults={
            "disc_start": 20000,
            "disc_weight": 0.01,
            "perceptual_weight": 0.1,
            "pixelloss_weight": 1.0,
            "lr": 1e-4,
        },
    ),
    Dialect(
        id="tatitok_vae",
        title="TA-TiTok with a KL (1d-tokenizer)",
        recognised_by=(
            Signature(
                frozenset({"weighted_gan_loss", "discriminator_factor", "kl_loss"}),
                0.9,
                frozenset({"quantizer_loss", "vae_align_loss", "discriminator_grad_norm", "psnr"}),
            ),
        ),
        source=_SOURCE,
        columns=_COLUMNS,
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        fixed_d_weight=True,
        d_weight_logged_before_start=True,
        formulas=_PIXELS
        | {
            "kl_loss": "already multiplied by kl_weight: sum over all latent elements, mean over the batch, times 1e-6",
            "total_loss": "rec_loss + perceptual_loss + kl_loss + g_loss_weighted, each with its weight inside",
        },
        defaults={
            "disc_start": 200000,
            "disc_weight": 0.1,
            "perceptual_weight": 1.1,
            "pixelloss_weight": 1.0,
            "kl_weight": 1e-6,
            "lr": 1e-4,
        },
    ),
    Dialect(
        id="titok_console",
        title="1d-tokenizer console log (either stage)",
        recognised_by=(
            Signature(frozenset({"total_loss", "recon_loss", "data_(t)", "batch_(t)"}), 0.9),
            Signature(frozenset({"total_loss", "recon_loss", "codebookusage", "rfid"}), 0.9),
        ),
        source=_SOURCE,
        columns=_COLUMNS | {"data_(t)": "data_time", "batch_(t)": "step_time", "recon_loss": "rec_loss"},
        kl_reduction="none",
        input_range=None,
        formulas={
            "rec_loss": "stage 1: cross-entropy of 1,024 proxy codes (6.93 is knowing nothing); stage 2: weighted pixel loss."
            " The line does not say which",
            "total_loss": "with the adversarial term in stage 2",
            "lr": "printed with 6 decimals: 0.000000 in the first steps of the warm-up",
        },
    ),
)
