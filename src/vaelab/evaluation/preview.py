"""Pictures for a person: original, reconstruction and error side by side, as PNG and, for clips, as MP4."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from vaelab.errors import TrainError
from vaelab.evaluation.pictures import psnr, to_uint8

ERROR_GAIN = 4
TITLES = ("original", "reconstruction", f"error x{ERROR_GAIN}, grey: none")
FRAMES_IN_PNG = 3  # first, middle, last
SMALLEST_TILE = 192  # pixels of the longer side; smaller pictures are enlarged
STRIP = 22  # height of a line of text
GAP = 4  # between tiles
FONT_SIZE = 14
BACKGROUND, TEXT, NOT_FINITE = (24, 24, 24), (235, 235, 235), (255, 0, 255)


def write_preview(
    folder: Path, step: int, x: torch.Tensor, r: torch.Tensor, names: Sequence[str], fps: float = 8.0
) -> list[Path]:
    """Write ``preview_<step>.png`` and, if the clips have several frames, ``preview_<step>.mp4``; gives their paths.

    x, r: original and reconstruction, (B, C, T, H, W) in [-1, 1], C = 1 or 3. names: one a clip. fps: of the MP4, slow by
    default so that flicker can be seen. A line of text over each clip gives its name and PSNR. The error is signed and
    amplified: brighter than grey where the reconstruction is too bright. Values that are NaN or infinite are magenta.
    Pictures under 192 pixels are enlarged without smoothing.

    The PNG's text ``tiles`` says where the originals lie, in pixels, for who wants to cut them out; each reconstruction lies ``cell`` to
    the right of its original.

    Files are complete or absent. Without the encoder libx264 in PyAV there is only the PNG. Raises TrainError if a file
    cannot be written, ValueError if the shapes and names do not fit together.
    """
    if x.ndim != 5 or x.shape != r.shape or len(x) != len(names) or x.shape[1] not in (1, 3):
        shapes = f"original {tuple(x.shape)}, reconstruction {tuple(r.shape)}, {len(names)} names"
        raise ValueError(f"A preview needs two tensors (B, C, T, H, W) with 1 or 3 channels and B names: {shapes}")
    if not names:
        return []
    x, r = (clips.detach().float().cpu() for clips in (x, r))
    labels = [_label(name, value) for name, value in zip(names, psnr(x, r).tolist(), strict=True)]
    columns = np.stack([_pixels(x), _pixels(r), _pixels(ERROR_GAIN * (r - x))], axis=1)
    frames = x.shape[2]
    chosen = sorted({0, frames // 2, frames - 1})[:FRAMES_IN_PNG]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture, places = Image.fromarray(_canvas(columns, labels, chosen)), PngInfo()
        places.add_text("tiles", json.dumps(_tiles(columns, len(chosen))._asdict()))
        files = [
            _complete(folder / f"preview_{step:08d}.png", lambda part: picture.save(part, format="PNG", pnginfo=places))
        ]
        if frames > 1 and "libx264" in av.codecs_available:
            canvases = (_canvas(columns, labels, [t]) for t in range(frames))
            files.append(
                _complete(folder / f"preview_{step:08d}.mp4", lambda part: _write_mp4(part, list(canvases), fps))
            )
    except OSError as error:
        reason = error.strerror or str(error)
        raise TrainError(f"Cannot write the preview of step {step} to {folder}: {reason}. Free or change it.") from None
    return files


def _label(name: str, decibels: float) -> str:
    value = f"PSNR {decibels:.2f} dB" if math.isfinite(decibels) else "NaN or infinity: magenta"
    return f"{value}   {name}".encode("ascii", "replace").decode()  # the built-in font has no others


def _pixels(x: torch.Tensor) -> np.ndarray:
    """(B, C, T, H, W) -> uint8 (B, T, height, width, 3), enlarged."""
    finite = x.isfinite().all(1, keepdim=True).expand(-1, 3, -1, -1, -1)
    colours = to_uint8(x.nan_to_num()).expand(-1, 3, -1, -1, -1)
    magenta = torch.tensor(NOT_FINITE, dtype=torch.uint8).view(1, 3, 1, 1, 1)
    pixels = torch.where(finite, colours, magenta).permute(0, 2, 3, 4, 1).numpy()
    factor = max(1, math.ceil(SMALLEST_TILE / max(x.shape[-2:])))
    return pixels.repeat(factor, axis=2).repeat(factor, axis=3)


class _Tiles(NamedTuple):
    """Where the tiles of a canvas lie, in pixels. lefts: of the originals, one a frame, ``cell`` before their reconstruction. tops: one a clip."""

    width: int
    height: int
    cell: int
    lefts: list[int]
    tops: list[int]


def _tiles(columns: np.ndarray, frames: int) -> _Tiles:
    clips, _, _, height, width, _ = columns.shape
    cell = max(width, SMALLEST_TILE) + GAP  # a narrow picture still has room for its title
    lefts = [GAP + i * (3 * cell + 2 * GAP) for i in range(frames)]
    return _Tiles(width, height, cell, lefts, [2 * STRIP + i * (STRIP + height + 2 * GAP) for i in range(clips)])


def _canvas(columns: np.ndarray, labels: Sequence[str], frames: Sequence[int]) -> np.ndarray:
    """uint8 (height, width, 3), even sizes, from (B, 3 columns, T, h, w, 3): a row for each clip, its frames beside."""
    tiles, count = _tiles(columns, len(frames)), columns.shape[2]
    size = (tiles.lefts[-1] + 3 * tiles.cell + 2 * GAP, tiles.tops[-1] + tiles.height + 2 * GAP)
    image = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    for clip, top in enumerate(tiles.tops):
        draw.text((GAP, top - STRIP + 2), _fitted(labels[clip], size[0] - 2 * GAP, font), TEXT, font)
        for first, frame in zip(tiles.lefts, frames, strict=True):
            for column, title in enumerate(TITLES):
                left = first + column * tiles.cell
                image.paste(Image.fromarray(columns[clip, column, frame]), (left, top))
                if clip == 0:
                    numbered = f"{title} (frame {frame + 1})" if column == 0 and count > 1 else title
                    draw.text((left, 2), numbered, TEXT, font)
    return np.asarray(image)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Cut at about ``width`` pixels."""
    length = font.getlength(text)
    return text if length <= width else text[: max(0, int(len(text) * width / length) - 4)] + "..."


def _write_mp4(path: Path, canvases: Sequence[np.ndarray], fps: float) -> None:
    """H.264 in yuv420p with its index in front: what every browser plays."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = canvases[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16"}
        for canvas in canvases:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="rgb24")))
        container.mux(stream.encode())


def _complete(path: Path, write: Callable[[Path], None]) -> Path:
    """Write beside ``path`` and move into place, so that no reader meets half a file."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        return part.replace(path)
    finally:
        part.unlink(missing_ok=True)
