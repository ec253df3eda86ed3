"""RVC's train.log: three lines a record (epoch and percent, ``[step, lr]``, the losses)."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series
from dialect_generators.vits import speech

SUFFIX = ".log"
DIALECT = "rvc"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "loss_disc": "disc_loss", "loss_gen": "g_loss", "loss_fm": "feature_matching_loss", "loss_mel": "rec_loss",
    "loss_kl": "kl_loss",
}  # fmt: skip
DISCRIMINATORS, PER_EPOCH = 9, 1000


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    board = speech(kind, rows, seed, DISCRIMINATORS, duration=False)
    return {
        "step": board["step"],
        "loss_disc": board["loss/d/total"],
        "loss_gen": np.sum([board[f"loss/g/{i}"] for i in range(DISCRIMINATORS)], axis=0),
        "loss_fm": board["loss/g/fm"],
        "loss_mel": np.minimum(board["loss/g/mel"], 75),
        "loss_kl": np.minimum(board["loss/g/kl"], 9),
    }


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    c = series(kind, rows, seed)
    lines = []
    for i, step in enumerate(map(int, c["step"])):
        head = f"2026-07-{20 + i // 1440:02d} {i // 60 % 24:02d}:{i % 60:02d}:07,512\tmy-voice\tINFO\t"
        lines.append(f"{head}Train Epoch: {step // PER_EPOCH + 1} [{100 * (step % PER_EPOCH) / PER_EPOCH:.0f}%]")
        lines.append(f"{head}{[step, 1e-4 * 0.999875 ** (step // PER_EPOCH)]}")
        losses = ", ".join(f"{name}={c[name][i]:.3f}" for name in ("loss_disc", "loss_gen", "loss_fm"))
        lines.append(f"{head}{losses},loss_mel={c['loss_mel'][i]:.3f}, loss_kl={c['loss_kl'][i]:.3f}")
        if step % PER_EPOCH == PER_EPOCH - 200:
            lines.append(f"{head}====> Epoch: {step // PER_EPOCH + 1} [2026-07-20 10:00:01] | (0:01:12.331)")
    return "\n".join(lines) + "\n"
