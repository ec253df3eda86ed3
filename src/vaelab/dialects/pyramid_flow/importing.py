"""Pyramid-Flow's ``train_video_vae.py``: a launch script or a command line (facts: jy0205/Pyramid-Flow at 3040d71)."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import Draft, Imported
from vaelab.config.foreign.shell import Command, commands
from vaelab.errors import ConfigError

TITLE = "Pyramid-Flow (train_video_vae.py)"
PROGRAM = "train_video_vae.py"


def convert(text: str, parsed: Any) -> Imported:
    """The settings of the script's first training command. Raises ConfigError if there is none."""
    found = commands(text, PROGRAM)
    if not found:
        raise ConfigError(
            f"the script names {PROGRAM} but does not start it: give the lines from torchrun to the last option"
        )
    draft = Draft(TITLE, found[0].options, "--")
    _model(draft)
    _data(draft, found[0])
    steps = _length(draft)
    _losses(draft)
    _gan(draft, steps)
    _optimizers(draft)
    _rest(draft)
    if len(found) > 1:
        draft.needs(
            "",
            None,
            f"the script starts {len(found)} trainings; this is the first: import the others from files of their own",
        )
    return draft.finish("pyramid-flow-import")


def _model(d: Draft) -> None:
    d.fixed("8x8x8 compression, 16 latent channels", "model.type", "CausalVideoVAE", "vaelab's own layers at its size")
    d.not_carried(
        "its checkpoints do not load into vaelab's layers: training starts from new weights",
        "model_path",
        "pretrained_vae_weight",
    )
    if "freeze_encoder" in d.options:
        d.maps("freeze_encoder", "model.freeze", "encoder" if d.get("freeze_encoder", False) else "none")
    if "model_dtype" in d.options:
        dtype = str(d.get("model_dtype", "bf16"))
        d.maps(
            "model_dtype",
            "optim.precision",
            dtype if dtype in ("bf16", "fp16") else "fp32",
            "type of the arithmetic; weights are fp32 in both",
        )
    else:
        d.fixed("--model_dtype", "optim.precision", "bf16")
    d.not_carried(
        "clips are not split over GPUs; in the original the gradient is cut at the borders between them",
        "use_context_parallel",
        "context_size",
    )


def _data(d: Draft, command: Command) -> None:
    size, frames = d.get("resolution", 256), d.get("max_frames", 24)
    d.maps("resolution", "data.resolution", [size, size])
    grid = 8 * max(round((frames - 1) / 8), 0) + 1
    if grid == frames:
        d.maps("max_frames", "data.frames", frames)
    else:
        d.corrected("max_frames", "data.frames", grid, f"{frames} frames are not a multiple of 8 plus 1")
    d.fixed("annotation files", "data.source", "annotations")
    mixed = bool(d.get("use_image_video_mixed_training", False))
    path = d.options.get("video_anno") or d.options.get("image_anno")
    if path and not str(path).startswith("$"):
        d.maps("video_anno" if d.options.get("video_anno") else "image_anno", "data.path", str(path))
    else:
        d.not_carried("set data.path to the annotation file", "video_anno")
        d.needs("data.path", None, "the annotation file of the videos: set it")
    gpus = _whole(command.launcher.get("nproc_per_node"))
    ratio = d.get("image_mix_ratio", 0.1)
    if mixed:
        d.maps("use_image_video_mixed_training", "", None, "see --image_mix_ratio")
        d.not_carried("one file holds both here: append its lines to the video annotations", *d.children("image_anno"))
        share = f": {max(1, int(gpus * ratio))} of {gpus} here" if gpus else ""
        d.corrected(
            "image_mix_ratio",
            "data.image_share",
            ratio,
            f"a share of the batches; in the original whole GPUs get images only{share}, and wait for the others",
        )
    else:
        d.no_effect("read only with --use_image_video_mixed_training", "image_mix_ratio", *d.children("image_anno"))
    if d.get("not_add_normalize", False):
        d.corrected("not_add_normalize", "", None, "pixels are always in [-1, 1] here, as LPIPS expects")
    d.maps("num_workers", "data.workers", d.get("num_workers", 10))
    if gpus:
        total = gpus * d.get("batch_size", 64)
        d.maps(
            "batch_size",
            "run.batch_size",
            d.get("batch_size", 64),
            f"of one process: {total} in all on {gpus} GPUs; start vaelab with torchrun on as many, or raise optim.accumulate",
        )
    else:
        d.maps("batch_size", "run.batch_size", d.get("batch_size", 64), "of one process in both")
    d.mended(
        "videos",
        "",
        None,
        "whole files are decoded, and one that fails is replaced by another at random; here only the frames needed, and failures are counted",
    )


