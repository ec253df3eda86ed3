"""Diagnose a run of the bench: the whole log, and the log as it stood at earlier rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from truth import Truth

from vaelab import diagnose, read
from vaelab.diagnosis.types import Diagnosis
from vaelab.errors import VaelabError
from vaelab.run import Column, Run

ALARMS = ("act", "stop")

AFTER_ONSET = (0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the run after the onset at which a faulty log is looked at: dense at first, where the delay is decided."""

BEFORE_ONSET = 5
EVEN = 25
"""Points of a healthy log, evenly spaced."""


@dataclass(frozen=True)
class Verdict:
    """What vaelab said of a log (or of its first rows). step: the last step of what was shown."""

    step: int
    status: str
    confidence: float
    causes: tuple[tuple[str, float], ...]
    """(cause id, score), best first."""
    onset: int | None
    """First step of the findings behind the first cause."""
    findings: tuple[tuple[str, str, int | None], ...] = ()
    """(code, severity, first step), most severe first."""

    @property
    def alarm(self) -> bool:
        return self.status in ALARMS

    def names(self, accepted: frozenset[str], among: int) -> bool:
        """Whether one of the first `among` causes is accepted."""
        return any(cause in accepted for cause, _ in self.causes[:among])


@dataclass(frozen=True)
class Judged:
    """One run of the bench with what was said of it."""

    truth: Truth
    final: Verdict
    points: tuple[Verdict, ...]
    """Verdicts on the first rows of the log, in order; the last is `final`."""
    onset_phase: str | None
    """Phase, as vaelab divides the whole run, that the true onset lies in."""
    said_phase: str | None
    """Phase that the onset vaelab names lies in."""
    rows: tuple[int, ...] = ()
    """Steps of the rows of the log."""
    error: str | None = None


def judge(folder: Path, truth: Truth, replay: bool = True) -> Judged:
    """Read and diagnose the log of one run. A log that cannot be read counts as `cannot-tell`, with the reason."""
    try:
        run = read(folder / truth.log)
    except VaelabError as error:
        nothing = Verdict(-1, "cannot-tell", 0.0, (), None)
        return Judged(truth, nothing, (nothing,), None, None, (), f"{type(error).__name__}: {error}")
    whole = diagnose(run)
    final = verdict(whole)
    counts = replay_rows(run.steps.tolist(), truth) if replay else []
    points = [verdict(diagnose(first_rows(run, n))) for n in counts if n < len(run)]
    return Judged(
        truth,
        final,
        (*points, final),
        _phase_of(whole, truth.onset_step),
        _phase_of(whole, final.onset),
        tuple(run.steps.tolist()),
    )


def verdict(diagnosis: Diagnosis) -> Verdict:
    steps = diagnosis.run.steps
    onset: int | None = None
    if diagnosis.causes:
        behind = set(diagnosis.causes[0].findings)
        first = [f.first_step for f in diagnosis.findings if f.code in behind and f.severity != "info"]
        onset = min((s for s in first if s is not None), default=None)
    return Verdict(
        step=int(steps[-1]) if len(steps) else -1,
        status=diagnosis.status,
        confidence=diagnosis.confidence,
        causes=tuple((c.id, c.score) for c in diagnosis.causes),
        onset=onset,
        findings=tuple((f.code, f.severity, f.first_step) for f in diagnosis.findings),
    )


def first_rows(run: Run, count: int) -> Run:
    """The run as its log stood after `count` rows: later rows and later events were not there yet."""
    last = int(run.steps[count - 1])
    lines = [c.lines[count - 1] for c in run.columns.values() if c.lines is not None]
    last_line = int(max(lines, default=0))
    events = tuple(
        e
        for e in run.events
        if (e.step is not None and e.step <= last) or (e.step is None and e.line is not None and e.line <= last_line)
    )
    return replace(
        run,
        steps=run.steps[:count].copy(),
        columns={name: _first_values(column, count) for name, column in run.columns.items()},
        epochs=None if run.epochs is None else run.epochs[:count],
        events=events,
    )


def _first_values(column: Column, count: int) -> Column:
    return replace(
        column,
        values=column.values[:count].copy(),
        logged=column.logged[:count],
        lines=None if column.lines is None else column.lines[:count],
        epoch_mean=None if column.epoch_mean is None else column.epoch_mean[:count],
    )


def replay_rows(steps: Sequence[int], truth: Truth) -> list[int]:
    """Row counts to diagnose, rising, the whole log last."""
    n = len(steps)
    if truth.onset_step is None:
        wanted = [math.ceil(n * (i + 1) / EVEN) for i in range(EVEN)]
    else:
        before = int(np.searchsorted(np.asarray(steps), truth.onset_step))
        wanted = [math.ceil(before * (i + 1) / BEFORE_ONSET) for i in range(BEFORE_ONSET)]
        wanted += [before + math.ceil((n - before) * share) for share in AFTER_ONSET]
    return sorted({count for count in wanted if count >= 1} | {n})


def _phase_of(diagnosis: Diagnosis, step: int | None) -> str | None:
    if step is None:
        return None
    kinds = [phase.kind for phase in diagnosis.phases if phase.first_step <= step]
    return kinds[-1] if kinds else None
