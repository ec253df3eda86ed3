"""Decoding of images (Pillow) and of exactly the frames of a video that are needed (PyAV, FFmpeg)."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import ExifTags, Image, ImageOps

from vaelab.data.crop import View, crop_and_resize, crop_box
from vaelab.data.frames import frame_pixels
from vaelab.data.sixteen_bits import WHITE, to_8_bits, wide_values
from vaelab.data.source import Undecodable
from vaelab.errors import reason

# What Pillow and FFmpeg raise on bytes that are not what they claim to be; a bug in vaelab raises others.
DECODE_ERRORS = (
    av.FFmpegError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
# Codecs of FFmpeg whose decoder asks at each packet whether it may be left out, and whose left-out frames no other one needs. (In
# HEVC a frame that is none of its sub-layer's references can be one of a higher sub-layer's.)
_SKIPPABLE = frozenset({"h264", "mpeg2video", "mpeg4"})
# How many times larger than needed a JPEG may at least be decoded, Pillow's own factor for thumbnails. Closer to 1 the detail suffers:
# at 1 the energy between neighbouring pixels falls by up to 19%, at 2 by 5%.
_SPARE = 2
# A source of 23.976 frames a second serves 24: the drift over a clip is far below one frame.
_RATE_TOLERANCE = 0.995
# Times are multiples of the file's time base, usually below a tenth of a millisecond.
_SAME_TIME = 1e-4


class VideoInfo(NamedTuple):
    """frames: as the file declares, or its length times its mean rate. rate: frames a second. start: first time, s."""

    frames: int
    rate: float
    start: float


class Clip(NamedTuple):
    """Decoded frames, as they are in the file, and the time of the first in seconds from its start."""

    frames: list[Any]
    time: float

    def pixels(self, view: View, target: tuple[int, int], channels: int) -> np.ndarray:
        """uint8 (T, H, W, C), in display orientation."""
        return frame_pixels(self.frames, view, target, channels)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turns what the decoders raise into :class:`Undecodable` with the reason in one line."""
    try:
        yield
    except DECODE_ERRORS as error:
        raise Undecodable(f"not a readable {what}: {reason(error)}") from error


def read_image(data: bytes, white: int = WHITE) -> Image.Image:
    """An image as RGB or 8-bit grey, upright by its EXIF tag; transparent parts are white; 16 bits are scaled to 8.

    white: the value of a 16-bit channel that becomes 255.

    Raises:
        Undecodable: the bytes are no image, cut off, or damaged (a PNG's checksums are verified).
    """
    with readable("image"):
        return _as_read(_opened(data), data, white)


