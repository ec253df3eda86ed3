"""A series in one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaelab.analysis import median
from vaelab.run import FloatArray

if TYPE_CHECKING:
    from markupsafe import Markup

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-~=+*#"
MOST = float(np.finfo(np.float64).max)


def sparkline(values: FloatArray, width: int, ascii_only: bool = False) -> str:
    """``values`` (finite, (n,)) as at most ``width`` characters from low to high; each is the median of its part of the series.

    Positive values that span more than two powers of ten are drawn on a logarithmic scale.
    """
    if not len(values) or width < 1:
        return ""
    parts, low, high = _parts(values, width)
    marks = ASCII if ascii_only else BLOCKS
    if high <= low:
        return marks[0] * len(parts)
    share = (parts - low) / (high - low)
    return "".join(marks[min(int(s * len(marks)), len(marks) - 1)] for s in share)


def sparkline_svg(values: FloatArray, width: int = 120, height: int = 26) -> Markup:
    """The same as a small picture for a page, in the colour of the text; empty without values."""
    from markupsafe import Markup

    if not len(values):
        return Markup("")
    parts, low, high = _parts(values, 60)
    share = (parts - low) / (high - low) if high > low else np.full(len(parts), 0.5)
    x = np.linspace(2, width - 2, len(parts)) if len(parts) > 1 else np.array([width / 2])
    y = height - 3 - share * (height - 6)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return Markup(
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/>'
        f'<circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="2" fill="currentColor"/></svg>'
    )


def _parts(values: FloatArray, most: int) -> tuple[FloatArray, float, float]:
    """Medians of at most ``most`` parts, their lowest and highest; logarithms where positive values span over two powers of ten."""
    parts = np.array([median(part) for part in np.array_split(values, min(most, len(values)))])
    if parts.min() > 0 and parts.max() / 100 > parts.min():
        parts = np.log(parts)
    low, high = float(parts.min()), float(parts.max())
    if high > low and high - low > MOST:  # the span itself would overflow
        return parts / 2, low / 2, high / 2
    return parts, low, high
