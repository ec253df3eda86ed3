"""The document of a diagnosis: its dataclasses side by side. What JSON holds, and the schema it has, are made from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from vaelab.diagnosis import QA, Diagnosis, MetricVerdict, NextStep, RankedCause, Status
from vaelab.facts.base import Fact, Phase
from vaelab.report.layout import confidence, headline, sentence, status_text
from vaelab.report.reading import ColumnReading, columns
from vaelab.rules.base import Finding, Skipped
from vaelab.run import Event, ReadNote

SCHEMA: Final = "vaelab.diagnosis/1"


@dataclass(frozen=True)
class RunDocument:
    """The diagnosis of one run.

    dialect: the trainer whose column conventions the log follows, or ``unknown``. format: the reader that read it.
    message: status, headline and confidence in one or two sentences. config: declared values under canonical names.
    reading: every column of the log: what it was read as, how sure, and why. facts: group -> name -> fact.
    """

    source: str
    dialect: str
    dialect_confidence: float
    dialect_reason: str
    format: str
    rows: int
    first_step: int | None
    last_step: int | None
    step_unit: str
    status: Status
    headline: str
    confidence: float
    confidence_text: str
    message: str
    config: Mapping[str, Any]
    phases: Sequence[Phase]
    events: Sequence[Event]
    notes: Sequence[ReadNote]
    reading: Sequence[ColumnReading]
    facts: Mapping[str, Mapping[str, Fact]]
    metrics: Sequence[MetricVerdict]
    findings: Sequence[Finding]
    causes: Sequence[RankedCause]
    next: Sequence[NextStep]
    skipped: Sequence[Skipped]
    would_change: Sequence[str]
    questions: Sequence[QA]
    positive: Sequence[str]
    expectations: Sequence[str]


@dataclass(frozen=True)
class Document:
    """What ``vaelab diagnose --format json`` prints. Fields are added, never changed or removed.

    NaN and infinities are no JSON: such a number is ``null`` and ``note`` beside it says what it was.
    """

    schema: Literal["vaelab.diagnosis/1"]
    runs: Sequence[RunDocument]


def document(diagnoses: Sequence[Diagnosis]) -> Document:
    """One document for all runs."""
    return Document(SCHEMA, [_run(d) for d in diagnoses])


def message(diagnosis: Diagnosis) -> str:
    """Status, headline and confidence in one or two sentences."""
    return f"{status_text(diagnosis)}. {sentence(headline(diagnosis))} {confidence(diagnosis)}"


def _run(d: Diagnosis) -> RunDocument:
    facts: dict[str, dict[str, Fact]] = {}
    for fact in d.statements:
        facts.setdefault(fact.group, {})[fact.name] = fact
    run, steps = d.run, d.run.steps
    return RunDocument(
        source=run.source,
        dialect=run.trainer,
        dialect_confidence=run.trainer_confidence,
        dialect_reason=run.trainer_reason,
        format=run.format,
        rows=len(run),
        first_step=int(steps[0]) if len(steps) else None,
        last_step=int(steps[-1]) if len(steps) else None,
        step_unit=run.step_unit,
        message=message(d),
        config=run.config,
        events=run.events,
        notes=run.notes,
        reading=columns(run),
        facts=facts,
        **{name: getattr(d, name) for name in _AS_THEY_ARE},
    )


_AS_THEY_ARE = (
    "status", "headline", "confidence", "confidence_text", "phases", "metrics", "findings", "causes", "next", "skipped",
    "would_change", "questions", "positive", "expectations",
)  # fmt: skip
