"""What public trainers mean by the columns they print: loss algebra, reductions, defaults, spelling and known faults.

Each entry was checked against the trainer's source. Adding a trainer is one entry in ``TRAINERS``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vaelab.own_settings import CANONICAL, OPTIONS, canonical_own, is_own, own_conventions

RecKind = Literal[
    "mse",
    "l1",
    "l1+mse",
    "charbonnier",
    "l1-sum",
    "l1+mse+lpips",
    "l1+lpips",
    "mse+lpips",
    "weighted-nll-sum",
    "unknown",
]
Reduction = Literal["mean", "sum-per-sample", "sum-per-frame", "unknown"]
KLReduction = Literal[
    "sum-per-sample", "sum-per-channel", "mean", "sum-per-latent-frame", "weighted", "none", "unknown"
]


@dataclass(frozen=True)
class KnownFault:
    """A fault of the trainer's own code. ``cause`` is a row of the fault catalogue; few of them show in a log."""

    cause: str
    text: str


@dataclass(frozen=True)
class Trainer:
    """Conventions of one trainer.

    columns: name in this trainer's log (without split and suffix) -> canonical name, where the catalogue's aliases would
    read it as something else. rec_kind: what ``rec_loss`` holds (``l1-sum``: summed over a frame). kl_reduction ``sum-per-channel`` is Pyramid-Flow's: summed over T, H, W, then
    averaged over batch and channels. d_weight_logged_before_start: the column is non-zero although the GAN is off.
    half_total_in: file formats in which ``total_loss`` is (generator + discriminator loss) / 2.
    extra_terms: metric -> config key of its weight, for terms of the loss beside nll, KL and GAN.
    disc_loss_scale: disc_loss over the mean of its two halves (2 where they are added and not halved).
    precision: relative rounding of the losses themselves (0.002 for bf16), 0 for float32.
    options: canonical config key -> how this trainer spells it, with ``{}`` for the value.
    weights_apart: nll = n x ((pixelloss_weight x rec + perceptual_weight x perceptual) / exp(logvar) + logvar) in every
    reduction, n by nll_reduction: no weight and no perceptual part is inside ``rec_loss``.
    clamp: d_weight is at most disc_weight x clamp. fixed_d_weight: d_weight is disc_weight itself, not adaptive.
    disc_warms_up: the discriminator may be trained (and logged) before the generator sees it.
    """

    id: str
    title: str
    signature: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    rec_kind: RecKind = "unknown"
    nll_reduction: Reduction = "unknown"
    kl_reduction: KLReduction = "unknown"
    total_column: str = "total_loss"
    total_includes_gan: bool = True
    disc_loss_family: Literal["hinge", "vanilla", "unknown"] = "unknown"
    input_range: tuple[float, float] | None = (-1.0, 1.0)
    latent_channels: int | None = None
    compression: tuple[int, int, int] | None = None
    d_weight_logged_before_start: bool = False
    half_total_in: tuple[str, ...] = ()
    steps_per_batch: int = 1
    clip_before_step: bool = True
    logvar_learned: bool = False
    extra_terms: Mapping[str, str] = field(default_factory=dict)
    disc_loss_scale: float = 1.0
    precision: float = 0.0
    weights_apart: bool = False
    clamp: float = 1e4
    fixed_d_weight: bool = False
    disc_warms_up: bool = False
    formulas: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    known_faults: tuple[KnownFault, ...] = ()
    defaults: Mapping[str, float | int] = field(default_factory=dict)


_ADAPTIVE = (
    "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, 1e4): the printed value already contains"
    " disc_weight"
)
_HINGE = "disc_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))): 1.0 when D cannot tell them apart"
_FLAG = {
    k: f"--{k} {{}}"
    for k in (
        "kl_weight",
        "pixelloss_weight",
        "perceptual_weight",
        "disc_weight",
        "disc_start",
        "lr",
        "clip_grad",
        "warmup_epochs",
        "warmup_steps",
        "epochs",
        "iters_per_epoch",
        "batch_size",
    )
} | {"disc_lr": "--lr_disc {}", "add_discriminator": "--add_discriminator"}
_LOSSCONFIG = ("kl_weight", "perceptual_weight", "disc_weight", "disc_start", "disc_factor", "logvar_init")

