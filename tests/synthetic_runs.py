"""Synthetic runs whose truth is known: losses that obey the trainers' own formulas, with seeds.

``Draft`` is a run under construction: take one from ``healthy(system)``, change columns or config, then ``run()``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vaelab.catalog.roles import UNKNOWN, Role
from vaelab.run import Column, Event, ReadNote, Run, Smoothing

Array = npt.NDArray[np.float64]
SYSTEMS = ("pyramid_flow", "radiodiff", "ldm", "unknown")
PF_CLIP = (17, 256, 256)


@dataclass
class Draft:
    """Columns, steps and declarations of one run; NaN in a column means "not logged" unless it is named in ``logged``."""

    steps: npt.NDArray[np.int64]
    columns: dict[str, Array]
    trainer: str = "unknown"
    format: str = "csv"
    config: dict[str, Any] = field(default_factory=dict)
    raw_config: dict[str, Any] = field(default_factory=dict)
    decimals: dict[str, int | None] = field(default_factory=dict)
    smoothing: dict[str, Smoothing] = field(default_factory=dict)
    means: dict[str, Array] = field(default_factory=dict)
    logged: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    epochs: npt.NDArray[np.int64] | None = None
    events: list[Event] = field(default_factory=list)
    notes: list[ReadNote] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)

    def run(self) -> Run:
        lines = np.arange(1, len(self.steps) + 1, dtype=np.int64)
        columns = {}
        for name, values in self.columns.items():
            values = np.asarray(values, np.float64).copy()
            digits = self.decimals.get(name)
            means = self.means.get(name)
            if digits is not None:
                values = np.round(values, digits)
                means = np.round(means, digits) if means is not None else None
            logged = self.logged.get(name, np.isfinite(values))
            smoothing = self.smoothing.get(name, Smoothing())
            role = self.roles.get(name, UNKNOWN)
            columns[name] = Column(name, name, values, logged, lines, digits, smoothing, means, role=role)
        return Run(
            source="synthetic", format=self.format, trainer=self.trainer, trainer_confidence=1.0,
            trainer_reason="made for a test", steps=self.steps.copy(), columns=columns, epochs=self.epochs,
            config=dict(self.config), raw_config=dict(self.raw_config), events=tuple(self.events), notes=tuple(self.notes),
            measured=dict(self.measured),
        )  # fmt: skip

    def keep(self, *names: str) -> Draft:
        """Only these columns."""
        self.columns = {n: self.columns[n] for n in names}
        return self

    def head(self, rows: int) -> Draft:
        """Only the first ``rows`` rows."""
        self.steps = self.steps[:rows]
        self.columns = {n: v[:rows] for n, v in self.columns.items()}
        self.means = {n: v[:rows] for n, v in self.means.items()}
        self.epochs = self.epochs[:rows] if self.epochs is not None else None
        return self


def draft(columns: Mapping[str, Any], every: int = 10, **rest: Any) -> Draft:
    """A draft of plain columns logged every ``every`` steps."""
    arrays = {n: np.asarray(v, np.float64) for n, v in columns.items()}
    rows = len(next(iter(arrays.values()))) if arrays else 0
    return Draft(np.arange(rows, dtype=np.int64) * every, arrays, **rest)


def lognormal(rng: np.random.Generator, scale: float, rows: int) -> Array:
    """Multiplicative noise of median 1."""
    return np.exp(rng.normal(0, scale, rows))


def decay(rows: int, start: float, floor: float, pace: float = 8.0) -> Array:
    """``floor`` plus an exponential fall from ``start``; ``pace`` e-foldings over the whole run."""
    return floor + (start - floor) * np.exp(-pace * np.linspace(0, 1, rows))


def hinge(real: Array, fake: Array, spread: float, rng: np.random.Generator) -> Array:
    """Mean hinge loss of 64 patch logits around the mean logits."""
    patches = rng.normal(0, spread, (2, 64, len(real)))
    patches -= patches.mean(axis=1, keepdims=True)
    relu = [np.maximum(0, 1 - (real + patches[0])), np.maximum(0, 1 + (fake + patches[1]))]
    return np.asarray(0.5 * (relu[0].mean(axis=0) + relu[1].mean(axis=0)))


def vanilla(real: Array, fake: Array, spread: float, rng: np.random.Generator) -> Array:
    """Mean of the two softplus terms over 64 patch logits around the mean logits (chance ln 2)."""
    patches = rng.normal(0, spread, (2, 64, len(real)))
    patches -= patches.mean(axis=1, keepdims=True)
    terms = [np.logaddexp(0, -(real + patches[0])), np.logaddexp(0, fake + patches[1])]
    return np.asarray(0.5 * (terms[0].mean(axis=0) + terms[1].mean(axis=0)))


def warm_up_then_cosine(rows: int, peak: float, share: float, floor: float = 0.01) -> Array:
    """Linear from 0 over ``share`` of the rows, then cosine down to ``floor`` times the peak."""
    t = np.arange(rows) / max(1, rows - 1)
    if share <= 0:
        return peak * (floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * t)))
    late = np.clip((t - share) / max(1e-9, 1 - share), 0, 1)
    return np.asarray(
        np.where(t < share, peak * t / share, peak * (floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * late))))
    )


def healthy(
    system: str,
    seed: int = 0,
    rows: int = 300,
    every: int = 20,
    gan_at: float | None = 0.5,
    noise: float = 0.08,
    fine_tune: bool = False,
    warm_up: float = 0.05,
    lr_floor: float = 0.01,
) -> Draft:
    """A healthy run of one system: the losses fall and level off, the KL rises at a tiny weight, the GAN start shakes
    the reconstruction 1.8 times and it comes back, the discriminator gains some skill.

    gan_at: share of the run at which the GAN starts, None for none (its columns are then missing). fine_tune: from a
    trained model, with the learning rate 0 on the first row.
    """
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, rows)
    steps = np.arange(rows, dtype=np.int64) * every
    first_gan = rows if gan_at is None else int(gan_at * rows)
    on = np.arange(rows) >= first_gan
    since = np.where(on, t - (t[first_gan] if first_gan < rows else 1.0), 0.0)
    shared = rng.normal(0, noise, rows)  # batches are hard or easy for every term at once
    shake = 1 + 0.8 * on * np.exp(-25 * since)

    def loss(start: float, floor: float) -> Array:
        curve = np.full(rows, floor) if fine_tune else decay(rows, start, floor)
        return np.asarray(curve * shake * np.exp(shared + rng.normal(0, noise / 3, rows)))

    skill = on * 0.45 * (1 - np.exp(-10 * since))
    real = skill / 2 + rng.normal(0, 0.05, rows)
    fake = -skill / 2 + rng.normal(0, 0.05, rows)
    g_loss = -fake
    columns: dict[str, Array] = {}
    config: dict[str, Any] = {"total_steps": int(steps[-1]) + every}
    if gan_at is not None:
        config["disc_start"] = int(steps[first_gan])
        config["disc_weight"] = 0.5
    out = Draft(steps, columns, trainer=system, config=config)
    nats = (11.0 if fine_tune else 1.5 + 7.0 * (1 - np.exp(-3 * t))) * lognormal(rng, noise / 3, rows)
    if system in ("pyramid_flow", "unknown"):
        rec, perceptual = loss(0.25, 0.0012), loss(0.5, 0.05)
        nll = 10 * rec + perceptual
        kl = nats * 3 * 32 * 32
        kl_weight = 1e-12
        config |= {"kl_weight": kl_weight, "pixelloss_weight": 10.0, "lr": 1e-4, "clip_grad": 1.0}
        out.format = "pyramid_flow_json" if system == "pyramid_flow" else "csv"
        ratio = 1.0
    elif system in ("radiodiff", "ldm"):
        n = 65536 if system == "radiodiff" else 196608
        rec, perceptual = loss(0.53, 0.035), None
        nll = n * rec
        kl = nats * (3 * 64 * 64 if system == "radiodiff" else 4 * 32 * 32)
        kl_weight = 1e-6
        config |= {"kl_weight": kl_weight, "latent_channels": 3 if system == "radiodiff" else 4}
        if system == "ldm":
            config["compression"] = "1,8,8"
        out.format = "radiodiff_log" if system == "radiodiff" else "csv"
        ratio = 900.0
    else:
        raise ValueError(system)
    d_weight = 0.5 * ratio * lognormal(rng, 0.15, rows)
    columns["total_loss"] = nll + kl_weight * kl + np.where(on, d_weight * g_loss, 0.0)
    columns["nll_loss"] = nll
    columns["rec_loss"] = rec
    if perceptual is not None:
        columns["perceptual_loss"] = perceptual
    columns["kl_loss"] = kl
    columns["grad_norm"] = 1.5 * lognormal(rng, 0.25, rows)
    columns["lr"] = warm_up_then_cosine(rows, 1e-4, warm_up, lr_floor)
    if fine_tune and warm_up > 0:
        columns["rec_loss"][0] = 0.0011 if system in ("pyramid_flow", "unknown") else 0.036
        columns["nll_loss"][0] = (
            10 * columns["rec_loss"][0] + columns["perceptual_loss"][0]
            if perceptual is not None
            else n * columns["rec_loss"][0]
        )
        columns["total_loss"][0] = columns["nll_loss"][0] + kl_weight * kl[0]
    if gan_at is not None:
        disc = hinge(real, fake, 0.6, rng)
        printed_before = system in ("radiodiff", "ldm")
        hidden = 0.0 if printed_before else np.nan
        columns["disc_loss"] = np.where(on, disc, hidden)
        columns["logits_real"] = real if printed_before else np.where(on, real, np.nan)
        columns["logits_fake"] = fake if printed_before else np.where(on, fake, np.nan)
        columns["g_loss"] = g_loss if printed_before else np.where(on, g_loss, 0.0)
        columns["d_weight"] = d_weight if printed_before else np.where(on, d_weight, 0.0)
        columns["disc_factor"] = on.astype(np.float64)
    if system == "radiodiff":
        out.decimals = dict.fromkeys(columns, 5)
        columns["lr"] = columns["lr"] * 0.05
        columns["logvar"] = np.zeros(rows)
        config["lr"] = 5e-6
    return out


def with_window_medians(full: Draft, window: int = 20, decimals: int = 4) -> Draft:
    """What Pyramid-Flow prints of a run whose every step is in ``full``: medians of the last ``window`` values, the mean
    since the epoch began, one row in ``window``. The epoch is ten rows long."""
    rows = len(full.steps) // window
    per_epoch = 10 * window
    at = np.arange(rows) * window
    out = Draft(
        full.steps[at], {}, "pyramid_flow", "metric_logger", dict(full.config), epochs=(full.steps[at] // per_epoch)
    )
    for name, values in full.columns.items():
        if name in ("lr", "disc_factor"):
            out.columns[name] = values[at]
            continue
        medians, means = np.full(rows, np.nan), np.full(rows, np.nan)
        for i, end in enumerate(at):
            begin = end // per_epoch * per_epoch
            seen = values[begin : end + 1]
            if np.isfinite(seen).any():
                medians[i] = np.nanmedian(seen[-window:])
                means[i] = np.nanmean(seen)
        out.columns[name], out.means[name] = medians, means
        out.decimals[name] = decimals if name != "kl_loss" else 4
        out.smoothing[name] = Smoothing("window_median", window)
    return out


def psnr(mse: float, width: float = 2.0) -> float:
    return 10 * math.log10(width**2 / mse)


# --- variants of healthy runs ---------------------------------------------------------------------------------------------


def long_warm_up(system: str, seed: int) -> Draft:
    """The log of a run that has just begun: the learning rate rises over 80% of it."""
    out = healthy(system, seed, gan_at=None, warm_up=0.8)
    out.config["total_steps"] = 10 * int(out.steps[-1])
    return out


def kl_annealing(system: str, seed: int) -> Draft:
    """The KL weight rises from 0 to 1e-6 (in sum/sum units) over the first half."""
    out = healthy(system, seed, gan_at=None)
    rows = len(out.steps)
    ramp = 1e-6 * np.clip(np.linspace(0, 2, rows), 0, 1)
    out.columns["total_loss"] = out.columns["nll_loss"] + ramp * out.columns["kl_loss"]
    return out


def negative_totals(system: str, seed: int) -> Draft:
    """Both logits are positive, real ones higher: -d_weight x logits_fake outweighs the reconstruction in most rows."""
    out = healthy(system, seed)
    on = out.columns["disc_factor"] > 0
    size, weight = {"radiodiff": (1.0, 4500.0), "ldm": (1.6, 4800.0)}.get(system, (0.6, 0.3))
    g_loss = np.where(on, -size, 0.0)
    base = out.columns["total_loss"] - np.where(on, out.columns["d_weight"] * out.columns["g_loss"], 0.0)
    weights = weight * lognormal(np.random.default_rng(seed + 60), 0.02, len(out.steps))
    out.columns["d_weight"] = np.where(on, weights, out.columns["d_weight"])
    shift = np.where(on, -g_loss - out.columns["logits_fake"], 0.0)
    out.columns["logits_fake"] = out.columns["logits_fake"] + shift
    out.columns["logits_real"] = out.columns["logits_real"] + shift
    out.columns["g_loss"] = g_loss
    out.columns["total_loss"] = base + np.where(on, out.columns["d_weight"] * g_loss, 0.0)
    rng = np.random.default_rng(seed + 50)
    disc = hinge(out.columns["logits_real"], out.columns["logits_fake"], 0.6, rng)
    out.columns["disc_loss"] = np.where(on, disc, out.columns["disc_loss"])
    return out


def learned_logvar(seed: int) -> Draft:
    """SGM: nll = N (rec / exp(logvar) + logvar) with a learned logvar, negative in the end."""
    out = healthy("ldm", seed, gan_at=None)
    rows = len(out.steps)
    out.trainer = "sgm"
    rec = out.columns["rec_loss"]
    # logvar follows ln(rec), slowly
    logvar = np.log(decay(rows, 0.53, 0.035)) * (1 - np.exp(-6 * np.linspace(0, 1, rows)))
    out.columns["logvar"] = logvar
    out.columns["nll_loss"] = 196608 * (rec / np.exp(logvar) + logvar)
    out.columns["total_loss"] = out.columns["nll_loss"] + 1e-6 * out.columns["kl_loss"]
    return out


def resumed(system: str, seed: int) -> Draft:
    """A resume in the VAE-GAN phase that restores everything."""
    out = healthy(system, seed)
    at = int(out.steps[int(0.8 * len(out.steps))])
    out.events.append(Event("resume", at, 240, "Auto resume checkpoint"))
    return out


def plateau(system: str, seed: int) -> Draft:
    """The losses are flat in the last half, where the learning rate has decayed to 0.1% of its peak."""
    out = healthy(system, seed, rows=600, gan_at=None)
    t = np.linspace(0, 1, 600)
    out.columns["lr"] = np.maximum(warm_up_then_cosine(600, 1e-4, 0.05) * (t < 0.6), 1e-7)
    return out


HEALTHY = {
    "gan": lambda system, seed: healthy(system, seed),
    "no-gan": lambda system, seed: healthy(system, seed, gan_at=None),
    "gan-from-the-start": lambda system, seed: healthy(system, seed, gan_at=0.0),
    "fine-tune": lambda system, seed: healthy(system, seed, fine_tune=True),
    "fine-tune-no-gan": lambda system, seed: healthy(system, seed, fine_tune=True, gan_at=None),
    "long-warm-up": long_warm_up,
    "kl-annealing": kl_annealing,
    "negative-totals": negative_totals,
    "learned-logvar": lambda system, seed: learned_logvar(seed),
    "resumed": resumed,
    "noise-30": lambda system, seed: healthy(system, seed, noise=0.3),
    "noise-30-no-gan": lambda system, seed: healthy(system, seed, noise=0.3, gan_at=None),
    "plateau": plateau,
    "short": lambda system, seed: healthy(system, seed, rows=60),
}
"""Name -> ``(system, seed) -> Draft`` of a healthy run."""
