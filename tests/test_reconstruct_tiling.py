"""Cutting clips into chunks and tiles: nothing is lost, nothing is added, memory does not grow."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as nnf

from small_training import small_config
from vaelab.errors import ConfigError
from vaelab.models import Autoencoder, Grid, build_autoencoder
from vaelab.models.tiling import Frame, Reconstruction, plan, ramps, starts


class PixelShuffle(nn.Module):
    """Latents are pixels side by side: the reconstruction is the input. Frames 1 + k * time, the first alone."""

    def __init__(self, space: int = 4, time: int = 2) -> None:
        super().__init__()
        self.space, self.time = space, time
        self.last = nn.Conv3d(3, 3, 1, bias=False)
        self.last.weight.data = torch.eye(3)[:, :, None, None, None]

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        if (x.shape[2] - 1) % self.time:
            raise ValueError("off the grid")
        rest = x[:, :, 1:].unflatten(2, (-1, self.time)).transpose(1, 2).flatten(2, 3).transpose(1, 2)
        first = x[:, :, :1].repeat(1, self.time, 1, 1, 1)
        frames = torch.cat([first, rest], dim=2)
        return (nnf.pixel_unshuffle(frames.transpose(1, 2), self.space).transpose(1, 2),)

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        frames = nnf.pixel_shuffle(z.transpose(1, 2), self.space).transpose(1, 2)
        first = frames[:, : 3 * self.time, :1].unflatten(1, (self.time, 3))[:, 0]
        rest = (
            frames[:, :, 1:].transpose(1, 2).unflatten(2, (3, self.time)).transpose(2, 3).flatten(1, 2).transpose(1, 2)
        )
        return (self.last(torch.cat([first, rest], dim=2)),)


@pytest.fixture(scope="module")
def exact() -> Autoencoder:
    return Autoencoder(PixelShuffle(), 3)


@pytest.fixture(scope="module")
def video() -> Autoencoder:
    torch.manual_seed(0)
    model = build_autoencoder(small_config(video=True).model, 3)
    for weight in model.parameters():  # the decoder of a new model is nearly linear
        weight.data += 0.1 * torch.randn_like(weight)
    return model.eval()


def frames_of(clip: torch.Tensor) -> list[torch.Tensor]:
    return list(clip.unbind(1))


def reconstruct(model: Autoencoder, clip: torch.Tensor, **how: Any) -> torch.Tensor:
    cut = plan(model.grid, *clip.shape[-2:], **how)
    return torch.stack([frame.r for frame in Reconstruction(model, cut)(frames_of(clip))], dim=1)


@settings(deadline=None, max_examples=40)
@given(
    frames=st.integers(1, 12),
    height=st.integers(3, 30),
    width=st.integers(3, 30),
    tile=st.sampled_from([4, 8, 12]),
    tiled=st.booleans(),
    chunk=st.sampled_from([1, 3, 5]),
)
def test_an_exact_model_gives_any_clip_back(
    exact: Autoencoder, frames: int, height: int, width: int, tile: int, tiled: bool, chunk: int
) -> None:
    clip = torch.rand(3, frames, height, width, generator=torch.Generator().manual_seed(frames)) * 2 - 1
    made = reconstruct(exact, clip, tiled=tiled, tile=tile, frames=chunk)
    torch.testing.assert_close(made, clip, rtol=0, atol=1e-5)


def test_a_clip_of_one_chunk_is_what_the_model_gives(video: Autoencoder) -> None:
    clip = torch.rand(3, 5, 8, 8) * 2 - 1
    with torch.no_grad():
        direct = video(clip.unsqueeze(0), sample=False).x[0]
    torch.testing.assert_close(reconstruct(video, clip, tiled=False, frames=5), direct)
    assert not torch.allclose(reconstruct(video, clip, tiled=False, frames=3), direct, atol=1e-3), "chunks differ"


def test_frames_after_the_border_of_two_chunks_are_marked(video: Autoencoder) -> None:
    clip = torch.rand(3, 8, 8, 8)
    marks = [f.seam for f in Reconstruction(video, plan(video.grid, 8, 8, frames=3))(frames_of(clip))]
    # chunks 0-2, 2-4, 4-6, 6-7: frames 2, 4 and 6 are shared, so the steps into them and out of them are borders
    assert marks == [False, False, True, True, True, True, True, True]
    marks = [f.seam for f in Reconstruction(video, plan(video.grid, 8, 8, frames=5))(frames_of(clip))]
    assert marks == [False, False, False, False, True, True, False, False]


def test_memory_holds_one_chunk_of_a_long_video(exact: Autoencoder) -> None:
    alive, most = [0], 0

    def gone() -> None:
        alive[0] -= 1

    def long_video() -> Iterator[torch.Tensor]:
        for number in range(2000):
            frame = torch.full((3, 4, 4), number / 2000)
            alive[0] += 1
            weakref.finalize(frame, gone)
            yield frame

    cut, count = plan(exact.grid, 4, 4), 0
    for frame in Reconstruction(exact, cut)(long_video()):
        torch.testing.assert_close(frame.r, frame.x)
        most, count = max(most, alive[0]), count + 1
    del frame
    gc.collect()
    assert count == 2000 and most <= 2 * cut.frames + 2, most
    assert alive[0] == 0


def test_a_sample_differs_from_the_mean_and_comes_back_with_its_seed(video: Autoencoder) -> None:
    clip, cut = torch.rand(3, 3, 8, 8), plan(video.grid, 8, 8)

    def sampled(seed: int) -> torch.Tensor:
        frames = Reconstruction(video, cut, sample=True, generator=torch.Generator().manual_seed(seed))
        return torch.stack([frame.r for frame in frames(frames_of(clip))])

    assert torch.equal(sampled(1), sampled(1)) and not torch.equal(sampled(1), sampled(2))
    mean: list[Frame] = list(Reconstruction(video, cut)(frames_of(clip)))
    assert not torch.equal(sampled(1), torch.stack([frame.r for frame in mean]))


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 20), st.sampled_from([1, 2, 4]))
def test_tiles_cover_everything_and_overlap(size: int, tile: int, overlap: int, factor: int) -> None:
    size, tile = size * factor, min(tile, size) * factor
    overlap = min(overlap, tile // 2)
    begins = starts(size, tile, overlap, factor)
    assert begins[0] == 0 and begins[-1] + tile == size and begins == sorted(set(begins))
    for one, other in itertools.pairwise(begins):
        assert other % factor == 0 and (one + tile - other >= overlap or tile <= factor)
    assert float(ramps(tile, overlap).min()) > 0


@pytest.mark.parametrize(
    ("grid", "frames", "shared"),
    [(Grid(8, 8, 8), 17, 1), (Grid(2, 4, 4), 17, 1), (Grid(1, 8, 8), 4, 0), (Grid(1, 8, 8, images_only=True), 1, 0),
     (Grid(4, 8, 8, first_frame_alone=False), 16, 0)],
)  # fmt: skip
def test_chunks_lie_on_the_grid(grid: Grid, frames: int, shared: int) -> None:
    cut = plan(grid, 100, 640)
    assert (cut.frames, cut.shared) == (frames, shared)
    assert cut.padded == (104 if grid.height == 8 else 100, 640) and not cut.is_tiled
    assert plan(grid, 1080, 1920).is_tiled and not plan(grid, 1080, 1920, tiled=False).is_tiled


def test_what_was_done_is_said() -> None:
    text = plan(Grid(8, 8, 8), 1081, 1920).describe()
    assert "17 frames" in text and "256 x 256" in text and "from 1081 x 1920 to 1088 x 1920" in text


def test_sizes_that_no_model_takes_are_refused() -> None:
    with pytest.raises(ConfigError, match="smaller than one latent"):
        plan(Grid(1, 16, 16), 64, 64, tile=8)
    with pytest.raises(ConfigError, match=r"1 \+ a multiple of 8 frames, not 10: use 9 or 17"):
        plan(Grid(8, 8, 8), 64, 64, frames=10)
