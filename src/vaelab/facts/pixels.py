"""Pixel count: which picture sizes the N of a summed reconstruction loss stands for."""

from __future__ import annotations

import math

import numpy as np

from vaelab.facts.identities import Printed

IMAGE_SIZES = (16, 24, 28, 32, 40, 48, 56, 64, 72, 80, 96, 112, 120, 128, 144, 160, 176, 192, 224, 240, 256, 272, 288,
               320, 352, 384, 400, 416, 448, 480, 512, 576, 640, 704, 720, 768, 832, 896, 960, 1024)  # fmt: skip
NARROW = 1.02
"""High over low of an interval so narrow that the number of a picture's values in it is no chance."""


def pixel_count(low: float, high: float, channels: float | None, usual: int | None) -> tuple[float, str]:
    """``(N, how a sentence adds its shape)``: the element count of a square picture within the interval, else its middle.

    channels: as declared; usual: those of the trainer's pictures, which are taken where several sizes fit.
    """
    value = (low + high) / 2
    fits = [(c * s * s, c, s) for c in (1, 3) for s in IMAGE_SIZES if low <= c * s * s <= high]
    fits = [f for f in fits if f[1] == channels] or fits
    # a side that is a power of two first
    best = min(fits, key=lambda f: (f[1] != usual, f[2] & (f[2] - 1) != 0, abs(math.log(f[0] / value))), default=None)
    if best is not None and (high / low < NARROW or len(fits) == 1 or best[1] == usual):
        return float(best[0]), f" = {best[2]}x{best[2]}" + (f"x{best[1]}" if best[1] > 1 else "")
    return (float(round(value)) if best is None and high / low < NARROW else value), ""


def sizes_vary(left: Printed, unit: Printed) -> tuple[int, int] | None:
    """Smallest and largest C*H*W, where left / unit is in each row that of a picture with sides that are multiples of 8, and
    the size goes up and down.

    Only where rounding leaves intervals so narrow that chance would leave most of them without one. A weight or a size that is
    switched changes about once for every value it takes, a size drawn for each batch more often.
    """
    ratio = left.value / unit.value
    width = np.abs(ratio) * (left.error / np.maximum(np.abs(left.value), 1e-300) + unit.error / np.abs(unit.value))
    for side in (3 * 8 * 8, 8 * 8):
        narrow = width < 0.1 * side
        if len(ratio) < 8 or np.mean(narrow) < 0.9:
            continue
        near = np.round(ratio[narrow] / side) * side
        changes = int(np.count_nonzero(np.diff(near)))
        fits = np.abs(near - ratio[narrow]) <= width[narrow]
        if np.mean(fits) >= 0.95 and near.min() >= side and changes > len(set(near.tolist())):
            return int(near.min()), int(near.max())
    return None
