"""Small healthy logs in the exact formats of public trainers, whose numbers obey each trainer's loss identity."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

import vaelab

Array = npt.NDArray[np.float64]
ROWS = 160


@dataclass
class Log:
    """path: the log file. truth: constants used to make it. gan_step: first logged step with the GAN on.

    columns: canonical names it must have. latent, nats: latent shape and nats per element on the last rows.
    """

    path: Path
    trainer: str
    format: str
    columns: frozenset[str]
    steps: tuple[int, int]
    gan_step: int | None
    truth: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    decimals: dict[str, int | None] = field(default_factory=dict)
    smoothing: str = "none"
    latent: str | None = None
    nats: float | None = None


@dataclass
class Curves:
    """Terms of a healthy run: l1, mse, LPIPS p, nats per latent element, logits, hinge loss, gradient ratio."""

    t: Array
    on: npt.NDArray[np.bool_]
    l1: Array
    mse: Array
    p: Array
    nats: Array
    real: Array
    fake: Array
    hinge: Array
    ratio: Array

    @property
    def g(self) -> Array:
        return -self.fake


def curves(rows: int = ROWS, seed: int = 0, gan_row: int | None = None) -> Curves:
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, rows)
    on = np.arange(rows) >= (rows // 2 if gan_row is None else gan_row)
    shared = np.exp(rng.normal(0, 0.07, rows))
    since = np.where(on, t - t[np.argmax(on)], 0.0)
    shake = 1 + 0.5 * on * np.exp(-40 * since)

    def fall(start: float, floor: float) -> Array:
        own = np.exp(rng.normal(0, 0.03, rows))
        return np.asarray((floor + (start - floor) * np.exp(-12 * t)) * shake * shared * own)

    skill = 0.4 * on * (1 - np.exp(-10 * since))
    real, fake = skill / 2 + rng.normal(0, 0.05, rows), -skill / 2 + rng.normal(0, 0.05, rows)
    patches = rng.normal(0, 0.5, (2, 400, rows))
    patches -= patches.mean(axis=1, keepdims=True)
    hinge = 0.5 * (
        np.maximum(0, 1 - real - patches[0]).mean(axis=0) + np.maximum(0, 1 + fake + patches[1]).mean(axis=0)
    )
    nats = (1.5 + 2.5 * (1 - np.exp(-4 * t))) * np.exp(rng.normal(0, 0.02, rows))
    ratio = np.exp(rng.normal(0, 0.15, rows))
    return Curves(t, on, fall(0.4, 0.045), fall(0.25, 0.004), fall(0.6, 0.13), nats, real, fake, hinge, ratio)


def single(values: Array) -> Array:
    """Rounded to float32, as a trainer's tensors are."""
    return np.asarray(values, np.float32).astype(np.float64)


def g3(value: float) -> str:
    """A number as tqdm's postfix prints it."""
    short, full = f"{value:.3g}".replace("+0", "+").replace("-0", "-"), str(value)
    return short if len(short) < len(full) else full


def write_events(folder: Path, steps: Sequence[int], tags: Mapping[str, Array]) -> Path:
    """One event file; NaN means that the tag was not written at that step."""
    writer = EventFileWriter(str(folder))
    for i, step in enumerate(steps):
        for tag, values in tags.items():
            if not np.isnan(values[i]):
                value = Summary.Value(tag=tag, simple_value=float(values[i]))
                writer.add_event(Event(wall_time=1.7e9 + step, step=int(step), summary=Summary(value=[value])))
    writer.close()
    return next(folder.glob("events*"))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A sparse table, as CSVLogger writes it: numbers of float32 tensors in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: float(np.float32(v)) if isinstance(v, float) else v for k, v in row.items()})
    return path


def write_wandb(folder: Path, steps: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> Path:
    """One offline run of W&B, logged with explicit steps; values may be dicts."""
    import wandb

    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True)
    run = wandb.init(mode="offline", project="vae", dir=folder, settings=settings, reinit="create_new")
    for step, row in zip(steps, rows, strict=True):
        run.log(dict(row), step=int(step))
    run.finish()
    path = next(folder.glob("wandb/offline-run-*/*.wandb"))
    # its own process writes the file, and under load it may be late
    for _ in range(200):
        if _holds_the_end(path):
            return path
        time.sleep(0.05)
    raise AssertionError(f"W&B has not written the end of {path}")


def _holds_the_end(path: Path) -> bool:
    try:
        return any(event.kind == "finished" for run in vaelab.read_all(path) for event in run.events)
    except vaelab.VaelabError:
        return False


# --- Pyramid-Flow --------------------------------------------------------------------------------------------------------


