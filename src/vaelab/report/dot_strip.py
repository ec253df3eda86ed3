"""The score of every clip as a dot on a line: what a mean hides, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from vaelab.report.numbers import quantity
from vaelab.run import FloatArray

WIDTH = 380
"""As wide as a phone shows it, so that its text keeps its size there."""
_LEFT, _RIGHT, _ROW = 10, 10, 26
LINES = 8  # colours of the style sheet


def dot_strip(
    title: str, unit: str, better: str, values: Sequence[FloatArray], clips: Sequence[str], names: Sequence[str]
) -> Markup:
    """One score. values: (clips,) of each checkpoint, NaN where it is not defined. better: ``higher``, ``lower``, ``near 1`` or ``near
    0``. names: of the checkpoints. Empty where no clip has the score."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.empty(0)
    if not len(finite):
        return Markup("")
    aim = {"near 1": 1.0, "near 0": 0.0}.get(better)
    low, high = float(finite.min()), float(finite.max())
    if aim is not None:
        low, high = min(low, aim), max(high, aim)
    pad = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    parts, height = [], 24 + _ROW * len(values) + 20
    if aim is not None:
        parts.append(
            Markup(
                '<line x1="{0:.1f}" x2="{0:.1f}" y1="20" y2="{1}" stroke="currentColor" stroke-dasharray="2 3"/>'
            ).format(x(aim), height - 18)
        )
    for i, own in enumerate(values):
        y = 24 + _ROW * i + _ROW / 2
        for clip, value in zip(clips, own, strict=True):
            if np.isfinite(value):
                parts.append(
                    Markup(
                        '<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="var(--line-{})" fill-opacity=".55"><title>{}: {}</title></circle>'
                    ).format(x(float(value)), y, i % LINES, clip, quantity(float(value), unit))
                )
        if np.isfinite(own).any():
            mean = x(float(np.nanmean(own)))
            parts.append(
                Markup(
                    '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}" stroke="currentColor" stroke-width="2"/>'
                ).format(mean, y - 11, y + 11)
            )
    parts.append(
        svg_text(
            _LEFT,
            13,
            f"{title}, {better} is better" if better in ("higher", "lower") else f"{title}, best {better}",
            True,
        )
    )
    for value, anchor in ((low + pad, "start"), (high - pad, "end")):
        parts.append(svg_text(x(value), height - 5, quantity(value, unit), anchor=anchor))
    worst = _worst(values, better, clips, names)
    label = f"{title} of {len(clips)} clips. {worst}"
    return Markup('<figure class="strip-plot"><svg viewBox="0 0 {w} {h}" role="img" aria-label="{l}">{p}</svg><figcaption>{c}</figcaption></figure>').format(
        w=WIDTH, h=height, l=label, p=Markup("").join(parts), c=worst
    )  # fmt: skip


def _worst(values: Sequence[FloatArray], better: str, clips: Sequence[str], names: Sequence[str]) -> str:
    """Which clip each checkpoint does worst on."""
    aim = {"near 1": 1.0, "near 0": 0.0}.get(better)
    told = []
    for name, own in zip(names, values, strict=True):
        if not np.isfinite(own).any():
            continue
        bad = np.abs(own - aim) if aim is not None else -own if better == "higher" else own
        at = int(np.nanargmax(bad))
        told.append(f"{f'{name}: ' if len(values) > 1 else ''}worst {clips[at]} ({own[at]:.4g})")
    return "; ".join(told)


def svg_text(x: float, y: float, text: str, bold: bool = False, anchor: str = "start") -> Markup:
    weight = ' font-weight="600"' if bold else ""
    return Markup('<text x="{:.1f}" y="{:.1f}" font-size="12" text-anchor="{}" fill="currentColor"{}>{}</text>').format(
        x, y, anchor, Markup(weight), text
    )
