"""magvit2-pytorch: a line for the step, then one a metric; validation and sample lines now and then."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves

SUFFIX = ".log"
DIALECT = "magvit2"
FAULTS = ("dwins", "nan")
COLUMNS = {"recon loss": "rec_loss", "discr loss": "disc_loss"}


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    columns = {
        "step": np.arange(len(c.t), dtype=np.float64),
        "recon loss": 0.21 * c.fit,
        "discr loss": real + fake,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    text = "training with dataset of 1901 samples and validating with randomly splitted 100 samples\n"
    for i in range(rows):
        recon = columns["recon loss"][i]
        text += f"step {i}\nrecon loss: {recon:.3f}\ndiscr loss: {columns['discr loss'][i]:.3f}\n"
        if i % 100 == 0:
            text += f"validation recon loss {1.1 * recon:.3f}\nvalidation EMA recon loss {1.2 * recon:.3f}\n"
            text += f"sample saved to results/sampled.{i // 100}.gif\n"
    return text
