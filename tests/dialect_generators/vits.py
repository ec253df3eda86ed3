"""VITS: its TensorBoard scalars as a table. Its text log prints the same losses as a list without names."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, squared_halves
from dialect_generators.printing_b import csv

SUFFIX = ".csv"
DIALECT = "vits"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "loss/g/total": "total_loss", "loss/d/total": "disc_loss", "learning_rate": "lr", "grad_norm_d": "disc_grad_norm",
    "grad_norm_g": "grad_norm", "loss/g/fm": "feature_matching_loss", "loss/g/mel": "rec_loss", "loss/g/kl": "kl_loss",
}  # fmt: skip
DISCRIMINATORS, DURATION = 6, True


def shown(name: str, value: float) -> float:
    """Full precision."""
    return value


def speech(kind: str, rows: int, seed: int, discriminators: int, duration: bool) -> Series:
    """TensorBoard's columns of VITS and of RVC, which has no duration predictor."""
    c = curves(kind, rows, seed)
    real, fake = squared_halves(c)
    real_halves, fake_halves = ([half * c.noise(0.02) for _ in range(discriminators)] for half in (real, fake))
    of_generator = [(0.25 + 0.2 * c.gap) * c.noise(0.02) for _ in range(discriminators)]
    features, mel, kl = 2.5 + 1.5 * c.gap * c.noise(0.05), 45 * 1.1 * c.fit, 1.2 + 0.8 * c.fit
    time = {"loss/g/dur": 1.2 + 0.4 * c.fit} if duration else {}
    n = len(c.t)
    columns = {
        "step": 200.0 * np.arange(n),
        "loss/g/total": sum(of_generator) + features + mel + kl + sum(time.values()),
        "loss/d/total": sum(real_halves) + sum(fake_halves),
        "learning_rate": 2e-4 * 0.999875 ** (np.arange(n) // 10),
        "grad_norm_d": 15 * c.noise(0.3),
        "grad_norm_g": 120 * c.noise(0.3),
        "loss/g/fm": features,
        "loss/g/mel": mel,
        **time,
        "loss/g/kl": kl,
        **{f"loss/g/{i}": v for i, v in enumerate(of_generator)},
        **{f"loss/d_r/{i}": v for i, v in enumerate(real_halves)},
        **{f"loss/d_g/{i}": v for i, v in enumerate(fake_halves)},
    }
    return broken(kind, columns, c)


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    return speech(kind, rows, seed, DISCRIMINATORS, DURATION)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return csv(series(kind, rows, seed))
