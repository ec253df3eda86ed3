"""Writes what a run measured in the logs of public trainers, with their smoothing, rounding and names.

- vaelab: metrics.jsonl, events.jsonl, config.yaml and derived.yaml by the trainer's own writer.
- pyramid_flow: console text of MetricLogger; each value is the lower median of the last 20 steps and, in brackets, the
  mean since the start of the epoch; four decimals. The learning rates have six and are those of the step.
- radiodiff: `[Train Step]` pairs with five decimals; values of the step. rec_loss is the mean of pixel loss + LPIPS.
- lightning: metrics.csv of CSVLogger with latent-diffusion's names; validation means in rows of their own at an epoch's end.
- taming: the same with taming-transformers' names, of a VQGAN.
- plain: a hand-written loop's CSV of a VQ autoencoder, with the use of the codebook and held-out error.
- tensorboard: event files; for radio maps RadioDiff's tags, where total_loss is the mean of both networks'
  losses, else vaelab's tags. Fault bench runs of RadioDiff accumulate over 2 in name only, as its public code does.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from dialects_tables import compressed, ldm_values, lightning, plain, taming, write_text
from result import Result, Row
from systems import System

from vaelab.training.run_log import CONFIG, CONSOLE, METRICS, RunLog

MEDIAN_OF = 20
RADIODIFF_ACCUMULATE = 2
CLOCK = "2026-11-21 10:00:00,000"


def write(dialect: str, result: Result, folder: Path) -> str:
    """Write the log and what else the trainer leaves in `folder`; the name of what is to be diagnosed, inside it."""
    folder.mkdir(parents=True, exist_ok=True)
    return WRITERS[dialect](result, folder)


def guarded(dialect: str, system: System) -> bool:
    """Whether the trainer that the log is of skips updates that are not finite; only vaelab's does."""
    return dialect == "vaelab" or (dialect == "tensorboard" and system.name != "radio")


