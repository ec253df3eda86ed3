"""The clips that come with vaelab: complete, small, decodable, and held out by whole shots."""

from __future__ import annotations

import numpy as np
import pytest

from vaelab.config.schema import DataConfig
from vaelab.data import example_clips
from vaelab.data.crop import View
from vaelab.data.decode import read_clip
from vaelab.data.example_clips import CLIP_FRAMES, FOLDER, HELD_OUT
from vaelab.errors import ConfigError


def open_clips(held_out: bool = False, **changes: object) -> example_clips.ExampleClips:
    options = {"source": "example-clips", "frames": 9, "resolution": (48, 48), **changes}
    return example_clips.open_source(DataConfig(**options), 0, held_out)


def test_the_folder_is_small_and_carries_its_licence() -> None:
    files = sorted(FOLDER.glob("*.mp4"))
    assert len(files) == 24
    assert sum(file.stat().st_size for file in files) <= 600_000
    text = (FOLDER / "LICENSE.txt").read_text()
    assert "Blender Foundation" in text and "CC BY 3.0" in text


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.mp4")), ids=lambda file: file.stem)
def test_every_clip_has_all_frames_motion_and_no_fade(file: object) -> None:
    clip = read_clip(file, 0.0, CLIP_FRAMES)  # type: ignore[arg-type]
    frames = clip.pixels(View(), (90, 160), 3).astype(np.int16)
    assert frames.shape == (CLIP_FRAMES, 90, 160, 3)
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert 0.5 < change.mean() < 20
    assert change.max() < 30  # no cut
    assert 20 < frames.mean() < 235 and frames.std((1, 2, 3)).min() > 15


def test_the_split_is_fixed_and_shares_no_clip() -> None:
    train, val = open_clips(), open_clips(held_out=True)
    names = [{part.name(i) for i in range(len(part))} for part in (train, val)]
    assert names[1] == set(HELD_OUT)
    assert not names[0] & names[1] and len(names[0]) == 19


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frames", [1, 9, 17])
def test_samples_have_the_asked_shape_and_say_where_they_are_from(channels: int, frames: int) -> None:
    sample = open_clips(frames=frames, channels=channels).sample(2, np.random.default_rng(0), frames)
    assert sample.pixels.shape == (frames, 48, 48, channels) and sample.pixels.dtype == np.uint8
    assert sample.name.startswith("scene-03.mp4@") and sample.name.endswith("s")


def test_training_crops_vary_and_repeat_with_the_generator_while_held_out_ones_stay_in_place() -> None:
    train = open_clips(frames=1)
    first, again, other = (train.sample(0, np.random.default_rng(seed), 1).pixels for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    val = open_clips(held_out=True, frames=CLIP_FRAMES)  # only one place in time is left
    first, other = (val.sample(0, np.random.default_rng(seed), CLIP_FRAMES).pixels for seed in (0, 1))
    assert np.array_equal(first, other)


def test_too_many_frames_are_refused_with_the_longest_possible() -> None:
    with pytest.raises(ConfigError, match="at most 40"):
        open_clips(frames=41)
    with pytest.raises(ConfigError, match="at most 20"):
        open_clips(frames=21, fps=12)
    assert open_clips(frames=20, fps=12).sample(0, np.random.default_rng(0), 20).pixels.shape[0] == 20
    with pytest.raises(ConfigError, match="fps=30"):
        open_clips(fps=30)


def test_example_clips_have_no_options() -> None:
    with pytest.raises(ConfigError, match="options"):
        open_clips(options={"clips": 3})
