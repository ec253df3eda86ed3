"""What every PNG plot is made of: a figure with fixed margins, shaded phases, marked events, curves, and axes that read as numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.report.downsample import keep_extremes
from vaelab.report.evidence import levels, natural_function
from vaelab.report.files import write_bytes
from vaelab.report.layout import markers, metric_title, phase_spans, plain
from vaelab.report.numbers import number, quantity
from vaelab.run import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 4000
_MEDIANS = 80
_LOG_FROM = 10.0  # a positive metric whose largest value is this many times its smallest gets a log axis

# Okabe-Ito: told apart by colour-blind readers and in grey print
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SHADES = {
    "warm-up": "#E69F00", "vae-only": "#56B4E9", "disc-warm-up": "#CC79A7", "gan-start": "#D55E00", "gan": "#009E73",
    "lr-decay": "#999999", "whole": "#FFFFFF",
}  # fmt: skip
_BAD = "#B3261E"
_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN, _LEGEND = 1.0, 0.85, 0.75, 0.6, 0.75, 0.22
"""Inches: margins, the space between panels, a line of the legend. Fixed, for a search for the best ones takes longer than drawing."""


def new_figure(panels: int, columns: int = 1, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(10, max(height * rows, 4.5)), dpi=110)
    FigureCanvasAgg(figure)
    first: Any = None
    axes = []
    for i in range(panels):
        first = figure.add_subplot(rows, columns, i + 1, sharex=first)
        axes.append(first)
    return figure, axes


def dress(axes: Axes, diagnosis: Diagnosis, labels: bool = True) -> None:
    """Shade the phases, mark the events, name the step axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    named: set[str] = set()
    for phase, first, last in phase_spans(diagnosis):
        label = plain(phase.title) if labels and phase.title not in named and phase.kind != "whole" else None
        named.add(phase.title)
        axes.axvspan(first, last, color=_SHADES[phase.kind], alpha=0.10, lw=0, label=label)
    for marker in markers(diagnosis)[:50]:
        label = marker.label if labels and marker.label not in named else None
        named.add(marker.label)
        style, colour = ("--", "#D55E00") if marker.kind == "phase" else ("-.", "#555555")
        axes.axvline(marker.step, color=colour, lw=1.2, ls=style, label=label)
    axes.set_xlabel(diagnosis.run.step_unit)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.grid(True, color="#000000", alpha=0.12, lw=0.6)
    axes.set_axisbelow(True)