def _vaelab(result: Result, folder: Path) -> str:
    log = RunLog(folder, result.config, 0, result.derived)
    _events(result, log)
    for step, values in _vaelab_rows(result):
        log.row(step, step // result.epoch, values, result.epoch)
    log.close()
    (folder / CONSOLE).unlink()
    return compressed(folder / METRICS)


def _events(result: Result, log: RunLog) -> None:
    log.event("start", 0, world=1, device="cpu")
    for kind, step, details in result.events:
        log.event(kind, step, **details)
    if len(result.rows) == result.config.run.steps:
        log.event("finished", len(result.rows))


def _vaelab_rows(result: Result) -> list[tuple[int, Row]]:
    """As the trainer writes them: every log_every steps and at validations, with the clipped share and the
    largest rec_loss since the last row."""
    run, scores = result.config.run, {step: _scores(result, values) for step, values in result.validations}
    rows: list[tuple[int, Row]] = []
    window: list[Row] = []
    for step, row in enumerate(result.rows):
        window.append(row)
        if step % run.log_every and step not in scores:
            continue
        values = {name: value for name, value in row.items() if name not in HIDDEN}
        for name in ("clipped", "disc_clipped"):
            if name in row:
                values[name.replace("clipped", "clip_share")] = statistics.mean(r.get(name, 0.0) for r in window)
        values["rec_loss_max"] = max([r["rec_loss"] for r in window if not math.isnan(r["rec_loss"])], default=0.0)
        if result.config.uses_gan:
            values.setdefault("d_weight", 0.0)
            if step < result.config.loss.disc_start - result.config.loss.disc_warmup and "disc_lr" not in row:
                # measured for latent-diffusion's logs; vaelab's trainer does not run the discriminator that early
                values = {k: v for k, v in values.items() if k not in BEFORE_START} | {"d_weight": 0.0}
        rows.append((step, values | {"step_time": 0.1, "data_time": 0.001} | scores.get(step, {})))
        window = []
    return rows


def _scores(result: Result, values: Row) -> Row:
    """What vaelab's trainer logs of a validation."""
    scores = {f"val/{name}": values[name] for name in ("psnr", "lpips", "rec_mse", "explained_variance", "hf_ratio")}
    if result.config.optim.ema_decay is not None:
        scores |= {f"val_ema/{name}": values[f"{name}_ema"] for name in ("psnr", "lpips")}
    return {name: value for name, value in scores.items() if value == value or name.endswith("psnr")}


# of single steps, in vaelab's log only as shares
HIDDEN = ("finite", "disc_finite", "clipped", "disc_clipped")
BEFORE_START = ("g_loss", "disc_loss", "logits_real", "logits_fake")


# -- Pyramid-Flow -----------------------------------------------------------------------------------------------------

_PYRAMID = {
    "vae_loss": "total_loss", "disc_loss": "disc_loss", "loss_scale": "loss_scale", "total_loss": "total_loss",
    "logvar": "logvar", "kl_loss": "kl_loss", "nll_loss": "nll_loss", "rec_loss": "rec_loss",
    "perception_loss": "perceptual_loss", "d_weight": "d_weight", "disc_factor": "disc_factor", "g_loss": "g_loss",
    "logits_real": "logits_real", "logits_fake": "logits_fake", "weight_decay": "weight_decay", "grad_norm": "grad_norm",
    "disc_grad_norm": "disc_grad_norm",
}  # fmt: skip
_ALWAYS = {"loss_scale": 1.0, "logvar": 0.0, "d_weight": 0.0, "disc_factor": 0.0, "g_loss": 0.0}


def _pyramid_flow(result: Result, folder: Path) -> str:
    config, print_freq, per_epoch = result.config, result.config.run.log_every, result.epoch
    epochs = -(-config.run.steps // per_epoch)
    lines = [f"Namespace({', '.join(f'{k}={v!r}' for k, v in _namespace(result, epochs).items())})"]
    lines.append(f"The latent dimmension channes is {config.model.config['latent_channels']}")
    lines.append(f"Start training for {epochs} epochs, the global iterations is 0")
    resumes = {step: kind for kind, step, _ in result.events if kind == "resume"}
    meters: dict[str, deque[float]] = {}
    totals: dict[str, list[float]] = {}
    for step, row in enumerate(result.rows):
        epoch, place = divmod(step, per_epoch)
        if step in resumes:
            lines += [lines[0], "Auto resume checkpoint: /data/output/checkpoint.pth"]
            lines.append(f"Resume checkpoint at epoch {epoch}, the global optmization step is {step}")
        if place == 0:  # a new MetricLogger each epoch
            meters, totals = {}, {}
        values = _ALWAYS | {"weight_decay": config.optim.weight_decay} | row
        for name, ours in _PYRAMID.items():
            if ours in values:
                meters.setdefault(name, deque(maxlen=MEDIAN_OF)).append(values[ours])
                totals.setdefault(name, []).append(values[ours])
        if place % print_freq == 0 or place == per_epoch - 1:
            width = len(str(per_epoch))
            head = f"Epoch: [{epoch}]  [{place:>{width}}/{per_epoch}]  eta: 0:00:10  {_rates(row)}"
            lines.append(f"{head}  {_meters(meters, totals)}  time: 0.1000  data: 0.0001")
        if place == per_epoch - 1:
            lines.append(f"Epoch: [{epoch}] Total time: 0:00:10 (0.1000 s / it)")
            lines.append(f"Averaged stats: {_rates(row)}  {_meters(meters, totals)}")
    stopped = any(kind == "nan_stop" for kind, _, _ in result.events)
    lines.append("Loss is nan, stopping training" if stopped else "Training time 0:00:50")
    return write_text(folder / "train.log", lines)


def _meters(meters: dict[str, deque[float]], totals: dict[str, list[float]]) -> str:
    """`name: median (mean)`; torch's median of an even count is the lower of the two in the middle."""
    return "  ".join(
        f"{name}: {statistics.median_low(values):.4f} ({statistics.fmean(totals[name]):.4f})"
        for name, values in meters.items()
    )


def _rates(row: Row) -> str:
    rates = [("lr", row["lr"]), ("min_lr", row["lr"])]
    if "disc_lr" in row:
        rates += [("disc_lr", row["disc_lr"]), ("disc_min_lr", row["disc_lr"])]
    return "  ".join(f"{name}: {value:.6f}" for name, value in rates)


def _namespace(result: Result, epochs: int) -> dict[str, Any]:
    config = result.config
    data, loss, optim, run = config.data, config.loss, config.optim, config.run
    return {
        "batch_size": run.batch_size, "epochs": epochs, "print_freq": run.log_every, "iters_per_epoch": result.epoch,
        "resolution": data.resolution[0], "max_frames": data.frames, "disc_start": loss.disc_start, "logvar_init": 0.0,
        "kl_weight": loss.kl_weight, "pixelloss_weight": loss.pixelloss_weight,
        "perceptual_weight": loss.perceptual_weight, "disc_weight": loss.disc_weight,
        "pretrained_vae_weight": "/data/vae" if "pretrained" in result.derived else "",
        "add_discriminator": loss.disc != "none", "freeze_encoder": False, "opt": "adamw", "opt_eps": 1e-08,
        "opt_betas": list(optim.betas), "clip_grad": optim.clip_grad or 0.0, "weight_decay": optim.weight_decay,
        "lr": optim.lr, "lr_disc": optim.disc_lr, "min_lr": optim.min_lr, "warmup_steps": optim.warmup_steps,
        "image_mix_ratio": 0.0, "device": "cpu", "seed": run.seed, "num_workers": 0, "world_size": 1,
    }  # fmt: skip


# -- RadioDiff --------------------------------------------------------------------------------------------------------


def _radiodiff(result: Result, folder: Path) -> str:
    config, steps = result.config, result.config.run.steps
    lines = [f"{CLOCK} {_radiodiff_config(result)!r}"]
    resumes = {step for kind, step, _ in result.events if kind == "resume"}
    for step, row in enumerate(result.rows):
        if step in resumes:
            lines.append(lines[0])
        if step % config.run.log_every:
            continue
        values = ldm_values(result, row)
        generator = {"total_loss": row["total_loss"], "logvar": row.get("logvar", 0.0)} | {
            name: values[name] for name in ("kl_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss")
        }
        discriminator = {name: values[name] for name in ("disc_loss", "logits_real", "logits_fake")}
        for part in (generator, discriminator):
            text = "".join(f"train/{name}: {value:.5f}, " for name, value in part.items())
            lines.append(f"{CLOCK} [Train Step] {step}/{steps}: {text}lr: {row['lr']:.5f}, ")
    return write_text(folder / "train.log", lines)


def _radiodiff_config(result: Result) -> dict[str, Any]:
    config = result.config
    loss, optim, run = config.loss, config.optim, config.run
    return {
        "model": {
            "embed_dim": config.model.config["latent_channels"],
            "lossconfig": {
                "disc_start": loss.disc_start, "kl_weight": loss.kl_weight, "disc_weight": loss.disc_weight,
                "perceptual_weight": loss.perceptual_weight, "disc_in_channels": config.data.channels,
            },
            "ddconfig": {
                "double_z": True, "z_channels": config.model.config["latent_channels"],
                "resolution": list(config.data.resolution), "in_channels": config.data.channels,
                "out_ch": config.data.channels, "ch": 24, "ch_mult": [1, 2, 2],
            },
            "ckpt_path": "/data/vae.pt" if "pretrained" in result.derived else None,
        },
        "data": {"name": "radio", "batch_size": run.batch_size},
        "trainer": {
            "gradient_accumulate_every": RADIODIFF_ACCUMULATE, "lr": optim.lr, "min_lr": optim.min_lr,
            "train_num_steps": run.steps, "save_and_sample_every": run.steps, "log_freq": run.log_every, "amp": False,
        },
    }  # fmt: skip


# -- TensorBoard ------------------------------------------------------------------------------------------------------

_RADIODIFF_TAGS = (
    "rec_loss",
    "kl_loss",
    "d_weight",
    "disc_factor",
    "g_loss",
    "disc_loss",
    "logits_real",
    "logits_fake",
)


def _tensorboard(result: Result, folder: Path) -> str:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))
    for step, values in _radiodiff_tags(result) if result.system.name == "radio" else _vaelab_rows(result):
        for name, value in values.items():
            writer.add_scalar(name, value, step)
    writer.close()
    if result.system.name != "radio":
        (folder / CONFIG).write_text(yaml.safe_dump(result.config.model_dump(mode="json"), sort_keys=False))
    return "tensorboard"


def _radiodiff_tags(result: Result) -> list[tuple[int, Row]]:
    tags = []
    for step, row in list(enumerate(result.rows))[:: result.config.run.log_every]:
        values = ldm_values(result, row)
        total = (row["total_loss"] + values["disc_loss"]) / RADIODIFF_ACCUMULATE
        tags.append(
            (step, {"Learning_Rate": row["lr"], "total_loss": total} | {name: values[name] for name in _RADIODIFF_TAGS})
        )
    return tags


WRITERS: dict[str, Callable[[Result, Path], str]] = {
    "vaelab": _vaelab,
    "pyramid_flow": _pyramid_flow,
    "radiodiff": _radiodiff,
    "lightning": lightning,
    "taming": taming,
    "plain": plain,
    "tensorboard": _tensorboard,
}
