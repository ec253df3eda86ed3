"""What every kind of data offers: a number of items, a name for each, and samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from vaelab.errors import DataError


class Undecodable(Exception):  # noqa: N818 - a state of a file, handled by the loader, never shown as an error
    """An item cannot give the sample that was asked for; ``str(error)`` is the reason in one line."""


class Sample(NamedTuple):
    """uint8 pixels (T, H, W, C), and a name that says where they came from, such as ``clip.mp4@3.20s``."""

    pixels: np.ndarray
    name: str


class Source(Protocol):
    """Items (files, or seeds of a generator) that samples are made of.

    One epoch visits each item once, in an order drawn from the seed (:class:`vaelab.data.order.Order`). Which part of an
    item is taken (time, place, mirrored or not) is drawn anew each time from ``rng``.
    """

    def __len__(self) -> int:
        """Items in one epoch."""
        ...

    def name(self, index: int) -> str:
        """Name of one item, the same on every machine."""
        ...

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray | Sample:
        """Pixels uint8 (frames, height, width, channels) at the resolution of the settings.

        A plain array where the item's name says all. Everything random comes from ``rng``.

        Raises:
            Undecodable: the item is damaged, too short, or of another kind; the loader takes another item.
        """
        ...


def take(source: Source, index: int, rng: np.random.Generator, frames: int) -> Sample:
    """One sample with its name, whichever of the two forms the source returns."""
    made = source.sample(index, rng, frames)
    return made if isinstance(made, Sample) else Sample(made, source.name(index))


def usable(source: Source, frames: int) -> Sequence[int]:
    """Items that can give this many frames: all, unless the source mixes images and videos.

    Raises:
        DataError: there is none.
    """
    pool: Sequence[int] = getattr(source, "usable", lambda _: range(len(source)))(frames)
    if not pool:
        raise DataError(
            f"The data hold no item of {frames} frames: they are images only. Set data.frames=1, or add videos."
            if len(source)
            else "The data are empty: no file was found. Check data.path."
        )
    return pool
