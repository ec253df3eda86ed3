"""pythae, read from clementchadebec/benchmark_VAE at 6419e21: src/pythae/trainers/*, src/pythae/models/vae/vae_model.py, vae_gan/vae_gan_model.py.

The console prints ``Train loss: ...`` and ``Eval loss: ...`` once an epoch and no part of it: such a log is nobody's by its
names. W&B, MLflow and Comet get ``train/epoch_loss`` and, from the adversarial trainers, each network's own.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, KnownFault, Signature

_SOURCE = "clementchadebec/benchmark_VAE at 6419e21: src/pythae/trainers/*"
_TOTAL = (
    "epoch mean of reconstruction + KL, per sample: 0.5 * (x - recon)^2 summed over the pixels, or their cross-entropy; KL"
    " summed over the latent"
)
_STOP = KnownFault("F6", "a NaN in a loss ends the run with an ArithmeticError: the log simply stops")

DIALECTS = (
    Dialect(
        id="pythae",
        title="pythae BaseTrainer",
        recognised_by=(),
        source=_SOURCE,
        columns={"epoch_loss": "total_loss"},
        kl_reduction="sum-per-sample",
        total_includes_gan=False,
        formulas={"total_loss": _TOTAL},
        known_faults=(_STOP,),
        defaults={"lr": 1e-4},
    ),
    Dialect(
        id="pythae_adversarial",
        title="pythae adversarial trainers",
        recognised_by=(
            Signature(frozenset({"epoch_loss", "autoencoder_loss", "discriminator_loss"}), 0.9),
            Signature(frozenset({"epoch_loss", "encoder_loss", "decoder_loss", "discriminator_loss"}), 0.9),
        ),
        source=_SOURCE,
        columns={
            "epoch_loss": "training_loss",
            "autoencoder_loss": "total_loss",
            "discriminator_loss": "disc_loss",
        },
        formulas={
            "training_loss": "printed as epoch_loss: the networks' losses added up, the discriminator's too",
            "total_loss": "printed as autoencoder_loss: reconstruction and the latent's adversarial term",
            "encoder_loss": "VAEGAN: KL + distance of the discriminator's features",
            "decoder_loss": "VAEGAN: (1 - scale) * distance of features - scale * discriminator_loss: falls below 0",
            "disc_loss": "cross-entropies added up, not averaged; of latents in the Adversarial AE, of pictures in VAEGAN",
        },
        known_faults=(_STOP,),
    ),
)
