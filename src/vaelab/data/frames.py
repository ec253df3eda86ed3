"""Frames of a video as pixels of a sample: cropped and resized first, and only then converted to RGB.

A full frame of 1280 x 720 is never converted. Each of its planes is resized by itself; brightness and colour are linear, so the
order changes no more than rounding and how colour, which has a quarter of the pixels, is spread to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from PIL import Image

from vaelab.data.crop import View, crop_and_resize, crop_box

_TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
# Brightness and two colours in planes of 8 bits. Others (10 bits, RGB, palettes) are converted as whole frames.
_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"})
# Bilinear, SWS_FULL_CHR_H_INT and SWS_ACCURATE_RND, as numbers: PyAV 15 and 16 have no names for them. Without them FFmpeg rounds
# down where colours have fewer values than brightness: 1 to 2 of 255 levels too dark.
_ROUNDED = 0x2 | 0x2000 | 0x40000


def frame_pixels(frames: Sequence[Any], view: View, target: tuple[int, int], channels: int) -> np.ndarray:
    """Pixels uint8 (T, H, W, C) of frames of one video, upright; see :func:`vaelab.data.crop.crop_and_resize`."""
    if any(frame.format.name not in _PLANAR for frame in frames):
        whole = [_upright(f.to_image(interpolation=_ROUNDED), f) for f in frames]
        return np.stack([crop_and_resize(image, view, target, channels) for image in whole])
    planes = np.stack([_resized_planes(frame, view, target) for frame in frames], axis=1)
    first, (height, width) = frames[0], target
    # one tall picture: a single conversion for the clip
    joined = av.VideoFrame.from_ndarray(
        planes.reshape(3, len(frames) * height, width), "yuvj444p" if "j" in first.format.name else "yuv444p"
    )
    joined.colorspace, joined.color_range = first.colorspace, first.color_range
    image: Any = joined.to_image()
    pixels = np.asarray(image if channels == 3 else image.convert("L"), dtype=np.uint8)
    pixels = pixels.reshape(len(frames), height, width, channels)
    return np.ascontiguousarray(pixels[:, :, ::-1]) if view.mirrored else pixels


def upright_size(frame: Any) -> tuple[int, int]:
    """Height and width of a frame as it is shown."""
    return (frame.width, frame.height) if _turns(frame) % 2 else (frame.height, frame.width)


def _resized_planes(frame: Any, view: View, target: tuple[int, int]) -> np.ndarray:
    """uint8 (3, H, W): brightness and both colours of the crop."""
    planes = [
        _upright(Image.frombuffer("L", (p.width, p.height), p, "raw", "L", p.line_size, 1), frame) for p in frame.planes
    ]
    width, height = planes[0].size
    left, top, right, bottom = crop_box(width, height, view, target)
    resized = []
    for plane in planes:
        # an odd width has one more colour value than half of it
        across, down = round(width / plane.width), round(height / plane.height)
        box = (left / across, top / down, right / across, bottom / down)
        resized.append(np.asarray(plane.resize(target[::-1], Image.Resampling.LANCZOS, box=box)))
    return np.stack(resized)


def _upright(image: Image.Image, frame: Any) -> Image.Image:
    turns = _turns(frame)
    return image.transpose(_TURNS[turns]) if turns else image


def _turns(frame: Any) -> int:
    """Quarter turns, against the clock."""
    return round(getattr(frame, "rotation", 0) / 90) % 4