TRAINERS: dict[str, Trainer] = {
    t.id: t
    for t in (
        Trainer(
            id="pyramid_flow",
            title="Pyramid-Flow (train_video_vae.py)",
            signature=("perception_loss", "vae_loss"),
            rec_kind="mse",
            nll_reduction="mean",
            kl_reduction="sum-per-channel",
            disc_loss_family="hinge",
            latent_channels=16,
            compression=(8, 8, 8),
            formulas={
                "rec_loss": "mean (x - recon)^2 on inputs in [-1, 1]",
                "perceptual_loss": "mean VGG16-LPIPS over frames (the LPIPS network is left in train mode: dropout)",
                "nll_loss": "(pixelloss_weight * rec_loss + perceptual_weight * perception_loss) / exp(logvar) + logvar;"
                " logvar is in no optimizer, so it stays 0",
                "kl_loss": "sum over T, H, W of 0.5 (mu^2 + var - 1 - log var), then the mean over batch and channels",
                "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss (vae_loss is the same"
                " value)",
                "g_loss": "-mean D(recon)",
                "d_weight": _ADAPTIVE + "; 0 before disc_start",
                "disc_loss": _HINGE + "; absent before disc_start",
                "grad_norm": "norm before clipping (return value of clip_grad_norm_)",
                "lr": "linear from 0 over the warm-up, then cosine to min_lr",
            },
            options=_FLAG,
            known_faults=(
                KnownFault(
                    "H1",
                    "with several GPUs the discriminator's gradients are never averaged: one DDP forward,"
                    " two backwards",
                ),
                KnownFault("E7", "--opt_betas is ignored: AdamW runs with (0.9, 0.999)"),
                KnownFault(
                    "D1",
                    "the shipped script sets disc_start 250,000 of 200,000 steps and leaves out"
                    " --add_discriminator: it never trains a GAN",
                ),
                KnownFault(
                    "D14",
                    "the discriminator's learning rate follows the global step: one that starts after"
                    " the warm-up starts at the peak learning rate",
                ),
                KnownFault("B3", "LPIPS runs in train mode (dropout on): its value is noisy, not biased"),
                KnownFault(
                    "H2", "only rank 0 is printed; with mixed image/video training the image ranks are never seen"
                ),
                KnownFault(
                    "H7", "the step counter drifts by one at each resume; the discriminator's scaler is not saved"
                ),
            ),
            defaults={"pixelloss_weight": 10.0, "perceptual_weight": 1.0, "disc_weight": 0.5, "kl_weight": 1e-12},
        ),
        Trainer(
            id="radiodiff",
            title="RadioDiff (train_vae.py)",
            signature=("train/nll_loss", "train/rec_loss", "train/logvar"),
            rec_kind="l1+mse+lpips",
            nll_reduction="sum-per-sample",
            kl_reduction="sum-per-sample",
            disc_loss_family="hinge",
            latent_channels=3,
            compression=(1, 4, 4),
            d_weight_logged_before_start=True,
            half_total_in=("tensorboard",),
            clip_before_step=False,
            formulas={
                "rec_loss": "mean (|x - recon| + (x - recon)^2) + perceptual_weight * LPIPS: PSNR cannot be read from"
                " it, only bounded",
                "nll_loss": "N * (rec_loss / exp(logvar) + logvar), N = pixels of one map (65,536 for 256x256x1);"
                " logvar stays 0",
                "kl_loss": "sum over all latent elements, mean over the batch",
                "total_loss": "nll_loss + kl_weight * kl_loss + d_weight * disc_factor * g_loss; in TensorBoard"
                " (that + disc_loss) / 2",
                "g_loss": "-mean D(recon); printed from step 0 although it is multiplied by disc_factor 0",
                "d_weight": _ADAPTIVE + "; printed (and meaningless) before disc_start",
                "disc_loss": _HINGE + "; 0 before disc_start because disc_factor is 0",
                "lr": "printed with 5 decimals: 5e-6 reads 0.00001 or 0.00000",
            },
            options={k: f"model.lossconfig.{k}: {{}}" for k in _LOSSCONFIG}
            | {
                "lr": "trainer.lr: {}",
                "total_steps": "trainer.train_num_steps: {}",
                "batch_size": "data.batch_size: {}",
            },
            known_faults=(
                KnownFault("E5", "gradients are clipped after the optimizer step: clipping does nothing"),
                KnownFault(
                    "H1", "training calls model.module directly: with several GPUs gradients are never synchronised"
                ),
                KnownFault("E8", "min_lr is used as a multiplier: the learning rate falls to 2.5e-12, not to 5e-7"),
                KnownFault(
                    "E9",
                    "gradient_accumulate_every is used as the number of optimizers: nothing is"
                    " accumulated and both losses are halved",
                ),
                KnownFault("A6", "the train split (map 0..600 inclusive) overlaps validation and test (from 600)"),
                KnownFault("I1", "preview images come from the training batch"),
                KnownFault(
                    "E2",
                    "the learning rate (5e-6) is not scaled by the batch; latent-diffusion's 4.5e-6 is"
                    " scaled to 1.08e-4",
                ),
                KnownFault("G3", "resolution 320 in the config is not read: data are 256x256"),
            ),
            defaults={"disc_start": 50001, "disc_weight": 0.5, "kl_weight": 1e-6, "total_steps": 150000},
        ),
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
                "d_weight": _ADAPTIVE + "; computed and printed before disc_start too",
                "disc_loss": _HINGE + "; 0 before disc_start because disc_factor is 0",
            },
            options={k: f"model.params.lossconfig.params.{k}={{}}" for k in _LOSSCONFIG}
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
                KnownFault(
                    "F3", "LPIPS normalises with the epsilon outside the root: NaN gradient on all-zero features"
                ),
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
                "d_weight": _ADAPTIVE,
                "disc_loss": _HINGE,
                "g_loss": "-mean D(recon)",
                "quant_loss": "codebook term + 0.25 x commitment term, or with beta on the other one (legacy default)",
            },
            options={k: f"model.params.lossconfig.params.{k}={{}}" for k in _LOSSCONFIG},
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
                "disc_loss": _HINGE + "; generator and discriminator take turns, batch by batch",
                "d_weight": _ADAPTIVE,
                "g_loss": "-mean D(recon)",
            },
            options={k: f"model.params.loss_config.params.{k}={{}}" for k in _LOSSCONFIG},
        ),
        Trainer(
            id="vidtok",
            title="VidTok (Lightning)",
            signature=("train/non_saturated_d_loss", "train/lecam_loss"),
            rec_kind="l1+lpips",
            nll_reduction="sum-per-frame",
            kl_reduction="sum-per-sample",
            disc_loss_family="hinge",
            d_weight_logged_before_start=True,
            steps_per_batch=2,
            logvar_learned=True,
            formulas={
                "rec_loss": "mean |x - recon| + perceptual_weight * LPIPS",
                "nll_loss": "N * (rec_loss / exp(logvar) + logvar) with N per frame: negative once logvar has learned",
                "kl_loss": "sum over the whole clip, mean over the batch: T times heavier than an image's",
                "total_loss": "nll_loss + d_weight * disc_factor * g_loss + 1e-6 * kl_loss",
                "disc_loss": "disc_factor * (non_saturated_d_loss + lecam_loss_weight * lecam_loss)",
                "g_loss": "softplus(-mean D(recon)): starts at 0.693, never negative",
                "d_weight": _ADAPTIVE,
            },
            options={k: f"model.params.loss_config.params.{k}={{}}" for k in _LOSSCONFIG},
            known_faults=(
                KnownFault(
                    "G1",
                    "disc_start is compared with Lightning's global_step, two per batch: 20,001 means batch 10,001",
                ),
                KnownFault("A4", "a video that cannot be read becomes a black clip, and is trained on"),
            ),
        ),
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
            options={k: f"--{k} {{}}" for k in _LOSSCONFIG},
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
                "disc_loss": _HINGE,
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
                "disc_loss": _HINGE,
            },
        ),
        Trainer(
            id="seed_voken",
            title="SEED-Voken (Open-MAGVIT2, IBQ)",
            signature=("train/reconstruct_loss", "train/perceptual_loss"),
            columns={"g_loss": "g_loss_weighted"},
            extra_terms={"quant_loss": "commit_weight", "entropy_loss": "codebook_weight"},
            rec_kind="l1",
            nll_reduction="mean",
            kl_reduction="none",
            disc_loss_family="hinge",
            formulas={
                "nll_loss": "reconstruct_loss + perceptual_weight * perceptual_loss",
                "g_loss_weighted": "printed as g_loss: already multiplied by d_weight * disc_factor in training",
                "total_loss": "nll_loss + g_loss + commit_weight * commit_loss + codebook_weight * entropy_loss (times an"
                " enlargement that is annealed to 1)",
                "disc_loss": "disc_factor * (non_saturated_d_loss + lecam weight * lecam_loss)",
            },
        ),
        Trainer(
            id="seed_voken_ibq",
            title="SEED-Voken IBQ (Lightning)",
            signature=("train/unsacled_g_loss", "train/codebook_quant_loss"),
            # their spelling
            columns={"g_loss": "g_loss_weighted", "unsacled_g_loss": "g_loss", "codebook_loss": "codebook_loss"},
            extra_terms={"quant_loss": "codebook_weight", "entropy_loss": "entropy_weight"},
            rec_kind="l1",
            nll_reduction="mean",
            kl_reduction="none",
            disc_loss_family="hinge",
            formulas={
                "nll_loss": "reconstruct_loss + perceptual_weight * perceptual_loss",
                "g_loss_weighted": "printed as g_loss: already multiplied by d_weight * disc_factor in training",
                "g_loss": "printed as unsacled_g_loss: disc_factor * -mean D(recon)",
                "quant_loss": "printed as codebook_quant_loss; without the entropy loss it is already weighted",
                "total_loss": "nll_loss + g_loss_weighted + codebook_loss, which is quant_loss_weight * quant_loss +"
                " entropy_loss_weight * entropy_loss",
                "disc_loss": "disc_factor * (plain hinge loss + lecam weight * lecam_loss)",
            },
        ),
        Trainer(
            id="diffusers",
            title="diffusers train_autoencoderkl.py",
            signature=("p_loss", "disc_weight", "nll_loss"),
            columns={"disc_weight": "d_weight"},
            rec_kind="mse+lpips",
            nll_reduction="sum-per-sample",
            kl_reduction="sum-per-sample",
            disc_loss_family="hinge",
            d_weight_logged_before_start=True,
            formulas={
                "rec_loss": "mean (x - recon)^2 + perceptual_scale * LPIPS",
                "nll_loss": "N * rec_loss",
                "total_loss": "nll_loss + kl_scale * kl_loss + disc_weight * disc_factor * g_loss",
                "d_weight": "printed as disc_weight: " + _ADAPTIVE,
                "kl_loss": "sum over dims 1..3 (for 5-D latents too), mean over the rest",
                "disc_loss": _HINGE,
                "g_loss": "-mean D(recon)",
            },
            options={
                "kl_weight": "--kl_scale {}",
                "perceptual_weight": "--perceptual_scale {}",
                "lr": "--learning_rate {}",
                "disc_start": "--disc_start {}",
                "disc_lr": "--disc_learning_rate {}",
            },
            known_faults=(
                KnownFault("B2", "LPIPS is computed under no_grad: it is added to the loss and trains nothing"),
                KnownFault(
                    "H1", "the VAE is called through unwrap_model: with several GPUs gradients are not synchronised"
                ),
                KnownFault(
                    "D10",
                    "the discriminator step does not detach the reconstruction: its gradient leaks into the generator",
                ),
            ),
        ),
        Trainer(
            id="diffusers_vqgan",
            title="diffusers train_vqgan.py",
            signature=("step_gen_loss", "step_discr_loss"),
            kl_reduction="none",
            disc_loss_family="hinge",
            disc_loss_scale=2.0,
            formulas={
                "total_loss": "printed as step_gen_loss: mse + commitment + LPIPS + adaptive weight * -mean D(recon)",
                "disc_loss": "printed as step_discr_loss: mean relu(1 + fake) + mean relu(1 - real), not halved, + 10 *"
                " gradient penalty: chance is 2.0",
            },
        ),
        Trainer(
            id="magvit2",
            title="magvit2-pytorch",
            signature=("recon_loss", "discr_loss"),
            rec_kind="mse",
            nll_reduction="mean",
            kl_reduction="none",
            disc_loss_family="hinge",
            input_range=(0.0, 1.0),
            disc_loss_scale=2.0,
            formulas={"disc_loss": "mean relu(1 + fake) + mean relu(1 - real), not halved: chance is 2.0"},
        ),
        Trainer(
            id="vqgan_training",
            title="vqgan-training (vae_trainer.py)",
            signature=("overall_vae_loss", "mse_loss"),
            rec_kind="unknown",
            nll_reduction="mean",
            kl_reduction="unknown",
            disc_loss_family="unknown",
            columns={"mse_loss": "mse_loss"},
            formulas={
                "kl_loss": "mean of z^2: not a KL",
                "rec_loss": "not logged: mse_loss is always 0, the pixel loss is off",
                "total_loss": "perceptual_loss + gan_loss + 0.1 * kl_loss; gradients are renormalised, so its value does not"
                " describe the update",
                "disc_loss": "binary cross-entropy or hinge: ln 2 = 0.693 or 1 is chance",
            },
        ),
        Trainer(
            id="vaelab",
            title="vaelab train",
            signature=("rec_mse", "clip_coefficient"),
            weights_apart=True,
            disc_warms_up=True,
            formulas={
                "rec_loss": "mean of loss.pixel_loss over all values, without its weight",
                "rec_mse": "mean (x - recon)^2 on inputs in [-1, 1], whatever loss.pixel_loss is: PSNR = 10 log10(4 / rec_mse)",
                "perceptual_loss": "mean distance of the perceptual network over frames, without its weight",
                "nll_loss": "n * ((pixelloss_weight * rec_loss + perceptual_weight * perceptual_loss) / exp(logvar) + logvar);"
                " n is 1, C*T*H*W or C*H*W for loss.nll_reduction mean, sum or sum_per_frame; logvar is 0 unless learned",
                "kl_loss": "in the unit of loss.kl_reduction; kl_nats_per_element is the same posterior per latent element",
                "total_loss": "nll_loss + kl_weight * kl_loss + g_loss_weighted; kl_weight grows over loss.kl_warmup steps",
                "g_loss": "-mean D(recon); mean softplus(-D(recon)) for loss.disc_loss=non-saturating; from disc_start on",
                "g_loss_weighted": "d_weight * disc_factor * g_loss",
                "d_weight": "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, d_weight_max); the printed"
                " value contains disc_weight; disc_weight itself where loss.disc_weight_mode is fixed; 0 before disc_start",
                "d_weight_clamped": "1 on the steps on which that ratio was above d_weight_max",
                "disc_factor": "0 before disc_start, grows over disc_ramp steps; multiplies g_loss only",
                "disc_loss": "loss.disc_factor * 0.5 * (loss of real + loss of fake), hinge or cross-entropy, without LeCam;"
                " from disc_start - disc_warmup on",
                "lecam_loss": "added to disc_loss with loss.lecam_weight for the discriminator's update",
                "grad_norm": "norm before clipping",
                "clip_coefficient": "min(1, clip_grad / grad_norm) of this step",
                "clip_share": "share of the steps since the row before that were clipped",
            },
            options=OPTIONS,
        ),
        Trainer(id="unknown", title="a trainer vaelab does not know", signature=(), input_range=None),
    )
}


