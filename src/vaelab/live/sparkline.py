"""A series in one line of text."""

from __future__ import annotations

import numpy as np

from vaelab.run import FloatArray

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-~=+*#"


def sparkline(values: FloatArray, width: int, ascii_only: bool = False) -> str:
    """``values`` (finite, (n,)) as at most ``width`` characters from low to high; each is the median of its part of the series.

    Positive values that span more than two powers of ten are drawn on a logarithmic scale.
    """
    if not len(values) or width < 1:
        return ""
    parts = np.array([np.median(part) for part in np.array_split(values, min(width, len(values)))])
    if parts.min() > 0 and parts.max() / 100 > parts.min():
        parts = np.log(parts)
    low, high = float(parts.min()), float(parts.max())
    marks = ASCII if ascii_only else BLOCKS
    if high <= low:
        return marks[0] * len(parts)
    # halves first: high - low may be beyond the largest float
    share = (parts / 2 - low / 2) / (high / 2 - low / 2)
    return "".join(marks[min(int(s * len(marks)), len(marks) - 1)] for s in share)
