"""Image and video files, on disk or inside a .tar archive, as a source of samples."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from vaelab.config.schema import DataConfig
from vaelab.data.crop import random_view
from vaelab.data.decode import image_pixels, read_clip, readable
from vaelab.data.source import Sample, Undecodable
from vaelab.files import open_regular

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif", ".flv", ".wmv"}
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm"})


@dataclass(frozen=True)
class MediaFile:
    """One file. name: relative, with forward slashes, the same on every machine.

    offset and size: where it lies inside ``path`` if that is an archive, in bytes. part: the share of a video's time that
    may be used (one video alone is split into training and held-out time).
    """

    name: str
    path: Path
    is_video: bool
    offset: int = 0
    size: int | None = None
    part: tuple[float, float] = (0.0, 1.0)

    def read(self) -> bytes:
        """All bytes of the file."""
        with open_regular(self.path) as file:
            file.seek(self.offset)
            return file.read() if self.size is None else file.read(self.size)

    def media(self) -> Path | io.BytesIO:
        """What the video decoder opens: the path, or the bytes of an archive's member."""
        return self.path if self.size is None else io.BytesIO(self.read())


def is_video(name: str) -> bool | None:
    """Whether the suffix is a video's (True), an image's (False) or unknown (None)."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - Path takes ten times as long, and there are many files
    if suffix in VIDEO_SUFFIXES:
        return True
    return False if suffix in IMAGE_SUFFIXES else None


class FileSource:
    """Samples of a list of files. Videos give clips and single frames, images give single frames.

    Args:
        files: what there is, in an order that is the same on every machine.
        config: resolution, channels, fps, random_crop and flip are used.
        augment: False takes the largest centred crop and never mirrors (held-out data).
    """

    def __init__(self, files: Sequence[MediaFile], config: DataConfig, augment: bool) -> None:
        self.files = files
        self.config = config
        self.augment = augment
        self._videos = [index for index, file in enumerate(files) if file.is_video]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].name

    def usable(self, frames: int) -> Sequence[int]:
        """Items that can give this many frames: images only give one."""
        return range(len(self.files)) if frames == 1 else self._videos

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> Sample:
        """See :class:`vaelab.data.source.Source`. Names of videos carry the time: ``clip.mp4@3.20s``."""
        config, file = self.config, self.files[index]
        place = float(rng.random())
        view = random_view(rng, config.random_crop and self.augment, config.flip and self.augment)
        size, channels = config.resolution, config.channels
        if file.is_video:
            # one thread in a worker: the workers are the parallelism
            threads = 1 if get_worker_info() else 0
            with readable("video"):
                clip = read_clip(file.media(), place, frames, config.fps, file.part, threads)
                return Sample(clip.pixels(view, size, channels), f"{file.name}@{clip.time:.2f}s")
        if frames > 1:
            raise Undecodable(f"an image, and a clip of {frames} frames was asked for")
        with readable("image"):
            return Sample(image_pixels(file.read(), config.white_level, view, size, channels)[None], file.name)
