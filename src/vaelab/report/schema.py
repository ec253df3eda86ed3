"""The JSON of a diagnosis as pydantic models: ``vaelab.diagnosis/1``. Fields are added, never changed or removed.

NaN and infinities are no JSON: such a number is ``null`` and ``note`` says what it was.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Final = "vaelab.diagnosis/1"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class EvidenceModel(_Model):
    """One number a statement rests on, and where it stands in the log (``line`` is 1-based)."""

    name: str
    value: float | str | None
    unit: str = ""
    step: int | None = None
    line: int | None = None
    text: str = Field(description="The same as a person reads it.")
    note: str | None = None


class FactModel(_Model):
    """One statement about the run that is not a judgement."""

    value: float | str | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    standing: Literal["declared", "inferred", "known", "bounded", "cannot-tell"]
    text: str
    evidence: list[EvidenceModel] = []
    note: str | None = None


class MetricModel(_Model):
    """What one metric did: in the log's units, and in natural units where the log allows it."""

    metric: str = Field(description="Canonical name.")
    original: str = Field(description="Its name in the log.")
    title: str
    status: Literal["good", "ok", "watch", "bad", "info", "cannot-tell"]
    first: float | None
    now: float | None
    best: float | None
    low: float | None
    high: float | None
    trend: str
    natural_name: str = ""
    natural_unit: str = ""
    natural_first: float | None = None
    natural_now: float | None = None
    natural_best: float | None = None
    text: str = ""
    note: str | None = None


class PhaseModel(_Model):
    """A stretch of steps that is judged on its own (both ends inclusive)."""

    kind: str
    title: str
    first_step: int
    last_step: int
    text: str = ""


class FindingModel(_Model):
    """What a rule found. ``explained_by`` is the code of the finding or the id of the cause it follows from."""

    code: str
    name: str
    severity: Literal["info", "warn", "critical"]
    message: str
    metrics: list[str] = []
    first_step: int | None = None
    last_step: int | None = None
    phase: str | None = None
    explained_by: str | None = None
    evidence: list[EvidenceModel] = []


class NextStepModel(_Model):
    """One thing to do; ``patch`` is in the trainer's own flags."""

    text: str
    patch: list[str] = []
    expected: str = ""
    falsify: str = ""
    cause: str | None = None
    command: str = ""


class CauseModel(_Model):
    """A cause with the codes of the findings for and against it."""

    id: str
    name: str
    title: str
    score: float = Field(ge=0, le=1)
    supporting: list[str] = Field(alias="for")
    against: list[str] = []
    findings: list[str] = []
    test: str = ""
    fix: NextStepModel


class EventModel(_Model):
    kind: str
    step: int | None
    line: int | None
    text: str


class NoteModel(_Model):
    """Something the reader met and handled."""

    kind: str
    count: int
    text: str
    first_line: int | None = None


class ColumnModel(_Model):
    """How one column of the log was read. ``metric`` is its name elsewhere in this document; ``better`` says where a healthy value goes."""

    column: str
    metric: str
    role: str
    kind: str = ""
    split: str
    better: str
    standing: Literal["given", "known", "inferred", "ambiguous", "unknown"]
    reason: str
    could_be: list[str] = []
    values: int


class SkippedModel(_Model):
    """A rule that could not run, and the columns or facts it missed."""

    code: str
    name: str
    missing: list[str]


class QuestionModel(_Model):
    question: str
    answer: str


class RunModel(_Model):
    """The diagnosis of one run."""

    source: str
    dialect: str = Field(description="Trainer whose column conventions the log follows, or 'unknown'.")
    dialect_confidence: float
    dialect_reason: str
    format: str = Field(description="The reader that read it.")
    rows: int
    first_step: int | None
    last_step: int | None
    step_unit: str
    status: Literal["healthy", "watch", "act", "stop", "cannot-tell"]
    headline: str
    confidence: float
    confidence_text: str
    message: str = Field(description="Status, headline and confidence in one or two sentences.")
    config: dict[str, Any] = Field(description="Declared values under canonical names.")
    phases: list[PhaseModel]
    events: list[EventModel]
    notes: list[NoteModel]
    reading: list[ColumnModel] = Field(
        [], description="Every column of the log: what it was read as, how sure, and why."
    )
    facts: dict[str, dict[str, FactModel]] = Field(description="Group -> name -> fact.")
    metrics: list[MetricModel]
    findings: list[FindingModel]
    causes: list[CauseModel]
    next: list[NextStepModel]
    skipped: list[SkippedModel]
    would_change: list[str]
    questions: list[QuestionModel]
    positive: list[str]
    expectations: list[str]


class ReportModel(_Model):
    """What ``vaelab diagnose --format json`` prints."""

    schema_id: Literal["vaelab.diagnosis/1"] = Field(SCHEMA, alias="schema")
    runs: list[RunModel]


def json_schema() -> dict[str, Any]:
    """The JSON schema of the report, as published in ``docs/schema``."""
    schema = ReportModel.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA}