def image_pixels(data: bytes, white: int, view: View, target: tuple[int, int], channels: int) -> np.ndarray:
    """Pixels uint8 (H, W, C) of an image's crop; a JPEG is decoded no larger than twice the size that is needed.

    Raises:
        Undecodable: as :func:`read_image`.
    """
    with readable("image"):
        image = _opened(data)
        full = None
        if image.format in ("JPEG", "MPO"):
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            full = image.size[::-1] if orientation >= 5 else image.size
            left, _, right, _ = crop_box(*full, view, target)
            # what is decoded beyond an odd border would be at the other side once the picture is turned
            whole = [k for k in (2, 4, 8) if orientation == 1 or not (full[0] % k or full[1] % k)]
            smaller = max((k for k in whole if k * _SPARE <= (right - left) / target[1]), default=1)
            image.draft("L" if channels == 1 else "RGB", (image.width // smaller, image.height // smaller))
        return crop_and_resize(_as_read(image, data, white), view, target, channels, full)


def _opened(data: bytes) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.format == "PNG":
        image.verify()
        image = Image.open(io.BytesIO(data))
    return image


def _as_read(image: Image.Image, data: bytes, white: int) -> Image.Image:
    wide = wide_values(image, data)
    if wide is not None:
        scaled = Image.fromarray(to_8_bits(wide, white))
        scaled.info["exif"] = image.info.get("exif", b"")
        image = scaled
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":
        raise ValueError("it holds floating-point values, whose range is unknown; save it with 8 or 16 bits")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def video_info(container: Any) -> VideoInfo:
    """What the header says.

    Raises:
        Undecodable: the file has no video stream (sound only), or neither length nor rate.
    """
    if not container.streams.video:
        raise Undecodable(
            "it holds no video stream, only " + (", ".join(s.type for s in container.streams) or "nothing")
        )
    stream = container.streams.best("video")
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    if stream.duration is not None:
        length = float(stream.duration * stream.time_base)
    else:
        length = (container.duration or 0) / av.time_base
    frames = stream.frames or round(length * rate)
    if rate <= 0 or frames <= 0:
        raise Undecodable("its header gives no length or no frame rate")
    return VideoInfo(frames, rate, float((stream.start_time or 0) * stream.time_base))


def read_clip(
    file: Path | io.BytesIO,
    place: float,
    frames: int,
    fps: float | None = None,
    part: tuple[float, float] = (0.0, 1.0),
    threads: int = 0,
) -> Clip:
    """A clip of a video: the frames nearest to ``start + j / fps``, or successive frames where ``fps`` is None.

    It seeks to the keyframe before the start and stops after the last needed frame. No frame is ever used twice: a file
    whose rate is below ``fps`` is refused. With a constant rate that is a multiple of ``fps``, all strides are equal.

    Args:
        file: path, or the bytes of a file.
        place: start of the clip, as a share (0 to 1) of the places where it fits.
        frames: frames of the clip.
        fps: frames a second of the clip.
        part: the share of the file's time that may be used.
        threads: decoding threads; 0 lets FFmpeg choose.

    Raises:
        Undecodable: damaged, no video, too short, or ``fps`` above the file's rate.
    """
    with readable("video"), av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        info = video_info(container)
        stream: Any = container.streams.best("video")
        stream.codec_context.thread_count = threads
        stream.thread_type = "AUTO"
        if fps is not None and frames > 1 and info.rate < fps * _RATE_TOLERANCE:
            raise Undecodable(
                f"it has {info.rate:.5g} frames a second and data.fps asks for {fps:g}: frames would be repeated;"
                f" set data.fps to at most {info.rate:.5g} or remove the file"
            )
        step = 1 / info.rate if fps is None else 1 / fps
        first, end = math.ceil(part[0] * info.frames), math.floor(part[1] * info.frames)
        needed = math.ceil((frames - 1) * step * info.rate - 1e-6) + 1
        spare = end - first - needed
        if spare < 0:
            raise Undecodable(f"too short: {end - first} usable frames, and a clip of {frames} needs {needed}")
        start = first + min(int(place * (spare + 1)), spare)
        # The header's frame count and mean rate can be wrong (variable rate, cut file): then the clip starts earlier.
        end_time = end / info.rate if part[1] < 1 else math.inf
        for begin in dict.fromkeys((start, first + (start - first) // 2, first)):
            chosen = _choose(_decoded(container, info, begin / info.rate, end_time), frames, fps)
            if chosen:
                return Clip([frame for _, frame in chosen], chosen[0][0])
        rate = "" if fps is None else f", evenly spaced at {fps:g} a second,"
        raise Undecodable(
            f"{frames} frames in a row{rate} could not be decoded; its header promises {info.frames} frames at"
            f" {info.rate:.5g} a second"
        )


def _decoded(container: Any, info: VideoInfo, start: float, end: float) -> Iterator[tuple[float, Any]]:
    """(seconds from the file's start, frame) in display order, for times in [start, end)."""
    stream = container.streams.best("video")
    half = 0.5 / info.rate
    container.seek(int((start + info.start) / stream.time_base), stream=stream)
    decoded = _from_here(container, stream, info, start - half)
    head = next(decoded, None)
    if head is not None and start > 0 and head[0] > start + 2 * half:
        # the index of the file led past the start: read from the beginning
        container.seek(int(info.start / stream.time_base), stream=stream)
        decoded = _from_here(container, stream, info, start - half)
        head = next(decoded, None)
    if head is None:
        return
    for time, frame in chain([head], decoded):
        if time >= end - half:
            return
        if time >= start - half:
            yield time, frame


def _from_here(container: Any, stream: Any, info: VideoInfo, start: float) -> Iterator[tuple[float, Any]]:
    """Frames from where the container stands; before ``start`` only those that others refer to, where the codec tells."""
    codec = stream.codec_context
    for packet in container.demux(stream):
        if codec.name in _SKIPPABLE and packet.pts is not None:
            early = float(packet.pts * packet.time_base) - info.start < start
            codec.skip_frame = "NONREF" if early else "DEFAULT"
        for frame in packet.decode():
            yield _timed(frame, info)


def _timed(frame: Any, info: VideoInfo) -> tuple[float, Any]:
    if frame.pts is None:
        raise Undecodable("a frame has no time stamp")
    time = float(frame.pts * frame.time_base) - info.start
    if frame.is_corrupt:
        raise Undecodable(f"damaged at {time:.2f} s")
    return time, frame


def _choose(decoded: Iterator[tuple[float, Any]], frames: int, fps: float | None) -> list[tuple[float, Any]] | None:
    """The wanted frames, or None if the file ends before them or would need one frame twice.

    The first frame sets the clock, so that strides are exact.
    """
    if fps is None:
        chosen = list(islice(decoded, frames))
        return chosen if len(chosen) == frames else None
    chosen = []
    before = None
    for now in decoded:
        while len(chosen) < frames:
            wanted = chosen[0][0] + len(chosen) / fps if chosen else now[0]
            if now[0] < wanted - _SAME_TIME:
                break
            nearest = before if before is not None and wanted - before[0] < now[0] - wanted else now
            if chosen and nearest is chosen[-1]:
                return None
            chosen.append(nearest)
        if len(chosen) == frames:
            return chosen
        before = now
    return None