def _length(d: Draft) -> int:
    epochs, each = d.get("epochs", 100), d.get("iters_per_epoch", 2000)
    steps = max(epochs * each, 1)
    d.maps("epochs", "run.steps", steps, f"{epochs} epochs of {each} iterations")
    d.maps("iters_per_epoch", "", None, "see --epochs")
    d.maps("print_freq", "run.log_every", d.get("print_freq", 20))
    d.maps(
        "save_ckpt_freq", "run.checkpoint_every", d.get("save_ckpt_freq", 20) * each, "in steps here, in epochs there"
    )
    d.maps("seed", "run.seed", d.get("seed", 0))
    return steps


def _losses(d: Draft) -> None:
    d.fixed("pixel loss", "loss.pixel_loss", "mse")
    d.fixed("mean over all values", "loss.nll_reduction", "mean")
    d.maps("pixelloss_weight", "loss.pixelloss_weight", d.get("pixelloss_weight", 1.0))
    weight = d.get("perceptual_weight", 1.0)
    d.maps(
        "perceptual_weight",
        "loss.perceptual_weight",
        weight,
        "0 ends the original with an error" if weight == 0 else "",
    )
    d.fixed("LPIPS", "loss.perceptual", "vgg16")
    d.mended(
        "LPIPS in train mode",
        "",
        None,
        "its dropout is on in the original, which makes the value noisy; here it stays in eval mode",
    )
    if "lpips_ckpt" in d.options:
        d.maps(
            "lpips_ckpt",
            "loss.perceptual_weights",
            str(d.options["lpips_ckpt"]),
            "a file with the whole VGG16 network and the heads",
        )
    kl = d.get("kl_weight", 1e-6)
    small = ": so small that the KL has no influence; 1e-6 gives it a few percent of the loss" if 0 < kl < 1e-8 else ""
    d.maps("kl_weight", "loss.kl_weight", kl, f"in the unit of kl_reduction{small}")
    d.fixed(
        "KL",
        "loss.kl_reduction",
        "channel_mean",
        "summed over time and space, mean over batch and channels: 16 times below latent-diffusion's",
    )
    d.maps(
        "logvar_init",
        "loss.logvar_init",
        d.get("logvar_init", 0.0),
        "a constant: no optimizer of the original holds it",
    )