def conventions(trainer: str, config: Mapping[str, Any]) -> Trainer:
    """Conventions of ``trainer`` (an id; others give ``unknown``) under ``config``, declared values by canonical names.

    Those of ``vaelab train`` follow its settings; what its log does not declare stays unknown.
    """
    known = TRAINERS.get(trainer, TRAINERS["unknown"])
    if known.id != "vaelab":
        return known
    return replace(known, **own_conventions(config))


def detect(originals: Sequence[str], format: str, raw_config: Mapping[str, Any]) -> tuple[str, float, str]:
    """``(trainer id, confidence 0..1, reason)`` from the columns' original names, the file format and the config."""
    bare = {bare_name(name) for name in originals}
    if format in ("metric_logger", "pyramid_flow_json") and {"perception_loss", "vae_loss"} & bare:
        return "pyramid_flow", 0.99, "MetricLogger lines with Pyramid-Flow's perception_loss / vae_loss"
    if format == "radiodiff_log":
        return "radiodiff", 0.99, "'[Train Step] i/n' lines in pairs"
    if format in ("vaelab_run", "vaelab_console"):
        return "vaelab", 1.0, "the log of vaelab train"
    checks: tuple[tuple[str, set[str], set[str], float], ...] = (
        ("pyramid_flow", {"perception_loss", "rec_loss"}, set(), 0.95),
        ("vaelab", {"rec_mse", "clip_coefficient"}, set(), 0.99),
        ("vaelab", {"kl_nats_per_element"}, set(), 0.99),
        ("sgm", {"loss/rec"}, set(), 0.95),
        ("vidtok", {"non_saturated_d_loss", "rec_loss"}, {"reconstruct_loss"}, 0.95),
        ("seed_voken_ibq", {"unsacled_g_loss", "codebook_quant_loss"}, set(), 0.95),
        ("seed_voken", {"reconstruct_loss", "perceptual_loss"}, set(), 0.9),
        ("taming", {"aeloss", "quant_loss"}, set(), 0.95),
        ("ldm", {"aeloss", "kl_loss", "rec_loss"}, set(), 0.95),
        ("ldm", {"discloss", "kl_loss", "rec_loss"}, set(), 0.9),
        ("wf_vae", {"generator_loss", "latents_std"}, set(), 0.95),
        ("open_sora", {"nll_rec", "nll_per"}, set(), 0.95),
        ("open_sora", {"loss_.nll_rec", "loss_.nll_per"}, set(), 0.95),
        ("open_sora_v1", {"z_nll_loss", "nll_loss", "kl_loss"}, set(), 0.95),
        ("diffusers_vqgan", {"step_gen_loss", "step_discr_loss"}, set(), 0.95),
        ("diffusers", {"p_loss", "nll_loss", "kl_loss", "disc_weight"}, set(), 0.9),
        ("vqgan_training", {"overall_vae_loss"}, set(), 0.95),
        ("magvit2", {"recon_loss", "discr_loss"}, set(), 0.8),
        (
            "radiodiff",
            {"total_loss", "rec_loss", "kl_loss", "d_weight", "disc_factor", "learning_rate"},
            {"nll_loss"},
            0.9,
        ),
        (
            "radiodiff",
            {"nll_loss", "rec_loss", "kl_loss", "logvar", "lr"},
            {"perception_loss", "p_loss", "grad_norm"},
            0.75,
        ),
        ("pyramid_flow", {"pixelloss_weight", "perceptual_weight"}, set(), 0.5),
    )
    names = bare | {bare_name(k) for k in _flatten(raw_config)}
    for trainer, need, forbid, confidence in checks:
        present = names if trainer == "pyramid_flow" and confidence < 0.6 else bare
        if need <= present and not forbid & bare:
            reason = f"columns {', '.join(sorted(need))} as {TRAINERS[trainer].title} names them"
            return trainer, confidence, reason
    return "unknown", 0.0, "the columns fit no trainer vaelab knows; names are read by the catalogue's aliases"