def finish(figure: Figure, legend_of: Axes, title: str, more: Sequence[Any] = (), right: float = _RIGHT) -> None:
    """Margins, title, and one legend under the plot for the labelled parts of ``legend_of`` and ``more``. right: inches."""
    found = {h.get_label(): h for h in (*legend_of.get_legend_handles_labels()[0], *more)}
    width, height = figure.get_size_inches()
    bottom = _BOTTOM + _LEGEND * -(-len(found) // 4)
    spec = legend_of.get_subplotspec()
    rows, columns = spec.get_gridspec().get_geometry() if spec is not None else (1, 1)
    figure.subplots_adjust(
        left=_LEFT / width, right=1 - right / width, top=1 - _TOP / height, bottom=bottom / height,
        hspace=_BETWEEN * rows / (height - _TOP - bottom - _BETWEEN * (rows - 1)), wspace=0.35 * (columns > 1),
    )  # fmt: skip
    figure.suptitle(title, fontsize=12, y=1 - 0.3 / height)
    if found:
        figure.legend(
            handles=list(found.values()), loc="lower center", ncols=4, fontsize=8, frameon=False, borderaxespad=0.2
        )


def save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_bytes(path, content.getvalue())


def draw_line(
    axes: Axes, diagnosis: Diagnosis, metric: str, colour: str = LINES[0], legend: bool = False
) -> FloatArray:
    """Draw ``metric``; crosses at the bottom mark steps that logged NaN or inf. Returns the finite values."""
    run = diagnosis.run
    steps, values = run.series(metric)
    values = drawable(values)
    draw_curve(axes, steps, values, colour, plain(metric) if legend else None)
    logged = run.rows(metric)
    bad = run.steps[logged[~np.isfinite(run[metric][logged])]]
    if len(bad):
        shown = bad[:: max(len(bad) // 200, 1)]
        axes.plot(shown, np.full(len(shown), 0.02), "x", color="red", ms=5, transform=axes.get_xaxis_transform(),
                  clip_on=False, label=f"NaN or inf ({len(bad):,} of {len(logged):,} rows)")  # fmt: skip
    return values


def draw_curve(axes: Axes, steps: IntArray, values: FloatArray, colour: str, label: str | None) -> Any:
    """The values, and over many noisy ones the median of each of 80 stretches as a bold line."""
    keep = keep_extremes(values, POINTS)
    many = len(values) > 2 * _MEDIANS
    mark = "o" if len(values) <= 40 else ""
    (handle,) = axes.plot(
        steps[keep], values[keep], color=colour, lw=0.7 if many else 1.4, alpha=0.4 if many else 1, marker=mark, ms=3,
        label=None if many else label,
    )  # fmt: skip
    if many:
        parts = np.array_split(np.arange(len(values)), _MEDIANS)
        x = [float(np.median(steps[p])) for p in parts]
        y = [float(np.median(values[p])) for p in parts]
        (handle,) = axes.plot(x, y, color=colour, lw=1.8, label=label)
    return handle


def draw_levels(axes: Axes, diagnosis: Diagnosis, metric: str) -> None:
    """Lines to compare with, where they do not flatten the curve; the side of one that means trouble is hatched."""
    low, high = axes.get_ylim()
    for level in levels(diagnosis, metric):
        if not (low / 10 <= level.value <= high * 10 if low > 0 else 2 * low - high <= level.value <= 2 * high - low):
            continue
        left, right = axes.get_xlim()
        start = left if level.since is None else max(left, level.since)
        colour = _BAD if level.bad else "black"
        axes.hlines(level.value, start, right, color=colour, lw=1, ls="--" if level.bad else ":", label=level.label)
        bottom, top = axes.get_ylim()
        if level.bad:
            ends = (min(bottom, level.value), level.value) if level.bad == "below" else (level.value, top)
            axes.fill_between((start, right), *ends, facecolor="none", edgecolor=_BAD, alpha=0.25, hatch="//", lw=0)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)


def draw_shade(axes: Axes, shade: tuple[int, int] | None, code: str) -> None:
    """The steps of the finding ``code``, with a bar at the bottom for who sees no colours."""
    if shade is not None:
        axes.axvspan(*shade, color=_BAD, alpha=0.12, lw=0)
        axes.axvspan(*shade, ymax=0.02, color=_BAD, lw=0, label=code)


def drawable(values: FloatArray) -> FloatArray:
    """Finite values within what matplotlib's axes can hold: beyond 1e40 they are drawn at 1e40, below 1e-40 at 0."""
    return np.where(np.abs(values) < 1e-40, 0.0, np.clip(values, -1e40, 1e40))


def set_scale(axes: Axes, values: FloatArray, log: bool = True) -> None:
    """Set a log, symmetric-log or linear y axis by the span of ``values``."""
    low, high = float(values.min()), float(values.max())
    if log and low > 0 and high / low > _LOG_FROM:
        axes.set_yscale("log")
    elif log and low < 0:
        size = np.abs(values[values != 0])
        typical = float(np.median(size))
        # symmetric log hides size: only where a linear axis would flatten most of the curve
        if max(-low, high) > 20 * _LOG_FROM * typical:
            axes.set_yscale("symlog", linthresh=10 ** np.ceil(np.log10(typical)))
    plain_ticks(axes)


def plain_ticks(axes: Any, scale: str | None = None, limits: tuple[float, ...] | None = None) -> None:
    """Tick labels as plain numbers (0.002, 37,881) on every kind of y axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if (scale or axes.get_yscale()) == "log":
        low, high = limits or axes.get_ylim()
        parts = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 1000 * low else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=parts, numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v, 3)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def natural_axis(axes: Axes, diagnosis: Diagnosis, metric: str) -> str:
    """A second y axis in natural units where the verdict carries them; what to add to the caption."""
    verdict = verdict_of(diagnosis, metric)
    found = natural_function(verdict) if verdict else None
    if verdict is None or found is None:
        return ""
    kind, constant = found
    if kind == "db":
        if not np.all(drawable(diagnosis.run.series(metric)[1]) > 0):
            return ""
        axes.set_yscale("log")  # equal steps in dB are equal heights on a log axis
        plain_ticks(axes)
        functions: tuple[Any, Any] = (lambda v: constant - 10 * np.log10(v), lambda v: 10 ** ((constant - v) / 10))
    else:
        functions = (lambda v: v * constant, lambda v: v / constant)
    second = axes.secondary_yaxis("right", functions=functions)
    second.set_ylabel(f"{verdict.natural_name} ({verdict.natural_unit})")
    if kind == "ratio":
        plain_ticks(second, axes.get_yscale(), tuple(v * constant for v in axes.get_ylim()))
    else:
        plain_ticks(second, "linear")
        low, high = sorted(functions[0](np.array(axes.get_ylim())))
        gap = next((g for g in (0.5, 1, 2, 5, 10, 20, 50) if (high - low) / g <= 8), 100)
        second.set_yticks(np.arange(np.ceil(low / gap), np.floor(high / gap) + 1) * gap)
    now = quantity(verdict.natural_now, verdict.natural_unit)
    return f"; right axis: {verdict.natural_name}, now {now}"


def label_of(diagnosis: Diagnosis, metric: str) -> str:
    original = diagnosis.run.columns[metric].original
    title = metric_title(metric)
    return title if original in (metric, title) else f"{title}, in the log: {_short(plain(original))}"


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def verdict_of(diagnosis: Diagnosis, metric: str) -> MetricVerdict | None:
    return next((m for m in diagnosis.metrics if m.metric == metric), None)
