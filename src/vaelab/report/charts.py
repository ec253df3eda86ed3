"""What a browser draws: the charts of a run, and the points of a chart's lines over a range of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from vaelab.catalog import METRICS
from vaelab.diagnosis import Diagnosis
from vaelab.report.downsample import keep_extremes
from vaelab.report.evidence import EvidencePlot, evidence_plots, levels, natural, together
from vaelab.report.layout import markers, metric_title, phase_spans, plain
from vaelab.run import FloatArray, IntArray, Run

MOST_MARKERS = 50
MOST_NOT_FINITE = 100


def steps_of(diagnosis: Diagnosis) -> dict[str, Any]:
    """What all charts of a run share: ends and unit of the step axis, phases to shade, events to mark."""
    run = diagnosis.run
    return {
        "stepUnit": run.step_unit,
        "steps": [int(run.steps[0]), int(run.steps[-1])] if len(run) else [0, 1],
        "phases": [
            {"kind": p.kind, "title": plain(p.title), "first": start, "last": end}
            for p, start, end in phase_spans(diagnosis)
        ],
        "markers": [
            {"step": m.step, "label": m.label, "kind": m.kind} for m in markers(diagnosis)[:MOST_MARKERS]
        ],
    }  # fmt: skip


def charts(diagnosis: Diagnosis) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Metrics of each chart and what the page says of it: those of the first view, then the judged ones in the order of the table.
    Some metrics belong into one chart."""
    run = diagnosis.run
    known = [m for m in dict.fromkeys([*(v.metric for v in diagnosis.metrics), *run]) if len(run.series(m)[0])]
    first = {plot.metrics: plot for plot in evidence_plots(diagnosis)} if len(run) else {}
    groups = dict.fromkeys([*first, *(together(metric, known) for metric in known)])
    return [(group, _about(diagnosis, group, first)) for group in groups]


def _about(
    diagnosis: Diagnosis, metrics: tuple[str, ...], first: Mapping[tuple[str, ...], EvidencePlot]
) -> dict[str, Any]:
    """Texts of a chart, and what is drawn beside its curves. place: ``first`` view, ``main``, or ``dull`` where no curve ever moves.
    shade: the steps of the finding ``code``. says: its first sentence, for who sees no plot. decibels: already a logarithm, so the axis starts linear."""
    run, unit = diagnosis.run, natural(diagnosis, metrics[0])
    code = first[metrics].code if metrics in first else ""
    moves = any(np.ptp(run.series(m)[1]) > 0 for m in metrics)
    return {
        "metrics": list(map(plain, metrics)),
        "title": " and ".join(metric_title(m) for m in metrics),
        "original": ", ".join(plain(run.columns[m].original) for m in metrics),
        "rows": int(max(len(run.series(m)[0]) for m in metrics)),
        "place": "first" if metrics in first else "main" if moves else "dull",
        "shade": first[metrics].shade if metrics in first else None,
        "code": code,
        "says": next((plain(f.message).split(". ")[0] for f in diagnosis.findings if f.code == code), ""),
        "levels": [asdict(level) for level in levels(diagnosis, metrics[0])],
        "natural": asdict(unit) if unit is not None and len(metrics) == 1 else None,
        "decibels": in_decibels(metrics[0]),
    }


def in_decibels(metric: str) -> bool:
    """Whether ``metric`` is logged in dB."""
    name = metric.rpartition("/")[2]
    return name in METRICS and METRICS[name].unit == "dB"


def points(
    lines: Sequence[tuple[IntArray | FloatArray, FloatArray]],
    limit: int,
    first: float | None = None,
    last: float | None = None,
) -> dict[str, list[Any]]:
    """The points of lines that share one step axis, every peak and trough among them.

    lines: steps (n,) increasing and values (n,) of each, NaN or infinite where there is nothing to draw. limit: points of
    all lines together. first, last: steps shown; one more value on either side lets a line run to the edge of its plot.

    Gives ``x`` (steps, m) and ``y`` (a list (m,) for each line, null where it has no value).
    """
    kept = [_shown_rows(steps, values, limit // len(lines), first, last) for steps, values in lines]
    x = np.unique(np.concatenate([steps[rows] for (steps, _), rows in zip(lines, kept, strict=True)]))
    return {"x": x.tolist(), "y": [_at(x, steps, values) for steps, values in lines]}


def not_finite(run: Run, metric: str) -> list[int]:
    """Steps, about a hundred at most, at which ``metric`` was logged as NaN or infinity."""
    column = run.columns[metric]
    bad = run.steps[column.logged & ~np.isfinite(column.values)]
    return bad[:: max(len(bad) // MOST_NOT_FINITE, 1)].tolist()


def _shown_rows(
    steps: IntArray | FloatArray, values: FloatArray, limit: int, first: float | None, last: float | None
) -> IntArray:
    finite = np.flatnonzero(np.isfinite(values))
    # rows of the range, then their places among the finite ones: the steps of a long log are not copied
    start = 0 if first is None else max(int(np.searchsorted(finite, np.searchsorted(steps, first))) - 1, 0)
    after = len(steps) if last is None else np.searchsorted(steps, last, side="right")
    stop = int(np.searchsorted(finite, after)) + 1
    finite = finite[start:stop]
    return finite[keep_extremes(values[finite], limit)]


def _at(x: IntArray | FloatArray, steps: IntArray | FloatArray, values: FloatArray) -> list[float | None]:
    """Values at the steps ``x``, None where the line has none there."""
    if not len(steps):
        return [None] * len(x)
    rows = np.minimum(np.searchsorted(steps, x), len(steps) - 1)
    return [_rounded(value) if there else None for value, there in zip(values[rows], steps[rows] == x, strict=True)]


def _rounded(value: float) -> float | None:
    """Six significant digits are more than a screen shows; null where the row has no number."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
