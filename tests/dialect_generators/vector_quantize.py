"""vector-quantize-pytorch's examples: tqdm with the metrics in the description, separated by bars of their own; 1,000 steps."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves
from dialect_generators.printing_b import bar

SUFFIX = ".log"
DIALECT = "vector_quantize"
FAULTS = ("collapse", "nan")
COLUMNS = {"rec loss": "rec_loss", "cmt loss": "quant_loss", "active %": "cluster_usage"}


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    columns = {
        "step": np.linspace(1, 1000, len(c.t)).round(),
        "rec loss": 0.28 * c.fit,
        "cmt loss": 0.012 * (c.used / c.used[0]) * c.noise(0.05),
        "active %": np.round(256 * np.minimum(c.used, 1)) / 256 * 100,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    states = []
    for i, step in enumerate(map(int, columns["step"])):
        values = " | ".join(f"{n}: {v[i]:.3f}" for n, v in columns.items() if n != "step")
        states.append(bar(values, step, 1000, "", "41.20it/s"))
    return "\r".join(states) + "\n"
