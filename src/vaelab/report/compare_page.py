"""Many runs -> one self-contained page: a table that sorts, filters and groups, and the chosen runs over each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaelab.compare import MAIN_METRICS, Comparison, compare, differing_settings
from vaelab.diagnosis import Diagnosis
from vaelab.report.charts import points
from vaelab.report.first_view import without_cause
from vaelab.report.html import page_parts
from vaelab.report.layout import headline, metric_title, plain
from vaelab.report.markdown import environment
from vaelab.report.numbers import number

NUMBERS = 400_000
"""Points of all curves together; each curve has at least ``LEAST`` and at most ``MOST``."""
LEAST, MOST = 40, 600
METRICS = 6  # that can be drawn over each other
SPARK = 40


def compare_page(diagnoses: Sequence[Diagnosis]) -> str:
    """The page of two or more runs. Raises ConfigError for fewer."""
    comparison = compare(diagnoses)
    metrics = _metrics(diagnoses)
    limit = min(max(NUMBERS // max(len(diagnoses) * len(metrics), 1), LEAST), MOST)
    settings = differing_settings(diagnoses)
    data = {
        "settings": list(settings),
        "numbers": [f"{q.title}{f' ({q.unit})' if q.unit else ''}{'' if q.comparable else ' *'}" for q in comparison.quantities],
        "metrics": [{"name": plain(m), "title": metric_title(m)} for m in metrics],
        "runs": [
            _run(d, i, comparison, settings, metrics, limit) for i, d in enumerate(diagnoses)
        ],
    }  # fmt: skip
    return (
        environment(autoescape=True)
        .get_template("compare_page.html.j2")
        .render(c=comparison, title=f"{len(diagnoses)} runs", **page_parts(data, "compare.js"))
    )


def _metrics(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """The metrics that most runs have, in the order of the first verdicts."""
    judged = (m.metric for d in diagnoses[:50] for m in d.metrics)
    names = list(dict.fromkeys((*MAIN_METRICS, *judged)))
    having = {name: sum(name in d.run for d in diagnoses) for name in names}
    usual = [name for name in names if having[name] >= max(2, len(diagnoses) // 3)]
    return (usual or [name for name in names if having[name]])[:METRICS]


def _run(
    d: Diagnosis, place: int, c: Comparison, settings: dict[str, list[Any]], metrics: Sequence[str], limit: int
) -> dict[str, Any]:
    """What the table says of one run, and its curves. seconds, samples: of one step, None where the log does not tell."""
    summary = c.runs[place]
    batch = d.facts.view.number("batch_size")
    steps, values = d.run.series(next((m for m in metrics if m in d.run), ""))
    curves = {}
    for metric in metrics:
        if metric in d.run and len(d.run.series(metric)[0]):
            found = points([(d.run.steps, d.run[metric])], limit)
            curves[plain(metric)] = [found["x"], found["y"][0]]
    return {
        "name": plain(summary.label), "source": plain(summary.source), "trainer": plain(summary.trainer), "status": summary.status,
        "verdict": plain(without_cause(headline(d))), "cause": plain(summary.top_cause or ""), "step": summary.last_step,
        "settings": [plain(number(v) if isinstance(v, float) else v) if v is not None else "" for v in (settings[s][place] for s in settings)],
        "numbers": [_finite(q.values[place][2]) for q in c.quantities],
        "spark": [_finite(float(np.median(part))) for part in np.array_split(values, min(SPARK, len(values)))] if len(steps) else [],
        "seconds": d.facts.progress.seconds, "samples": batch, "stepUnit": d.run.step_unit, "curves": curves,
    }  # fmt: skip


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and np.isfinite(value) else None
