"""Diagnosis -> one self-contained HTML page: no network, works from a file, safe with any text a log holds."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from markupsafe import Markup

from vaelab.diagnosis import Diagnosis
from vaelab.report.downsample import keep_extremes
from vaelab.report.layout import (
    FindingNode,
    common_folder,
    finding_tree,
    flatten,
    markers,
    metric_title,
    phase_spans,
    plain,
)
from vaelab.report.markdown import config_rows, environment, facts_by_group, observation
from vaelab.report.plots import chance_level

POINTS = 2000
_TOGETHER = (("logits_real", "logits_fake"), ("lr", "disc_lr"), ("grad_norm", "disc_grad_norm"))


def to_html(diagnoses: Sequence[Diagnosis]) -> str:
    """The page for one run or several (a list then selects the run shown)."""
    library, script = _static("uPlot.iife.min.js"), _static("report.js")
    runs = [
        {"d": d, "facts": facts_by_group(d), "config": config_rows(d), **_findings(d),
         "observations": {m.metric: observation(m) for m in d.metrics}, "strip": _strip(d)}
        for d in diagnoses
    ]  # fmt: skip
    env = environment(autoescape=True)
    return env.get_template("report.html.j2").render(
        runs=runs,
        folder=common_folder(diagnoses),
        title=plain(diagnoses[0].run.source) if len(diagnoses) == 1 else f"{len(diagnoses)} runs",
        # only these two scripts may run: whatever a log smuggles in, the browser refuses it
        script_hashes=" ".join(_hash(s) for s in (library, script)),
        style=Markup(_static("uPlot.min.css") + _static("report.css")),
        library=Markup(library),
        script=Markup(script),
        data=Markup(_script_safe_json([_data(d) for d in diagnoses])),
    )


def _static(name: str) -> str:
    return (resources.files("vaelab.report") / "static" / name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _script_safe_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for bad, escaped in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(bad, escaped)
    return text


def _findings(diagnosis: Diagnosis) -> dict[str, list[tuple[int, FindingNode]]]:
    """Findings in reading order, and apart from them the trees in which nothing is worse than info."""
    trees = [flatten([root]) for root in finding_tree(diagnosis.findings)]
    remarks = [t for t in trees if all(node.finding.severity == "info" for _, node in t)]
    return {
        "findings": [row for t in trees if t not in remarks for row in t],
        "remarks": [row for t in remarks for row in t],
    }


def _strip(diagnosis: Diagnosis) -> dict[str, Any]:
    """Phases and markers of the phase strip, as shares of the step axis in percent."""
    steps = diagnosis.run.steps
    first, last = (int(steps[0]), int(steps[-1])) if len(steps) else (0, 0)
    span = max(last - first, 1)
    share = lambda step: round(100 * min(max((step - first) / span, 0), 1), 3)  # noqa: E731
    phases = [
        {"kind": p.kind, "title": p.title, "first": p.first_step, "last": p.last_step, "left": share(start),
         "width": round(max(share(end) - share(start), 0.3), 3)}
        for p, start, end in phase_spans(diagnosis)
    ]  # fmt: skip
    return {"phases": phases, "markers": [(m, share(m.step)) for m in markers(diagnosis)[:50]]}


def _data(diagnosis: Diagnosis) -> dict[str, Any]:
    """What the page's script draws: charts with their series, phases and markers."""
    run = diagnosis.run
    return {
        "stepUnit": run.step_unit,
        "steps": [int(run.steps[0]), int(run.steps[-1])] if len(run) else [0, 1],
        "phases": [
            {"kind": p.kind, "title": plain(p.title), "first": start, "last": end}
            for p, start, end in phase_spans(diagnosis)
        ],
        "markers": [{"step": m.step, "label": m.label, "kind": m.kind} for m in markers(diagnosis)[:50]],
        "charts": [_chart(diagnosis, names) for names in _charts(diagnosis)],
    }


def _charts(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """Metrics of each chart: judged ones first, in the order of the table; some belong into one chart."""
    run = diagnosis.run
    known = [m for m in dict.fromkeys([*(v.metric for v in diagnosis.metrics), *run]) if len(run.series(m)[0])]
    charts: list[tuple[str, ...]] = []
    for metric in known:
        group = next((g for g in _TOGETHER if metric in g), (metric,))
        shown = tuple(m for m in group if m in known)
        if shown not in charts:
            charts.append(shown)
    return charts


def _chart(diagnosis: Diagnosis, names: Sequence[str]) -> dict[str, Any]:
    run = diagnosis.run
    rows = np.unique(np.concatenate([_kept_rows(diagnosis, m, POINTS // len(names)) for m in names]))
    logged = run.rows(names[0])
    bad = run.steps[logged[~np.isfinite(run[names[0]][logged])]]
    return {
        "metrics": list(map(plain, names)),
        "title": " and ".join(metric_title(m) for m in names),
        "original": ", ".join(plain(run.columns[m].original) for m in names),
        "x": run.steps[rows].tolist(),
        "y": [[_rounded(v) for v in run[m][rows]] for m in names],
        "notFinite": bad[:: max(len(bad) // 100, 1)].tolist(),
        "rows": int(max(len(run.series(m)[0]) for m in names)),
        "level": chance_level(diagnosis) if names[0] == "disc_loss" else None,
    }


def _kept_rows(diagnosis: Diagnosis, metric: str, limit: int) -> Any:
    finite = np.flatnonzero(np.isfinite(diagnosis.run[metric]))
    return finite[keep_extremes(diagnosis.run[metric][finite], limit)]


def _rounded(value: float) -> float | None:
    """Six significant digits are more than a screen shows; null where the row has no number."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
