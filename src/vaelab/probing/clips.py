"""The clips that a checkpoint is probed on, opened from whatever the user names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from vaelab.config import TrainConfig
from vaelab.config.load import load_config
from vaelab.config.presets import preset_names
from vaelab.config.schema import DataConfig
from vaelab.data import Source, open_data, train_batches, val_batches
from vaelab.data.files import FileSource
from vaelab.data.folders import list_folder
from vaelab.errors import ConfigError, DataError
from vaelab.evaluation.pictures import from_uint8
from vaelab.models import Autoencoder, Grid

Size = tuple[int, int, int]
USUAL_SIDE = 128  # pixels of a clip where nothing says more: a minute on a CPU
USUAL_FRAMES = 17


@dataclass(frozen=True)
class Clips:
    """Samples of one kind and size. title: where they come from, for a person."""

    title: str
    source: Source
    config: DataConfig

    @property
    def size(self) -> Size:
        """(frames, height, width)."""
        return (self.config.frames, *self.config.resolution)

    def held_out(self, count: int, batch_size: int) -> Iterator[torch.Tensor]:
        """At most ``count`` clips, always the same ones, as batches (B, C, T, H, W) in [-1, 1]; an image comes once."""
        for batch in val_batches(self.source, self.config, batch_size, count):
            yield from_uint8(batch.pixels)

    def training(self, batches: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
        """The first batches of an epoch as training sees them, cropped and mirrored at random."""
        with train_batches(self.source, self.config, batch_size, seed) as endless:
            for _ in range(batches):
                yield from_uint8(next(endless).pixels)


def open_clips(data: str | None, run: TrainConfig | None, model: Autoencoder, size: Size | None, count: int) -> Clips:
    """Clips of ``data`` that the model takes: a folder or file of videos or images, a preset or settings file (their
    held-out part), or None for the held-out part of the run's own data.

    size: (frames, height, width); None takes that of the settings, else one near 17 x 128 x 128 on the model's grid.
    count: clips wanted; generated data have no fixed number and make as many.
    Errors: DataError for data that are missing or of another kind, ConfigError for a size off the grid.
    """
    if data is None:
        if run is None:
            raise DataError(
                "This checkpoint does not belong to a run of vaelab train, so its data are not known: name a folder of"
                " videos or images, or a preset, after the checkpoint."
            )
        return _of_settings(run, "held-out data of the run", model, size, count)
    path = Path(data).expanduser()
    if not path.exists() and data in preset_names():
        return _of_settings(load_config(data), f"held-out data of the preset {data}", model, size, count)
    if path.suffix in (".yaml", ".yml"):
        return _of_settings(load_config(data), f"held-out data of {data}", model, size, count)
    if not path.exists():
        raise DataError(
            f"{data} does not exist: give a folder or file of videos or images, a settings file, or one of the presets"
            f" {', '.join(preset_names())}."
        )
    return _of_files(path, run, model, size)


def training_clips(run: TrainConfig, size: Size) -> Clips:
    """The training part of the run's data. Errors as in :func:`open_clips`."""
    config = _resized(run.data, size)
    return Clips("training data of the run", open_data(config, run.run.seed).train, config)


def _of_settings(settings: TrainConfig, title: str, model: Autoencoder, size: Size | None, count: int) -> Clips:
    if settings.data.channels != model.channels:
        raise ConfigError(
            f"The {title} have {settings.data.channels} channels, and {model.name} takes {model.channels}: name other data."
        )
    config = _resized(settings.data, size or (settings.data.frames, *settings.data.resolution))
    config = config.model_copy(update={"val_samples": max(count, config.val_samples)})
    model.check_clip(config.frames, *config.resolution)
    return Clips(f"{title} ({config.source})", open_data(config, settings.run.seed).val, config)


def _of_files(path: Path, run: TrainConfig | None, model: Autoencoder, size: Size | None) -> Clips:
    if size is None:
        size = (run.data.frames, *run.data.resolution) if run is not None else usual_size(model.grid)
    frames, height, width = size
    try:
        files = list_folder(str(path), videos=frames > 1)
    except DataError:
        files = list_folder(str(path), videos=frames == 1)
        if frames > 1:
            frames = 1  # images only: each is a clip of one frame, if the model takes that
    model.check_clip(frames, height, width)
    config = DataConfig(frames=frames, resolution=(height, width), channels=_channels(model.channels), workers=0)
    return Clips(str(path), FileSource(files, config, augment=False), config)


def usual_size(grid: Grid) -> Size:
    """The clip on the grid that is nearest to 17 x 128 x 128 from below, and not empty."""
    first = int(grid.first_frame_alone)
    one_by_one = grid.images_only or (grid.time == 1 and grid.group == 1)
    frames = 1 if one_by_one else first + max(1, (USUAL_FRAMES - first) // grid.step) * grid.step
    height, width = (max(1, USUAL_SIDE // factor) * factor for factor in (grid.height, grid.width))
    return frames, height, width


def _resized(config: DataConfig, size: Size) -> DataConfig:
    return config.model_copy(update={"frames": size[0], "resolution": size[1:], "workers": 0, "image_share": 0.0})


def _channels(count: int) -> Literal[1, 3]:
    return 1 if count == 1 else 3
