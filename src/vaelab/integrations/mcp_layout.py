"""Diagnoses and comparisons -> the answers of the MCP tools. What comes from a log is cleaned here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone
from typing import Any, Literal, TypeVar

from annotated_types import MaxLen
from pydantic import BaseModel

from vaelab.compare import POINTS, Comparison
from vaelab.diagnosis import Diagnosis, MetricVerdict
from vaelab.integrations import mcp_answers as answers
from vaelab.integrations.mcp_runs import KnownRun
from vaelab.integrations.mcp_text import SENTENCE_LIMIT, LogText, name_of, path_of, quoted
from vaelab.report.json_report import json_name
from vaelab.report.layout import (
    finding_tree,
    flatten,
    headline,
    natural_text,
    needed,
    new_patch_lines,
    status_text,
)

Part = Literal["summary", "findings", "causes", "metrics", "phases", "facts", "answers", "notes"]
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
        "findings": [line(answers.FindingLine, node.finding, text) for _, node in nodes],
        "causes": [line(answers.CauseLine, cause, text, score=round(cause.score, 3)) for cause in d.causes],
        "next": [
            line(answers.StepLine, replace(step, patch=patch, expected="", falsify="", command=""), text)
            for step, patch in zip(d.next, new_patch_lines(d.next), strict=True)
        ],
        "metrics": [_metric(m, text) for m in sorted(d.metrics, key=lambda m: _WORST_FIRST.index(m.status))],
        "phases": [
            line(answers.PhaseLine, p, text)
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
        verdict=status_text(d),
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
        steps=[line(answers.StepLine, step, text) for step in d.next][first:],
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
                values=[[number_of(value) for value in values] for values in q.values],
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


P = TypeVar("P", bound=BaseModel)


def line(model: type[P], item: Any, text: LogText, **given: Any) -> P:
    """The fields of ``model`` as they stand in ``item``, a dataclass: its text cleaned and cut to the field's longest, its numbers
    rounded. given: fields that are not taken from there."""
    names = {json_name(f): f.name for f in fields(item)}
    taken = {
        name: _cleaned(
            getattr(item, names[name]), text, next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None)
        )
        for name, info in model.model_fields.items()
        if name not in given
    }
    return model(**taken, **given)


def _cleaned(value: Any, text: LogText, most: int | None) -> Any:
    if isinstance(value, str):
        return text.sentence(value, most or SENTENCE_LIMIT)
    if isinstance(value, tuple):
        return [text.sentence(item, 200) for item in value[:most]]
    return number_of(value) if isinstance(value, float) else value


def _metric(m: MetricVerdict, text: LogText) -> answers.MetricLine:
    return line(answers.MetricLine, m, text, metric=name_of(m.metric), natural=natural_text(m))


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


def number_of(value: float | None, digits: int = 6) -> answers.Number:
    """So many significant digits; what JSON cannot hold as a word."""
    if value is None or math.isfinite(value):
        return None if value is None else float(f"{value:.{digits}g}")
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
