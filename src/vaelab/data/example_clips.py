"""Real clips that come with vaelab: 24 shots of the film Big Buck Bunny, 160x90 pixels, 40 frames at 24 a second.

(c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0; see ``clips/LICENSE.txt``.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vaelab.config.schema import DataConfig
from vaelab.data.crop import random_view
from vaelab.data.decode import read_clip
from vaelab.data.source import Sample
from vaelab.errors import ConfigError, DataError

FOLDER = Path(__file__).parent / "clips"
CLIP_FRAMES = 40
CLIP_RATE = 24.0
# Whole shots, of places that no training clip shows: a lawn with a tree trunk, a dark wood, a close-up of eyes, a
# clearing, and the sky after the credits.
HELD_OUT = ("scene-09.mp4", "scene-15.mp4", "scene-17.mp4", "scene-21.mp4", "scene-24.mp4")


class ExampleClips:
    """19 clips for training, or the 5 held-out ones. One item is one clip; time, place and side are drawn by ``rng``."""

    def __init__(self, config: DataConfig, held_out: bool) -> None:
        self._files = [file for file in sorted(FOLDER.glob("scene-*.mp4")) if (file.name in HELD_OUT) == held_out]
        if not self._files:
            raise DataError(f"The example clips are missing from {FOLDER}. Install vaelab again.")
        self._config = config
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        """File name, such as ``scene-03.mp4``."""
        return self._files[index].name

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> Sample:
        """Pixels uint8 (frames, H, W, C); held-out clips are cut at the centre and never mirrored.

        Raises:
            Undecodable: the file is damaged or has too few frames.
        """
        config = self._config
        place = float(rng.random())
        view = random_view(rng, config.random_crop and not self._held_out, config.flip and not self._held_out)
        clip = read_clip(self._files[index], place, frames, fps=config.fps, threads=1)
        pixels = clip.pixels(view, config.resolution, config.channels)
        return Sample(pixels, f"{self.name(index)}@{clip.time:.2f}s")


def open_source(config: DataConfig, seed: int, held_out: bool) -> ExampleClips:
    """The clips as a source. The split is a fixed list, so ``seed`` and ``val_share`` change nothing.

    Raises:
        ConfigError: ``data.frames`` at ``data.fps`` is longer than the clips, ``data.fps`` is above their 24, or
            ``data.options`` is set.
    """
    if config.options:
        raise ConfigError(
            f"data.source=example-clips has no options: remove data.options ({', '.join(config.options)})."
        )
    rate = config.fps or CLIP_RATE
    if rate > CLIP_RATE:
        raise ConfigError(f"data.fps={config.fps:g} is above the {CLIP_RATE:g} frames a second of the example clips.")
    if math.ceil((config.frames - 1) * CLIP_RATE / rate - 1e-6) + 1 > CLIP_FRAMES:
        most = int((CLIP_FRAMES - 1) * rate / CLIP_RATE + 1e-6) + 1
        raise ConfigError(
            f"data.frames={config.frames} is too long: the example clips have {CLIP_FRAMES} frames, which gives at most"
            f" {most} at {rate:g} frames a second. Set data.frames={most} or less, or use data.source=videos."
        )
    return ExampleClips(config, held_out)
