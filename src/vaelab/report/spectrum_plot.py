"""Power over spatial frequency, original against reconstructions, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from vaelab.report.dot_strip import LINES, WIDTH, svg_text
from vaelab.run import FloatArray

HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 240, 40, 10, 24, 34
_PERIODS = (32, 16, 8, 4, 2)  # pixels, named below the axis
_FLOOR = 1e-12  # of the power: what a float32 picture cannot hold


def spectrum_plot(
    frequencies: FloatArray, original: FloatArray, made: Sequence[FloatArray], names: Sequence[str]
) -> Markup:
    """frequencies: (n,) cycles a pixel. original, made: power (n,), NaN where frames are too small for the bin. names: of ``made``.
    Empty where nothing was measured."""
    known = np.isfinite(original) & (original > 0)
    if known.sum() < 2:
        return Markup("")
    logs = [np.log10(np.maximum(curve[known], _FLOOR)) for curve in (original, *made)]
    low, high = min(float(v.min()) for v in logs), max(float(v.max()) for v in logs)
    low, high = low - 0.05 * (high - low or 1), high + 0.05 * (high - low or 1)

    def x(frequency: float) -> float:
        return _LEFT + frequency / 0.5 * (WIDTH - _LEFT - _RIGHT)

    def y(power: float) -> float:
        return _TOP + (high - power) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    parts = [svg_text(10, 14, "Power by size of detail: dashed the original", True)]
    for period in _PERIODS:
        place = x(1 / period)
        parts.append(_line(place, _TOP, place, HEIGHT - _BOTTOM))
        anchor = "end" if period == min(_PERIODS) else "middle"
        parts.append(
            svg_text(place, HEIGHT - 18, f"{period} px" if period == min(_PERIODS) else str(period), anchor=anchor)
        )
    for decade in range(int(np.ceil(low)), int(np.floor(high)) + 1, max(1, round((high - low) / 5))):
        parts.append(_line(_LEFT, y(decade), WIDTH - _RIGHT, y(decade)))
        parts.append(svg_text(_LEFT - 4, y(decade) + 4, f"1e{decade}", anchor="end"))
    parts.append(svg_text(WIDTH / 2, HEIGHT - 3, "period of the pattern: fine detail to the right", anchor="middle"))
    for i, curve in [*[*enumerate(logs)][1:], (0, logs[0])]:  # the dashed original on top
        points = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in zip(frequencies[known], curve, strict=True))
        style = "currentColor" if i == 0 else f"var(--line-{(i - 1) % LINES})"
        dash = Markup(' stroke-dasharray="5 4"') if i == 0 else ""
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"{}/>').format(points, style, dash)
        )
    told = "; ".join(
        _told(frequencies, original, curve, name, len(made) > 1) for curve, name in zip(made, names, strict=True)
    )
    return Markup('<figure class="strip-plot"><svg viewBox="0 0 {w} {h}" role="img" aria-label="{l}">{p}</svg><figcaption>{c}</figcaption></figure>').format(
        w=WIDTH, h=HEIGHT, l=f"Power by size of detail. {told}", p=Markup("").join(parts), c=told
    )  # fmt: skip


def _told(frequencies: FloatArray, original: FloatArray, made: FloatArray, name: str, several: bool) -> str:
    """How much of the fine and of the coarse detail is there."""
    shares = []
    for first, last, what in ((1 / 32, 1 / 8, "8 to 32 pixels"), (1 / 4, 1 / 2, "2 to 4 pixels")):
        part = (frequencies >= first) & (frequencies < last) & np.isfinite(original)
        if part.any() and original[part].sum() > 0:
            shares.append(f"{made[part].sum() / original[part].sum():.0%} in patterns of {what}")
    return f"{f'{name}: ' if several else ''}power {', '.join(shares)}"


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="var(--rule)"/>').format(x1, y1, x2, y2)
