"""Images with 16 bits a channel: their values, which of them is white, and the doubt that white is far below the largest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from vaelab.data.files import MediaFile

WHITE = 65535
LOOKED_AT = 16
"""Files of a data set whose values are looked at."""
DARK = WHITE // 4
"""If no value is above it, the data have 14 bits or fewer and would be a quarter as bright as they should be, or darker."""


def wide_values(image: Image.Image, content: bytes) -> np.ndarray | None:
    """Values (H, W) of a grey or (H, W, 3) of a colour image, int64, or None where its channels have 8 bits.

    image: as Pillow opened ``content``; it gives only the upper 8 bits of colours, so those are decoded by FFmpeg. Raises what the
    decoders raise, and ValueError for values that are not of 16 bits.
    """
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > WHITE:
            raise ValueError(f"its values reach from {wide.min()} to {wide.max()}; save it with 8 or 16 bits")
        return wide
    if image.mode != "RGB" or not any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        return None
    with av.open(io.BytesIO(content), "r") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb48le").astype(np.int64)


def to_8_bits(wide: np.ndarray, white: int = WHITE) -> np.ndarray:
    """uint8: 0 to ``white`` become 0 to 255, rounded; what is above is white."""
    return np.minimum((wide * 255 + white // 2) // white, 255).astype(np.uint8)


def doubt(files: Sequence[MediaFile], white: int) -> str:
    """A sentence where some files of the data say that ``white`` is not their white, else empty. Few files are opened."""
    images = [file for file in files if not file.is_video]
    highest, count = 0, 0
    for file in images[:: max(1, len(images) // LOOKED_AT)][:LOOKED_AT]:
        try:
            content = file.read()
            wide = wide_values(Image.open(io.BytesIO(content)), content)
        except (OSError, ValueError, SyntaxError, av.FFmpegError):
            continue  # the loader says what is wrong with it
        if wide is not None:
            highest, count = max(highest, int(wide.max())), count + 1
    seen = f"{count} image{'s' if count > 1 else ''} of 16 bits {'were' if count > 1 else 'was'} looked at"
    if highest > white:
        return f"{seen}: values reach {highest}, and all above data.white_level={white} becomes white. Raise it."
    if white == WHITE and 0 < highest <= DARK:
        bits = highest.bit_length()
        return (
            f"{seen}: no value is above {highest} of 65535, so they would be nearly black. If they hold {bits}-bit data, set"
            f" data.white_level={2**bits - 1}."
        )
    return ""
