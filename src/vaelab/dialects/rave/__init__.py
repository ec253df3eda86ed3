"""RAVE: phase 1 without and phase 2 with a discriminator and a frozen encoder; scalars go to TensorBoard only.

Read: acids-ircam/RAVE at f048ec4, ``rave/model.py``, ``rave/core.py``, ``rave/blocks.py``, ``rave/configs/v1.gin``, ``v2.gin``,
``scripts/train.py``.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="rave",
        title="RAVE (Lightning)",
        source="acids-ircam/RAVE at f048ec4",
        reading_only=True,
        recognised_by=(Signature(frozenset({"fullband_spectral_distance", "beta_factor"}), 0.95),),
        columns={
            "fullband_spectral_distance": "rec_loss",
            "adversarial": "g_loss_weighted",
            "feature_matching": "feature_matching_loss",
            "loss_dis": "disc_loss",
            "pred_real": "logits_real",
            "pred_fake": "logits_fake",
            "validation": "val/rec_loss",
        },
        rec_kind="spectral",
        input_range=None,
        formulas={
            "rec_loss": "printed as fullband_spectral_distance: sum over STFT sizes of a relative squared error and an L1 of the logarithms;"
            " multiband_spectral_distance is the same of the sixteen bands",
            "g_loss_weighted": "printed as adversarial: sum over the discriminator's scales of -mean D(recon) with the hinge loss, from"
            " phase_1_duration on",
            "disc_loss": "printed as loss_dis: hinge, summed over the scales and not halved: chance is 2.0 times their number",
            "logits_real": "printed as pred_real: summed over the scales",
            "regularization": "beta_factor * the encoder's regulariser: twice the KL (sum over channels, mean over time) for a variational"
            " encoder, the commitment loss for a discrete one, MMD for a Wasserstein one; the log does not say which. From phase_1_duration on the encoder is frozen and it has no effect",
        },
        known_faults=(
            KnownFault(
                "E6",
                "feature_matching and adversarial are multiplied by their weight twice on the way into the loss (20 * 20 for feature"
                " matching); the log shows them multiplied once",
            ),
        ),
        defaults={"disc_start": 1000000},
    ),
)
