"""NeMo's console while a Cosmos tokenizer is fine-tuned: means of 100 steps, four significant digits; every term is weighted."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves

SUFFIX = ".log"
DIALECT = "cosmos_tokenizer"
FAULTS = ("blowup", "nan")
COLUMNS = {
    "lr": "lr", "reduced_train_loss": "total_loss", "color": "rec_loss", "lpips": "perceptual_loss", "gram": "gram",
    "flow": "flow",
}  # fmt: skip
TOTAL = 1_000_000


def number(value: float) -> str:
    """As NeMo's ProgressPrinter prints a float."""
    return str(int(value)) if float(value).is_integer() else f"{value:.4}"


def shown(name: str, value: float) -> float:
    """Four significant digits."""
    return float(number(value))


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    color, lpips, n = 0.06 * c.fit, 0.073 * 1.4 * (0.4 + 0.6 * c.fit), len(c.t)
    gram, flow = 0.062 * 0.3 * c.fit * c.grown, 0.01 * 0.8 * c.fit * c.noise(0.05)
    step = 500_099 + 100.0 * np.arange(n)
    columns = {
        "step": step,
        "lr": np.full(n, 1e-4),
        "global_batch_size": np.full(n, 8.0),
        "global_step": step,
        "peak_memory(GB)": np.full(n, 60.3),
        "reduced_train_loss": color + lpips + gram + flow,
        "color": color,
        "lpips": lpips,
        "gram": gram,
        "flow": flow,
        "train_step_timing in s": 1.234 * c.noise(0.02),
        "consumed_samples": 8 * (step + 1),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    text = "[NeMo I 2025-02-11 10:00:00 nemo_logging:381] Rank 0 has data parallel rank: 0\n"
    for i, step in enumerate(map(int, columns["step"])):
        values = (f" | {n}: {number(float(v[i]))}" for n, v in columns.items() if n != "step")
        text += f"Training epoch 0, iteration {step}/{TOTAL - 1}{''.join(values)}\n"
    return text