def _gan(d: Draft, steps: int) -> None:
    start, built = d.get("disc_start", 0), bool(d.get("add_discriminator", False))
    reachable = start if start < steps else steps // 2
    late = f"{start} is beyond the {steps} steps of the run" if start >= steps else ""
    if built:
        d.maps("add_discriminator", "loss.disc", "patch2d")
    else:
        d.corrected(
            "add_discriminator",
            "loss.disc",
            "patch2d",
            "without it the original builds no discriminator and trains no GAN; set loss.disc=none for just that",
        )
    if late:
        d.corrected(
            "disc_start", "loss.disc_start", reachable, f"{late}, so it could never start; half of the run is taken"
        )
    else:
        trap = "; above 0 the original stops at its second iteration on several GPUs" if built and start > 0 else ""
        d.maps("disc_start", "loss.disc_start", reachable, f"generator updates in both{trap}")
    warm = min(2000, reachable // 10)
    d.mended(
        "discriminator at its start",
        "loss.disc_warmup",
        warm,
        "the decoder meets an untrained discriminator there; here it is trained alone before",
    )
    d.fixed("layers of the discriminator", "loss.disc_layers", 4)
    d.fixed("its norm", "loss.disc_norm", "instance")
    d.fixed("its loss", "loss.disc_loss", "hinge")
    d.maps("disc_weight", "loss.disc_weight", d.get("disc_weight", 0.1))
    d.mended("several GPUs", "", None, "the discriminator's gradients are never averaged there; here they are")


def _optimizers(d: Draft) -> None:
    each = d.get("iters_per_epoch", 2000)
    warm_epochs, warm_steps = d.get("warmup_epochs", 5), d.get("warmup_steps", -1)
    warm = warm_steps if warm_steps > 0 else warm_epochs * each
    lr, disc_lr, least = d.get("lr", 5e-5), d.get("lr_disc", 1e-5), d.get("min_lr", 1e-5)
    d.maps("lr", "optim.lr", lr)
    d.maps(
        "min_lr",
        "optim.min_lr",
        min(least, lr),
        "" if least <= lr else "above lr there, where the cosine rises to it; here lr stays",
    )
    d.fixed("cosine schedule", "optim.schedule", "cosine")
    d.maps(
        "warmup_epochs", "optim.warmup_steps", warm, "from lr / warmup_steps; the original's first step has a rate of 0"
    )
    if "warmup_steps" in d.options:
        d.maps("warmup_steps", "", None, "see --warmup_epochs")
    d.maps("lr_disc", "optim.disc_lr", disc_lr)
    d.fixed("min_lr of the discriminator", "optim.disc_min_lr", min(least, disc_lr))
    d.fixed("schedule of the discriminator", "optim.disc_schedule", "cosine")
    d.mended(
        "warm-up of the discriminator",
        "optim.disc_warmup_steps",
        min(1000, warm),
        "it follows the global step there, so a late discriminator starts at its peak rate",
    )
    betas = d.get("opt_betas", None)
    if isinstance(betas, list) and len(betas) == 2:
        d.corrected(
            "opt_betas", "optim.betas", betas, "parsed but not read in the original: AdamW ran with (0.9, 0.999)"
        )
        d.mended("betas of the discriminator", "optim.disc_betas", betas, "the same option, the same fault")
    else:
        d.fixed("AdamW's betas", "optim.betas", [0.9, 0.999])
        d.fixed("betas of the discriminator", "optim.disc_betas", [0.9, 0.999])
    d.maps(
        "weight_decay", "optim.weight_decay", d.get("weight_decay", 1e-4), "weights of two or more dimensions in both"
    )
    clip = d.get("clip_grad", None)
    d.maps(
        "clip_grad",
        "optim.clip_grad",
        d.get("clip_grad", 1.0) if clip is not None else None,
        "of both networks" if clip is not None else "not given: no clipping there, 1.0 here",
    )
    if clip is not None:
        d.fixed("clipping of the discriminator", "optim.disc_clip_grad", d.get("clip_grad", 1.0))
    name = str(d.get("opt", "adamw"))
    if "opt" in d.options:
        d.maps("opt", "", None, "") if name.lower() == "adamw" else d.corrected("opt", "", None, "only AdamW here")
    d.not_carried("fixed at 1e-8 here", "opt_eps")
    d.no_effect(
        "nothing reads it: no EMA in the original; here optim.ema_decay really averages", "ema_update", "ema_decay"
    )
    d.no_effect("parsed, but not handed to the schedule", "warmup_lr", "weight_decay_end")


def _rest(d: Draft) -> None:
    d.no_effect("nothing reads it", "eval", "disable_eval", "dist_eval", "device")
    d.not_carried(
        "belongs to the start of a run, not to its settings",
        "output_dir",
        "resume",
        "auto_resume",
        "no_auto_resume",
        "start_epoch",
        "global_step",
    )
    d.not_carried("torchrun sets it", "world_size", "local_rank", "dist_on_itp", "dist_url")
    d.not_carried("always on here where there is a GPU", "pin_mem", "no_pin_mem")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
