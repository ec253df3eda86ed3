"""stable-audio-tools' autoencoder: Lightning's bar, captured. Every loss is weighted; the total is their sum."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves
from dialect_generators.printing_b import bar, lightning_number

SUFFIX = ".log"
DIALECT = "stable_audio"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "train/loss": "total_loss", "train/latent_std": "latents_std", "train/gen_lr": "lr",
    "train/loss_adv": "g_loss_weighted", "train/feature_matching_loss": "feature_matching_loss",
    "train/mrstft_loss": "rec_loss", "train/kl_loss": "kl_loss", "train/disc_lr": "disc_lr",
    "train/discriminator_loss": "disc_loss",
}  # fmt: skip
PER_EPOCH = 2000


def shown(name: str, value: float) -> float:
    """The number that the bar shows for ``value``."""
    return float(lightning_number(value))


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    spectral = 3.4 * c.fit
    terms = {
        "loss_adv": 0.1 * c.gap / 2,
        "feature_matching_loss": 0.1 + 0.35 * c.gap * c.noise(0.05),
        "mrstft_loss": spectral,
        "stft_loss_left": spectral / 2 * c.noise(0.01),
        "stft_loss_right": spectral / 2 * c.noise(0.01),
        "kl_loss": 1e-4 * (45 + 25 * c.t) * c.noise(0.03),
    }
    n = len(c.t)
    columns = {
        "step": 100.0 * np.arange(n),
        "train/loss": np.sum(list(terms.values()), axis=0),
        "train/latent_std": (0.35 + 0.5 * c.t) * c.noise(0.02),
        "train/data_std": 0.17 * c.noise(0.1),
        "train/gen_lr": np.full(n, 1.5e-4),
        **{f"train/{name}": values for name, values in terms.items()},
        "train/disc_lr": np.full(n, 3e-4),
        "train/discriminator_loss": real + fake,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    states = []
    for i, step in enumerate(columns["step"].astype(int)):
        values = (f"{name}={lightning_number(v[i])}" for name, v in columns.items() if name != "step")
        tail = f", v_num=k3x9, {', '.join(values)}"
        states.append(bar(f"Epoch {step // PER_EPOCH}", step % PER_EPOCH, PER_EPOCH, tail))
    return "\r".join(states) + "\n"
