"""Batches of a run, by position."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from vaelab.config.schema import DataConfig
from vaelab.data.order import Kinds, Order, sample_generator
from vaelab.data.source import Sample, Source, Undecodable, take, usable
from vaelab.data.types import Batch, Quarantined
from vaelab.errors import DataError, VaelabError, reason

# Other files that are tried in place of one that cannot be decoded.
_MOST_REPLACEMENTS = 20
# Validation has its own random streams: the same held-out samples in every run.
_VALIDATION_SEED = 0


class _Batches(Dataset[Batch | VaelabError]):
    """Batch number n of this process, for any n; runs in the workers."""

    def __init__(self, source: Source, config: DataConfig, batch_size: int, seed: int, rank: int, world: int) -> None:
        self.source, self.config, self.seed = source, config, seed
        self.batch_size, self.rank, self.world = batch_size, rank, world
        self.kinds = Kinds(config.image_share if config.frames > 1 else 0.0, seed)
        self.pools: dict[int, tuple[Sequence[int], Order]] = {}

    def __getitem__(self, position: int) -> Batch | VaelabError:
        try:
            return self._batch(position)
        except VaelabError as error:
            # handed over as a value: raised here, it would arrive with the worker's traceback in its text
            return error

    def _batch(self, position: int) -> Batch:
        together = self.batch_size * self.world
        is_image, same_kind_before = self.kinds.at(position // together)
        frames = 1 if is_image else self.config.frames
        pool, order = self._pool(frames)
        samples, bad = [], dict[str, Quarantined]()
        for place in range(self.rank * self.batch_size, (self.rank + 1) * self.batch_size):
            item = order.index(same_kind_before * together + position % together + place)[1]
            samples.append(_decodable(self.source, pool, item, frames, self.seed, position + place, bad))
        return _joined(samples, position, bad)

    def _pool(self, frames: int) -> tuple[Sequence[int], Order]:
        if frames not in self.pools:
            pool = usable(self.source, frames)
            self.pools[frames] = pool, Order(len(pool), self.seed)
        return self.pools[frames]


def _decodable(
    source: Source, pool: Sequence[int], item: int, frames: int, seed: int, position: int, bad: dict[str, Quarantined]
) -> Sample:
    """The sample of ``pool[item]``, or of another file drawn from (seed, position) if that one cannot be decoded.

    A file that failed once is tried again at its next turn: what a sample is must not depend on what came before.
    """
    for attempt in range(_MOST_REPLACEMENTS + 1):
        rng = sample_generator(seed, position, attempt)
        index = pool[item if attempt == 0 else int(rng.integers(len(pool)))]
        try:
            return take(source, index, rng, frames)
        except Undecodable as error:
            bad.setdefault(source.name(index), Quarantined(source.name(index), str(error)))
    first = "; ".join(f"{file.name}: {file.reason}" for file in list(bad.values())[:3])
    raise DataError(
        f"Sample {position} could not be made: {_MOST_REPLACEMENTS + 1} files, drawn one after the other, cannot be decoded."
        f" The first: {first}. Check data.path, data.frames and data.fps."
    )


def _joined(samples: list[Sample], position: int, bad: dict[str, Quarantined]) -> Batch:
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return Batch(
        pixels.permute(0, 4, 1, 2, 3).contiguous(), [sample.name for sample in samples], position, list(bad.values())
    )


class Batches(Iterator[Batch]):
    """The endless sequence of a process's batches. ``close()`` ends its workers; it is also a context manager."""

    def __init__(self, loader: DataLoader[Batch | VaelabError]) -> None:
        self._batches: Iterator[Batch | VaelabError] | None = iter(loader)

    def __next__(self) -> Batch:
        """The next batch.

        Raises:
            DataError: too many files failed in a row, or a worker process died.
        """
        if self._batches is None:
            raise StopIteration
        try:
            batch = next(self._batches)
        except (RuntimeError, ConnectionError, EOFError) as error:
            # torch's text; an exception inside a worker begins with "Caught" and is a mistake in the code
            if isinstance(error, RuntimeError) and "DataLoader worker (pid" not in str(error):
                raise
            self.close()
            raise DataError(
                f"A process that decodes data died ({reason(error)}). Usual causes: too little memory"
                " or shared memory. Lower data.workers (0 decodes in the training process) and resume the run."
            ) from error
        if isinstance(batch, VaelabError):
            self.close()
            raise batch
        return batch

    def close(self) -> None:
        """Ends the workers, at once and not when the garbage collector comes by."""
        getattr(self._batches, "_shutdown_workers", lambda: None)()
        self._batches = None

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def train_batches(
    source: Source,
    config: DataConfig,
    batch_size: int,
    seed: int,
    position: int = 0,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
) -> Batches:
    """Endless batches from ``position`` on (samples of the run consumed before, over all processes).

    The batch at position p holds the samples p + rank * batch_size + i; the next one is at p + world * batch_size. Whether
    it holds images or clips depends on the seed and the batch's number only, and so is equal on all ranks. Pixels are
    uint8 (batch_size, channels, frames or 1, height, width). What workers prefetch has no effect on any of this: a
    checkpoint stores the position after the last batch that was trained on.

    Args:
        source: ``open_data(config, seed).train``.
        config: ``workers``, ``frames`` and ``image_share`` are used.
        batch_size: samples of one process.
        seed: the run's seed, equal on all ranks.
        position: where to start.
        rank: number of this process.
        world: number of processes.
        pin: whether to copy batches to page-locked memory, for a GPU.
    """
    together = batch_size * world
    loader: DataLoader[Batch | VaelabError] = DataLoader(
        _Batches(source, config, batch_size, seed, rank, world),
        batch_size=None,
        sampler=itertools.count(position, together),
        num_workers=config.workers,
        pin_memory=pin,
        # its own: else each start of the workers would draw from the generator of the training noise
        generator=torch.Generator(),
    )
    return Batches(loader)


def val_batches(source: Source, config: DataConfig, batch_size: int, samples: int) -> Iterator[Batch]:
    """The same held-out samples each time, whatever the run's seed: centred crops, times drawn once and for all.

    With more samples than files, videos are used several times, at other times; an image is used once. The last batch may
    be smaller. ``position`` counts the samples before the batch.

    Raises:
        DataError: no held-out file can be decoded.
    """
    pool = usable(source, config.frames)
    names: set[str] = set()
    batch: list[Sample] = []
    bad: dict[str, Quarantined] = {}
    done = 0
    for number in range(samples):
        # spread over the list, which may be sorted by scene
        item = number * len(pool) // samples if samples < len(pool) else number % len(pool)
        sample = _decodable(source, pool, item, config.frames, _VALIDATION_SEED, number, bad)
        if sample.name in names:
            continue
        names.add(sample.name)
        batch.append(sample)
        if len(batch) == batch_size:
            yield _joined(batch, done, bad)
            done, batch, bad = done + len(batch), [], {}
    if batch:
        yield _joined(batch, done, bad)
