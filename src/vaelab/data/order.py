"""Which item, and which kind of batch, a position of the run means: pure functions of the seed and the position."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

# Keeps the random streams of one seed apart from each other.
_EPOCH, _SAMPLE, _KIND = 1, 2, 3


class Order:
    """The items in a new random order each epoch; any position can be asked for at once.

    Args:
        length: items in one epoch, at least 1.
        seed: the run's seed.
    """

    def __init__(self, length: int, seed: int) -> None:
        if length < 1:
            raise ValueError("an order needs at least one item")
        self.length = length
        self.seed = seed
        self._permutations: dict[int, np.ndarray] = {}

    def index(self, position: int) -> tuple[int, int]:
        """(epoch, item) of a sample position: each epoch is a permutation drawn from (seed, epoch)."""
        epoch, place = divmod(position, self.length)
        if epoch not in self._permutations:
            # positions move forward, so the epochs before the last one are no longer needed
            for old in [e for e in self._permutations if e < epoch - 1]:
                del self._permutations[old]
            self._permutations[epoch] = generator(self.seed, _EPOCH, epoch).permutation(self.length)
        return epoch, int(self._permutations[epoch][place])


class Kinds:
    """Which batches of the run hold images (one frame) and which hold clips.

    The batches are cut into blocks, each with exactly the wanted share of image batches at random places. So the share is
    exact over a block, no fixed period falls together with a logging interval, and the number of image batches before any
    batch is known without counting from the start.

    Args:
        image_share: share of image batches, 0 to 1, used to three digits.
        seed: the run's seed.
    """

    def __init__(self, image_share: float, seed: int) -> None:
        share = Fraction(image_share).limit_denominator(1000)
        self.images, self.block = share.numerator, share.denominator
        self.seed = seed

    def at(self, batch: int) -> tuple[bool, int]:
        """(whether this batch holds images, batches of the same kind before it)."""
        block, place = divmod(batch, self.block)
        images = generator(self.seed, _KIND, block).permutation(self.block) < self.images
        is_image = bool(images[place])
        per_block = self.images if is_image else self.block - self.images
        return is_image, block * per_block + int((images[:place] == is_image).sum())


def generator(seed: int, *key: int) -> np.random.Generator:
    """A random generator that depends on the seed and the key only."""
    return np.random.Generator(np.random.PCG64([seed, *key]))


def sample_generator(seed: int, position: int, attempt: int = 0) -> np.random.Generator:
    """The generator of one sample: time, place, mirroring. ``attempt`` counts files that could not be decoded."""
    return generator(seed, _SAMPLE, position, attempt)
