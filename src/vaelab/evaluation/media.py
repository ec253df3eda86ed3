"""Images and videos of any size and length, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from vaelab.data.crop import View, crop_and_resize
from vaelab.data.decode import read_image, readable, video_info
from vaelab.data.files import is_video
from vaelab.data.folders import list_folder
from vaelab.data.frames import frame_pixels, upright_size
from vaelab.data.sixteen_bits import WHITE
from vaelab.data.source import Undecodable
from vaelab.errors import DataError
from vaelab.evaluation.pictures import from_uint8


@dataclass(frozen=True)
class Media:
    """One image or video. name: its path below the input that named it. frames: as the header says, 1 for an image; a guess.

    rate: frames a second, 0 for an image. height, width: upright, in pixels. white: its value in an image of 16 bits.
    """

    path: Path
    name: str
    frames: int
    rate: Fraction
    height: int
    width: int
    white: int = WHITE

    @property
    def is_video(self) -> bool:
        return self.rate > 0

    def read(self, channels: int) -> Iterator[torch.Tensor]:
        """Frames, float32 (C, H, W) in [-1, 1], one after the other, with the values that training would see; grey where ``channels``
        is 1.

        Raises DataError at a frame that cannot be decoded: the frames before it have been given by then.
        """
        given = 0
        try:
            with readable("video" if self.is_video else "image"):
                for pixels in _video(self.path, channels) if self.is_video else _image(self.path, self.white, channels):
                    yield from_uint8(torch.tensor(pixels).permute(2, 0, 1))
                    given += 1
        except Undecodable as error:
            where = f" after {given} frames" if given else ""
            raise DataError(f"{self.path} cannot be decoded{where}: {error}.") from None


def open_media(path: Path, name: str | None = None, white: int = WHITE) -> Media:
    """What the file is. white: its value in images of 16 bits. Raises DataError if it is missing, of another kind, or damaged."""
    kind = is_video(path.name)
    if not path.is_file():
        raise DataError(f"{path} does not exist: give images, videos, or folders of them.")
    if kind is None:
        raise DataError(
            f"{path} is not known as an image or a video by its suffix: convert it, to PNG or MP4 for example."
        )
    try:
        with readable("video" if kind else "image"):
            if not kind:
                width, height = read_image(path.read_bytes(), white).size
                return Media(path, name or path.name, 1, Fraction(0), height, width, white)
            with av.open(str(path)) as container:
                info = video_info(container)
                rate = Fraction(info.rate).limit_denominator(1001)
            first = next(_decoded(path), None)
            if first is None:
                raise Undecodable("it holds no frame")
            return Media(path, name or path.name, info.frames, rate, *upright_size(first))
    except Undecodable as error:
        raise DataError(f"{path} cannot be decoded: {error}.") from None


def find_media(inputs: Sequence[str]) -> list[tuple[Path, str]]:
    """Path and name of every image and video in files and folders. Raises DataError for a missing or empty one."""
    found: list[tuple[Path, str]] = []
    for given in inputs:
        path = Path(given).expanduser()
        if not path.is_dir():
            found.append((path, path.name))
            continue
        inside, problem = [], None
        for videos in (False, True):
            try:
                inside += [(file.path, file.name) for file in list_folder(given, videos)]
            except DataError as error:
                problem = error
        if not inside:
            raise DataError(f"{given} holds no image and no video.") from problem
        found += inside
    return found


def _image(path: Path, white: int, channels: int) -> Iterator[np.ndarray]:
    image = read_image(path.read_bytes(), white)
    yield crop_and_resize(image, View(), image.size[::-1], channels)


def _video(path: Path, channels: int) -> Iterator[np.ndarray]:
    for frame in _decoded(path):
        yield frame_pixels([frame], View(), upright_size(frame), channels)[0]


def _decoded(path: Path) -> Iterator[Any]:
    with av.open(str(path)) as container:
        stream: Any = container.streams.best("video")
        stream.thread_type = "AUTO"
        size = None
        for frame in container.decode(stream):
            size = size or (frame.height, frame.width)
            if (frame.height, frame.width) != size:
                raise Undecodable(
                    f"its frames change size, from {size[0]} x {size[1]} to {frame.height} x {frame.width}"
                )
            yield frame
