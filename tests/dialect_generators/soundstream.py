"""SoundStream of audiolm-pytorch: one console line a step, its number in front, with lines about files between."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, hinge_halves

SUFFIX = ".log"
DIALECT = "soundstream"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "soundstream total loss": "total_loss", "soundstream recon loss": "rec_loss", "discr (scale 1) loss": "disc_loss",
}  # fmt: skip


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = hinge_halves(c)
    recon, features = 0.12 * c.fit, 0.02 + 0.01 * c.gap * c.noise(0.05)
    columns = {
        "step": np.arange(len(c.t), dtype=np.float64),
        "soundstream total loss": recon + 1e-5 * 900 * c.fit + c.gap / 2 + 100 * features + 0.3,
        "soundstream recon loss": recon,
        "discr (scale 1) loss": real + fake,
        "discr (scale 0.5) loss": (real + fake) * c.noise(0.05),
        "discr (scale 0.25) loss": (real + fake) * c.noise(0.05),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    text = "training with dataset of 28051 samples and validating with randomly splitted 1476 samples\n"
    for i, step in enumerate(columns["step"].astype(int)):
        first, second, *discriminators = (f"{n}: {v[i]:.3f}" for n, v in columns.items() if n != "step")
        text += f"{step}: {first}, {second} | {' | '.join(discriminators)}\n"
        if step % 100 == 0:
            text += f"{step}: saving to results\n"
        if step % 1000 == 0:
            text += f"{step}: saving model to results\n"
    return text + "training complete\n"
