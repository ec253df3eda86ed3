"""WF-VAE, Open-Sora-Plan and Open-Sora, each checked against its source."""

from __future__ import annotations

from vaelab.trainers.shared import HINGE, LOSSCONFIG
from vaelab.trainers.types import KnownFault, Trainer

TRAINERS = (
    Trainer(
        id="wf_vae",
        title="WF-VAE / Open-Sora-Plan (train_ddp.py)",
        signature=("train/generator_loss", "train/latents_std"),
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
    Trainer(
        id="open_sora",
        title="Open-Sora (scripts/vae/train.py)",
        signature=("nll_rec", "nll_per", "gen_w"),
        columns={"loss": "loss_summed_over_gpus"},
        rec_kind="l1-sum",
        nll_reduction="sum-per-frame",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        precision=0.002,
        formulas={
            "rec_loss": "nll_rec: |x - recon| summed over one frame's pixels",
            "perceptual_loss": "nll_per: pixels x mean LPIPS, not yet multiplied by its weight",
            "nll_loss": "nll_rec + perceptual_loss_weight * nll_per (computed in bf16: good to about 1%)",
            "kl_loss": "already multiplied by its weight",
            "total_loss": "nll + kl + gen_w; the tag loss of TensorBoard and W&B is its sum over all GPUs, and no log says"
            " how many there are",
            "g_loss_weighted": "gen_w: d_weight * disc_factor * gen",
            "g_loss": "gen: -mean D(recon)",
            "disc_loss": HINGE,
        },
    ),
    Trainer(
        id="open_sora_v1",
        title="Open-Sora 1.2 (scripts/train_vae.py)",
        signature=("z_nll_loss", "adversarial_loss"),
        columns={"loss": "training_loss", "adversarial_loss": "g_loss_weighted"},
        nll_reduction="sum-per-frame",
        kl_reduction="weighted",
        disc_loss_family="hinge",
        formulas={
            "nll_loss": "(|x - recon| + perceptual_loss_weight * LPIPS) / exp(logvar) + logvar, summed over one frame's"
            " pixels",
            "kl_loss": "already multiplied by kl_loss_weight",
            "g_loss_weighted": "printed as adversarial_loss: -mean D(recon) with its adaptive weight",
            "total_loss": "printed as loss: the sum of the terms that the config switches on (nll_loss + kl_loss with"
            " use_real_rec_loss; with use_z_rec_loss z_nll_loss, the distance between the latents of the image VAE and"
            " their reconstruction; image_identity_loss) and adversarial_loss, mean over the GPUs. The log does not say"
            " which: it is read as training_loss, and the sum is not checked",
            "disc_loss": HINGE,
        },
    ),
)
