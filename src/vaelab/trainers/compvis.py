"""The Lightning trainers of latent-diffusion, taming-transformers and generative-models, each checked against its source."""

from __future__ import annotations

from vaelab.trainers.shared import ADAPTIVE, HINGE, LOSSCONFIG
from vaelab.trainers.types import KnownFault, Trainer

TRAINERS = (
    Trainer(
        id="ldm",
        title="latent-diffusion AutoencoderKL (Lightning)",
        signature=("aeloss", "discloss", "train/kl_loss"),
        rec_kind="l1+lpips",
        nll_reduction="sum-per-sample",
        kl_reduction="sum-per-sample",
        disc_loss_family="hinge",
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
    Trainer(
        id="taming",
        title="taming-transformers VQGAN (Lightning)",
        signature=("aeloss", "discloss", "train/quant_loss"),
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
    Trainer(
        id="sgm",
        title="generative-models (SDXL code, Lightning)",
        signature=("train/loss/rec", "train/loss/nll"),
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
