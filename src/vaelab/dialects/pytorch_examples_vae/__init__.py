"""PyTorch's basic VAE example, read from pytorch/examples at 77f55b9: vae/main.py.

``Train Epoch: 1 [6400/60000 (11%)]`` counts pictures, not steps: 6,400 is batch 50 of 128.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="pytorch_examples_vae",
        title="pytorch/examples vae",
        recognised_by=(Signature(frozenset({"loss", "average_loss", "test_set_loss"}), 0.85),),
        source="pytorch/examples at 77f55b9: vae/main.py",
        columns={"loss": "total_loss", "average_loss": "epoch/total_loss", "test_set_loss": "test/total_loss"},
        rec_kind="bce-sum",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        total_includes_gan=False,
        input_range=(0.0, 1.0),
        formulas={
            "total_loss": "cross-entropy summed over the 784 pixels + KL summed over the latent of 20, per picture: 545 is"
            " knowing nothing, 105 is usual at the end; printed for one batch",
            "epoch/total_loss": "printed as Average loss: mean over the epoch's pictures",
            "test/total_loss": "printed as Test set loss: mean over the test set",
        },
        defaults={"lr": 1e-3, "batch_size": 128},
    ),
)
