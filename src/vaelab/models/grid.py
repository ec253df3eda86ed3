"""The grid of clip sizes that an autoencoder takes, and the nearest valid size when a clip is off it."""

from __future__ import annotations

from typing import NamedTuple

from vaelab.errors import ConfigError


class Grid(NamedTuple):
    """How an autoencoder compresses.

    time, height, width: pixels for one latent. first_frame_alone: frames come as 1 + k * step, the first one being
    encoded as an image; otherwise as k * step. images_only: only clips of one frame. group: latents after the first come
    in multiples of this; so ``step`` is group * time frames.
    """

    time: int
    height: int
    width: int
    first_frame_alone: bool = True
    images_only: bool = False
    group: int = 1

    @property
    def step(self) -> int:
        """Frames between two valid clip lengths."""
        return self.group * self.time

    def check(self, frames: int, height: int, width: int, who: str) -> None:
        """Raise ConfigError, with the nearest valid values, unless a clip of this size is on the grid."""
        if self.images_only and frames != 1:
            raise ConfigError(f"{who} takes single images, not clips of {frames} frames: set data.frames to 1")
        first = 1 if self.first_frame_alone else 0
        if (frames - first) % self.step or frames < max(first, 1):
            form = f"1 + a multiple of {self.step}" if first else f"a multiple of {self.step}"
            raise ConfigError(
                f"{who} takes {form} frames, not {frames}: set data.frames to {_nearest(frames, self.step, first)}"
            )
        for name, size, factor in (("height", height, self.height), ("width", width, self.width)):
            if size % factor or size < 1:
                raise ConfigError(
                    f"{who} takes a {name} that is a multiple of {factor}, not {size}: set the {name} in data.resolution"
                    f" to {_nearest(size, factor, 0)}"
                )

    def latent_size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Latent frames, height and width of a clip that is on the grid."""
        first = 1 if self.first_frame_alone else 0
        return first + (frames - first) // self.time, height // self.height, width // self.width


def _nearest(size: int, factor: int, first: int) -> str:
    """Valid sizes ``first + k * factor`` on both sides of ``size``, the smallest valid one when there is none below."""
    smallest = first or factor
    below = first + (size - first) // factor * factor
    return f"{below} or {below + factor}" if below >= smallest else str(smallest)
