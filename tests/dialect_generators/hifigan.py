"""HiFi-GAN, and the shape that BigVGAN and HiFi-Codec share with it: step, sum, mel error and seconds a batch."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves

SUFFIX = ".log"
DIALECT = "hifigan"
FAULTS = ("dwins", "nan")
COLUMNS = {"Gen Loss Total": "total_loss", "Mel-Spec. Error": "rec_loss"}
PER_EPOCH = 500


def shown(name: str, value: float) -> float:
    """Three digits after the point."""
    return float(f"{value:4.3f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    mel, adversarial, features = 0.95 * c.fit, 8 * (0.25 + 0.2 * c.gap), 4 + 2.5 * c.gap * c.noise(0.05)
    columns = {
        "step": 5.0 * np.arange(len(c.t)),
        "Gen Loss Total": 45 * mel + adversarial + features,
        "Loss Q": (0.02 + 0.02 * c.t) * c.noise(0.05),
        "Mel-Spec. Error": mel,
        "s/b": 0.42 * c.noise(0.05),
        "grad_norm_g": 60 * c.noise(0.3),
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return written(series(kind, rows, seed), "Steps : {:d}, Gen Loss Total : {:4.3f}, Mel-Spec. Error : {:4.3f}, s/b : {:4.3f}",
                   ("Gen Loss Total", "Mel-Spec. Error", "s/b"))  # fmt: skip


def written(columns: Series, line: str, names: tuple[str, ...]) -> str:
    """Lines of this shape, with the trainers' lines about epochs between."""
    text = ""
    for i, step in enumerate(map(int, columns["step"])):
        if step % PER_EPOCH == 0:
            text += f"Time taken for epoch {step // PER_EPOCH} is 212 sec\n\n" if step else ""
            text += f"Epoch: {step // PER_EPOCH + 1}\n"
        text += line.format(step, *(float(columns[n][i]) for n in names)) + "\n"
    return text
