"""NeMo's audio codec: what it logs to a tracker, as a table; terms without weights, the discriminator in two of three batches."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, squared_halves
from dialect_generators.printing_b import csv

SUFFIX = ".csv"
DIALECT = "nemo_audio_codec"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "lr": "lr", "d_loss": "disc_loss", "g_loss_mel_l1": "rec_loss", "g_loss_gen": "g_loss",
    "g_loss_feature": "feature_matching_loss", "g_loss_commit": "quant_loss",
}  # fmt: skip


def shown(name: str, value: float) -> float:
    """Full precision."""
    return value


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = squared_halves(c)
    n = len(c.t)
    columns = {
        "step": 50.0 * np.arange(1, n + 1),
        "lr": 2e-4 * 0.998 ** (np.arange(n) // 20),
        "d_loss": (real + fake) / 2,
        "g_loss_mel_l1": 3.1 * c.fit,
        "g_loss_stft": 0.12 * c.fit * c.noise(0.03),
        "g_loss_gen": (0.25 + 0.2 * c.gap) * c.noise(0.02),
        "g_loss_feature": 0.08 + 0.05 * c.gap * c.noise(0.05),
        "g_loss_commit": 0.03 + 0.02 * c.t * c.noise(0.05),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return csv(series(kind, rows, seed))
