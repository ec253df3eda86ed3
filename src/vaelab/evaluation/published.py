"""Published reconstruction scores, each with the data it was measured on. They are context and never a limit: other data,
sizes, clips or averages move the same model by several dB, so only numbers of one data set can be compared.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

FILE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class Published:
    """One row. data: what it was measured on. channels: of the latent. psnr in dB. None: not published, or not applicable."""

    kind: Literal["image", "video"]
    data: str
    model: str
    channels: int | None
    psnr: float | None
    ssim: float | None
    lpips: float | None
    rfid: float | None
    rfvd: float | None
    source: str


@functools.lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All rows, data set by data set."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(_row(row) for row in csv.DictReader(file))


def comparable(kind: Literal["image", "video"], channels: int) -> tuple[Published, ...]:
    """Rows of models of this kind with this number of latent channels; of all of this kind where there are none."""
    of_kind = tuple(row for row in published() if row.kind == kind)
    return tuple(row for row in of_kind if row.channels == channels) or of_kind


def _row(row: dict[str, str]) -> Published:
    numbers = {"channels": int, "psnr": float, "ssim": float, "lpips": float, "rfid": float, "rfvd": float}
    values = {f.name: row[f.name] for f in fields(Published)}
    return Published(**{n: (numbers[n](v) if v else None) if n in numbers else v for n, v in values.items()})  # type: ignore[arg-type]
