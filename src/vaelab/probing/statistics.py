"""Numbers with the interval that their clips allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
RESAMPLES = 400


class Interval(NamedTuple):
    """A number, the 95% interval that resampling its clips gives (equal to it for a single clip), and the clips."""

    value: float
    low: float
    high: float
    clips: int


def interval(rows: Mapping[str, Array], value: Callable[[dict[str, Array]], float]) -> Interval:
    """``value`` of ``rows`` (name -> (clips, ...)) with a bootstrap interval over clips: whole clips are drawn again,
    because the positions inside one clip are alike (Efron 1979, percentile interval)."""
    clips = len(next(iter(rows.values())))
    now = value(dict(rows))
    if clips < 2:
        return Interval(now, now, now, clips)
    draw = np.random.default_rng(0)
    drawn = [draw.integers(clips, size=clips) for _ in range(RESAMPLES)]
    found = np.array([value({name: array[chosen] for name, array in rows.items()}) for chosen in drawn])
    low, high = np.nanpercentile(found, [2.5, 97.5]) if np.isfinite(found).any() else (now, now)
    return Interval(now, float(low), float(high), clips)


def mean_interval(values: Array) -> Interval:
    """The mean of one number a clip, with its interval."""
    return interval({"value": np.asarray(values, np.float64)}, lambda rows: float(rows["value"].mean()))
