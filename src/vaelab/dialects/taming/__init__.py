"""taming-transformers' VQGAN, trained under Lightning."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE, LOSSCONFIG
from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="taming",
        title="taming-transformers VQGAN (Lightning)",
        recognised_by=(Signature(frozenset({"aeloss", "quant_loss"}), 0.95),),
        source="CompVis/taming-transformers at 3ba01b2",
        losses=frozenset({"total_loss", "quant_loss", "nll_loss", "rec_loss", "p_loss", "g_loss", "disc_loss"}),
        extra_terms={"quant_loss": "codebook_weight"},
        rec_kind="l1+lpips",
        nll_reduction="mean",
        kl_reduction="none",
        disc_loss_family="hinge",
        d_weight_logged_before_start=True,
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * p_loss",
            "nll_loss": "equal to rec_loss",
            "total_loss": "nll_loss + d_weight * disc_factor * g_loss + codebook_weight * quant_loss",
            "d_weight": ADAPTIVE,
            "disc_loss": HINGE,
            "g_loss": "-mean D(recon)",
            "quant_loss": "codebook term + 0.25 x commitment term, or with beta on the other one (legacy default)",
        },
        options={k: f"model.params.lossconfig.params.{k}={{}}" for k in LOSSCONFIG},
    ),
)
