"""A plot in a few lines of text: a curve over steps, levels to compare with, markers on the step axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import median
from vaelab.report.numbers import number
from vaelab.report.sparkline import BLOCKS
from vaelab.run import FloatArray, IntArray

LABEL = 10  # columns for the numbers on the left: -1,234,567 and -1.23e-100 are the longest
_LOG_FROM = 10.0


@dataclass(frozen=True)
class Marks:
    """The characters that a plot is made of."""

    parts: str
    full: str
    level: str
    axis: str
    shade: str


UNICODE = Marks(BLOCKS, "█", "╌", "─", "━")
ASCII = Marks(".:", "#", "-", "-", "=")


def text_plot(
    steps: IntArray,
    values: FloatArray,
    width: int,
    height: int = 4,
    levels: Sequence[float] = (),
    markers: Sequence[tuple[int, str]] = (),
    shade: tuple[int, int] | None = None,
    ascii_only: bool = False,
) -> list[str]:
    """``height`` lines of a filled curve with its largest and smallest number, and the step axis below.

    steps, values: (n,), n > 1, finite. Each column is the median of the rows that fall into it. levels: drawn as lines where no curve
    ends. markers: ``(step, letter)`` on the axis. shade: steps that are marked on it. Positive values over more than a decade are
    drawn on a logarithmic scale.
    """
    marks = ASCII if ascii_only else UNICODE
    cells = max(width - LABEL - 1, 8)
    at = _cells(steps, steps, cells)
    middle = np.array([median(values[at == i]) if (at == i).any() else np.nan for i in range(cells)])
    # fewer rows than columns: each value stands until the next one
    middle = middle[np.maximum.accumulate(np.where(np.isfinite(middle), np.arange(cells), 0))]
    seen = middle
    # a level far off would flatten the curve: it is said in words below
    near = [v for v in levels if _near(v, seen)]
    low, high = min([*near, float(seen.min())]), max([*near, float(seen.max())])
    if low == high:  # half as high as the plot, and nothing where it is 0
        low, high = sorted((0.0, 2 * low)) if low else (0.0, 1.0)
    log = low > 0 and high / low > _LOG_FROM
    share = _shares(middle, low, high, log)
    at_level = {min(int(s * height), height - 1) for s in _shares(np.array(near), low, high, log)} if near else set()
    rows = [list((marks.level if line in at_level else " ") * cells) for line in range(height)]
    for i in range(cells):
        eighths = max(round(float(share[i]) * height * len(marks.parts)), 1)
        for line in range(height):
            part = min(max(eighths - line * len(marks.parts), 0), len(marks.parts))
            if part == len(marks.parts) and line not in at_level:
                rows[line][i] = marks.full
            elif 0 < part < len(marks.parts):
                rows[line][i] = marks.parts[part - 1]
    axis = list(marks.axis * cells)
    if shade is not None:
        first, last = _cells(np.array(shade), steps, cells)
        axis[first : last + 1] = marks.shade * (last + 1 - first)
    for step, letter in markers:
        if steps[0] <= step <= steps[-1]:
            axis[int(_cells(np.array([step]), steps, cells)[0])] = letter
    labels = [number(high, 3), *[""] * (height - 2), number(low, 3), ""]
    lines = ["".join(row) for row in reversed(rows)] + ["".join(axis)]
    return [f"{label:>{LABEL}} {line}".rstrip() for label, line in zip(labels, lines, strict=True)]


def _cells(at: IntArray, steps: IntArray, cells: int) -> IntArray:
    """The columns that the steps ``at`` fall into."""
    span = max(int(steps[-1]) - int(steps[0]), 1)
    return np.clip((at - steps[0]) * cells // (span + 1), 0, cells - 1).astype(np.int64)


def _near(value: float, seen: FloatArray) -> bool:
    """Whether a level lies within ten times the curve's own span."""
    low, high = float(seen.min()), float(seen.max())
    if low > 0 and value > 0:
        return low / 10 <= value <= high * 10
    return low - 2 * (high - low) <= value <= high + 2 * (high - low)


def _shares(values: FloatArray, low: float, high: float, log: bool) -> FloatArray:
    """Heights in [0, 1]."""
    if log:
        values, low, high = np.log(values), float(np.log(low)), float(np.log(high))
    return np.asarray((values - low) / (high - low))
