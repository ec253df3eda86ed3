"""BigVGAN: HiFi-GAN's line with colons, learning rate and gradient norm."""

from __future__ import annotations

from dialect_generators import hifigan
from dialect_generators.curves_b import Series

SUFFIX = ".log"
DIALECT = "bigvgan"
FAULTS = ("dwins", "nan")
COLUMNS = {"Gen Loss Total": "total_loss", "Mel Error": "rec_loss", "grad_norm_g": "grad_norm"}
shown = hifigan.shown


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    columns = hifigan.series(kind, rows, seed)
    columns["Mel Error"] = columns.pop("Mel-Spec. Error")
    del columns["Loss Q"]
    return columns


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    line = "Steps: {:d}, Gen Loss Total: {:4.3f}, Mel Error: {:4.3f}, s/b: {:4.3f} lr: 0.0001000 grad_norm_g: {:4.3f}"
    return hifigan.written(series(kind, rows, seed), line, ("Gen Loss Total", "Mel Error", "s/b", "grad_norm_g"))
