"""Original, reconstructions and amplified errors beside each other, written frame by frame as MP4 or PNG."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from vaelab.errors import ConfigError
from vaelab.evaluation.pictures import to_uint8

SMALLEST = 192  # pixels of the longer side of a panel; smaller frames are enlarged, without smoothing
STRIP, GAP, FONT = 22, 4, 14
BACKGROUND, TEXT, NOT_FINITE = (24, 24, 24), (235, 235, 235), (255, 0, 255)


@dataclass(frozen=True)
class Cells:
    """Where the pictures of one frame lie on its canvas, in pixels: side by side, ``cell`` apart, each ``factor`` times enlarged."""

    height: int
    width: int
    factor: int
    cell: int

    @property
    def size(self) -> tuple[int, int]:
        """Of one picture: width and height."""
        return self.width * self.factor, self.height * self.factor

    def left(self, number: int) -> int:
        return GAP + number * self.cell


def cells_of(height: int, width: int) -> Cells:
    """For frames of this size: a narrow picture still has room for its title."""
    factor = max(1, math.ceil(SMALLEST / max(height, width)))
    return Cells(height, width, factor, max(width * factor, SMALLEST) + GAP)


def panels(x: torch.Tensor, reconstructions: Sequence[torch.Tensor], titles: Sequence[str], gain: float) -> np.ndarray:
    """uint8 (height, width, 3), even sizes: the original, then each reconstruction and its error times ``gain``.

    x, reconstructions: (C, H, W) in [-1, 1]. titles: of the reconstructions. The error is signed: brighter than grey where
    the reconstruction is too bright; a scale under it says how many 8-bit levels black and white are. NaN and infinity are
    magenta.
    """
    shown = [("original", x)]
    for title, r in zip(titles, reconstructions, strict=True):
        shown += [(title, r), (f"error x{gain:g}", gain * (r - x))]
    cells = cells_of(*x.shape[-2:])
    height = cells.size[1]
    size = (_even(len(shown) * cells.cell + GAP), _even(STRIP + height + STRIP + GAP))
    canvas = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for number, (title, picture) in enumerate(shown):
        left = cells.left(number)
        draw.text((left, 2), title.encode("ascii", "replace").decode(), TEXT, font)  # the built-in font has no others
        canvas.paste(Image.fromarray(pixels(picture).repeat(cells.factor, 0).repeat(cells.factor, 1)), (left, STRIP))
        if title.startswith("error x"):
            _scale(canvas, draw, font, left, STRIP + height + GAP, gain)
    return np.asarray(canvas)


def _scale(canvas: Image.Image, draw: Any, font: Any, left: int, top: int, gain: float) -> None:
    """From black to white, with the errors in 8-bit levels that these stand for."""
    most = f"{127.5 / gain:.3g}"
    ramp = np.linspace(0, 255, SMALLEST // 3).astype(np.uint8)
    bar = np.repeat(np.repeat(ramp[None, :, None], STRIP - 8, 0), 3, 2)
    start = int(font.getlength(f"-{most}")) + GAP
    draw.text((left, top), f"-{most}", TEXT, font)
    canvas.paste(Image.fromarray(bar), (left + start, top + 2))
    draw.text((left + start + bar.shape[1] + GAP, top), f"+{most} levels", TEXT, font)


def suitable_gain(errors: Sequence[torch.Tensor]) -> float:
    """The gain, a power of two from 1 to 64, at which 99% of the errors (of any shape, in the range -1 to 1) are not cut off."""
    finite = torch.cat([error[error.isfinite()].abs().flatten() for error in errors])
    if not len(finite):
        return 1.0
    most = float(finite.kthvalue(max(1, math.ceil(0.99 * len(finite)))).values)
    return float(2 ** min(max(math.floor(math.log2(1 / most)), 0), 6)) if most > 0 else 64.0


def pixels(picture: torch.Tensor) -> np.ndarray:
    """(C, H, W) in [-1, 1] -> uint8 (H, W, 3); what is not finite is magenta."""
    finite = picture.isfinite().all(0)
    colours = to_uint8(picture.nan_to_num()).expand(3, -1, -1)
    magenta = torch.tensor(NOT_FINITE, dtype=torch.uint8)[:, None, None]
    return torch.where(finite, colours, magenta).permute(1, 2, 0).contiguous().numpy()


def even(frame: np.ndarray) -> np.ndarray:
    """The last row or column twice where a side is odd: H.264 with yuv420p takes even sizes only."""
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")


class PictureFile:
    """An MP4 (H.264, yuv420p, what every browser plays) of any number of frames, or a PNG of one. A context manager.

    The file appears under its name when it is whole; after an error or Ctrl-C a video keeps the frames it has. Raises
    ConfigError if it cannot be written.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        """rate: frames a second of the video; 0 for a PNG."""
        self.path, self.rate, self.count = path, rate, 0
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._container: Any = None
        self._stream: Any = None

    def add(self, frame: np.ndarray) -> None:
        """The next frame, uint8 (H, W, 3), all of one even size."""
        try:
            if not self.rate:
                Image.fromarray(frame).save(self._part, format="PNG")
            else:
                if self._container is None:
                    self._open(*frame.shape[:2])
                self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        except (OSError, av.FFmpegError) as error:
            raise self._cannot(error) from None
        self.count += 1

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode())
                self._container.close()
            if self.count:
                self._part.replace(self.path)
        except (OSError, av.FFmpegError) as error:
            raise self._cannot(error) from None
        finally:
            self._part.unlink(missing_ok=True)

    def _open(self, height: int, width: int) -> None:
        if "libx264" not in av.codecs_available:
            raise ConfigError("PyAV has no encoder libx264 here, so no MP4 can be written: reconstruct single images.")
        self._container = av.open(str(self._part), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream("libx264", rate=self.rate)
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.options = {"crf": "16"}

    def _cannot(self, error: Exception) -> ConfigError:
        reason = getattr(error, "strerror", None) or str(error)
        return ConfigError(f"Cannot write {self.path}: {reason}. Free space or choose another folder with --output.")


def _even(size: int) -> int:
    return size + size % 2
