"""Keras' VAE example, read from keras-team/keras-io at 09e02e1 (examples/generative/vae.py) and keras-team/keras at 015af23 (keras/src/utils/progbar.py).

``loss``, ``reconstruction_loss`` and ``kl_loss`` are everybody's names: no log is taken for this example by them.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect

DIALECTS = (
    Dialect(
        id="keras_vae",
        title="Keras VAE example",
        recognised_by=(),
        source="keras-team/keras-io at 09e02e1: examples/generative/vae.py",
        columns={"loss": "total_loss", "reconstruction_loss": "rec_loss"},
        rec_kind="bce-sum",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        latent_channels=2,
        formulas={
            "rec_loss": "cross-entropy summed over the 784 pixels, mean over the batch: 150 is a good value for a latent of 2",
            "kl_loss": "sum over the latent, mean over the batch",
            "total_loss": "rec_loss + kl_loss; all three are means over the epoch, in the order of the alphabet under Keras 3",
        },
    ),
)
