"""AudioDec: one line a metric, means since the line before; stage 1 without and stage 2 with discriminators in one log.

Read: facebookresearch/AudioDec at e451e62, ``trainer/trainerGAN.py``, ``trainer/autoencoder.py``, ``losses/adversarial_loss.py``,
``config/autoencoder/symAD_vctk_48000_hop300.yaml``. The trainer descends from kan-bayashi/ParallelWaveGAN, which prints the same
names but no ``vqloss``; a log without it is not AudioDec's.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="audiodec",
        title="AudioDec",
        source="facebookresearch/AudioDec at e451e62",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"vqloss", "generator_loss"}), 0.95),
            Signature(frozenset({"train/vqloss", "generator_loss"}), 0.95),
        ),
        columns={
            "generator_loss": "total_loss",
            "mel_loss": "rec_loss",
            "adversarial_loss": "g_loss_weighted",
            "real_loss": "disc_loss_real",
            "fake_loss": "disc_loss_fake",
            "discriminator_loss": "disc_loss",
            "vqloss": "quant_loss",
            "ppl": "perplexity",
            "ppl_0": "perplexity",
        },
        rec_kind="spectral",
        kl_reduction="none",
        input_range=None,
        extra_terms={"quant_loss": "commit_weight"},
        disc_loss_family="least-squares",
        disc_loss_scale=16.0,  # both halves, eight discriminators
        formulas={
            "total_loss": "printed as generator_loss: vqloss + mel_loss + adversarial_loss, as they are printed",
            "rec_loss": "printed as mel_loss: 45 * L1 of log-mel spectra, already weighted",
            "g_loss_weighted": "printed as adversarial_loss: lambda_adv (1) * (sum over discriminators of mean (1 - D(recon))^2 + 2 *"
            " feature_matching_loss): the feature matching is inside",
            "disc_loss": "real_loss + fake_loss, least squares summed over the discriminators: with the eight of the shipped settings 4.0 at"
            " chance and 8.0 for outputs at 0",
            "quant_loss": "printed as vqloss: commitment terms of all codebooks, weight 1. From the discriminator's start on, encoder, projector and"
            " codebook are frozen ('efficient' paradigm): vqloss and perplexity then only follow the data",
        },
        defaults={"disc_start": 200000},
    ),
)
