"""Faults of the data and of the validation."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from faults.fault import Fault
from vaelab.config.schema import DataConfig
from vaelab.data import Batch, Sample, Undecodable, loader, order, radiomapseer, train_batches
from vaelab.evaluation import pictures, validate, validation
from vaelab.models.types import Reconstruction

CONFIG = DataConfig(source="moving-shapes", frames=2, resolution=(4, 4), workers=0)


class Files:
    """20 white clips; those numbered in ``damaged`` cannot be decoded."""

    def __init__(self, damaged: tuple[int, ...] = ()) -> None:
        self.damaged = damaged

    def __len__(self) -> int:
        return 20

    def name(self, index: int) -> str:
        return f"clip-{index}.mp4"

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        if index in self.damaged:
            raise Undecodable("it is damaged")
        return np.full((frames, 4, 4, 3), 255, np.uint8)


def take(count: int, rank: int = 0, world: int = 1, config: DataConfig = CONFIG, **damaged: Any) -> list[Batch]:
    with train_batches(Files(**damaged), config, 2, seed=0, rank=rank, world=world) as found:
        return [next(found) for _ in range(count)]


def check_a_damaged_file_is_named_and_never_black() -> None:
    epoch = take(10, damaged=(3, 7))
    assert {bad.name for batch in epoch for bad in batch.bad} == {"clip-3.mp4", "clip-7.mp4"}
    assert all((batch.pixels == 255).all() for batch in epoch)
    assert not any("clip-3" in name or "clip-7" in name for batch in epoch for name in batch.names)


def black_instead_of_the_damaged_file(patch: pytest.MonkeyPatch) -> None:
    def decodable(source: Any, pool: Any, item: int, frames: int, seed: int, position: int, bad: Any) -> Sample:
        name = source.name(pool[item])
        try:
            return Sample(source.sample(pool[item], np.random.default_rng(0), frames), name)
        except Undecodable:
            return Sample(np.zeros((frames, 4, 4, 3), np.uint8), name)

    patch.setattr(loader, "_decodable", decodable)


def check_the_maps_of_training_are_not_held_out() -> None:
    with tempfile.TemporaryDirectory() as folder:
        gain = Path(folder, "gain", "DPM")
        gain.mkdir(parents=True)
        for number in range(701):
            (gain / f"{number}_0.png").touch()
        train, held_out = radiomapseer.list_radiomapseer(folder, {})
    test = {f"DPM/{number}_0.png" for number in radiomapseer.official_split().test}
    train_names, held_out_names = {file.name for file in train}, {file.name for file in held_out}
    assert (len(train_names), len(held_out_names), len(test)) == (501, 100, 99)
    assert not train_names & held_out_names and not (train_names | held_out_names) & test


def training_up_to_place_600(patch: pytest.MonkeyPatch) -> None:
    """Places 0 to 600 for training, 600 on for the test, 501 to 600 for validation."""
    real = radiomapseer.official_split()
    shared = radiomapseer.MapSplit(real.train | real.val | {min(real.test)}, real.val, real.test)
    patch.setattr(radiomapseer, "official_split", lambda: shared)


def check_ranks_see_different_samples() -> None:
    first, second, alone = take(5, 0, 2), take(5, 1, 2), take(10)
    names = [[name for batch in part for name in batch.names] for part in (first, second, alone)]
    assert not set(names[0]) & set(names[1])
    assert set(names[0]) | set(names[1]) == set(names[2])


def every_rank_is_the_first(patch: pytest.MonkeyPatch) -> None:
    """The loader is not told of the ranks, and all have the same seed."""
    real = loader._Batches.__init__

    def first(self: Any, source: Any, config: Any, batch_size: int, seed: int, rank: int, world: int) -> None:
        real(self, source, config, batch_size, seed, 0, 1)

    patch.setattr(loader._Batches, "__init__", first)


def check_every_epoch_mixes_images_and_videos_anew() -> None:
    mixed = CONFIG.model_copy(update={"image_share": 0.3})
    kinds = [batch.pixels.shape[2] == 1 for batch in take(60, config=mixed)]
    blocks = [tuple(kinds[i : i + 10]) for i in range(0, 60, 10)]
    assert all(sum(block) == 3 for block in blocks) and len(set(blocks)) > 2


def decisions_are_drawn_again_from_the_start(patch: pytest.MonkeyPatch) -> None:
    """random.seed(1024 + rank) at the start of each epoch and of each resume."""
    real = order.generator
    patch.setattr(order, "generator", lambda seed, *key: real(seed, *key[:-1], 0))


class Noisy(nn.Module):
    """A reconstruction with an error of 0.1 everywhere; keeps the range of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = 0.0, 0.0

    def forward(self, x: torch.Tensor, sample: bool = True) -> Reconstruction:
        self.low, self.high = x.min().item(), x.max().item()
        return Reconstruction(x - 0.1 * x.sign(), x, None, None)


def check_validation_sees_the_range_of_training() -> None:
    pixels = torch.randint(0, 256, (2, 3, 2, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    model = Noisy()
    scores = validate(model, [Batch(pixels, ["a", "b"], 0)], None, torch.device("cpu"))
    assert (model.low, model.high) == (-1.0, 1.0)
    # the peak is 2, the width of the range: 10 log10(4 / 0.01)
    assert scores["psnr"] == pytest.approx(26.02, abs=0.01)


def validation_in_zero_to_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(validation, "from_uint8", lambda pixels: pixels.float() / 255)


def check_flicker_is_change_over_time() -> None:
    x = torch.zeros(1, 3, 4, 2, 2)
    still = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1, 1).expand_as(x)
    moving = torch.tensor([0.1, -0.1, 0.1, -0.1]).view(1, 1, 4, 1, 1).expand_as(x)
    assert pictures.flickering(x, x + still).item() == 0
    assert pictures.flickering(x, x + moving).item() == pytest.approx(0.2)


def differences_of_channels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        pictures, "flickering", lambda x, r: (r[:, 1:] - x[:, :-1]).abs().flatten(1).mean(1)
    )  # fmt: skip


FAULTS = [
    Fault("RD-9", "training maps in validation and test", check_the_maps_of_training_are_not_held_out,
          training_up_to_place_600),
    Fault("VT-2", "a damaged file becomes black", check_a_damaged_file_is_named_and_never_black,
          black_instead_of_the_damaged_file),
    Fault("WF-1", "validation in [0, 1]", check_validation_sees_the_range_of_training, validation_in_zero_to_one),
    Fault("WF-2", "flicker between colour channels", check_flicker_is_change_over_time, differences_of_channels),
    Fault("OS-6", "every epoch repeats the image or video decisions", check_every_epoch_mixes_images_and_videos_anew,
          decisions_are_drawn_again_from_the_start),
    Fault("DF-8", "every rank sees the same batches", check_ranks_see_different_samples, every_rank_is_the_first),
]  # fmt: skip
