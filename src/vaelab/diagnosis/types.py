"""Diagnosis and its parts: everything vaelab says of one run, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vaelab.causes.changes import Value
from vaelab.facts.base import Fact, Phase
from vaelab.rules.base import Finding, Skipped
from vaelab.run import Run

if TYPE_CHECKING:
    from vaelab.facts import Facts

Status = Literal["healthy", "watch", "act", "stop", "cannot-tell"]
MetricStatus = Literal["good", "ok", "watch", "bad", "info", "cannot-tell"]


@dataclass(frozen=True)
class MetricVerdict:
    """One row of the metric table.

    first/now/best: in the log's own units (medians of the first and of the last rows; ``best`` is None where the metric has no good
    direction). ``natural_*`` are the same in ``natural_unit`` (PSNR dB, nats per latent element ...), None
    where the log does not allow it. ``trend`` is one word for the last phase: falling, rising, flat, noisy, or stepped.
    """

    metric: str
    original: str
    status: MetricStatus
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


@dataclass(frozen=True)
class NextStep:
    """One thing to do: ``patch`` is in the trainer's own flags, ``expected`` says what should be seen, ``falsify``
    what would show that this was not it, ``command`` a vaelab command that decides (if one does). ``changes``: the patch as
    canonical setting -> value."""

    text: str
    patch: tuple[str, ...] = ()
    expected: str = ""
    falsify: str = ""
    cause: str | None = None
    command: str = ""
    changes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class RankedCause:
    """A cause with the findings for and against it. ``score`` is in [0, 1]: its share of belief, beside "healthy", "not in the
    list" and all other causes; where ``also`` is set, its share of what the first cause leaves unexplained (a second fault).
    ``tested``: what the cause's own test says of this log, if the log can answer it."""

    id: str
    name: str
    title: str
    score: float
    supporting: tuple[str, ...] = field(metadata={"json": "for"})
    opposing: tuple[str, ...] = field(metadata={"json": "against"})
    findings: tuple[str, ...]
    test: str
    fix: NextStep
    also: bool = False
    tested: str = ""


@dataclass(frozen=True)
class QA:
    """A question users ask and the answer this run's facts allow."""

    question: str
    answer: str


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything vaelab says of one run; reports only lay it out."""

    run: Run
    facts: Facts
    status: Status
    headline: str
    confidence: float
    confidence_text: str
    phases: tuple[Phase, ...]
    statements: tuple[Fact, ...]
    metrics: tuple[MetricVerdict, ...]
    findings: tuple[Finding, ...]
    causes: tuple[RankedCause, ...]
    next: tuple[NextStep, ...]
    skipped: tuple[Skipped, ...]
    would_change: tuple[str, ...]
    questions: tuple[QA, ...]
    positive: tuple[str, ...]
    expectations: tuple[str, ...]
