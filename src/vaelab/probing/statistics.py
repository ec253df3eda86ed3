"""Numbers with the interval that their clips allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
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
    now = value(dict(rows))
    files = rows.get("file", np.arange(clips))
    members = [np.flatnonzero(files == file) for file in np.unique(files)]
    if len(members) < 2:
        return Interval(now, now, now, clips)
    draw = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([members[i] for i in draw.integers(len(members), size=len(members))])
        found.append(value({name: array[chosen] for name, array in rows.items()}))
    low, high = np.nanpercentile(found, [2.5, 97.5]) if np.isfinite(found).any() else (now, now)
    return Interval(now, float(low), float(high), clips)


def mean_interval(values: Array, files: Array | None = None) -> Interval:
    """The mean of one number a clip, with its interval; ``files`` as in :func:`interval`."""
    rows = {"value": np.asarray(values, np.float64)}
    if files is not None:
        rows["file"] = files
    return interval(rows, lambda found: float(found["value"].mean()))
