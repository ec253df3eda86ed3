"""The order of a run: permutations, ranks, resuming, image batches. All of it from the position alone."""

from __future__ import annotations

import multiprocessing
import pickle
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from media_files import write_image, write_video
from vaelab.config.schema import DataConfig
from vaelab.data import Batch, Sample, open_data, train_batches, val_batches
from vaelab.data.order import Kinds, Order, sample_generator


class Numbers:
    """Items whose samples hold their number, the frames and a random value."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def name(self, index: int) -> str:
        return f"item{index}"

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        return np.full((frames, 2, 2, 1), rng.integers(256), np.uint8)


def config(**changes: object) -> DataConfig:
    return DataConfig.model_validate({"frames": 5, "resolution": (16, 16), "workers": 0, **changes})


def same(one: Batch, other: Batch) -> bool:
    return (
        one.names == other.names
        and one.position == other.position
        and one.bad == other.bad
        and torch.equal(one.pixels, other.pixels)
    )


def first(count: int, source: object, settings_: DataConfig, *args: int, **kwargs: int) -> list[Batch]:
    with train_batches(source, settings_, *args, **kwargs) as batches:  # type: ignore[arg-type]
        return list(islice(batches, count))


@given(length=st.integers(1, 60), seed=st.integers(0, 2**40), epoch=st.integers(0, 10**6))
def test_each_epoch_is_a_permutation(length: int, seed: int, epoch: int) -> None:
    order = Order(length, seed)
    visited = [order.index(epoch * length + place) for place in range(length)]
    assert {e for e, _ in visited} == {epoch}
    assert sorted(index for _, index in visited) == list(range(length))


def test_epochs_and_seeds_differ() -> None:
    def epoch(seed: int, number: int) -> list[int]:
        order = Order(50, seed)
        return [order.index(50 * number + place)[1] for place in range(50)]

    assert len({tuple(epoch(seed, number)) for seed in range(3) for number in range(3)}) == 9


def test_an_order_can_be_asked_backwards_and_be_sent_to_a_worker() -> None:
    order = Order(7, 3)
    forwards = [order.index(position) for position in range(40)]
    assert [order.index(position) for position in reversed(range(40))] == forwards[::-1]
    assert pickle.loads(pickle.dumps(order)).index(39) == forwards[39]


@given(share=st.floats(0, 1), seed=st.integers(0, 1000), start=st.integers(0, 10**7))
def test_image_batches_are_counted_without_counting(share: float, seed: int, start: int) -> None:
    kinds = Kinds(share, seed)
    is_image, before = kinds.at(start)
    counts = {is_image: before, (not is_image): start - before}
    for batch in range(start, start + 50):
        kind, before = kinds.at(batch)
        assert before == counts[kind]
        counts[kind] += 1
    assert abs(counts[True] - share * (start + 50)) <= kinds.block + 0.002 * start


def test_image_batches_do_not_follow_a_logging_interval() -> None:
    kinds = [Kinds(0.5, 0).at(batch)[0] for batch in range(2000)]
    assert sum(kinds) == 1000
    for interval in (2, 10, 40):
        assert 0.3 < np.mean(kinds[::interval]) < 0.7


@given(
    length=st.integers(1, 30),
    batch_size=st.integers(1, 4),
    world=st.integers(1, 3),
    start=st.integers(0, 20),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(deadline=None, max_examples=40)
def test_several_ranks_see_what_one_sees(length: int, batch_size: int, world: int, start: int, share: float) -> None:
    source, position = Numbers(length), start * batch_size * world
    one = first(4, source, config(image_share=share), batch_size * world, 9, position)
    ranks = [
        first(4, source, config(image_share=share), batch_size, 9, position, rank=rank, world=world)
        for rank in range(world)
    ]
    for number, batch in enumerate(one):
        parts = [rank[number] for rank in ranks]
        assert {part.position for part in parts} == {batch.position}
        assert [name for part in parts for name in part.names] == batch.names
        assert torch.equal(torch.cat([part.pixels for part in parts]), batch.pixels)


@given(batches=st.integers(0, 40), batch_size=st.integers(1, 3), share=st.sampled_from([0.0, 0.25]))
@settings(deadline=None, max_examples=30)
def test_a_run_resumed_anywhere_goes_on_as_if_uninterrupted(batches: int, batch_size: int, share: float) -> None:
    source, settings_ = Numbers(13), config(image_share=share)
    whole = first(batches + 3, source, settings_, batch_size, 1)
    assert [batch.position for batch in whole] == [number * batch_size for number in range(batches + 3)]
    resumed = first(3, source, settings_, batch_size, 1, batches * batch_size)
    assert all(same(*pair) for pair in zip(whole[batches:], resumed, strict=True))


def test_every_sample_has_random_numbers_of_its_own() -> None:
    drawn = {sample_generator(seed, k, attempt).random() for seed in (0, 1) for k in range(50) for attempt in (0, 1)}
    assert len(drawn) == 200


def test_the_samples_of_a_run_differ_within_a_batch_and_between_epochs() -> None:
    # one item: whatever differs comes from the sample's number alone
    batches = first(10, Numbers(1), config(), 10, 0)
    values = [int(sample.max()) for batch in batches for sample in batch.pixels]
    assert len(set(values)) > 60, "100 draws of 256 values give about 83 different ones"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(5):
        write_video(folder / f"{number}.mp4", frames=20 + 3 * number, size=(40, 60))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def test_workers_and_resuming_change_neither_names_nor_bytes(folder: Path) -> None:
    def batches(count: int, workers: int, position: int) -> list[Batch]:
        settings_ = config(path=str(folder), workers=workers, image_share=0.3)
        return first(count, open_data(settings_, 4).train, settings_, 2, 4, position)

    whole = batches(9, 0, 0)
    assert {batch.pixels.shape for batch in whole} == {(2, 3, 5, 16, 16), (2, 3, 1, 16, 16)}
    assert any(batch.bad for batch in whole), "the broken file must be part of what is compared"
    assert all(same(*pair) for pair in zip(whole[4:], batches(5, 0, 8), strict=True))
    assert all(same(*pair) for pair in zip(whole[4:], batches(5, 2, 8), strict=True))


def test_image_batches_of_mixed_files_visit_all_and_clip_batches_the_videos(tmp_path: Path) -> None:
    import json

    entries = [{"video": f"v{n}.mp4"} for n in range(3)] + [{"image": f"i{n}.png"} for n in range(3)]
    for entry in entries:
        for kind, name in entry.items():
            write_video(tmp_path / name, 8) if kind == "video" else write_image(tmp_path / name)
    (tmp_path / "list.jsonl").write_text("\n".join(json.dumps(entry) for entry in entries))
    settings_ = config(source="annotations", path=str(tmp_path / "list.jsonl"), image_share=0.5, val_share=0.01)
    train = open_data(settings_, 0).train
    seen: dict[int, Counter[str]] = {1: Counter(), 5: Counter()}
    for batch in first(16, train, settings_, 1, 0):
        seen[batch.pixels.shape[2]][batch.names[0].split("@")[0]] += 1
    assert all(name.startswith("v") for name in seen[5]) and seen[5].total() == 8
    assert set(seen[1]) == {train.name(index) for index in range(len(train))} and set(seen[1].values()) == {2}


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_draws_nothing_from_the_generator_of_the_training_noise(folder: Path, workers: int) -> None:
    settings_ = config(path=str(folder), workers=workers, val_share=0.4)
    data, before = open_data(settings_, 0), torch.get_rng_state()
    first(1, data.train, settings_, 2, 0)
    next(val_batches(data.val, settings_, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)


def test_closing_ends_the_workers(folder: Path) -> None:
    settings_ = config(path=str(folder), workers=2)
    before = set(multiprocessing.active_children())
    batches = train_batches(open_data(settings_, 0).train, settings_, 1, 0)
    next(batches)
    assert len(set(multiprocessing.active_children()) - before) == 2
    batches.close()
    assert not set(multiprocessing.active_children()) - before
    assert list(batches) == []


class _Deadly(Numbers):
    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        import os

        os._exit(9)


def test_a_worker_that_dies_is_one_sentence_and_no_hang() -> None:
    from vaelab.errors import DataError

    with (
        train_batches(_Deadly(5), config(workers=1), 1, 0) as batches,
        pytest.raises(DataError, match=r"decodes data died .* Lower data\.workers"),
    ):
        next(batches)


class _Buggy(Numbers):
    def sample(self, index: int, rng: np.random.Generator, frames: int) -> np.ndarray:
        raise RuntimeError("a mistake in the code")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_the_code_is_not_taken_for_a_death_or_a_bad_file(workers: int) -> None:
    with (
        train_batches(_Buggy(5), config(workers=workers), 1, 0) as batches,
        pytest.raises(RuntimeError, match="a mistake in the code"),
    ):
        next(batches)


# -- validation


def test_validation_sees_the_same_samples_whatever_the_seed(folder: Path) -> None:
    settings_ = config(path=str(folder), val_share=0.4)
    seen = [list(val_batches(open_data(settings_, seed).val, settings_, 2, 7)) for seed in (0, 5)]
    assert all(same(*pair) for pair in zip(*seen, strict=True))
    names = [name for batch in seen[0] for name in batch.names]
    assert len(set(names)) == len(names)
    assert [batch.position for batch in seen[0]] == list(range(0, len(names), 2))


def test_validation_takes_an_image_once() -> None:
    class Images(Numbers):
        def sample(self, index: int, rng: np.random.Generator, frames: int) -> Sample:  # type: ignore[override]
            return Sample(np.zeros((frames, 2, 2, 1), np.uint8), self.name(index))

    settings_ = config(frames=1)
    names = [name for batch in val_batches(Images(3), settings_, 2, 10) for name in batch.names]
    assert sorted(names) == ["item0", "item1", "item2"]
    spread = [name for batch in val_batches(Images(100), settings_, 4, 5) for name in batch.names]
    assert spread == ["item0", "item20", "item40", "item60", "item80"]
