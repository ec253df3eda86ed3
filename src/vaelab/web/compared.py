"""Several runs over each other: what ``vaelab compare`` says of them, and charts with one line for each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vaelab.compare import MAIN_METRICS, POINTS, compare
from vaelab.diagnosis import Diagnosis
from vaelab.report.charts import in_decibels, points
from vaelab.report.layout import metric_title, plain
from vaelab.run import FloatArray, IntArray
from vaelab.web.views import RunView, templates

MOST_RUNS = 12
FIRST = 2  # charts above the fold
_NATURAL = "natural:"
"""Begins the names of metrics in units that compare, beside those as logged."""

_TITLES = {"psnr": ("PSNR", "dB"), "kl_nats": ("KL", "nats per latent element")}


AXES: Mapping[str, tuple[str, Callable[[Diagnosis], float | None]]] = {
    "step": ("step", lambda d: 1.0),
    "seconds": ("hour", lambda d: d.facts.progress.seconds / 3600 if d.facts.progress.seconds else None),
    "samples": ("sample", lambda d: d.facts.view.number("batch_size")),
}
"""What the curves may be drawn over: its unit, and how many of it a step is, None where the log does not tell."""


def comparison(views: Sequence[RunView], over: str) -> dict[str, Any]:
    """The text as HTML, the axis (one of ``AXES``), and the charts: first in natural units, then what at least two runs have
    logged. leftOut: names of the runs that cannot be drawn over it."""
    found = [_diagnosis(view) for view in views]
    c = compare(found)
    template = templates().get_template("compare.html.j2")
    shown = {"c": c, "points": POINTS, "ids": [v.id for v in views], "statuses": [v.status for v in views]}
    module: Any = template.make_module(shown)
    unit, per_step = AXES[over]
    sizes = [per_step(d) for d in found]
    steps = [
        float(end) * size
        for d, size in zip(found, sizes, strict=True)
        if size and len(d.run)
        for end in (d.run.steps[0], d.run.steps[-1])
    ]
    units = sorted({d.run.step_unit for d in found})
    labels = [plain(run.label) for run in c.runs]
    return {
        "parts": {part: str(getattr(module, part)()).strip() for part in ("title", "comparison", "numbers")},
        "axis": {
            "stepUnit": units[0] if over == "step" else unit,
            "steps": [min(steps, default=0), max(steps, default=1)],
            "phases": [],
            "markers": [],
        },
        "leftOut": [label for label, size in zip(labels, sizes, strict=True) if not size],
        "charts": [
            {
                **chart,
                "lines": labels,
                "levels": [],
                "natural": None,
                "shade": None,
                "code": "",
                "says": "",
                "place": "first" if i < FIRST else "main",
            }
            for i, chart in enumerate(_charts(found))
        ],
    }


def compared_points(
    views: Sequence[RunView], metric: str, over: str, limit: int, first: float | None, last: float | None
) -> dict[str, Any]:
    """``x`` and, for each run, ``y``: values of ``metric``, which ``comparison`` has named."""
    lines, converters = zip(*(_line(_diagnosis(view), metric, over) for view in views), strict=True)
    found = points(lines, limit, first, last)
    found["y"] = [list(map(convert, y)) for convert, y in zip(converters, found["y"], strict=True)]
    return {**found, "notFinite": []}


_Convert = Callable[[float | None], float | None]


def _line(d: Diagnosis, metric: str, over: str) -> tuple[tuple[IntArray | FloatArray, FloatArray], _Convert]:
    """Places on the axis and values as logged, and what makes them comparable. It keeps or turns the order, so extremes stay so."""
    scales = d.facts.scales
    to_natural: Callable[[float], float | None] | None = None
    column = metric
    if metric == f"{_NATURAL}psnr":
        column, to_natural = scales.error, scales.psnr
    elif metric == f"{_NATURAL}kl_nats":
        column, to_natural = "kl_loss", scales.nats_per_element
    name = next((m for m in d.run if plain(m) == column), None)
    steps, values = d.run.series(name) if name is not None else d.run.series("")

    def convert(value: float | None) -> float | None:
        return value if value is None or to_natural is None else _rounded(to_natural(value))

    size = AXES[over][1](d)
    if not size:
        steps, values = d.run.series("")
    places: IntArray | FloatArray = steps if over == "step" or not size else steps * np.float64(size)
    return (places, values), convert


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and abs(value) < float("inf") else None


def _charts(found: Sequence[Diagnosis]) -> list[dict[str, Any]]:
    charts = []
    if all(d.facts.scales.psnr_exact for d in found):
        charts.append(_chart("psnr"))
    if all(d.facts.scales.nats is not None and "kl_loss" in d.run for d in found):
        charts.append(_chart("kl_nats"))
    names = [*MAIN_METRICS, *(m for d in found for m in (*(v.metric for v in d.metrics), *d.run))]
    for metric in dict.fromkeys(names):
        having = [d for d in found if len(d.run.series(metric)[0])]
        if len(having) >= 2:
            originals = sorted({plain(d.run.columns[metric].original) for d in having})
            rows = max(len(d.run.series(metric)[0]) for d in having)
            charts.append(
                {
                    "metrics": [plain(metric)],
                    "title": metric_title(metric),
                    "original": ", ".join(originals),
                    "rows": rows,
                    "decibels": in_decibels(metric),
                }
            )
    return charts


def _chart(natural: str) -> dict[str, Any]:
    title, unit = _TITLES[natural]
    return {
        "metrics": [_NATURAL + natural],
        "title": f"{title} in {unit}",
        "original": "converted",
        "rows": 0,
        "decibels": unit == "dB",
    }


def _diagnosis(view: RunView) -> Diagnosis:
    assert view.diagnosis is not None, "runs without a diagnosis are refused before"
    return view.diagnosis
