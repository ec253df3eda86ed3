"""WF-VAE (``train_ddp.py``), and Open-Sora-Plan, which has an older copy of it (``train_causalvae.py``)."""

from __future__ import annotations

from vaelab.dialects.shared import LOSSCONFIG
from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="wf_vae",
        title="WF-VAE / Open-Sora-Plan (train_ddp.py)",
        recognised_by=(Signature(frozenset({"generator_loss", "latents_std"}), 0.95),),
        source="PKU-YuanGroup/WF-VAE at d858bee",
        rec_kind="weighted-nll-sum",
        nll_reduction="sum-per-frame",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        formulas={
            "rec_loss": "the weighted nll, summed over pixels and divided by batch x frames: not a mean error",
            "total_loss": "nll + kl_weight * kl + d_weight * disc_factor * g_loss + wavelet_weight * wavelet loss",
        },
        options={k: f"--{k} {{}}" for k in LOSSCONFIG},
        known_faults=(
            KnownFault(
                "I2", "validation feeds inputs in [0, 1] to a model trained on [-1, 1]: its PSNR and LPIPS are off"
            ),
        ),
    ),
)
