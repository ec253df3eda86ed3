"""AcademiCodec's EnCodec and SoundStream: ``<epoch:0, iter:10, total_loss_g:..., ...>``; its HiFi-Codec is beside HiFi-GAN.

Read: yangdongchao/AcademiCodec at b6ac134, ``academicodec/models/encodec/main_launch.py``, ``models/encodec/loss.py``, ``utils.py``,
``egs/SoundStream_24k_240d/main3_ddp.py``. ``iter`` counts within the epoch.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="academicodec",
        title="AcademiCodec (EnCodec, SoundStream)",
        source="yangdongchao/AcademiCodec at b6ac134",
        reading_only=True,
        recognised_by=(Signature(frozenset({"total_loss_g", "adv_g_loss", "loss_d"}), 0.95),),
        columns={
            "total_loss_g": "total_loss",
            "adv_g_loss": "g_loss",
            "feat_loss": "feature_matching_loss",
            "commit_loss": "quant_loss",
            "loss_d": "disc_loss",
            "total_loss_g_train": "epoch/total_loss",
            "recon_loss_train": "epoch/rec_loss",
            "adversarial_loss_train": "epoch/g_loss",
            "feature_loss_train": "epoch/feature_matching_loss",
            "commit_loss_train": "epoch/quant_loss",
            "total_loss_g_valid": "val/total_loss",
            "recon_loss_valid": "val/rec_loss",
            "adversarial_loss_valid": "val/g_loss",
            "feature_loss_valid": "val/feature_matching_loss",
            "commit_loss_valid": "val/quant_loss",
        },
        rec_kind="spectral",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        fixed_d_weight=True,
        input_range=None,
        extra_terms={"feature_matching_loss": "feature_matching_weight", "quant_loss": "commit_weight"},
        formulas={
            "total_loss": "rec_loss + LAMBDA_ADV * adv_g_loss + LAMBDA_FEAT * feat_loss + LAMBDA_COM * commit_loss (1, 1 and 1000 by default);"
            " the GAN's two terms from discriminator_iter_start on",
            "rec_loss": "LAMBDA_WAV (100) * mean squared error of the waveform + sum over six windows of L1 of mel and root mean square of"
            " log-mel differences",
            "g_loss": "printed as adv_g_loss: mean relu(1 - D(recon)) over the three kinds of discriminator, never negative, 1.0 for outputs at"
            " 0; printed before its start too, without effect there",
            "disc_loss": "printed as loss_d: LAMBDA_ADV * (mean relu(1 - D(x)) + mean relu(1 + D(recon))), not halved: chance is 2.0; exactly 0"
            " before the start",
            "d_weight": "the constant 1: the adaptive weight is commented out",
        },
        known_faults=(
            KnownFault(
                "G2",
                "the step that discriminator_iter_start is compared with begins at 0 again after a resume: the GAN is off for another 500 steps",
            ),
        ),
        defaults={"disc_start": 500, "disc_weight": 1.0},
    ),
)
