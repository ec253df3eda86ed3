"""descript-audio-codec: an RVQ-GAN; its tracker writes TensorBoard tags with the split at the end (``mel/loss/train``).

Read: descriptinc/descript-audio-codec at c7cfc5d, ``scripts/train.py``, ``dac/nn/loss.py``, ``dac/nn/quantize.py``, ``conf/base.yml``;
descriptinc/audiotools at 348ebf2, ``audiotools/ml/decorators.py``. ``log.txt`` holds drawn tables of all keys, last value and mean
since the validation before, once a validation.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

_COLUMNS = {
    "loss": "total_loss",
    "mel/loss": "rec_loss",
    "adv/gen_loss": "g_loss",
    "adv/feat_loss": "feature_matching_loss",
    "adv/disc_loss": "disc_loss",
    "vq/commitment_loss": "quant_loss",
    "other/grad_norm": "grad_norm",
    "other/grad_norm_d": "disc_grad_norm",
    "other/learning_rate": "lr",
    "time/train_loop": "step_time",
}
_HELD_OUT = {"mel/loss/val": "val/rec_loss"}

DIALECTS = (
    Dialect(
        id="dac",
        title="descript-audio-codec",
        source="descriptinc/descript-audio-codec at c7cfc5d",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"mel/loss", "adv/gen_loss"}), 0.95),
            Signature(frozenset({"mel/loss/train", "adv/gen_loss/train"}), 0.95),
        ),
        columns=_COLUMNS | {f"{name}/train": metric for name, metric in _COLUMNS.items()} | _HELD_OUT,
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        extra_terms={"quant_loss": "commit_weight"},
        disc_loss_family="least-squares",
        disc_loss_scale=16.0,  # both halves, eight discriminators
        formulas={
            "total_loss": "15 * mel/loss + 2 * adv/feat_loss + adv/gen_loss + 0.25 * vq/commitment_loss + vq/codebook_loss (lambdas of"
            " conf/base.yml; the code's own default for mel is 100); for validation it is mel/loss alone",
            "rec_loss": "printed as mel/loss: L1 of log10 mel spectra, summed over seven window lengths, without weight",
            "g_loss": "least squares: sum over all discriminators of mean (1 - D(recon))^2, always positive; 0.25 each at chance",
            "disc_loss": "least squares: sum over all discriminators of mean D(recon)^2 + mean (1 - D(x))^2; 0.5 each at chance, 1 each"
            " for outputs at 0. With the shipped settings there are eight (five periods, three STFT sizes)",
            "feature_matching_loss": "sum over discriminators and layers of the mean |difference|, without weight",
            "grad_norm": "before clipping at 1,000 (discriminator: 10)",
            "quant_loss": "summed over the residual codebooks in use; vq/codebook_loss is the same number with the gradient on the codes",
        },
    ),
)
