"""Diagnosis -> a Markdown report for somebody who has not seen the run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vaelab.catalog import METRICS, Metric
from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.dialects import Dialect, conventions
from vaelab.facts.base import Fact
from vaelab.report import layout, reading
from vaelab.report.first_view import first_view
from vaelab.report.glossary import explained
from vaelab.report.numbers import number, quantity, step_range, steps
from vaelab.report.plots import Plot
from vaelab.report.sparkline import sparkline_svg
from vaelab.rules.base import Finding
from vaelab.run import Run
from vaelab.words import belief

GROUP_TITLES = {
    "trainer": "Trainer", "algebra": "Loss algebra", "units": "Units", "phases": "Phases", "adversary": "Adversary",
    "optimiser": "Optimiser", "progress": "Progress",
}  # fmt: skip


def to_markdown(
    diagnoses: Sequence[Diagnosis],
    plots: Mapping[int, Sequence[tuple[str, Plot]]] | None = None,
    missing_plots: Mapping[int, Sequence[str]] | None = None,
) -> str:
    """One document for all runs, each with the same sections.

    plots: index of the run -> (path from the document, plot). missing_plots: index -> why a plot was left out.
    """
    runs = [
        {"d": d, "first": first_view(d), "facts": facts_by_group(d), "config": config_rows(d), "metrics": [_metric(d, m) for m in d.metrics],
         "milestone": milestone(d), "plots": (plots or {}).get(i, ()), "missing_plots": (missing_plots or {}).get(i, ())}
        for i, d in enumerate(diagnoses)
    ]  # fmt: skip
    return environment().get_template("report.md.j2").render(runs=runs, folder=layout.common_folder(diagnoses))


def environment(**options: Any) -> Environment:
    """The jinja2 environment with the functions every template lays out numbers and words with."""
    env = Environment(
        loader=PackageLoader("vaelab.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, **options,
    )  # fmt: skip
    env.filters.update(
        md=escape_markdown, cell=escape_cell, code=code_span, number=number, quantity=quantity, steps=steps,
        belief=belief, needed=layout.needed, sentence=layout.sentence, evidence=layout.evidence_text, plain=layout.plain,
        explained=explained,
    )  # fmt: skip
    env.globals.update(
        layout=layout, reading=reading, step_range=step_range, group_titles=GROUP_TITLES, trainer_title=trainer_title, spark=sparkline_svg,
        status_text=layout.status_text, metric_status_text=layout.METRIC_STATUS_TEXT,
    )  # fmt: skip
    return env


def facts_by_group(diagnosis: Diagnosis) -> dict[str, list[Fact]]:
    """Facts under their group, groups in reading order."""
    groups = {g: [f for f in diagnosis.statements if f.group == g] for g in GROUP_TITLES}
    return {g: facts for g, facts in groups.items() if facts}


def config_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """``(name, declared, inferred, remark)``: what the config says beside what the columns say."""
    facts = {f.name: f for f in diagnosis.statements}
    rows = []
    for name, declared in diagnosis.run.config.items():
        fact, mismatch = facts.get(name), facts.get(f"{name}_mismatch")
        inferred = ""
        if fact is not None and fact.value is not None and fact.standing in ("inferred", "bounded"):
            inferred = quantity(fact.value, fact.unit)
            if fact.low is not None and fact.high is not None:
                inferred += f" ({number(fact.low)} to {number(fact.high)})"
        shown = number(declared) if isinstance(declared, float) else str(declared)
        rows.append((name, shown, inferred, mismatch.text if mismatch else ""))
    return rows


def milestone(diagnosis: Diagnosis) -> str:
    """What comes next in the run, as the facts or else the expectations say."""
    texts = [f.text for f in diagnosis.statements if f.name == "milestone"]
    return next(iter((*texts, *diagnosis.expectations)), "none known from this log")


def trainer_title(run: Run) -> str:
    """The trainer's full name, or that of the parent of a fork."""
    return _trainer(run).title


def _trainer(run: Run) -> Dialect:
    return conventions(run.trainer, run.config, (c.original for c in run.columns.values()))


def _metric(diagnosis: Diagnosis, verdict: MetricVerdict) -> dict[str, Any]:
    name = verdict.metric.rpartition("/")[2]
    return {
        "v": verdict,
        "title": _capital(layout.metric_title(verdict.metric)),
        "observation": observation(verdict),
        "formula": _trainer(diagnosis.run).formulas.get(name, ""),
        "about": METRICS.get(name, Metric(name, name, (), "")),
        "findings": _findings_on(diagnosis, verdict.metric),
    }


def observation(m: MetricVerdict) -> str:
    """What the metric did, in numbers only."""
    if m.now is None:
        return "No values."
    text = f"{number(m.first)} first, {number(m.now)} now (last phase: {m.trend})"
    if m.low is not None and m.high is not None:
        text += f"; range {number(m.low)} to {number(m.high)}"
    if m.best is not None:
        text += f"; best {number(m.best)}"
    if m.natural_now is not None:
        text += f". {m.natural_name}: "
        text += f"{quantity(m.natural_first, m.natural_unit)} first, " if m.natural_first is not None else ""
        text += f"{quantity(m.natural_now, m.natural_unit)} now"
        text += f", best {quantity(m.natural_best, m.natural_unit)}" if m.natural_best is not None else ""
    return text + "."


def _findings_on(diagnosis: Diagnosis, metric: str) -> list[Finding]:
    return [f for f in diagnosis.findings if metric in f.metrics]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def escape_markdown(text: object) -> str:
    """``text`` as one line of prose: no HTML, no links, no line breaks of its own."""
    line = re.sub(r"\s+", " ", layout.plain(text)).strip()
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("](", "]\\(")


def escape_cell(text: object) -> str:
    """``text`` inside a table."""
    return escape_markdown(text).replace("|", "\\|")


def code_span(text: object) -> str:
    """``text`` as inline code; a text with backticks is fenced by more of them."""
    line = re.sub(r"\s+", " ", layout.plain(text)).strip().replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    return f"{fence}{' ' if len(fence) > 1 else ''}{line}{' ' if len(fence) > 1 else ''}{fence}" if line else ""
