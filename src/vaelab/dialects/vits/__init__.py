"""VITS and RVC: conditional VAEs for speech with HiFi-GAN's losses; only their logs are read.

Read: jaywalnut310/vits at 2e561ba, ``train.py``, ``losses.py``, ``configs/ljs_base.json``;
RVC-Project/Retrieval-based-Voice-Conversion-WebUI at 4338f12, ``train/train.py``, ``configs/v2/48k.json``.
VITS' text log prints its six losses, step and learning rate as one list without names; so-vits-svc (svc-develop-team/so-vits-svc,
``train.py``) prints its five losses so, with names for the step and the rate.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

_TENSORBOARD = {
    "loss/g/total": "total_loss",
    "loss/g/mel": "rec_loss",
    "loss/g/kl": "kl_loss",
    "loss/g/fm": "feature_matching_loss",
    "loss/d/total": "disc_loss",
    "grad_norm_g": "grad_norm",
    "grad_norm_d": "disc_grad_norm",
}
_TEXT = {
    "loss_mel": "rec_loss",
    "loss_kl": "kl_loss",
    "loss_gen": "g_loss",
    "loss_fm": "feature_matching_loss",
    "loss_disc": "disc_loss",
}
# losses of a list without names, by their number; GPT-SoVITS prints a second KL where VITS prints the duration
PRINTED_LOSSES = {
    5: ("loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_kl"),
    6: ("loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_dur", "loss_kl"),
}
_FORMULAS = {
    "rec_loss": "45 * L1 of log-mel spectra, already weighted",
    "kl_loss": "between the posterior and the flow's prior, sampled, summed over channels, mean over frames, times c_kl (1): not a KL to"
    " N(0, 1), and it may be negative",
    "disc_loss": "least squares: sum over the discriminators (six in VITS, seven in RVC v1, nine in v2) of mean (1 - D(x))^2 + mean"
    " D(recon)^2; 0.5 each at chance, 1.0 each for outputs at 0",
    "feature_matching_loss": "2 * sum over discriminators and layers of the mean |difference|",
}

DIALECTS = (
    Dialect(
        id="vits",
        title="VITS",
        source="jaywalnut310/vits at 2e561ba",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"loss/g/mel", "loss/g/kl", "loss/g/dur"}), 0.95),
            Signature(frozenset({"loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_dur", "loss_kl"}), 0.95),
        ),
        columns=_TENSORBOARD | _TEXT,
        rec_kind="spectral",
        input_range=None,
        disc_loss_family="least-squares",
        disc_loss_scale=12.0,  # both halves, six discriminators
        formulas=_FORMULAS
        | {
            "g_loss": "printed as loss_gen: least squares, sum over six discriminators of mean (1 - D(recon))^2; 0.25 each at chance",
            "total_loss": "adversarial term (not logged as a sum) + feature matching + mel + duration + KL, as they are logged",
        },
    ),
    Dialect(
        id="rvc",
        title="RVC",
        source="RVC-Project/Retrieval-based-Voice-Conversion-WebUI at 4338f12",
        reading_only=True,
        recognised_by=(
            Signature(
                frozenset({"loss_disc", "loss_gen", "loss_fm", "loss_mel", "loss_kl"}),
                0.95,
                without=frozenset({"loss_dur", "reference_loss"}),
            ),
            Signature(frozenset({"loss/g/mel", "loss/g/kl"}), 0.9, without=frozenset({"loss/g/dur"})),
        ),
        columns=_TENSORBOARD | _TEXT,
        rec_kind="spectral",
        input_range=None,
        disc_loss_family="least-squares",
        disc_loss_scale=16.0,  # both halves; seven discriminators (v1) or nine (v2)
        formulas=_FORMULAS
        | {
            "g_loss": "printed as loss_gen: least squares, sum over the discriminators of mean (1 - D(recon))^2; 0.25 each at chance",
            "total_loss": "loss_gen + loss_fm + loss_mel + loss_kl; only in TensorBoard",
        },
        known_faults=(
            KnownFault(
                "F7",
                "the log cuts loss_mel at 75 and loss_kl at 9 before it prints them: a value that stands there may be any higher one",
            ),
        ),
    ),
)