def bare_name(name: str) -> str:
    """A column's own name in lower case, without its split (``train/``) and Lightning's ``_step`` or ``_epoch``."""
    text = re.sub(r"\s+", "_", name.strip().lower())
    text = re.sub(r"^(train|training|val|val_ema|valid|validation)[/_]", "", text)
    return re.sub(r"_(step|epoch)$", "", text) if text not in ("global_step",) else text


_CONFIG_ALIASES: dict[str, str] = {
    "kl_scale": "kl_weight",
    "klloss_weight": "kl_weight",
    "pixel_weight": "pixelloss_weight",
    "perceptual_scale": "perceptual_weight",
    "perceptual_loss_weight": "perceptual_weight",
    "lr_disc": "disc_lr",
    "disc_learning_rate": "disc_lr",
    "learning_rate": "lr",
    "base_learning_rate": "lr",
    "gradient_clip_val": "clip_grad",
    "max_grad_norm": "clip_grad",
    "grad_clip": "clip_grad",
    "train_num_steps": "total_steps",
    "max_train_steps": "total_steps",
    "max_steps": "total_steps",
    "num_training_steps": "total_steps",
    "embed_dim": "latent_channels",
    "z_channels": "latent_channels",
    "disc_start_iter": "disc_start",
    "discr_start_after_step": "disc_start",
    "disc_in_channels": "input_channels",
    "image_size": "resolution",
    "lecam_loss_weight": "lecam_weight",
}
_CONFIG_KEYS = {
    "kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "disc_start", "disc_factor", "disc_lr", "lr",
    "min_lr", "clip_grad", "batch_size", "epochs", "iters_per_epoch", "warmup_epochs", "warmup_steps", "total_steps",
    "resolution", "max_frames", "add_discriminator", "freeze_encoder", "latent_channels", "ch_mult", "input_channels",
    "logvar_init", "learn_logvar", "disc_loss", "opt_betas", "optimizer_config", "print_freq", "log_freq", "latent_shape",
    "clip_shape", "compression", "input_range", "gradient_accumulate_every", "accumulate_grad_batches",
    "pretrained_vae_weight", "model_path", "resume", "image_gpus", "video_gpus", "use_image_video_mixed_training",
    "codebook_weight", "commit_weight", "lecam_weight", "fp16", "amp", "model_dtype", "ema_decay", "weight_decay", "dataset",
}  # fmt: skip


