"""The clips that a checkpoint is probed on, with the number of the file that each was cut from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vaelab.config import TrainConfig
from vaelab.config.schema import DataConfig
from vaelab.data import Batch, Source, open_data, train_batches, val_batches
from vaelab.data.generated import open_generated
from vaelab.errors import DataError
from vaelab.evaluation import clips as evaluated
from vaelab.evaluation.pictures import from_uint8
from vaelab.models import Autoencoder

Size = tuple[int, int, int]
ENDLESS = ("moving-shapes", "path-loss")
"""Generated data that make as many held-out samples as they are told to."""


class Part(NamedTuple):
    """Some clips (B, C, T, H, W) in [-1, 1], and the number of the file that each was cut from (B,)."""

    pixels: torch.Tensor
    files: np.ndarray


@dataclass(frozen=True)
class Clips:
    """Samples of one kind and size. title: where they come from, for a person. notes: what looks wrong with them."""

    title: str
    source: Source
    config: DataConfig
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Size:
        """(frames, height, width)."""
        return (self.config.frames, *self.config.resolution)

    def held_out(self, count: int, batch_size: int) -> Iterator[Part]:
        """At most ``count`` clips, always the same ones; an image comes once, a video at several times."""
        return _parts(val_batches(self.source, self.config, batch_size, count))

    def training(self, batches: int, batch_size: int, seed: int) -> Iterator[Part]:
        """The first batches of an epoch as training sees them, cropped and mirrored at random."""
        with train_batches(self.source, self.config, batch_size, seed) as endless:
            yield from _parts(itertools.islice(endless, batches))


def _parts(batches: Iterable[Batch]) -> Iterator[Part]:
    numbers: dict[str, int] = {}
    for batch in batches:
        files = [numbers.setdefault(name.split("@")[0], len(numbers)) for name in batch.names]
        yield Part(from_uint8(batch.pixels), np.array(files))


def open_clips(
    data: str | None, folder: Path | None, run: TrainConfig | None, model: Autoencoder, size: Size | None, count: int
) -> Clips:
    """Clips of ``data``, as :func:`vaelab.evaluation.clips.open_clips` finds them, in a size that the model takes.

    data: None for the held-out data of the run in ``folder``, whose settings are ``run``. size: (frames, height, width);
    None takes that of the run, with one frame where the data are images. count: clips wanted; generated data have no fixed
    number and make as many. Errors: DataError for data that are missing or of another kind, ConfigError for a size off the
    grid.
    """
    seed = run.run.seed if run is not None else 0
    if size is not None or run is None:
        return _open(data, folder, seed, model, size, count)
    height, width = run.data.resolution
    try:
        return _open(data, folder, seed, model, (run.data.frames, height, width), count)
    except DataError:
        return _open(data, folder, seed, model, (1, height, width), count)


def _open(data: str | None, folder: Path | None, seed: int, model: Autoencoder, size: Size | None, count: int) -> Clips:
    try:
        found = evaluated.open_clips(
            data, folder, model.grid, model.channels, count, size[0] if size else None, size[1:] if size else None
        )
    except DataError as error:
        raise DataError(str(error).replace("--frames", "--clip")) from None
    config, source = found.config, found.source
    if config.source in ENDLESS and config.val_samples < count:
        config = config.model_copy(update={"val_samples": count})
        source = open_generated(config, seed, held_out=True)
    return Clips(found.title, source, config, found.notes)


def training_clips(run: TrainConfig, size: Size) -> Clips:
    """The training part of the run's data. Errors as in :func:`open_clips`."""
    changes = {"frames": size[0], "resolution": size[1:], "workers": 0, "image_share": 0.0}
    config = run.data.model_copy(update=changes)
    return Clips("training data of the run", open_data(config, run.run.seed).train, config)
