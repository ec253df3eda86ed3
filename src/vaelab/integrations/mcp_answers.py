"""What the MCP tools answer, as pydantic models, and how an answer is kept small.

An answer is at most ``ANSWER_LIMIT`` characters of JSON. Lists are cut to fit, and ``more`` says which call gives the
rest. Empty fields are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer
from pydantic_core import to_json

from vaelab.diagnosis import MetricStatus, Status
from vaelab.rules.base import Severity

ANSWER_LIMIT = 6000
MOST_ITEMS = 200
"""Items of a list that are looked at for one answer."""

Number = float | Literal["NaN", "inf", "-inf"] | None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        shown = {k: v for k, v in serialize(self).items() if fields[k].is_required() or v not in (None, "", [], {})}
        return {k: v for k, v in shown.items() if k != "more"} | {k: v for k, v in shown.items() if k == "more"}


class _Answer(_Part):
    more: list[str] = Field(default=[], description="What was left out to keep the answer small, and how to get it.")


class RunLine(_Part):
    """One run of a list. Names, paths and text between ‹ and › come from log files: they are data."""

    run: str = Field(description="Its id, the same after a restart: what the other tools take.")
    log: str = Field(description="Path of its log below the folders that may be read.")
    trainer: str = ""
    rows: int = 0
    last_step: int | None = None
    status: Status
    headline: str
    changed: str = Field(default="", description="When the log last changed.")


class RunList(_Answer):
    runs: list[RunLine] = Field(description="The last changed first.")
    logs: int = Field(description="Logs found in all (a log may hold several runs).")
    problems: list[str] = Field(default=[], description="Logs that could not be read, and why.")


class PhaseLine(_Part):
    kind: str
    first_step: int
    last_step: int


class FindingLine(_Part):
    """What a rule found."""

    code: str = Field(description="For explain and evidence.")
    name: str
    severity: Severity
    message: str
    first_step: int | None = None
    last_step: int | None = None
    explained_by: str | None = Field(default=None, description="The finding or cause that this one only follows from.")


class CauseLine(_Part):
    id: str = Field(description="For explain.")
    name: str
    title: str = Field(max_length=200)
    score: float = Field(description="Share of belief among the causes considered, 0 to 1.")
    findings: list[str] = Field(default=[], max_length=12, description="Codes of the findings that speak for it.")
    against: list[str] = Field(default=[], max_length=12, description="Findings that speak against it.")
    test: str = Field(default="", max_length=400)


class StepLine(_Part):
    """One thing to do; ``patch`` is in the trainer's own flags."""

    text: str = Field(max_length=500)
    patch: list[str] = Field(default=[], max_length=10)
    expected: str = Field(default="", max_length=400)
    falsify: str = Field(default="", max_length=400, description="What would show that it is not this.")
    cause: str | None = None
    command: str = Field(default="", max_length=400, description="How to decide whether it is this.")


class MetricLine(_Part):
    """What one metric did, in the log's units; ``natural`` is the same in units that compare between trainers."""

    metric: str
    status: MetricStatus
    trend: str = ""
    first: Number = None
    now: Number = None
    best: Number = None
    natural: str = ""


class DiagnosisAnswer(_Answer):
    """The verdict on one run, or one part of it in full."""

    run: str
    log: str
    status: Status
    verdict: str = Field(description="The status in words.")
    headline: str
    confidence: float = Field(description="0 to 1: posterior of the verdict if 30% of runs have a fault.")
    confidence_text: str = Field(default="", description="What the confidence is of.")
    trainer: str = ""
    rows: int = 0
    first_step: int | None = None
    last_step: int | None = None
    step_unit: str = ""
    phases: list[PhaseLine] = []
    findings: list[FindingLine] = Field(
        default=[], description="The gravest first, each before those that follow from it."
    )
    causes: list[CauseLine] = Field(default=[], description="The likeliest first.")
    next: list[StepLine] = Field(default=[], description="What to do; next_steps says more.")
    metrics: list[MetricLine] = Field(default=[], description="The worst first.")
    facts: list[str] = []
    answers: list[str] = Field(default=[], description="Questions people ask, answered for this run.")
    notes: list[str] = Field(default=[], description="What happened in the log, and what the reader met.")
    rules_not_run: int = Field(default=0, description="Rules for which the log lacks something; see next_steps.")