def _pyramid_flow(seed: int) -> tuple[list[dict[str, float]], dict[str, Any], int]:
    """Values of every iteration, the declared config, iterations per epoch."""
    c, per_epoch = curves(3200, seed), 100
    nll = 10 * c.mse + c.p
    kl = c.nats * 3 * 32 * 32
    d_weight = 0.5 * 0.6 * c.ratio
    total = nll + 1e-7 * kl + np.where(c.on, d_weight * c.g, 0.0)
    norm = 0.6 + 0.1 * np.random.default_rng(seed + 1).random(3200)
    rows = []
    for i in range(3200):
        lr = 1e-4 * min(1.0, i / 200)
        row = {"lr": lr, "min_lr": lr, "vae_loss": total[i], "loss_scale": 1.0, "total_loss": total[i], "logvar": 0.0,
               "kl_loss": kl[i], "nll_loss": nll[i], "rec_loss": c.mse[i], "perception_loss": c.p[i],
               "d_weight": d_weight[i] if c.on[i] else 0.0, "disc_factor": float(c.on[i]),
               "g_loss": c.g[i] if c.on[i] else 0.0, "weight_decay": 1e-3, "grad_norm": norm[i]}  # fmt: skip
        if c.on[i]:
            row |= {"disc_loss": c.hinge[i], "disc_loss_scale": 1.0, "disc_grad_norm": 0.4, "disc_lr": lr,
                    "disc_min_lr": lr, "logits_real": c.real[i], "logits_fake": c.fake[i]}  # fmt: skip
        rows.append(row)
    config = {"kl_weight": 1e-7, "pixelloss_weight": 10.0, "perceptual_weight": 1.0, "disc_weight": 0.5,
              "disc_start": 1600, "add_discriminator": True, "iters_per_epoch": per_epoch, "epochs": 32, "lr": 1e-4,
              "lr_disc": 1e-4, "clip_grad": 1.0, "opt_betas": None, "resolution": 256, "max_frames": 17}  # fmt: skip
    return rows, config, per_epoch


