"""Diagnoses, comparisons and rows of a log -> the answers of the MCP tools. What comes from a log is cleaned here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

import numpy as np

from vaelab.compare import POINTS, Comparison
from vaelab.diagnosis import Diagnosis, MetricVerdict, NextStep, RankedCause
from vaelab.errors import ConfigError
from vaelab.integrations import mcp_answers as answers
from vaelab.integrations.mcp_runs import KnownRun
from vaelab.integrations.mcp_text import LogText, name_of, path_of, quoted
from vaelab.report.downsample import keep_extremes
from vaelab.report.layout import (
    STATUS_TEXT,
    evidence_text,
    finding_tree,
    flatten,
    headline,
    natural_text,
    needed,
    new_patch_lines,
)
from vaelab.rules.base import Finding
from vaelab.run import IntArray, Run

Part = Literal["summary", "findings", "causes", "metrics", "phases", "facts", "answers", "notes"]
MOST_COLUMNS = 8
_NON_FINITE_ROWS = 3
_ROW_DIGITS = 10  # rows are compared with the log, which may print as many
_WORST_FIRST = ("bad", "watch", "good", "ok", "cannot-tell", "info")
_SUMMARY = {"metrics": 12, "phases": 12, "next": 4, "causes": 4, "findings": 10}
"""Lists of the summary with the most items it shows of each, in the order in which they are cut further."""


def run_line(known: KnownRun, log: str) -> answers.RunLine:
    """One run for ``list_runs``; ``log`` is the path to show."""
    d = known.diagnosis
    return answers.RunLine(
        run=known.id,
        log=path_of(log),
        trainer=d.run.trainer,
        rows=len(d.run),
        last_step=int(d.run.steps[-1]) if len(d.run) else None,
        status=d.status,
        headline=LogText([d.run]).sentence(headline(d), 300),
        changed=datetime.fromtimestamp(known.log.modified, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def diagnosis_answer(known: KnownRun, log: str, part: Part, first: int) -> answers.DiagnosisAnswer:
    """The summary, or the list ``part`` from item ``first`` on (0 is the first one; a summary always begins there)."""
    first = 0 if part == "summary" else first
    d = known.diagnosis
    text = LogText([d.run])
    nodes = flatten(finding_tree(d.findings))
    lists: dict[str, list[Any]] = {
        "findings": [finding_line(node.finding, text) for _, node in nodes],
        "causes": [_cause(cause, text) for cause in d.causes],
        "next": [
            answers.StepLine(text=text.sentence(step.text, 500), patch=_patch(patch, text), cause=step.cause or "")
            for step, patch in zip(d.next, new_patch_lines(d.next), strict=True)
        ],
        "metrics": [_metric(m) for m in sorted(d.metrics, key=lambda m: _WORST_FIRST.index(m.status))],
        "phases": [
            answers.PhaseLine(kind=p.kind, first_step=p.first_step, last_step=p.last_step)
            for p in sorted(d.phases, key=lambda p: p.first_step)
            if p.kind != "whole" or len(d.phases) == 1
        ],
    }
    others: dict[str, Callable[[Diagnosis, LogText], list[str]]]
    others = {"facts": _facts, "answers": _questions, "notes": _notes}
    if part in others:
        lists[part] = others[part](d, text)
    wanted = tuple(_SUMMARY) if part == "summary" else (part,)
    answer = answers.DiagnosisAnswer(
        run=known.id,
        log=path_of(log),
        status=d.status,
        verdict=STATUS_TEXT[d.status],
        headline=text.sentence(headline(d)),
        confidence=round(d.confidence, 2),
        confidence_text=text.sentence(d.confidence_text, 300),
        trainer=d.run.trainer,
        rows=len(d.run),
        first_step=int(d.run.steps[0]) if len(d.run) else None,
        last_step=int(d.run.steps[-1]) if len(d.run) else None,
        step_unit=d.run.step_unit,
        rules_not_run=len(d.skipped),
        **{name: lists[name][first:] for name in wanted},
    )
    calls = {name: f'diagnose(run="{known.id}", part="{name}", first={{first}})' for name in wanted}
    calls |= {"next": f'next_steps(run="{known.id}")'} if part == "summary" else {}
    return answers.fit(answer, calls, first, _SUMMARY if part == "summary" else None)


def next_steps_answer(known: KnownRun, first: int) -> answers.NextSteps:
    """All steps from ``first`` on, what would change the verdict, and what the log lacks."""
    d = known.diagnosis
    text = LogText([d.run])
    lacks = Counter(need for rule in d.skipped for need in rule.missing)
    answer = answers.NextSteps(
        run=known.id,
        status=d.status,
        headline=text.sentence(headline(d)),
        steps=[step_line(step, text) for step in d.next][first:],
        would_change=[text.sentence(t, 300) for t in d.would_change],
        to_log=[f"{needed(need)} ({count} rule{'s' if count > 1 else ''})" for need, count in lacks.most_common(10)],
    )
    return answers.fit(answer, {"steps": f'next_steps(run="{known.id}", first={{first}})'}, first)


def comparison_answer(
    comparison: Comparison, known: Sequence[KnownRun], part: str, first: int
) -> answers.ComparisonAnswer:
    """The comparison of ``known`` (the same runs in the same order), or its list ``part`` from item ``first`` on."""
    first = 0 if part == "summary" else first
    text = LogText([k.run for k in known], [run.label for run in comparison.runs])
    lists: dict[str, list[Any]] = {
        "settings": [
            answers.ComparedSetting(
                setting=name_of(s.key),
                values=[
                    f"{text.sentence(value, 60)}{'' if how == 'declared' else f' ({how})'}" for value, how in s.values
                ],
            )
            for s in comparison.settings
        ],
        "quantities": [
            answers.ComparedQuantity(
                name=name_of(q.name),
                title=text.sentence(q.title, 100),
                unit=q.unit,
                comparable=q.comparable,
                reason=text.sentence(q.reason, 300),
                values=[[_number(value) for value in values] for values in q.values],
            )
            for q in comparison.quantities
        ],
        "warnings": [text.sentence(t, 500) for t in comparison.warnings],
        "conclusions": [text.sentence(t, 500) for t in comparison.conclusions],
    }
    wanted = tuple(lists) if part == "summary" else (part,)
    answer = answers.ComparisonAnswer(
        runs=[
            answers.ComparedRun(
                label=name_of(run.label),
                run=k.id,
                trainer=run.trainer,
                status=k.diagnosis.status,
                headline=text.sentence(headline(k.diagnosis), 200),
                last_step=run.last_step,
                gan_start=run.gan_start,
                top_cause=text.sentence(run.top_cause or "", 100),
            )
            for run, k in zip(comparison.runs, known, strict=True)
        ],
        points=list(POINTS),
        common_step=comparison.common_step,
        **{name: lists[name][first:] for name in wanted},
    )
    ids = ", ".join(f'"{k.id}"' for k in known)
    return answers.fit(
        answer, {name: f'compare(runs=[{ids}], part="{name}", first={{first}})' for name in wanted}, first
    )


def evidence_answer(
    known: KnownRun, log: str, findings: Sequence[Finding], metrics: Sequence[str], first: int | None,
    last: int | None, most: int,
) -> answers.EvidenceAnswer:  # fmt: skip
    """The numbers that ``findings`` rest on, and rows of ``metrics`` (columns of the run) from step ``first`` to ``last``.

    Raises ConfigError if no row lies there.
    """
    run, text = known.run, LogText([known.run])
    columns = [m for m in metrics if m in run][:MOST_COLUMNS]
    if findings and first is None and last is None:
        at = _rows_of(run, columns, findings)
    else:
        at = _rows_between(run, columns, first, last)
    shown = at[_telling_rows(run, columns, at, most)]
    answer = answers.EvidenceAnswer(
        run=known.id,
        log=path_of(log),
        findings=[finding_line(f, text) for f in findings],
        evidence=[
            answers.EvidenceLine(text=text.sentence(evidence_text(e), 250), step=e.step, line=e.line)
            for f in findings
            for e in f.evidence
        ],
        columns=[name_of(c) for c in columns],
        rows=[_row(run, columns, int(row)) for row in shown],
        rows_in_range=len(at),
        first_step=int(run.steps[at[0]]) if len(at) else None,
        last_step=int(run.steps[at[-1]]) if len(at) else None,
        chosen=""
        if len(shown) == len(at)
        else f"both ends, the lowest and highest values of {name_of(columns[0])} in equal pieces, and first rows of NaN or inf",
    )
    asked = f'finding="{findings[0].code}"' if findings else f'metric="{name_of(columns[0])}"'
    narrower = f'evidence(run="{known.id}", {asked}, first_step=..., last_step=...) with a narrower range of steps'
    return answers.fit(answer, {"rows": narrower, "evidence": narrower, "findings": narrower})


def finding_line(f: Finding, text: LogText) -> answers.FindingLine:
    return answers.FindingLine(
        code=f.code, name=f.name, severity=f.severity, message=text.sentence(f.message), first_step=f.first_step,
        last_step=f.last_step, follows_from=f.explained_by or "",
    )  # fmt: skip


def step_line(step: NextStep, text: LogText) -> answers.StepLine:
    return answers.StepLine(
        text=text.sentence(step.text, 500), patch=_patch(step.patch, text),
        expected=text.sentence(step.expected, 400), not_it_if=text.sentence(step.falsify, 400), cause=step.cause or "",
        test=text.sentence(step.command, 400),
    )  # fmt: skip


def _patch(lines: Sequence[str], text: LogText) -> list[str]:
    return [text.sentence(line, 200) for line in lines[:10]]


def _cause(cause: RankedCause, text: LogText) -> answers.CauseLine:
    return answers.CauseLine(
        id=cause.id, name=cause.name, title=text.sentence(cause.title, 200), belief=round(cause.score, 3),
        findings=[f.split()[0] for f in cause.supporting][:12], against=[f.split()[0] for f in cause.opposing][:12],
        test=text.sentence(cause.test, 400),
    )  # fmt: skip


def _metric(m: MetricVerdict) -> answers.MetricLine:
    return answers.MetricLine(
        metric=name_of(m.metric), status=m.status, trend=m.trend, first=_number(m.first), now=_number(m.now),
        best=_number(m.best), natural=natural_text(m),
    )  # fmt: skip


def _facts(d: Diagnosis, text: LogText) -> list[str]:
    return [text.sentence(f"{f.name} ({f.standing}): {f.text}", 500) for f in d.statements]


def _questions(d: Diagnosis, text: LogText) -> list[str]:
    return [text.sentence(f"{q.question} {q.answer}") for q in d.questions]


def _notes(d: Diagnosis, text: LogText) -> list[str]:
    events = [
        f"event {e.kind}{'' if e.step is None else f' at step {e.step}'}"
        f"{'' if e.line is None else f' (line {e.line})'}: {quoted(e.text)}"
        for e in d.run.events
    ]
    return [*events, *(f"reading {n.kind} ({n.count}): {quoted(n.text, 300)}" for n in d.run.notes)]


def _rows_of(run: Run, columns: Sequence[str], findings: Sequence[Finding]) -> IntArray:
    """Rows of the steps that ``findings`` speak of; where that is one row or none, the rows around it too."""
    at = _rows_with(run, columns)
    first = min((f.first_step for f in findings if f.first_step is not None), default=None)
    last = max((f.last_step for f in findings if f.last_step is not None), default=None)
    start = 0 if first is None else int(np.searchsorted(run.steps[at], first))
    stop = len(at) if last is None else int(np.searchsorted(run.steps[at], last, side="right"))
    return at[start:stop] if stop - start > 1 else at[max(start - 1, 0) : stop + 1]


def _rows_with(run: Run, columns: Sequence[str]) -> IntArray:
    """Rows that hold one of ``columns``."""
    return np.flatnonzero(np.logical_or.reduce([run.columns[c].logged for c in columns] or [np.zeros(len(run), bool)]))


def _rows_between(run: Run, columns: Sequence[str], first: int | None, last: int | None) -> IntArray:
    """Rows from step ``first`` to ``last`` that hold one of ``columns``. Raises ConfigError if there are none."""
    at = _rows_with(run, columns)
    low = run.steps[0] if first is None else first
    high = run.steps[-1] if last is None else last
    at = at[(run.steps[at] >= low) & (run.steps[at] <= high)]
    if not len(at):
        raise ConfigError(
            f"No row of {', '.join(map(name_of, columns)) or 'this finding'} lies from step {low:,} to {high:,}: the log goes from"
            f" {run.steps[0]:,} to {run.steps[-1]:,}."
        )
    return at


def _telling_rows(run: Run, columns: Sequence[str], at: IntArray, most: int) -> IntArray:
    """Positions in ``at``, at most ``most`` (4 or more), that show the extremes and the first non-finite rows."""
    if len(at) <= most:
        return np.arange(len(at))
    values = run[columns[0]][at]
    odd = np.flatnonzero(run.columns[columns[0]].logged[at] & ~np.isfinite(values))[:_NON_FINITE_ROWS]
    odd = odd[: most - 4] if most > 4 else odd[:0]
    finite = np.flatnonzero(np.isfinite(values))
    finite = finite if len(finite) else np.arange(len(at))
    kept = finite[keep_extremes(np.nan_to_num(values[finite]), most - len(odd))]
    return np.union1d(kept, odd)


def _row(run: Run, columns: Sequence[str], row: int) -> answers.EvidenceRow:
    values = [_number(float(run[c][row]), _ROW_DIGITS) if run.columns[c].logged[row] else None for c in columns]
    line = next((line for c in columns if (line := run.line(c, row)) is not None), None)
    return answers.EvidenceRow(step=int(run.steps[row]), line=line, values=values)


def _number(value: float | None, digits: int = 6) -> answers.Number:
    """So many significant digits; what JSON cannot hold as a word."""
    if value is None or math.isfinite(value):
        return None if value is None else float(f"{value:.{digits}g}")
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
