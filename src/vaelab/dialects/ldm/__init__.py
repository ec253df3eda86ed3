"""latent-diffusion's AutoencoderKL, trained under Lightning. Many trainers are copies of it."""

from __future__ import annotations

from vaelab.dialects.shared import ADAPTIVE, HINGE, LOSSCONFIG
from vaelab.dialects.types import Dialect, KnownFault, Signature

DIALECTS = (
    Dialect(
        id="ldm",
        title="latent-diffusion AutoencoderKL (Lightning)",
        recognised_by=(
            Signature(frozenset({"aeloss", "kl_loss", "rec_loss"}), 0.95),
            Signature(frozenset({"discloss", "kl_loss", "rec_loss"}), 0.9),
        ),
        source="CompVis/latent-diffusion at a506df5",
        losses=frozenset(
            {"total_loss", "kl_loss", "nll_loss", "rec_loss", "g_loss", "disc_loss", "quant_loss", "p_loss"}
        ),
        setting_names={"embed_dim": "latent_channels", "z_channels": "latent_channels"},
        rec_kind="l1+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
        input_channels=3,
        d_weight_logged_before_start=True,
        steps_per_batch=2,
        formulas={
            "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS",
            "nll_loss": "N * (rec_loss / exp(logvar) + logvar), N = C*H*W (196,608 for 256x256x3); logvar is in no"
            " optimizer",
            "kl_loss": "sum over all latent elements, mean over the batch",
            "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss (aeloss is the same)",
            "g_loss": "-mean D(recon)",
            "d_weight": ADAPTIVE + "; computed and printed before disc_start too",
            "disc_loss": HINGE + "; 0 before disc_start because disc_factor is 0",
        },
        options={k: f"model.params.lossconfig.params.{k}={{}}" for k in LOSSCONFIG}
        | {"lr": "model.base_learning_rate={}"},
        known_faults=(
            KnownFault(
                "G1",
                "disc_start is compared with Lightning's global_step, which counts every optimizer"
                " step: two per batch since Lightning 1.6, so the GAN starts at half the planned batch",
            ),
            KnownFault(
                "E9",
                "the linear scaling rule makes the effective learning rate depend on batch, GPUs and accumulation",
            ),
            KnownFault("F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"),
        ),
        defaults={"disc_start": 50001, "disc_weight": 0.5, "kl_weight": 1e-6},
    ),
)
