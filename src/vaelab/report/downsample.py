"""Fewer points for a plot, with every peak and trough kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vaelab.run import FloatArray, IntArray


def keep_extremes(values: FloatArray, limit: int) -> IntArray:
    """Row indices, at most ``limit``, that draw the same picture as all of ``values`` (float64, finite, (n,)).

    The rows are cut into equal buckets; the lowest and the highest value of each stay, and so do both ends.
    """
    n = len(values)
    if n <= limit:
        return np.arange(n, dtype=np.int64)
    edges = np.linspace(0, n, max((limit - 2) // 2, 1) + 1).astype(np.int64)
    kept = {0, n - 1}
    for start, stop in pairwise(edges):
        bucket = values[start:stop]
        kept.add(int(start + np.argmin(bucket)))
        kept.add(int(start + np.argmax(bucket)))
    return np.array(sorted(kept), dtype=np.int64)
