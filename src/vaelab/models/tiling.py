"""Reconstruction of clips of any length and size in bounded memory: chunks in time, and, if wanted, tiles in space.

Chunks lie on the model's grid; two neighbours of a causal model share one frame. Tiles overlap and are blended with linear
ramps. What is off the grid is padded with copies of the border and cropped back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn.functional import pad

from vaelab.errors import ConfigError
from vaelab.models.autoencoder import Autoencoder
from vaelab.models.grid import Grid

CHUNK = 16  # frames after the first, about, that a chunk of a video model has
IMAGES_AT_ONCE = 4  # frames at once where the model does not compress time
WHOLE_UP_TO = 512 * 512  # pixels; larger frames are cut into tiles unless the caller says otherwise


class Frame(NamedTuple):
    """One frame of a reconstruction. x, r: original and reconstruction, float32 (C, H, W) on the CPU.

    seam: the step from the frame before to this one crosses the border of two chunks.
    """

    x: torch.Tensor
    r: torch.Tensor
    seam: bool


@dataclass(frozen=True)
class Tiling:
    """How the clips of one size are cut.

    size: height and width of the clip, padded: the same on the grid. frames: of a chunk. shared: frames that two
    neighbouring chunks share. tile: height and width of a tile, the padded size where frames are taken whole. overlap:
    pixels that two neighbouring tiles share, or more.
    """

    size: tuple[int, int]
    padded: tuple[int, int]
    frames: int
    shared: int
    tile: tuple[int, int]
    overlap: int

    @property
    def is_tiled(self) -> bool:
        return self.tile != self.padded

    def describe(self, is_video: bool = True) -> str:
        """How clips of this size are cut, in words; of an image without what is said of time."""
        parts = [f"chunks of {self.frames} frames" if self.frames > 1 else "frame by frame"] if is_video else []
        height, width = self.size
        if self.is_tiled:
            parts.append(f"tiles of {self.tile[0]} x {self.tile[1]} pixels that overlap by {self.overlap}")
        if self.padded != self.size:
            parts.append(f"padded from {height} x {width} to {self.padded[0]} x {self.padded[1]} and cropped back")
        return ", ".join(parts) or "whole"


def plan(
    grid: Grid, height: int, width: int, tiled: bool | None = None, tile: int = 256, frames: int | None = None
) -> Tiling:
    """How to cut clips of this height and width for a model with this grid.

    tiled: None cuts frames of more than 512 x 512 pixels. tile: side of a tile in pixels, brought onto the grid; tiles
    overlap by a quarter of it. frames: of a chunk; None takes 1 + a multiple of the model's step near 17, or 4 single
    frames where time is not compressed. Errors: ConfigError for a number of frames off the grid or a tile under one latent.
    """
    padded = _up(height, grid.height), _up(width, grid.width)
    if tile < max(grid.height, grid.width):
        raise ConfigError(
            f"a tile of {tile} pixels is smaller than one latent ({grid.height} x {grid.width}): use more."
        )
    sides = (_up(tile, grid.height), _up(tile, grid.width))
    cut = height * width > WHOLE_UP_TO if tiled is None else tiled
    size = (min(sides[0], padded[0]), min(sides[1], padded[1])) if cut else padded
    first = 1 if grid.first_frame_alone else 0
    if frames is None:
        in_time = first + grid.step * max(1, CHUNK // grid.step)
        frames = 1 if grid.images_only else IMAGES_AT_ONCE if grid.step == 1 else in_time
    check_size(grid, frames, *padded, who="The model")
    shared = first if frames > 1 and grid.step > 1 else 0
    return Tiling((height, width), padded, frames, shared, size, min(tile // 4, min(size) // 2))


def check_size(grid: Grid, frames: int, height: int, width: int, who: str) -> None:
    """``Grid.check`` in the words of a command line, which has no settings file. Errors: ConfigError."""
    try:
        grid.check(frames, height, width, who)
    except ConfigError as error:
        raise ConfigError(re.sub(r"set (the \w+ in )?data\.\w+ to", "use", str(error))) from None


class Reconstruction:
    """Reconstructs one clip, frame by frame. Holds no more than one chunk of it, whatever its length.

    sample: decode a sample of the posterior instead of its mean; noise from ``generator``.
    """

    def __init__(
        self, model: Autoencoder, tiling: Tiling, sample: bool = False, generator: torch.Generator | None = None
    ) -> None:
        self.model, self.tiling, self.sample, self.generator = model, tiling, sample, generator

    def __call__(self, frames: Iterable[torch.Tensor]) -> Iterator[Frame]:
        """The frames, float (C, H, W) in [-1, 1], with their reconstructions, in order."""
        cut = self.tiling
        held: list[torch.Tensor] = []
        tail: list[torch.Tensor] = []  # reconstructions, by the chunk before, of the first frames held
        first = 0  # number of the first frame held
        for frame in frames:
            held.append(frame)
            if len(held) == cut.frames:
                made = self._joined(tail, self._chunk(held))
                give = cut.frames - cut.shared
                yield from self._numbered(held[:give], made[:give], first)
                held, tail, first = held[give:], made[give:], first + give
        if len(held) > len(tail):
            tail = self._joined(tail, self._chunk(held))
        yield from self._numbered(held, tail, first)

    def _numbered(self, x: list[torch.Tensor], r: list[torch.Tensor], first: int) -> Iterator[Frame]:
        period = self.tiling.frames - self.tiling.shared
        for number, (original, made) in enumerate(zip(x, r, strict=True), first):
            seam = number >= period and number % period <= self.tiling.shared
            yield Frame(original, made, seam)

    def _joined(self, tail: list[torch.Tensor], made: list[torch.Tensor]) -> list[torch.Tensor]:
        """``made`` with its first frames faded in from what the chunk before made of them."""
        shares = [(i + 1) / (len(tail) + 1) for i in range(len(tail))]
        return [
            *(old.lerp(new, share) for old, new, share in zip(tail, made, shares, strict=False)),
            *made[len(tail) :],
        ]

    @torch.no_grad()
    def _chunk(self, held: list[torch.Tensor]) -> list[torch.Tensor]:
        """Reconstructions of up to one chunk of frames; a shorter last one is filled up with copies of its last frame."""
        grid, cut = self.model.grid, self.tiling
        clip = torch.stack(held, dim=1).unsqueeze(0)
        first = 1 if grid.first_frame_alone else 0
        missing = _up(max(len(held) - first, first - 1, 0), grid.step) + first - len(held)
        height, width = cut.size
        borders = (0, cut.padded[1] - width, 0, cut.padded[0] - height, 0, missing)
        clip = pad(clip, borders, mode="replicate")
        made = self._tiles(clip) if cut.is_tiled else self._reconstruct(clip)
        return list(made[0, :, : len(held), :height, :width].unbind(1))

    def _tiles(self, clip: torch.Tensor) -> torch.Tensor:
        total, weights = torch.zeros_like(clip), torch.zeros(clip.shape[-2:])
        (height, width), overlap = self.tiling.tile, self.tiling.overlap
        for top in starts(clip.shape[-2], height, overlap, self.model.grid.height):
            for left in starts(clip.shape[-1], width, overlap, self.model.grid.width):
                place = (..., slice(top, top + height), slice(left, left + width))
                weight = ramps(height, overlap)[:, None] * ramps(width, overlap)
                total[place] += weight * self._reconstruct(clip[place])
                weights[place] += weight
        return total / weights

    def _reconstruct(self, clip: torch.Tensor) -> torch.Tensor:
        device = self.model.last_layer.device
        return self.model(clip.to(device), sample=self.sample, generator=self.generator).x.float().cpu()


def starts(size: int, tile: int, overlap: int, factor: int) -> list[int]:
    """Where tiles begin so that they cover ``size`` and share ``overlap`` pixels or more; multiples of ``factor``."""
    stride = max(factor, (tile - overlap) // factor * factor)
    return [*range(0, max(size - tile, 0), stride), max(size - tile, 0)]


def ramps(size: int, overlap: int) -> torch.Tensor:
    """Weights of a tile's pixels along one side: 1 inside, falling linearly over the overlap at both ends, never 0."""
    place = torch.arange(size) + 1.0
    return torch.minimum(place, place.flip(0)).clamp(max=overlap + 1) / (overlap + 1)


def _up(size: int, factor: int) -> int:
    return math.ceil(size / factor) * factor
