"""Which column of a log counts what: steps, epochs or samples, told by its name and by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vaelab.patterns import pattern
from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

LARGEST_STEP = 2.0**53

_WHERE = r"(?:(?:train|trainer|training|progress|counters?|meta)[/.])?"
_OF = r"(?:num|n|cur|current|train|training|trainer|optim|optimi[sz]er|opt|gradient|grad|val|valid|eval)_"
_STEP = pattern(
    rf"{_WHERE}(?P<all>(?:global|total)_)?(?:{_OF})*(?P<all2>(?:global|total)_)?"
    r"(?P<word>steps?|iterations?|iters?|itr|updates?|batch|it)(?:_(?:num|idx|index|count|no|id))?"
)
_EPOCH = pattern(rf"{_WHERE}_?(?:{_OF})*epochs?(?:_(?:num|idx|index|count|no|id))?")
_SAMPLE = pattern(
    rf"{_WHERE}(?:total_|consumed_|{_OF})*(?:samples|images|imgs|nimg|examples|frames|tokens)(?:_(?:seen|processed|consumed))?"
)
# the surest first: what counts over the whole run, then steps, iterations, updates; what may begin again in each epoch
_WORDS = ("step", "iteration", "iter", "itr", "update", "it", "batch")
_TRACKERS_OWN = 98  # ``_step`` of W&B and of trackio counts log calls
_LETTER = 99  # a column called "i"


@lru_cache(maxsize=4096)
def step_rank(name: str) -> int | None:
    """How sure a name is that of a count of steps, 0 the surest; None if it is not such a name."""
    plain = _plain(name)
    if plain in ("_step", "i"):
        return _TRACKERS_OWN if plain == "_step" else _LETTER
    match = _STEP.fullmatch(plain)
    if match is None:
        return None
    word = match["word"]
    place = _WORDS.index(word if word in _WORDS else word.removesuffix("s"))
    return place if match["all"] or match["all2"] else len(_WORDS) + place


@lru_cache(maxsize=4096)
def is_epoch(name: str) -> bool:
    """Whether it is the name of a count of epochs."""
    return _EPOCH.fullmatch(_plain(name)) is not None


def is_count(name: str) -> bool:
    """Whether it is the name of a count of steps or epochs."""
    return step_rank(name) is not None or is_epoch(name)


def is_sample_count(name: str) -> bool:
    """Whether it is the name of a count of samples seen."""
    return _SAMPLE.fullmatch(_plain(name)) is not None


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def are_counts(values: FloatArray) -> BoolArray:
    """Which of them (n,) are whole numbers that a float holds exactly."""
    return (np.abs(values) < LARGEST_STEP) & (np.floor(values) == values)


def whole_numbers(values: FloatArray) -> bool:
    """Whether all of them are whole numbers that a float holds exactly, most of them not negative."""
    return bool(len(values) and are_counts(values).all() and (values >= 0).mean() > 0.5)


def newest_first(counts: IntArray) -> bool:
    """Whether a log was written out with its newest row first: the count never rises, and falls to at least four values."""
    falls = counts[1:] < counts[:-1]
    return int(falls.sum()) >= 3 and bool(np.all(falls | (counts[1:] == counts[:-1])))


def pick_counter(names: Iterable[str], values_of: Callable[[str], FloatArray], rows: int) -> str | None:
    """The first name whose values (the finite ones) count: whole, on at least half of the rows, not all the same."""
    for name in names:
        values = values_of(name)
        if 2 * len(values) >= rows and whole_numbers(values) and (len(values) < 2 or np.ptp(values) > 0):
            return name
    return None
