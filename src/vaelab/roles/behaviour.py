"""What a column's values say of its role, beside the others: sums that close, signs, zeros before a start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaelab.run import FloatArray

ENOUGH = 8
"""Rows below which values decide nothing."""

CLOSES = 0.02
"""Share of a column's spread that a weighted sum of others may leave over to count as its formula."""


def zero_before_start(values: FloatArray) -> bool:
    """Whether the column is exactly 0 in its first rows and alive later: a term that waits for ``disc_start``."""
    known = values[np.isfinite(values)]
    if len(known) < ENOUGH or known[0] != 0 or not np.any(known):
        return False
    return int(np.argmax(known != 0)) >= 3


def always_zero(values: FloatArray) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and not np.any(known))


def mostly_negative(values: FloatArray) -> bool:
    """Whether nine of ten values are below zero: a positive quantity logged with its sign turned."""
    known = values[np.isfinite(values)]
    return len(known) >= ENOUGH and bool(np.mean(known < 0) > 0.9)


def closes(total: FloatArray, parts: Sequence[FloatArray]) -> FloatArray | None:
    """Weights (k,) with which ``parts`` (each (n,)) sum up to ``total`` (n,), or None where they do not.

    The fit has no constant and is taken over the rows that hold all of them. A weight may be zero, never clearly negative.
    """
    rows = np.isfinite(total) & np.all([np.isfinite(p) for p in parts], axis=0)
    if rows.sum() < max(ENOUGH, 3 * len(parts)):
        return None
    a, b = np.stack([p[rows] for p in parts], axis=1), total[rows]
    spread = float(np.std(b))
    scale = np.abs(a).max(axis=0)
    if not spread > 0 or not np.all(scale > 0):
        return None
    with np.errstate(all="ignore"):
        weights = np.linalg.lstsq(a / scale, b, rcond=None)[0] / scale
        left = float(np.sqrt(np.mean((a @ weights - b) ** 2)))
    shares = weights * scale / max(float(np.abs(b).max()), 1e-300)
    if not np.isfinite(left) or left > CLOSES * spread or np.any(shares < -0.02):
        return None
    return weights


def holds(total: FloatArray, part: FloatArray) -> bool:
    """Whether ``total`` is never clearly below ``part``, and moves with it: a sum of terms that are not negative."""
    rows = np.isfinite(total) & np.isfinite(part)
    if rows.sum() < ENOUGH:
        return False
    a, b = total[rows], part[rows]
    return bool(np.mean(a >= 0.98 * b) > 0.95) and not bool(np.mean(a < 0) > 0.02)