def meters(rows: Sequence[Mapping[str, float]], at: int, per_epoch: int) -> str:
    """MetricLogger's meters at iteration ``at``: lower median of the last 20 values and the mean of the epoch so far."""
    epoch = rows[at // per_epoch * per_epoch : at + 1]
    parts = []
    for name in rows[at]:
        values = np.array([r[name] for r in epoch if name in r])
        last = sorted(values[-20:])
        if name in ("lr", "min_lr", "disc_lr", "disc_min_lr"):
            parts.append(f"{name}: {values[-1]:.6f}")
        else:
            parts.append(f"{name}: {last[(len(last) - 1) // 2]:.4f} ({values.mean():.4f})")
    return "  ".join(parts)


PF_COLUMNS = frozenset(
    [
        "total_loss",
        "kl_loss",
        "nll_loss",
        "rec_loss",
        "perceptual_loss",
        "d_weight",
        "disc_factor",
        "g_loss",
        "grad_norm",
        "lr",
        "disc_loss",
        "logits_real",
        "logits_fake",
    ]
)


def pyramid_flow_console(folder: Path, seed: int = 0) -> Log:
    rows, config, n = _pyramid_flow(seed)
    lines = ["Namespace(" + ", ".join(f"{k}={v!r}" for k, v in config.items()) + ")"]
    for i in range(0, len(rows), 20):
        lines.append(
            f"Epoch: [{i // n}]  [{i % n:>3}/{n}]  eta: 0:01:10  {meters(rows, i, n)}  time: 0.4210  data: 0.0004"
            "  max mem: 21034"
        )
        if i % n == n - 20:
            lines.append(f"Epoch: [{i // n}] Total time: 0:00:42 (0.4215 s / it)")
    (folder / "train.log").write_text("\n".join(lines) + "\n")
    return Log(folder / "train.log", "pyramid_flow", "metric_logger", PF_COLUMNS, (0, 3180), 1600,
               {"pixelloss_weight": 10, "perceptual_weight": 1, "kl_weight": 1e-7, "disc_weight": 0.5},
               decimals={"rec_loss": 4, "lr": 6}, smoothing="window_median", latent="16x3x32x32", nats=4.0)  # fmt: skip


def pyramid_flow_log_txt(folder: Path, seed: int = 0) -> Log:
    rows, config, n = _pyramid_flow(seed)
    with (folder / "log.txt").open("w") as file:
        for e in range(32):
            epoch = rows[e * n : (e + 1) * n]
            means = {f"train_{k}": float(np.mean([r[k] for r in epoch])) for k in epoch[0]}
            file.write(json.dumps(means | {"epoch": e, "n_parameters": 1}) + "\n")
    declared = {k: v for k, v in config.items() if v is not None and k != "disc_start"}
    return Log(folder / "log.txt", "pyramid_flow", "pyramid_flow_json", PF_COLUMNS, (0, 31), 16,
               {"pixelloss_weight": 10, "perceptual_weight": 1, "kl_weight": 1e-7, "disc_weight": 0.5}, declared,
               smoothing="epoch_mean", latent="16x3x32x32", nats=4.0)  # fmt: skip


# --- RadioDiff -----------------------------------------------------------------------------------------------------------


def _radiodiff(seed: int) -> tuple[Curves, dict[str, Array]]:
    c = curves(seed=seed)
    rec = c.l1 + c.mse + c.p
    nll, kl, d_weight = 65536 * rec, c.nats * 3 * 64 * 64, 0.5 * 900 * c.ratio
    terms = {"total_loss": nll + 1e-6 * kl + np.where(c.on, d_weight * c.g, 0), "logvar": np.zeros(ROWS), "kl_loss": kl,
             "nll_loss": nll, "rec_loss": rec, "d_weight": d_weight, "disc_factor": c.on.astype(float), "g_loss": c.g}  # fmt: skip
    return c, {k: single(v) for k, v in terms.items()}


RD_COLUMNS = frozenset(
    [
        "total_loss",
        "kl_loss",
        "rec_loss",
        "d_weight",
        "disc_factor",
        "g_loss",
        "disc_loss",
        "logits_real",
        "logits_fake",
        "lr",
    ]
)
RD_CONFIG = {"model": {"embed_dim": 3, "lossconfig": {"disc_start": 4001, "kl_weight": 1e-6, "disc_weight": 0.5}},
             "trainer": {"lr": 5e-6, "train_num_steps": 8000}}  # fmt: skip


def radiodiff_text(folder: Path, seed: int = 0) -> Log:
    c, terms = _radiodiff(seed)
    lines = [f"2026-01-01 10:00:00,000 {RD_CONFIG}"]
    for i in range(ROWS):
        head = f"2026-01-01 1{i // 60}:{i % 60:02d}:00,123 [Train Step] {(i + 1) * 50}/8000: "
        lines.append(head + "".join(f"train/{k}: {v[i]:.5f}, " for k, v in terms.items()) + "lr: 0.00001, ")
        disc = {"disc_loss": c.hinge[i] * c.on[i], "logits_real": c.real[i], "logits_fake": c.fake[i]}
        lines.append(head + "".join(f"train/{k}: {v:.5f}, " for k, v in disc.items()) + "lr: 0.00001, ")
    (folder / "2026-01-01-10-00_.log").write_text("\n".join(lines) + "\n")
    return Log(folder / "2026-01-01-10-00_.log", "radiodiff", "radiodiff_log", RD_COLUMNS | {"nll_loss", "logvar"},
               (50, 8000), 4050, {"n_pixels": 65536, "kl_weight": 1e-6, "disc_weight": 0.5},
               decimals={"rec_loss": 5, "lr": 5}, latent="3x64x64", nats=4.0)  # fmt: skip


def radiodiff_tensorboard(folder: Path, seed: int = 0) -> Log:
    c, terms = _radiodiff(seed)
    disc = c.hinge * c.on
    tags = {"Learning_Rate": np.full(ROWS, 5e-6)}
    tags |= {k: terms[k] for k in ("total_loss", "rec_loss", "kl_loss", "d_weight", "disc_factor", "g_loss")}
    tags |= {"disc_loss": disc, "logits_real": c.real, "logits_fake": c.fake}
    tags["total_loss"] = (terms["total_loss"] + disc) / 2
    path = write_events(folder, range(1, ROWS + 1), tags)
    return Log(path, "radiodiff", "tensorboard", RD_COLUMNS, (1, ROWS), ROWS // 2 + 1, {"n_pixels": 65536},
               {"kl_weight": 1e-6, "disc_weight": 0.5}, latent="3x64x64", nats=4.0)  # fmt: skip


# --- Lightning: taming, latent-diffusion, generative-models, VidTok, SEED-Voken -------------------------------------------

GAN_COLUMNS = frozenset(
    ["total_loss", "nll_loss", "rec_loss", "d_weight", "g_loss", "disc_loss", "logits_real", "logits_fake"]
)


def _lightning(
    path: Path, terms: Mapping[str, Array], suffixed: Callable[[str], bool], val: Mapping[str, float], every: int = 50
) -> Path:
    """metrics.csv: a row for each logged step, and at the end of each epoch (1,000 steps) rows of means and validation."""
    rows: list[dict[str, Any]] = []
    n = len(next(iter(terms.values())))
    per_epoch = 1000 // every
    for i in range(n):
        epoch, step = i // per_epoch, (i + 1) * every - 1
        row: dict[str, Any] = {"epoch": epoch, "step": step}
        row |= {f"{k}_step" if suffixed(k) else k: float(v[i]) for k, v in terms.items() if not np.isnan(v[i])}
        rows.append(row)
        if i % per_epoch == per_epoch - 1:
            of_epoch = slice(i + 1 - per_epoch, i + 1)
            means = {f"{k}_epoch": float(np.nanmean(v[of_epoch])) for k, v in terms.items()
                     if suffixed(k) and np.isfinite(v[of_epoch]).any()}  # fmt: skip
            rows.append({"epoch": epoch, "step": step} | {k: v * (1 + 1 / (1 + epoch)) for k, v in val.items()})
            rows.append({"epoch": epoch, "step": step} | means)
    return write_csv(path, rows)


def taming_csv(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    rec, quant, d_weight = c.l1 + c.p, 0.02 + 0.3 * c.l1, 0.8 * 0.5 * c.ratio
    total = rec + np.where(c.on, d_weight * c.g, 0) + quant
    terms = {"aeloss": total, "discloss": c.hinge * c.on, "total_loss": total, "quant_loss": quant, "nll_loss": rec,
             "rec_loss": rec, "p_loss": c.p, "d_weight": d_weight, "disc_factor": c.on.astype(float), "g_loss": c.g,
             "disc_loss": c.hinge * c.on, "logits_real": c.real, "logits_fake": c.fake}  # fmt: skip
    path = folder / "testtube/version_0/metrics.csv"
    val = {"val/rec_loss": 0.18, "val/aeloss": 0.2}
    _lightning(path, {f"train/{k}": v for k, v in terms.items()}, lambda k: True, val)
    return Log(path, "taming", "csv", GAN_COLUMNS | {"quant_loss", "perceptual_loss", "disc_factor", "val/rec_loss"},
               (49, 7999), 4049, {"pixelloss_weight": 1, "codebook_weight": 1, "disc_weight": 0.8},
               {"disc_start": 4001, "disc_weight": 0.8})  # fmt: skip


def ldm_csv(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    rec = c.l1 + c.p
    nll, kl, d_weight = 196608 * rec, c.nats * 4 * 32 * 32, 0.5 * 3000 * c.ratio
    total = nll + 1e-6 * kl + np.where(c.on, d_weight * c.g, 0)
    terms = {"aeloss": total, "discloss": c.hinge * c.on}
    terms |= {"train/" + k: v for k, v in
              {"total_loss": total, "logvar": np.zeros(ROWS), "kl_loss": kl, "nll_loss": nll, "rec_loss": rec,
               "d_weight": d_weight, "disc_factor": c.on.astype(float), "g_loss": c.g, "disc_loss": c.hinge * c.on,
               "logits_real": c.real, "logits_fake": c.fake}.items()}  # fmt: skip
    path = folder / "testtube/version_0/metrics.csv"
    _lightning(
        path, terms, lambda k: k.endswith("loss") and "/" not in k, {"val/rec_loss": 0.18, "val/kl_loss": 17000.0}
    )
    return Log(path, "ldm", "csv", GAN_COLUMNS | {"kl_loss", "disc_factor", "logvar", "val/rec_loss"}, (49, 7999), 4049,
               {"n_pixels": 196608, "kl_weight": 1e-6, "disc_weight": 0.5},
               {"disc_start": 8001, "kl_weight": 1e-6, "disc_weight": 0.5, "latent_shape": "4,32,32"},
               latent="4x32x32", nats=4.0)  # fmt: skip


def sgm_csv(folder: Path, seed: int = 0) -> Log:
    """Batches of the generator and of the discriminator take turns once the GAN is on."""
    c = curves(seed=seed)
    rec = c.l1 + 0.25 * c.p
    logvar = np.log(rec.min()) * (1 - np.exp(-6 * c.t))
    nll, kl, d_weight = 196608 * (rec / np.exp(logvar) + logvar), c.nats * 4 * 32 * 32, 0.5 * 3000 * c.ratio
    total = nll + 1.0 * kl + np.where(c.on, d_weight * c.g, 0)
    of_d = c.on & (np.arange(ROWS) % 2 == 1)
    gone = np.where(of_d, np.nan, 1.0)
    terms = {"kl_loss": kl, "loss/total": total, "loss/nll": nll, "loss/rec": rec, "loss/g": np.where(c.on, c.g, 0),
             "scalars/logvar": logvar, "scalars/d_weight": np.where(c.on, d_weight, 0)}  # fmt: skip
    terms = {k: v * gone for k, v in terms.items()}
    seen = np.where(of_d, 1.0, np.nan)
    terms |= {"loss/disc": c.hinge * seen, "logits/real": c.real * seen, "logits/fake": c.fake * seen}
    path = folder / "testtube/version_0/metrics.csv"
    _lightning(path, {f"train/{k}": v for k, v in terms.items()}, lambda k: True, {"val/loss/rec": 0.1}, every=25)
    return Log(path, "sgm", "csv", GAN_COLUMNS | {"kl_loss", "logvar", "val/rec_loss"}, (24, 3999), 2049,
               {"n_pixels": 196608, "kl_weight": 1.0}, {"disc_start": 2001, "disc_weight": 0.5, "latent_shape": "4,32,32"},
               latent="4x32x32", nats=4.0)  # fmt: skip


def _vidtok(seed: int) -> dict[str, Array]:
    c = curves(seed=seed)
    rec = c.l1 + c.p
    logvar = 0.6 * np.log(rec.min()) * (1 - np.exp(-6 * c.t))
    nll, kl, d_weight = 196608 * (rec / np.exp(logvar) + logvar), c.nats * 4 * 5 * 32 * 32, 0.5 * 3000 * c.ratio
    g, lecam = np.logaddexp(0, -c.fake), 0.02 + 0.01 * c.ratio
    total = nll + 1e-6 * kl + np.where(c.on, d_weight * g, 0)
    disc = c.on * (c.hinge + 0.005 * lecam)
    return {"aeloss": total, "discloss": disc, "kl_loss": kl, "total_loss": total, "logvar": logvar, "nll_loss": nll,
            "rec_loss": rec, "p_loss": c.p, "d_weight": d_weight, "disc_factor": c.on.astype(float), "g_loss": g,
            "disc_loss": disc, "logits_real": c.real, "logits_fake": c.fake, "non_saturated_d_loss": c.hinge,
            "lecam_loss": lecam}  # fmt: skip


VIDTOK_COLUMNS = GAN_COLUMNS | {"kl_loss", "logvar", "perceptual_loss", "lecam_loss", "lr"}
VIDTOK_CONFIG = {"disc_start": 8001, "kl_weight": 1e-6, "disc_weight": 0.5, "latent_shape": "4,5,32,32"}


def vidtok_tensorboard(folder: Path, seed: int = 0) -> Log:
    """Logged steps are batches; disc_start counts the steps of both optimizers. nll is per frame, the KL per clip."""
    terms = _vidtok(seed)
    tags = {f"train/{k}_step": v for k, v in terms.items()} | {"lr_abs": np.full(ROWS, 1e-5)}
    ends = np.arange(ROWS) % 20 == 19
    for k, v in terms.items():
        tags[f"train/{k}_epoch"] = np.where(ends, np.convolve(v, np.ones(20) / 20)[:ROWS], np.nan)
    tags["val/rec_loss"] = tags["val_ema/rec_loss"] = np.where(ends, terms["rec_loss"] * 1.05, np.nan)
    run = folder / "tensorboard/run"
    path = write_events(run, range(49, 50 * ROWS, 50), tags)
    return Log(path, "vidtok", "tensorboard", VIDTOK_COLUMNS | {"val/rec_loss"}, (49, 7999), 4049,
               {"n_pixels": 196608, "kl_weight": 1e-6, "disc_weight": 0.5, "lecam_weight": 0.005}, VIDTOK_CONFIG,
               latent="4x5x32x32", nats=4.0)  # fmt: skip


def vidtok_bar(folder: Path, seed: int = 0) -> Log:
    """Lightning's progress bar, captured: numbers with three digits; a warning of the data loader in between."""
    terms = _vidtok(seed)
    text = "[vidtok.data.vidtok][VidTokDataset] Warning: using the pure black image as the frame sample\n"
    for i in range(ROWS):
        at = (i + 1) * 50
        values = ", ".join(f"train/{k}_step={float(v[i]):.3g}" for k, v in terms.items())
        text += (
            f"\rEpoch 0:  {at // 80}%|#2        | {at}/8000 [10:12<1:14:10,  1.01it/s, v_num=0, {values}, lr_abs=1e-5]"
        )
    (folder / "console.log").write_text(text + "\n")
    return Log(folder / "console.log", "vidtok", "key_value", VIDTOK_COLUMNS, (50, 8000), 4050,
               {}, VIDTOK_CONFIG, latent="4x5x32x32", nats=4.0)  # fmt: skip


def seed_voken_tensorboard(folder: Path, seed: int = 0) -> Log:
    """Open-MAGVIT2: g_loss is already multiplied by d_weight and disc_factor."""
    c = curves(seed=seed)
    d_weight, entropy, commit = 0.8 * 0.5 * c.ratio, 0.02 * c.ratio - 0.03 * c.t, 0.05 + 0.2 * c.l1
    nll, weighted = c.l1 + c.p, np.where(c.on, d_weight * c.g, 0)
    total = nll + weighted + 0.1 * entropy + 0.25 * commit
    lecam = 0.02 + 0.01 * c.ratio
    terms = {"total_loss": total, "per_sample_entropy": 0.3 - 0.1 * c.t, "codebook_entropy": 11 + c.t,
             "commit_loss": commit, "entropy_loss": entropy, "nll_loss": nll, "reconstruct_loss": c.l1,
             "perceptual_loss": c.p, "d_weight": d_weight, "disc_factor": c.on.astype(float), "g_loss": weighted,
             "disc_loss": c.on * (c.hinge + 0.05 * lecam), "logits_real": c.real, "logits_fake": c.fake,
             "lecam_loss": lecam, "non_saturated_d_loss": c.hinge}  # fmt: skip
    tags = {f"train/{k}_step": v for k, v in terms.items()} | {
        "lr-Adam": np.full(ROWS, 1e-4),
        "lr-Adam-1": np.full(ROWS, 1e-4),
    }
    path = write_events(folder, range(49, 50 * ROWS, 50), tags)
    names = (GAN_COLUMNS - {"g_loss"}) | {
        "g_loss_weighted",
        "perceptual_loss",
        "quant_loss",
        "entropy_loss",
        "lr",
        "disc_lr",
    }
    return Log(path, "seed_voken", "tensorboard", frozenset(names), (49, 7999), 4049,
               {"pixelloss_weight": 1, "perceptual_weight": 1, "commit_weight": 0.25, "codebook_weight": 0.1,
                "lecam_weight": 0.05}, {"disc_start": 4001})  # fmt: skip


# --- WF-VAE, Open-Sora, diffusers, magvit2, vqgan-training ---------------------------------------------------------------


def wf_vae_csv(folder: Path, seed: int = 0) -> Log:
    """History of W&B: the generator's metrics on even multiples of 5, the discriminator's on odd ones."""
    c = curves(seed=seed)
    nll = 196608 * (c.l1 + c.p)
    total = nll + 1e-6 * c.nats * 8 * 7 * 32 * 32 + np.where(c.on, 0.5 * 3000 * c.ratio * c.g, 0) + 0.1 * 900 * c.l1
    rows: list[dict[str, Any]] = []
    for i in range(ROWS):
        rows.append({"_step": 10 * i, "_timestamp": 1.7e9 + i, "train/generator_loss": total[i], "train/rec_loss": nll[i],
                     "train/latents_std": 0.9 + 0.1 * c.t[i], "train/wl_loss": 900 * c.l1[i]})  # fmt: skip
        if c.on[i]:
            rows.append({"_step": 10 * i + 5, "_timestamp": 1.7e9 + i, "train/discriminator_loss": c.hinge[i]})
    path = write_csv(folder / "history.csv", rows)
    return Log(path, "wf_vae", "csv", frozenset(("total_loss", "rec_loss", "latents_std", "disc_loss", "wavelet_loss")),
               (0, 1595), 805, {}, {"disc_start": 801, "kl_weight": 1e-6, "disc_weight": 0.5})  # fmt: skip


def open_sora_bar(folder: Path, seed: int = 0) -> Log:
    """A captured progress bar: carriage returns, terminal colours, sums of bf16 numbers."""
    c = curves(seed=seed)

    def bf16(values: Array) -> Array:
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)

    nll_rec, nll_per = bf16(196608 * c.l1), bf16(196608 * c.p)
    nll, kl = bf16(nll_rec + 0.5 * nll_per), 1e-6 * c.nats * 16 * 1024
    gen, gen_w = np.where(c.on, c.g, 0), np.where(c.on, 0.05 * 30000 * c.ratio * c.g, 0)
    total = bf16(nll + kl + gen_w)
    text = "[\x1b[34m2025-05-22 10:11:12\x1b[0m] Training for 100 epochs with 8000 steps per epoch\n"
    for i in range(ROWS):
        at = (i + 1) * 50
        text += (
            f"\rEpoch 0:  {at // 80}%|#2        | {at}/8000 [10:12<1:14:10,  1.01s/it, all={total[i]:.2f}, nll={nll[i]:.2f},"
            f" nll_rec={nll_rec[i]:.2f}, nll_per={nll_per[i]:.2f}, kl={kl[i]:.2f}, gen={gen[i]:.2f}, gen_w={gen_w[i]:.2f},"
            f" disc={c.hinge[i] * c.on[i]:.2f}, debug=0.00]"
        )
    (folder / "console.txt").write_bytes(text.encode() + b"\n")
    names = frozenset(
        ["total_loss", "nll_loss", "rec_loss", "perceptual_loss", "kl_loss", "g_loss", "g_loss_weighted", "disc_loss"]
    )
    return Log(folder / "console.txt", "open_sora", "key_value", names, (50, 8000), 4050,
               {"perceptual_weight": 0.5, "pixelloss_weight": 1}, {"disc_start": 4001, "resolution": 256},
               decimals={"rec_loss": 2})  # fmt: skip


def _diffusers(seed: int) -> tuple[Curves, dict[str, Array]]:
    c = curves(seed=seed)
    rec = c.mse + 0.5 * c.p
    nll, kl, d_weight = 196608 * rec, c.nats * 4 * 32 * 32, 0.5 * 1600 * c.ratio
    total = nll + 1e-6 * kl + np.where(c.on, d_weight * c.g, 0)
    return c, {"disc_factor": c.on.astype(float), "disc_weight": d_weight, "g_loss": c.g, "kl_loss": kl, "loss": total,
               "lr": np.full(ROWS, 4.5e-6), "nll_loss": nll, "p_loss": c.p, "rec_loss": rec}  # fmt: skip


DF_COLUMNS = GAN_COLUMNS | {"kl_loss", "perceptual_loss", "disc_factor", "lr", "disc_lr"}
DF_CONFIG = {"kl_weight": 1e-6, "disc_start": 4001, "latent_shape": "4,32,32"}


def diffusers_bar(folder: Path, seed: int = 0) -> Log:
    """Two dicts take turns in the progress bar: generator and discriminator steps."""
    c, terms = _diffusers(seed)
    text = ""
    for i in range(ROWS):
        step = (i + 1) * 50
        head = f"\rSteps:  {step // 80}%|##        | {step}/8000 [10:12<1:14:10,  1.01s/it, "
        text += head + ", ".join(f"{k}={g3(float(v[i]))}" for k, v in terms.items()) + "]"
        disc = {
            "disc_loss": c.hinge[i] * c.on[i],
            "disc_lr": 4.5e-6,
            "logits_fake": c.fake[i],
            "logits_real": c.real[i],
        }
        head = f"\rSteps:  {step // 80}%|##        | {step + 1}/8000 [10:12<1:14:10,  1.01s/it, "
        text += head + ", ".join(f"{k}={g3(float(v))}" for k, v in disc.items()) + "]"
    (folder / "console.log").write_text(text + "\n")
    return Log(folder / "console.log", "diffusers", "key_value", DF_COLUMNS, (50, 8001), 4050,
               {"n_pixels": 196608, "kl_weight": 1e-6}, DF_CONFIG, latent="4x32x32", nats=4.0)  # fmt: skip


def diffusers_tensorboard(folder: Path, seed: int = 0) -> Log:
    c, terms = _diffusers(seed)
    steps = sorted([*range(50, 8001, 50), *range(51, 8002, 50)])
    generator = np.arange(2 * ROWS) % 2 == 0
    disc = {"disc_loss": c.hinge * c.on, "logits_real": c.real, "logits_fake": c.fake, "disc_lr": np.full(ROWS, 4.5e-6)}
    tags = {k: np.where(generator, np.repeat(v, 2), np.nan) for k, v in terms.items()}
    tags |= {k: np.where(generator, np.nan, np.repeat(v, 2)) for k, v in disc.items()}
    path = write_events(folder / "logs/train_autoencoderkl", steps, tags)
    return Log(path, "diffusers", "tensorboard", DF_COLUMNS, (50, 8001), 4050, {"n_pixels": 196608, "kl_weight": 1e-6},
               DF_CONFIG, latent="4x32x32", nats=4.0)  # fmt: skip


def magvit2_stdout(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    text = ""
    for i in range(ROWS):
        text += f"step {i}\nrecon loss: {c.mse[i]:.3f}\ndiscr loss: {2 * c.hinge[i]:.3f}\n"
        if i % 20 == 0:
            text += f"validation recon loss {c.mse[i] * 1.1:.3f}\nsample saved to results/sampled.{i // 20}.gif\n"
    (folder / "stdout.txt").write_text(text)
    return Log(folder / "stdout.txt", "magvit2", "key_value", frozenset(("rec_loss", "disc_loss")), (0, ROWS - 1), None,
               decimals={"rec_loss": 3})  # fmt: skip


def vqgan_training_text(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    text = ""
    for i in range(ROWS):
        disc = 0.5 * (np.logaddexp(0, -c.real[i]) + np.logaddexp(0, c.fake[i]))
        z2 = 0.8 + 0.3 * c.t[i]
        items = {"d_loss": disc, "gan_loss": np.logaddexp(0, -c.fake[i]), "avg_real_logits": c.real[i],
                 "avg_fake_logits": c.fake[i], "perceptual_loss": c.p[i], "mse_loss": 0.0, "kl_loss": z2,
                 "overall_vae_loss": c.p[i] + np.logaddexp(0, -c.fake[i]) + 0.1 * z2,
                 "ABS mu (0.0): average_of_abs_z": 0.8, "z_quantiles/kurtosis": 3.0 + 0.1 * c.ratio[i],
                 "time_taken_till_step": 0.81, "time_taken_till_load": 0.004}  # fmt: skip
        text += f"2024-10-18 10:{i // 60:02d}:{i % 60:02d},123 - __main__ - INFO - Epoch [0/20] - "
        text += "\n\t".join(f"{k}: {v:.4f}" for k, v in items.items()) + "\n"
    (folder / "train.log").write_text(text)
    names = frozenset(["total_loss", "perceptual_loss", "kl_loss", "disc_loss", "g_loss", "logits_real", "logits_fake"])
    return Log(folder / "train.log", "vqgan_training", "key_value", names, (0, ROWS - 1), None,
               decimals={"perceptual_loss": 4})  # fmt: skip


def open_sora_plan_wandb(folder: Path, seed: int = 0) -> Log:
    """train_ddp.py logs the generator every 10 steps and, in between, the discriminator."""
    c = curves(seed=seed)
    nll = 196608 * (c.l1 + c.p)
    total = nll + 1e-6 * c.nats * 8 * 7 * 32 * 32 + np.where(c.on, 0.5 * 3000 * c.ratio * c.g, 0) + 90 * c.l1
    steps: list[int] = []
    rows: list[dict[str, Any]] = []
    for i in range(ROWS):
        rows.append({"train/generator_loss": total[i], "train/rec_loss": nll[i], "train/wl_loss": 900 * c.l1[i],
                     "train/latents_std": 0.9 + 0.1 * c.t[i]})  # fmt: skip
        steps.append(10 * i)
        if i % 20 == 19:
            rows[-1] |= {"val/recon": c.l1[i], "val/psnr": 25 + 5 * c.t[i], "val_ema/lpips": c.p[i]}
        if c.on[i]:
            rows.append({"train/discriminator_loss": c.hinge[i]})
            steps.append(10 * i + 5)
    names = frozenset(
        ("total_loss", "rec_loss", "latents_std", "disc_loss", "wavelet_loss", "val/psnr", "val_ema/lpips")
    )
    return Log(write_wandb(folder, steps, rows), "wf_vae", "wandb", names, (0, 1595), 805, {},
               {"disc_start": 801, "kl_weight": 1e-6, "disc_weight": 0.5})  # fmt: skip


def open_sora_wandb(folder: Path, seed: int = 0) -> Log:
    """Dicts in the rows; steps are updates, ``iter`` counts the micro-batches of an update (here two) too."""
    c = curves(seed=seed)
    nll_rec, nll_per = single(196608 * c.l1), single(196608 * c.p)
    kl, gen_w = single(1e-6 * c.nats * 16 * 1024), single(np.where(c.on, 0.05 * 30000 * c.ratio * c.g, 0))
    nll = single(nll_rec + 0.5 * nll_per)
    total = single(nll + kl + gen_w)
    terms = {"all": total, "nll": nll, "nll_rec": nll_rec, "nll_per": nll_per, "kl": kl, "gen": np.where(c.on, c.g, 0),
             "gen_w": gen_w, "disc": c.hinge * c.on}  # fmt: skip
    rows = [
        {"iter": 100 * i + 99, "epoch": i // 100, "lr": 5e-5, "avg_loss": total[i], "loss": 8 * total[i],
         "loss_": {k: float(v[i]) for k, v in terms.items()}, "avg_loss_": {k: float(v[i]) for k, v in terms.items()},
         "global_grad_norm": 3.0} for i in range(ROWS)
    ]  # fmt: skip
    names = frozenset(
        ["total_loss", "nll_loss", "rec_loss", "perceptual_loss", "kl_loss", "g_loss", "g_loss_weighted", "disc_loss",
         "lr", "grad_norm", "loss_summed_over_gpus"]
    )  # fmt: skip
    return Log(write_wandb(folder, range(50, 8001, 50), rows), "open_sora", "wandb", names, (50, 8000), 4050,
               {"perceptual_weight": 0.5, "pixelloss_weight": 1}, {"disc_start": 4001, "resolution": 256})  # fmt: skip


def open_sora_v1_wandb(folder: Path, seed: int = 0) -> Log:
    """Open-Sora 1.2: the latents of an image VAE are reconstructed too; ``loss`` holds the terms the config asks for."""
    c = curves(seed=seed)
    nll, z_nll, kl = 196608 * (c.l1 + 0.1 * c.p), 4096 * c.l1, 1e-6 * c.nats * 4 * 5 * 32 * 32
    gan = np.where(c.on, 0.5 * 3000 * c.ratio * c.g, 0)
    rows = [
        {"iter": 50 * i, "num_samples": 400 * i, "epoch": i // 20, "loss": z_nll[i] + gan[i], "avg_loss": z_nll[i],
         "kl_loss": kl[i], "nll_loss": nll[i], "z_nll_loss": z_nll[i], "adversarial_loss": gan[i],
         "disc_loss": c.hinge[i] * c.on[i]} for i in range(ROWS)
    ]  # fmt: skip
    names = frozenset(("nll_loss", "kl_loss", "g_loss_weighted", "disc_loss", "z_nll_loss", "training_loss"))
    return Log(write_wandb(folder, range(0, 50 * ROWS, 50), rows), "open_sora_v1", "wandb", names, (0, 7950), 4000, {},
               {"disc_start": 4000})  # fmt: skip


def seed_voken_ibq_tensorboard(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    d_weight, entropy, quant = 0.8 * 0.5 * c.ratio, 0.02 * c.ratio - 0.03 * c.t, 0.05 + 0.2 * c.l1
    nll, weighted = c.l1 + c.p, np.where(c.on, d_weight * c.g, 0)
    codebook, lecam = quant + 0.1 * entropy, 0.02 + 0.01 * c.ratio
    terms = {"total_loss": nll + weighted + codebook, "codebook_quant_loss": quant, "codebook_entropy_loss": entropy,
             "codebook_sample_entropy_loss": 0.3 - 0.1 * c.t, "codebook_avg_entropy_loss": 11 + c.t,
             "codebook_loss": codebook, "nll_loss": nll, "reconstruct_loss": c.l1, "perceptual_loss": c.p,
             "d_weight": np.where(c.on, d_weight, 0), "disc_factor": c.on.astype(float), "g_loss": weighted,
             "unsacled_g_loss": np.where(c.on, c.g, 0), "disc_loss": c.on * (c.hinge + 0.05 * lecam),
             "logits_real": c.real * c.on, "logits_fake": c.fake * c.on, "lecam_loss": lecam * c.on}  # fmt: skip
    tags = {f"train/{k}_step": v for k, v in terms.items()} | {"lr-Adam": np.full(ROWS, 1e-4)}
    path = write_events(folder, range(49, 50 * ROWS, 50), tags)
    names = GAN_COLUMNS | {"g_loss_weighted", "perceptual_loss", "quant_loss", "entropy_loss", "codebook_loss", "lr"}
    return Log(path, "seed_voken_ibq", "tensorboard", frozenset(names), (49, 7999), 4049,
               {"pixelloss_weight": 1, "perceptual_weight": 1, "codebook_weight": 1, "entropy_weight": 0.1},
               {"disc_start": 4001})  # fmt: skip


def diffusers_wandb(folder: Path, seed: int = 0) -> Log:
    """accelerate's tracker logs with the global step; generator and discriminator take turns."""
    c, terms = _diffusers(seed)
    steps, rows = [], []
    for i in range(ROWS):
        steps += [50 * (i + 1), 50 * (i + 1) + 1]
        rows.append({k: float(v[i]) for k, v in terms.items()})
        rows.append({"disc_loss": c.hinge[i] * c.on[i], "logits_real": c.real[i], "logits_fake": c.fake[i],
                     "disc_lr": 4.5e-6})  # fmt: skip
    return Log(write_wandb(folder, steps, rows), "diffusers", "wandb", DF_COLUMNS, (50, 8001), 4050,
               {"n_pixels": 196608, "kl_weight": 1e-6}, DF_CONFIG, latent="4x32x32", nats=4.0)  # fmt: skip


def diffusers_vqgan_tensorboard(folder: Path, seed: int = 0) -> Log:
    c = curves(seed=seed)
    tags = {"step_gen_loss": c.mse + 0.1 * c.p + 0.3 * c.ratio * c.g, "step_discr_loss": 2 * c.hinge + 0.02,
            "lr": np.full(ROWS, 1e-4), "samples/sec/gpu": np.full(ROWS, 30.0), "batch_time": np.full(ROWS, 0.3)}  # fmt: skip
    path = write_events(folder / "logs/vqgan", range(2, 2 * ROWS + 1, 2), tags)
    return Log(path, "diffusers_vqgan", "tensorboard", frozenset(("total_loss", "disc_loss", "lr", "step_time")),
               (2, 2 * ROWS), None)  # fmt: skip


DIALECTS: dict[str, Callable[[Path], Log]] = {
    f.__name__: f
    for f in (
        pyramid_flow_console, pyramid_flow_log_txt, radiodiff_text, radiodiff_tensorboard, taming_csv, ldm_csv, sgm_csv,
        vidtok_tensorboard, wf_vae_csv, open_sora_bar, seed_voken_tensorboard, diffusers_bar, diffusers_tensorboard,
        magvit2_stdout, vqgan_training_text, vidtok_bar, open_sora_plan_wandb, open_sora_wandb, open_sora_v1_wandb,
        seed_voken_ibq_tensorboard, diffusers_wandb, diffusers_vqgan_tensorboard,
    )
}  # fmt: skip
