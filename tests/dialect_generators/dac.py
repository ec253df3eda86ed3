"""descript-audio-codec: the tags that its tracker writes to TensorBoard, as a table of all of them; the split stands at the end."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, squared_halves
from dialect_generators.printing_b import csv

SUFFIX = ".csv"
DIALECT = "dac"
FAULTS = ("dwins", "collapse", "nan")
COLUMNS = {
    "loss/train": "total_loss", "mel/loss/train": "rec_loss", "adv/gen_loss/train": "g_loss",
    "adv/feat_loss/train": "feature_matching_loss", "adv/disc_loss/train": "disc_loss",
    "vq/commitment_loss/train": "quant_loss", "other/grad_norm/train": "grad_norm",
    "other/grad_norm_d/train": "disc_grad_norm", "other/learning_rate/train": "lr",
}  # fmt: skip
DISCRIMINATORS = 8


def shown(name: str, value: float) -> float:
    """Full precision."""
    return value


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = (DISCRIMINATORS * half for half in squared_halves(c))
    mel, commit = 4.2 * c.fit, (0.4 + 1.2 * c.t) * (c.used / c.used[0]) * c.noise(0.03)
    g, features = DISCRIMINATORS * (0.25 + 0.2 * c.gap), 2.0 + 2.5 * c.gap * c.noise(0.05)
    n = len(c.t)
    columns = {
        "step": 1000.0 * np.arange(n),
        "adv/disc_loss": real + fake,
        "adv/feat_loss": features,
        "adv/gen_loss": g,
        "loss": 15 * mel + 2 * features + g + 0.25 * commit + commit,
        "mel/loss": mel,
        "other/batch_size": np.full(n, 72.0),
        "other/grad_norm": 30 * c.noise(0.3),
        "other/grad_norm_d": 4 * c.noise(0.3),
        "other/learning_rate": 1e-4 * 0.999996 ** (1000 * np.arange(n)),
        "stft/loss": 1.4 * mel,
        "time/train_loop": 0.6 * c.noise(0.05),
        "vq/codebook_loss": commit,
        "vq/commitment_loss": commit,
        "waveform/loss": 0.03 * c.fit * c.noise(0.05),
    }
    return broken(kind, {name if name == "step" else f"{name}/train": v for name, v in columns.items()}, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return csv(series(kind, rows, seed))
