"""A plot as a piece of SVG, for pages without scripts: phases, levels, events, the finding's steps, and the curve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from vaelab.diagnosis import Diagnosis
from vaelab.report.downsample import keep_extremes
from vaelab.report.evidence import EvidencePlot, levels, now_text
from vaelab.report.layout import markers, metric_title, phase_spans
from vaelab.report.limits import Level
from vaelab.report.numbers import number, steps
from vaelab.run import FloatArray

WIDTH, HEIGHT = 460, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 8, 24, 20
_POINTS = 300
_LOG_FROM = 10.0
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_PHASES = {
    "warm-up": "#e69f00", "vae-only": "#56b4e9", "disc-warm-up": "#cc79a7", "gan-start": "#d55e00", "gan": "#009e73",
    "lr-decay": "#999999", "whole": "#999999",
}  # fmt: skip


def svg_plot(diagnosis: Diagnosis, plot: EvidencePlot) -> Markup:
    """``plot`` in ``WIDTH`` x ``HEIGHT`` pixels; lines and text have the colour of the text around it."""
    run = diagnosis.run
    found = [run.series(metric) for metric in plot.metrics]
    first, last = (int(end) for end in (min(s[0] for s, _ in found), max(s[-1] for s, _ in found)))
    shown = [(s[rows], v[rows]) for s, v in found for rows in [keep_extremes(v, _POINTS)]]
    lines = _near(levels(diagnosis, plot.metrics[0]), np.concatenate([v for _, v in shown]))
    x = _scale(first, last, _LEFT, WIDTH - _RIGHT)
    values = np.concatenate([*(v for _, v in shown), [level.value for level in lines]])
    low, high = float(values.min()), float(values.max())
    log = low > 0 and high / low > _LOG_FROM
    ends = np.log((low, high)) if log else np.array((low, high))
    y_of = _scale(float(ends[0]), float(ends[1]), HEIGHT - _BOTTOM, _TOP)
    y = (lambda v: y_of(np.log(v))) if log else y_of
    floor = HEIGHT - _BOTTOM
    parts = [
        _rect(float(x(max(start, first))), _TOP, float(x(min(end, last))), floor, _PHASES[phase.kind], 0.13)
        for phase, start, end in phase_spans(diagnosis)
    ]
    if plot.shade is not None:
        left, right = float(x(max(plot.shade[0], first))), float(x(min(plot.shade[1], last)))
        parts += [
            _rect(left, _TOP, right, floor, "#b3261e", 0.12),
            _rect(left, floor - 4, right, floor, "#b3261e", 1),
        ]
    for marker in markers(diagnosis)[:20]:
        at = float(x(marker.step))
        if first <= marker.step <= last:
            parts.append(_line(at, _TOP, at, floor, "5 4"))
            parts.append(_text(min(at + 3, WIDTH - 70), _TOP + 11, marker.label))
    for level in lines:
        at = float(y(level.value))
        parts += [
            _line(float(x(max(level.since or first, first))), at, WIDTH - _RIGHT, at, "2 3"),
            _text(WIDTH - _RIGHT - 4, at + (13 if at < _TOP + 26 else -4), level.label, "end"),
        ]
    for (s, v), colour in zip(shown, _LINES, strict=False):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x(s), y(v), strict=True))
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="1.6"/>').format(points, colour)
        )
    for value, at in ((high, _TOP + 4), (low, floor)):
        parts.append(_text(_LEFT - 5, at, number(value, 3), "end"))
    parts += [
        _text(_LEFT, HEIGHT - 6, f"{run.step_unit} {steps(first)}"),
        _text(WIDTH - _RIGHT, HEIGHT - 6, steps(last), "end"),
    ]
    parts.append(_line(_LEFT, floor, WIDTH - _RIGHT, floor, ""))
    title = (
        f"{' and '.join(map(metric_title, plot.metrics))}: {', '.join(now_text(diagnosis, m) for m in plot.metrics)}"
    )
    return Markup(
        '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{t}" style="max-width:100%;font:11px sans-serif">'
        "{title}{parts}</svg>"
    ).format(w=WIDTH, h=HEIGHT, t=title, title=_text(4, 14, title, size=12), parts=Markup("").join(parts))


def _near(found: list[Level], values: FloatArray) -> list[Level]:
    """Levels that do not flatten the curve."""
    low, high = float(values.min()), float(values.max())
    if low > 0:
        return [level for level in found if low / 10 <= level.value <= 10 * high]
    return [level for level in found if low - 2 * (high - low) <= level.value <= high + 2 * (high - low)]


def _scale(low: float, high: float, start: float, stop: float) -> Callable[..., FloatArray]:
    """From values to pixels; the middle where there is one value only."""
    if not high > low:
        return lambda v: np.full(np.shape(v), (start + stop) / 2)
    return lambda v: start + (np.asarray(v, np.float64) - low) / (high - low) * (stop - start)


def _rect(left: float, top: float, right: float, bottom: float, colour: str, opacity: float) -> Markup:
    box = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0):.1f}" height="{bottom - top:.1f}"'
    return Markup(f'<rect {box} fill="{colour}" fill-opacity="{opacity}"/>')


def _line(x1: float, y1: float, x2: float, y2: float, dash: str) -> Markup:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return Markup(f'<line {ends} stroke="currentColor" stroke-opacity="0.7" stroke-dasharray="{dash}"/>')


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 11) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}" fill="currentColor">{}</text>').format(
        x, y, anchor, size, text
    )
