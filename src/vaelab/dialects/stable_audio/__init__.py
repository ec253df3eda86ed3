"""stable-audio-tools' autoencoders (Stable Audio Open's VAE): every loss is logged as it stands in the sum.

Read: Stability-AI/stable-audio-tools at 50049e3, ``stable_audio_tools/training/autoencoders.py``, ``training/losses/losses.py``,
``models/discriminators.py``, ``models/bottleneck.py``.

Generator and discriminator take turns, batch by batch: a row has the columns of one of them, and Lightning's bar keeps the
last value of the other. Lightning's step counts one batch each, so each network sees half of them.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="stable_audio",
        title="stable-audio-tools autoencoder (Lightning)",
        source="Stability-AI/stable-audio-tools at 50049e3",
        reading_only=True,
        recognised_by=(
            Signature(frozenset({"mrstft_loss", "loss_adv"}), 0.95),
            Signature(frozenset({"mrstft_loss", "latent_std", "gen_lr"}), 0.95),
        ),
        columns={
            "loss": "total_loss",
            "mrstft_loss": "rec_loss",
            "loss_adv": "g_loss_weighted",
            "quantizer_loss": "quant_loss",
            "commitment_loss": "quant_loss",
            "codebook_loss": "codebook_loss",
            "discriminator_loss": "disc_loss",
            "latent_std": "latents_std",
            "gen_lr": "lr",
        },
        rec_kind="spectral",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        disc_loss_scale=2.0,
        input_range=None,
        extra_terms={"feature_matching_loss": "feature_matching_weight"},
        formulas={
            "total_loss": "the sum of all logged losses of the generator's rows, each already times its weight",
            "rec_loss": "mrstft weight (1) * multi-resolution STFT distance of sum and difference; left and right apart, at half weight,"
            " are stft_loss_left and stft_loss_right",
            "g_loss_weighted": "printed as loss_adv: 0.1 * -mean D(recon), mean over the scales; exactly 0 before warmup_steps",
            "feature_matching_loss": "5 * mean |D features(x) - D features(recon)|; exactly 0 before warmup_steps",
            "kl_loss": "kl weight (1e-4 in the shipped 2.0 model, 1e-6 if none is given) * mean over batch and time of the sum over"
            " channels of mean^2 + var - log var - 1: twice the usual KL",
            "disc_loss": "mean relu(1 - D(x)) + mean relu(1 + D(recon)), mean over the scales, not halved: chance is 2.0",
            "latents_std": "of the sampled latent of one batch",
        },
        known_faults=(
            KnownFault(
                "G1",
                "warmup_steps counts batches of both networks: the generator has done half of them when the GAN starts",
            ),
        ),
    ),
)
