"""HiFi-Codec of AcademiCodec: HiFi-GAN's line with the quantiser's loss; ten times that loss and two more mel errors are in the sum."""

from __future__ import annotations

from dialect_generators import hifigan
from dialect_generators.curves_b import Series

SUFFIX = ".log"
DIALECT = "hificodec"
FAULTS = ("dwins", "nan")
COLUMNS = {"Gen Loss Total": "total_loss", "Loss Q": "quant_loss", "Mel-Spec. Error": "rec_loss"}
shown = hifigan.shown


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    columns = hifigan.series(kind, rows, seed)
    columns["Gen Loss Total"] = columns["Gen Loss Total"] + 2 * columns["Mel-Spec. Error"] + 10 * columns["Loss Q"]
    del columns["grad_norm_g"]
    return columns


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    line = "Steps : {:d}, Gen Loss Total : {:4.3f}, Loss Q : {:4.3f}, Mel-Spec. Error : {:4.3f}, s/b : {:4.3f}"
    return hifigan.written(series(kind, rows, seed), line, ("Gen Loss Total", "Loss Q", "Mel-Spec. Error", "s/b"))
