"""The VQGAN of viper_rl (JAX).

Not read: escontra/viper_rl could not be had. The columns are those of a user's plots (its issue 9); only what their names say without
doubt is stated, and no reduction, chance level or start.
"""

from __future__ import annotations

from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="viper_rl",
        title="viper_rl VQGAN (JAX)",
        source="not read: escontra/viper_rl",
        recognised_by=(Signature(frozenset({"loss_l1", "loss_perceptual", "vq_loss", "loss_d"}), 0.85),),
        columns={
            "loss": "total_loss",
            "loss_l1": "rec_loss",
            "loss_perceptual": "perceptual_loss",
            "loss_g": "g_loss",
            "loss_d": "disc_loss",
            "vq_loss": "quant_loss",
        },
        rec_kind="l1",
        kl_reduction="none",
        extra_terms={"quant_loss": "codebook_weight"},
        formulas={
            "rec_loss": "printed as loss_l1: mean |x - recon|",
            "quant_loss": "printed as vq_loss: codebook and commitment terms; without a bound",
        },
    ),
)
