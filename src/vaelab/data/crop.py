"""The part of a picture that becomes a sample, and its resampling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

# The smallest random crop, as a share of the largest one that fits. Smaller crops would show much less of a scene than
# the held-out samples, which use the largest.
_SMALLEST_CROP = 0.5
Box = tuple[float, float, float, float]


class View(NamedTuple):
    """How a sample looks at its file, as shares: crop size, left and top of the free space, and mirrored or not."""

    size: float = 1.0
    left: float = 0.5
    top: float = 0.5
    mirrored: bool = False


def random_view(rng: np.random.Generator, random_crop: bool, flip: bool) -> View:
    """Always draws four numbers, so that what is drawn after it does not depend on the settings."""
    size, left, top, side = rng.random(4)
    place = (float(size), float(left), float(top)) if random_crop else (1.0, 0.5, 0.5)
    return View(*place, mirrored=flip and side < 0.5)


def crop_box(width: int, height: int, view: View, target: tuple[int, int]) -> Box:
    """Left, top, right, bottom in pixels of the file; the shape is that of ``target`` (height, width).

    The largest crop touches both borders of the shorter side. ``view.size`` = 0 is half of it, but a crop never has fewer
    pixels than the target if the file has them: details are not invented by enlarging.
    """
    target_height, target_width = target
    largest = min(width / target_width, height / target_height)
    smallest = min(largest, max(1.0, largest * _SMALLEST_CROP))
    scale = smallest + view.size * (largest - smallest)
    crop_width, crop_height = scale * target_width, scale * target_height
    left, top = view.left * (width - crop_width), view.top * (height - crop_height)
    return left, top, min(left + crop_width, width), min(top + crop_height, height)


def crop_and_resize(
    image: Image.Image, view: View, target: tuple[int, int], channels: int, full: tuple[int, int] | None = None
) -> np.ndarray:
    """Pixels uint8 (H, W, C) of an RGB or grey image, antialiased (Lanczos) where it is made smaller.

    A file that has the target's size already is taken as it is, value by value. full: width and height of the file, where
    ``image`` was decoded at a whole fraction of it.
    """
    image = image.convert("RGB" if channels == 3 else "L")
    width, height = full or image.size
    smaller = round(width / image.width)
    left, top, right, bottom = crop_box(width, height, view, target)
    box = (left / smaller, top / smaller, right / smaller, bottom / smaller)
    resized = image.resize((target[1], target[0]), Image.Resampling.LANCZOS, box=box)
    if view.mirrored:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(resized, dtype=np.uint8).reshape(*target, channels)
