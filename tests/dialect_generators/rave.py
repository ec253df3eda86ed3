"""RAVE: its TensorBoard scalars as a table; the discriminator's columns begin with phase 2."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves
from dialect_generators.printing_b import csv

SUFFIX = ".csv"
DIALECT = "rave"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "fullband_spectral_distance": "rec_loss", "feature_matching": "feature_matching_loss", "adversarial": "g_loss_weighted",
    "loss_dis": "disc_loss", "pred_real": "logits_real", "pred_fake": "logits_fake",
}  # fmt: skip
SCALES = 8
EVERY = 5000


def shown(name: str, value: float) -> float:
    """Full precision."""
    return value


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    columns = {
        "step": 1_000_000 + EVERY * np.arange(len(c.t), dtype=np.float64),
        "beta_factor": np.full(len(c.t), 0.05),
        "loss_dis": SCALES * (real + fake),
        "pred_real": SCALES * c.gap / 2,
        "pred_fake": -SCALES * c.gap / 2,
        "multiband_spectral_distance": 7 * c.fit,
        "fullband_spectral_distance": 6 * c.fit * c.noise(0.01),
        "regularization": 0.05 * 30 * c.noise(0.02),
        "feature_matching": 20 * (0.2 + 0.1 * c.gap) * c.noise(0.05),
        "adversarial": SCALES * c.gap / 2 * c.noise(0.05),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return csv(series(kind, rows, seed))
