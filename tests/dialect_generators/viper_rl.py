"""viper_rl's VQGAN: a W&B export. Not read from code: names and magnitudes are those of a user's plots."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves
from dialect_generators.printing_b import csv

SUFFIX = ".csv"
DIALECT = "viper_rl"
FAULTS = ("blowup", "dwins", "collapse", "nan")
COLUMNS = {
    "train/loss": "total_loss", "train/loss_l1": "rec_loss", "train/loss_perceptual": "perceptual_loss",
    "train/loss_g": "g_loss", "train/d_weight": "d_weight", "train/loss_d": "disc_loss", "train/vq_loss": "quant_loss",
    "train/perplexity": "perplexity",
}  # fmt: skip


def shown(name: str, value: float) -> float:
    """Full precision."""
    return value


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    l1, perceptual, vq, g = 0.42 * c.fit, 0.85 * c.fit * c.noise(0.02), 0.022 * c.grown * c.noise(0.05), c.gap / 2
    columns = {
        "step": 50.0 * np.arange(1, len(c.t) + 1),
        "train/loss": l1 + perceptual + vq + 0.1 * g,
        "train/loss_l1": l1,
        "train/loss_perceptual": perceptual,
        "train/loss_g": g,
        "train/d_weight": np.full(len(c.t), 0.1),
        "train/loss_d": (real + fake) / 2,
        "train/vq_loss": vq,
        "train/perplexity": 1024 * c.used * 0.5,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return csv(series(kind, rows, seed))
