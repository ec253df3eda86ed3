"""Diagnosis -> JSON text in the published schema."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from vaelab.diagnosis import Diagnosis, MetricVerdict, NextStep, RankedCause
from vaelab.facts.base import Evidence, Fact
from vaelab.report import reading, schema
from vaelab.report.layout import confidence, evidence_text, headline, metric_title, plain, sentence, status_text
from vaelab.report.numbers import number
from vaelab.rules.base import Finding

_METRIC_NUMBERS = ("first", "now", "best", "low", "high", "natural_first", "natural_now", "natural_best")


def to_json(diagnoses: Sequence[Diagnosis], indent: int | None = 2) -> str:
    """One JSON document for all runs. Holds no bare NaN or Infinity, so every JSON parser reads it."""
    return json.dumps(to_dict(diagnoses), indent=indent, ensure_ascii=False, allow_nan=False)


def to_dict(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """The same as plain Python values."""
    return report_model(diagnoses).model_dump(mode="json", by_alias=True)


def report_model(diagnoses: Sequence[Diagnosis]) -> schema.ReportModel:
    """The same as validated models."""
    return schema.ReportModel.model_validate({"schema": schema.SCHEMA, "runs": [_run(d) for d in diagnoses]})


def message(diagnosis: Diagnosis) -> str:
    """Status, headline and confidence in one or two sentences."""
    return f"{status_text(diagnosis)}. {sentence(headline(diagnosis))} {confidence(diagnosis)}"


def _run(d: Diagnosis) -> schema.RunModel:
    facts: dict[str, dict[str, schema.FactModel]] = {}
    for fact in d.statements:
        facts.setdefault(fact.group, {})[fact.name] = _fact(fact)
    steps = d.run.steps
    return schema.RunModel(
        source=plain(d.run.source),
        dialect=d.run.trainer,
        dialect_confidence=d.run.trainer_confidence,
        dialect_reason=plain(d.run.trainer_reason),
        format=d.run.format,
        rows=len(d.run),
        first_step=int(steps[0]) if len(steps) else None,
        last_step=int(steps[-1]) if len(steps) else None,
        step_unit=d.run.step_unit,
        status=d.status,
        headline=plain(d.headline),
        confidence=d.confidence,
        confidence_text=plain(d.confidence_text),
        message=message(d),
        config={plain(k): jsonable(v) for k, v in d.run.config.items()},
        phases=[
            schema.PhaseModel(kind=p.kind, title=p.title, first_step=p.first_step, last_step=p.last_step, text=p.text)
            for p in d.phases
        ],
        events=[schema.EventModel(kind=e.kind, step=e.step, line=e.line, text=plain(e.text)) for e in d.run.events],
        notes=[
            schema.NoteModel(kind=n.kind, count=n.count, text=plain(n.text), first_line=n.first_line)
            for n in d.run.notes
        ],
        reading=[_column(c) for c in reading.columns(d.run)],
        facts=facts,
        metrics=[_metric(m) for m in d.metrics],
        findings=[_finding(f) for f in d.findings],
        causes=[_cause(c) for c in d.causes],
        next=[_next(n) for n in d.next],
        skipped=[schema.SkippedModel(code=s.code, name=s.name, missing=[*map(plain, s.missing)]) for s in d.skipped],
        would_change=[plain(t) for t in d.would_change],
        questions=[schema.QuestionModel(question=plain(q.question), answer=plain(q.answer)) for q in d.questions],
        positive=[plain(t) for t in d.positive],
        expectations=[plain(t) for t in d.expectations],
    )


def _column(c: reading.ColumnReading) -> schema.ColumnModel:
    role = c.role
    return schema.ColumnModel(
        column=plain(c.column), metric=plain(c.metric), role=role.name, kind=role.kind, split=role.split, better=role.better,
        standing=role.standing, reason=plain(role.reason), could_be=list(role.could_be), values=c.values,
    )  # fmt: skip


def _fact(fact: Fact) -> schema.FactModel:
    numbers, note = _finite(value=fact.value, low=fact.low, high=fact.high)
    return schema.FactModel(
        **numbers, unit=fact.unit, standing=fact.standing, text=plain(fact.text), note=note,
        evidence=[_evidence(e) for e in fact.evidence],
    )  # fmt: skip


def _evidence(evidence: Evidence) -> schema.EvidenceModel:
    numbers, note = _finite(value=evidence.value)
    return schema.EvidenceModel(
        **numbers, name=plain(evidence.name), unit=plain(evidence.unit), step=evidence.step, line=evidence.line,
        text=evidence_text(evidence), note=note,
    )  # fmt: skip


def _metric(m: MetricVerdict) -> schema.MetricModel:
    numbers, note = _finite(**{name: getattr(m, name) for name in _METRIC_NUMBERS})
    return schema.MetricModel(
        **numbers, metric=plain(m.metric), original=plain(m.original), title=metric_title(m.metric), status=m.status,
        trend=m.trend, natural_name=m.natural_name, natural_unit=m.natural_unit, text=plain(m.text), note=note,
    )  # fmt: skip


def _finding(f: Finding) -> schema.FindingModel:
    return schema.FindingModel(
        code=f.code, name=f.name, severity=f.severity, message=plain(f.message), metrics=[*map(plain, f.metrics)],
        first_step=f.first_step, last_step=f.last_step, phase=f.phase, explained_by=f.explained_by,
        evidence=[_evidence(e) for e in f.evidence],
    )  # fmt: skip


def _cause(c: RankedCause) -> schema.CauseModel:
    return schema.CauseModel.model_validate(
        {
            "id": c.id, "name": c.name, "title": plain(c.title), "score": c.score, "for": c.supporting,
            "against": c.opposing, "findings": c.findings, "test": plain(c.test), "fix": _next(c.fix),
        }
    )  # fmt: skip


def _next(n: NextStep) -> schema.NextStepModel:
    return schema.NextStepModel(
        text=plain(n.text), patch=[*map(plain, n.patch)], expected=plain(n.expected), falsify=plain(n.falsify),
        cause=n.cause, command=plain(n.command),
    )  # fmt: skip


def _finite(**values: float | str | None) -> tuple[dict[str, Any], str | None]:
    """The values with non-finite numbers as None, and a note naming those."""
    numbers: dict[str, Any] = {}
    lost = []
    for name, value in values.items():
        if isinstance(value, str) or value is None:
            numbers[name] = plain(value) if value is not None else None
        elif math.isfinite(value):
            numbers[name] = float(value)
        else:
            numbers[name] = None
            lost.append(f"{name} is {number(float(value))}")
    return numbers, "; ".join(lost) or None


def jsonable(value: Any) -> Any:
    """``value`` in JSON types: mappings and lists inside out, non-finite numbers and all else as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dict):
        return {plain(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, float) or hasattr(value, "__float__"):
        return float(value) if math.isfinite(float(value)) else number(float(value))
    return plain(value)
