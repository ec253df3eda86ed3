"""HiFi-GAN, BigVGAN and HiFi-Codec: one mel error and one sum a line; only their logs are read.

Read: jik876/hifi-gan at 4769534, ``train.py``; NVIDIA/BigVGAN at 7d2b454, ``train.py``, ``loss.py``; yangdongchao/AcademiCodec at
b6ac134, ``academicodec/models/hificodec/train.py``, ``models.py``. The first two are vocoders: their input is the mel spectrum itself.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

_COLUMNS = {
    "gen_loss_total": "total_loss",
    "mel-spec._error": "rec_loss",
    "mel_spec_error": "rec_loss",
    "mel_error": "rec_loss",
    "s/b": "step_time",
}
_NOT_LOGGED = "the adversarial and feature terms (least squares, over all discriminators) are in the sum and not logged"

DIALECTS = (
    Dialect(
        id="hifigan",
        title="HiFi-GAN",
        source="jik876/hifi-gan at 4769534",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"gen_loss_total", "mel-spec._error"}), 0.9, without=frozenset({"loss_q"})),
            Signature(frozenset({"gen_loss_total", "mel_spec_error"}), 0.85, without=frozenset({"fm_loss_mpd"})),
        ),
        columns=_COLUMNS,
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        formulas={
            "rec_loss": "L1 of log-mel spectra, without its weight of 45",
            "total_loss": f"45 * mel error + adversarial + feature matching; {_NOT_LOGGED}",
        },
    ),
    Dialect(
        id="bigvgan",
        title="BigVGAN",
        source="NVIDIA/BigVGAN at 7d2b454",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"gen_loss_total", "mel_error", "grad_norm_g"}), 0.95),
            Signature(frozenset({"gen_loss_total", "mel_spec_error", "fm_loss_mpd"}), 0.95),
        ),
        columns=_COLUMNS | {"grad_norm_g": "grad_norm", "learning_rate_g": "lr", "learning_rate_d": "disc_lr"},
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        formulas={
            "rec_loss": "mel loss without its weight (lambda_melloss, 45 in v1, 15 in v2): L1 of log-mel spectra, of several windows in v2",
            "total_loss": "lambda_melloss * mel error + adversarial + feature matching; before freeze_step the mel loss alone. The text log"
            " has neither of the others; TensorBoard has them by discriminator (mpd, mrd)",
            "grad_norm": "before clipping at clip_grad_norm (1,000 by default)",
        },
    ),
    Dialect(
        id="hificodec",
        title="HiFi-Codec (AcademiCodec)",
        source="yangdongchao/AcademiCodec at b6ac134",
        reading_only=True,
        recognised_by=(Signature(frozenset({"gen_loss_total", "loss_q"}), 0.95),),
        columns=_COLUMNS | {"loss_q": "quant_loss"},
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        extra_terms={"quant_loss": "commit_weight"},
        formulas={
            "rec_loss": "printed as Mel-Spec. Error: L1 of log-mel spectra of one window, without its weight of 45",
            "total_loss": f"45 * mel error + two more mel errors + adversarial + feature matching + 10 * Loss Q; {_NOT_LOGGED}",
            "quant_loss": "printed as Loss Q, without its weight of 10",
        },
    ),
)
