"""SoundStream of audiolm-pytorch: ``12: soundstream total loss: ..., soundstream recon loss: ... | discr (scale 1) loss: ...``.

Read: lucidrains/audiolm-pytorch at d65fd15, ``audiolm_pytorch/trainer.py`` (SoundStreamTrainer), ``audiolm_pytorch/soundstream.py``.
The console has the total, the waveform error and the discriminators; a tracker has every term.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="soundstream",
        title="SoundStream (audiolm-pytorch)",
        source="lucidrains/audiolm-pytorch at d65fd15",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"soundstream_total_loss", "soundstream_recon_loss"}), 0.95),
            Signature(frozenset({"multi_spectral_recon_loss", "all_commitment_loss"}), 0.95),
        ),
        columns={
            "soundstream_total_loss": "total_loss",
            "soundstream_recon_loss": "rec_loss",
            "loss": "total_loss",
            "recon_loss": "rec_loss",
            "adversarial_loss": "g_loss",
            "feature_loss": "feature_matching_loss",
            "all_commitment_loss": "quant_loss",
            "discr_(scale_1)_loss": "disc_loss",
            "discr_loss_(scale_1)": "disc_loss",
            "scale:1": "disc_loss",
        },
        rec_kind="mse",
        kl_reduction="none",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        input_range=None,
        extra_terms={"feature_matching_loss": "feature_matching_weight", "quant_loss": "commit_weight"},
        formulas={
            "total_loss": "recon_loss + 1e-5 * multi_spectral_recon_loss + adversarial_loss + 100 * feature_loss + all_commitment_loss; the"
            " adversarial term is in it from the first step and may make it negative",
            "rec_loss": "mean squared error of the waveform; the mel-spectral error is only in a tracker, as multi_spectral_recon_loss",
            "g_loss": "-mean D(recon), mean over the waveform discriminators and the STFT one",
            "disc_loss": "that of the discriminator at full rate: mean (relu(1 - D(x)) + relu(1 + D(recon))), not halved: chance is 2.0. Those of"
            " the lower rates (0.5, 0.25) and the STFT one keep their own names",
        },
        known_faults=(
            KnownFault(
                "D14",
                "there is no discriminator start: the adversarial loss has full weight against an untrained generator",
            ),
        ),
        defaults={"disc_start": 0},
    ),
)
