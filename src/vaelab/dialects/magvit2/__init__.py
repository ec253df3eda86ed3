"""magvit2-pytorch's trainer of video tokenizers."""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="magvit2",
        title="magvit2-pytorch",
        recognised_by=(Signature(frozenset({"recon_loss", "discr_loss"}), 0.8),),
        source="lucidrains/magvit2-pytorch at a00519f",
        setting_names={"discr_start_after_step": "disc_start"},
        rec_kind="mse",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        input_range=(0.0, 1.0),
        disc_loss_scale=2.0,
        formulas={"disc_loss": "mean relu(1 + fake) + mean relu(1 - real), not halved: chance is 2.0"},
    ),
)
