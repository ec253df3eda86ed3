"""Tiny videos and images whose frames carry their own number as a grey level."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import ExifTags, Image


def frame_pixels(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Left half: number modulo 60, times 4; right half: number // 60, times 4 (both exact after compression)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = 8 + number % 60 * 4
    pixels[:, width // 2 :] = 8 + number // 60 * 4
    return pixels


def frame_number(pixels: np.ndarray) -> int:
    """The number in a (H, W, C) sample."""
    half = pixels.shape[1] // 2
    left, right = pixels[:, : half - 4].mean(), pixels[:, half + 4 :].mean()
    return round((left - 8) / 4) + 60 * round((right - 8) / 4)


def write_video(
    path: Path,
    frames: int = 40,
    rate: int | Fraction = 24,
    size: tuple[int, int] = (48, 64),
    keyframes: int = 12,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """An H.264 video that holds its own path, so that no two are the same bytes. times: presentation times in milliseconds, for a
    variable rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata["title"] = str(path)
        coder = {"preset": "ultrafast", "g": str(keyframes), "qp": "4"}
        stream = container.add_stream("libx264", rate=rate, options=coder)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number, *size), "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """An MP4 that holds sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_image(path: Path, value: int = 100, size: tuple[int, int] = (48, 64), mode: str = "RGB") -> Path:
    """An image of one value that holds its own path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = str(path)
    Image.new("RGB", size[::-1], (value,) * 3).convert(mode).save(path, exif=exif)
    return path
