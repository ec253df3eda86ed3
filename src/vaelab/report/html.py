"""Diagnosis -> one self-contained HTML page: no network, works from a file, safe with any text a log holds."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from vaelab.diagnosis import Diagnosis
from vaelab.report.charts import charts, not_finite, points, steps_of
from vaelab.report.first_view import first_view
from vaelab.report.glossary import explanations
from vaelab.report.layout import (
    WORST_FIRST,
    FindingNode,
    common_folder,
    finding_tree,
    flatten,
    markers,
    phase_spans,
    plain,
)
from vaelab.report.markdown import config_rows, environment, facts_by_group, observation
from vaelab.rules.base import Finding

POINTS = 2000


def to_html(diagnoses: Sequence[Diagnosis]) -> str:
    """The page for one run or several (a list then selects the run shown)."""
    env = environment(autoescape=True)
    return env.get_template("report.html.j2").render(
        runs=[run_layout(d) for d in diagnoses],
        folder=common_folder(diagnoses),
        order=sorted(range(len(diagnoses)), key=lambda i: WORST_FIRST.index(diagnoses[i].status)),
        title=plain(diagnoses[0].run.source) if len(diagnoses) == 1 else f"{len(diagnoses)} runs",
        explanations=explanations(),
        **page_parts([_data(d) for d in diagnoses], "charts.js", "report.js"),
    )


def page_parts(data: Any, *scripts: str) -> dict[str, Any]:
    """What a page without a network carries in itself: style, the plot library, these scripts and their data."""
    library, script = static("uPlot.iife.min.js"), "".join(map(static, ("chart-drawing.js", *scripts)))
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {static('dark.css')} }}"
    return {
        # only these two scripts may run: whatever a log smuggles in, the browser refuses it
        "script_hashes": " ".join(map(_hash, (library, script))),
        "style": Markup(static("uPlot.min.css") + static("report.css") + dark),
        "library": Markup(library),
        "script": Markup(script),
        "data": Markup(_script_safe_json(data)),
    }


def run_layout(diagnosis: Diagnosis) -> dict[str, Any]:
    """What the templates lay out of one run."""
    telling = [m for m in diagnosis.metrics if m.status != "info" or m.text]
    return {
        "d": diagnosis,
        "first": first_view(diagnosis),
        "telling": telling,
        "dull": [m for m in diagnosis.metrics if m not in telling],
        "facts": facts_by_group(diagnosis),
        "config": config_rows(diagnosis),
        "observations": {m.metric: observation(m) for m in diagnosis.metrics},
        "strip": _strip(diagnosis),
        **findings_layout(diagnosis.findings),
    }


def static(name: str) -> str:
    """A script or style sheet that the page and the live page share."""
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


def findings_layout(findings: Sequence[Finding]) -> dict[str, list[tuple[int, FindingNode]]]:
    """Findings in reading order, and apart from them the trees in which nothing is worse than info."""
    trees = [flatten([root]) for root in finding_tree(findings)]
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
    """What the page's script draws: charts with their points, phases and markers."""
    run = diagnosis.run
    drawn = [
        {**about, **points([(run.steps, run[m]) for m in metrics], POINTS), "notFinite": not_finite(run, metrics[0])}
        for metrics, about in charts(diagnosis)
    ]
    return {**steps_of(diagnosis), "charts": drawn}
