"""generative-models (the code of SDXL), trained under Lightning."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE, LOSSCONFIG
from vaelab.dialects.types import Dialect, Signature

DIALECTS = (
    Dialect(
        id="sgm",
        title="generative-models (SDXL code, Lightning)",
        recognised_by=(Signature(frozenset({"loss/rec"}), 0.95),),
        source="Stability-AI/generative-models at 0ad7de9",
        rec_kind="l1+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        logvar_learned=True,
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS",
            "nll_loss": "N * (rec_loss / exp(logvar) + logvar): negative once logvar has learned, by design",
            "total_loss": "nll_loss + d_weight * disc_factor * g_loss + the weighted regularisers",
            "kl_loss": "sum over all latent elements, mean over the batch",
            "disc_loss": HINGE + "; generator and discriminator take turns, batch by batch",
            "d_weight": ADAPTIVE,
            "g_loss": "-mean D(recon)",
        },
        options={k: f"model.params.loss_config.params.{k}={{}}" for k in LOSSCONFIG},
    ),
)