class NextSteps(_Answer):
    run: str
    status: Status
    headline: str
    steps: list[StepLine] = []
    would_change: list[str] = Field(default=[], description="What would change the verdict.")
    to_log: list[str] = Field(default=[], description="What the log lacks, and how many rules wait for it.")


class Section(_Part):
    heading: str
    lines: list[str]


class ExplanationAnswer(_Answer):
    kind: Literal["metric", "rule", "cause", "trainer"]
    name: str
    title: str
    sections: list[Section] = []


class TopicLine(_Part):
    topic: str = Field(description="What explain takes.")
    title: str


class TopicList(_Answer):
    topics: list[TopicLine]
    total: int


class EvidenceLine(_Part):
    """One number that a finding rests on."""

    text: str
    step: int | None = None
    line: int | None = Field(default=None, description="Line of the log, from 1.")


class EvidenceRow(_Part):
    """One row of the log; values in the order of ``columns``, null where the row has none."""

    step: int
    line: int | None = None
    values: list[Number]


class EvidenceAnswer(_Answer):
    run: str
    log: str
    findings: list[FindingLine] = []
    evidence: list[EvidenceLine] = []
    columns: list[str] = Field(default=[], description="Metrics whose values the rows give.")
    rows: list[EvidenceRow] = []
    rows_in_range: int = 0
    first_step: int | None = None
    last_step: int | None = None
    chosen: str = Field(default="", description="How the rows shown were chosen.")


class ComparedRun(_Part):
    label: str
    run: str
    trainer: str = ""
    status: Status
    headline: str = ""
    last_step: int | None = None
    gan_start: int | None = None
    top_cause: str = ""


class ComparedQuantity(_Part):
    """One metric in comparable units; ``values``: per run (in the order of ``runs``) one number per point."""

    name: str
    title: str
    unit: str = ""
    comparable: bool
    reason: str = ""
    values: list[list[Number]]


class ComparedSetting(_Part):
    setting: str
    values: list[str] = Field(description="Per run, in the order of runs.")


class ComparisonAnswer(_Answer):
    runs: list[ComparedRun]
    points: list[str] = Field(description="Where the quantities are taken.")
    common_step: int | None = None
    conclusions: list[str] = Field(default=[], description="Which difference may explain what.")
    warnings: list[str] = Field(default=[], description="What must not be compared.")
    quantities: list[ComparedQuantity] = []
    settings: list[ComparedSetting] = Field(default=[], description="Settings that differ.")


A = TypeVar("A", bound=_Answer)


def fit(answer: A, calls: Mapping[str, str], first: int = 0, most: Mapping[str, int] | None = None) -> A:
    """``answer`` with its lists cut so that its JSON is at most ``ANSWER_LIMIT`` characters.

    calls: list field -> the call that gives the rest, with ``{first}`` where the number of the next item goes. Lists
    are cut in this order, each down to three items before the next one, and further only if that is not enough.
    first: how many items of the lists were passed over before. most: a smaller limit of items for some lists.
    """
    whole: dict[str, list[Any]] = {name: getattr(answer, name) for name in calls}
    kept = {name: min(len(items), (most or {}).get(name, MOST_ITEMS)) for name, items in whole.items()}

    def shortened() -> A:
        more = [
            f"{name}: {kept[name]} of {len(items)} {'more ' if first else ''}shown; the rest: "
            + call.replace("{first}", str(first + kept[name]))
            for (name, items), call in zip(whole.items(), calls.values(), strict=True)
            if kept[name] < len(items)
        ]
        lists: dict[str, Any] = {name: items[: kept[name]] for name, items in whole.items()}
        return answer.model_copy(update={**lists, "more": [*answer.more, *more]})

    for least in (3, 1, 0):
        for name in calls:
            while kept[name] > least and size(shortened()) > ANSWER_LIMIT:
                kept[name] -= 1
    return shortened()


def size(answer: _Answer) -> int:
    """Characters of the answer's JSON."""
    return len(to_json(answer).decode())
