"""Numbers with the interval that their clips allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RESAMPLES = 400


class Interval(NamedTuple):
    """A number, the 95% interval that resampling gives (equal to it for a single clip or file), and the clips."""

    value: float
    low: float
    high: float
    clips: int


def interval(rows: Mapping[str, Array], value: Callable[[dict[str, Array]], float]) -> Interval:
    """``value`` of ``rows`` (name -> (clips, ...)) with a bootstrap interval (Efron 1979, percentiles).

    Whole clips are drawn again, because positions inside a clip are alike; and where ``rows["file"]`` (clips,) numbers the
    files that the clips were cut from, whole files, because clips of one film are alike.
    """
    clips = len(next(iter(rows.values())))
    members = _by_file(rows.get("file"), clips)

    def again(drawn: Array) -> float:
        chosen = np.concatenate([members[i] for i in drawn])
        return value({name: array[chosen] for name, array in rows.items()})

    return _percentiles(value(dict(rows)), clips, len(members), lambda draws: np.array([again(d) for d in draws]))


def mean_interval(values: Array, files: Array | None = None) -> Interval:
    """The mean of one number a clip, with its interval; ``files`` as in :func:`interval`."""
    values = np.asarray(values, np.float64)
    members = _by_file(files, len(values))
    sums = np.array([values[m].sum() for m in members])
    counts = np.array([len(m) for m in members])
    return _percentiles(
        float(values.mean()), len(values), len(members), lambda draws: sums[draws].sum(1) / counts[draws].sum(1)
    )


def _by_file(files: Array | None, clips: int) -> list[Array]:
    """Indices of the clips of each file; without files each clip is its own."""
    if files is None:
        return list(np.arange(clips).reshape(-1, 1))
    return [np.flatnonzero(files == file) for file in np.unique(files)]


def _percentiles(now: float, clips: int, files: int, values: Callable[[Array], Array]) -> Interval:
    """values: indices of files (resamples, files) -> the number for each resample."""
    if files < 2:
        return Interval(now, now, now, clips)
    found = values(np.random.default_rng(0).integers(files, size=(RESAMPLES, files)))
    low, high = np.nanpercentile(found, [2.5, 97.5]) if np.isfinite(found).any() else (now, now)
    return Interval(now, float(low), float(high), clips)
