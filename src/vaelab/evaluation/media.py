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

from vaelab.data.decode import read_image, readable, video_info
from vaelab.data.files import is_video
from vaelab.data.folders import list_folder
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
        """Frames, float32 (C, H, W) in [-1, 1], one after the other; grey where ``channels`` is 1.

        Raises DataError at a frame that cannot be decoded: the frames before it have been given by then.
        """
        given = 0
        try:
            with readable("video" if self.is_video else "image"):
                for pixels in _video(self.path) if self.is_video else _image(self.path, self.white):
                    yield _tensor(pixels, channels)
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
                height, width = next(_image(path, white)).shape[:2]
                return Media(path, name or path.name, 1, Fraction(0), height, width, white)
            with av.open(str(path)) as container:
                info = video_info(container)
                rate = Fraction(info.rate).limit_denominator(1001)
            first = next(_video(path), None)
            if first is None:
                raise Undecodable("it holds no frame")
            return Media(path, name or path.name, info.frames, rate, *first.shape[:2])
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


def _image(path: Path, white: int) -> Iterator[np.ndarray]:
    yield np.asarray(read_image(path.read_bytes(), white))


def _video(path: Path) -> Iterator[np.ndarray]:
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
            yield np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)


def _tensor(pixels: np.ndarray, channels: int) -> torch.Tensor:
    """uint8 (H, W) or (H, W, 3) -> float (C, H, W); grey as ITU-R BT.601, as Pillow makes it."""
    x = torch.from_numpy(pixels.copy())  # Pillow's array is read-only
    x = x.unsqueeze(0) if x.ndim == 2 else x.permute(2, 0, 1)
    if channels == 3:
        return from_uint8(x.expand(3, -1, -1))
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return from_uint8((x.float() * weights).sum(0, keepdim=True) if len(x) == 3 else x)