def canonical_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Declared values under canonical names. Nested keys are matched by their last part; unknown keys are left out."""
    found: dict[str, Any] = {}
    flat = _flatten(raw)
    own = is_own(flat)
    for path, value in flat.items():
        last = path.rsplit(".", 1)[-1].lower().lstrip("-").replace("-", "_")
        key = last if last in _CONFIG_KEYS else _CONFIG_ALIASES.get(last)
        if own:
            # arguments of a model class or of a data source may have any name
            free = path.startswith(("model.config.", "data.options.")) and key != "latent_channels"
            key = None if free else CANONICAL.get(path, key)
        if key is None or value is None or value == "":
            continue
        if key in found and last != key:
            continue
        found[key] = _number(value)
    per_epoch = _count(found.get("iters_per_epoch"))
    for key, epochs in (("total_steps", "epochs"), ("warmup_steps", "warmup_epochs")):
        count = _count(found.get(epochs))
        if key not in found and per_epoch is not None and count is not None:
            found[key] = count * per_epoch
    return canonical_own(found, flat) if own else found


def _count(value: Any) -> int | None:
    """A whole number of epochs or steps, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-6`` as text: numbers in text become numbers, everything else stays."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if re.fullmatch(r"[-+]?\d+", value.strip()) else number
    return value


def _flatten(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            flat.update(_flatten(value, path))
        else:
            flat[path] = value
    return flat
