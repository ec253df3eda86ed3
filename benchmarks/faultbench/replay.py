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
from vaelab.rules.base import Finding
from vaelab.run import Column, Run

ALARMS = ("act", "stop")

AFTER_ONSET = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.65, 0.85)
"""Shares of the run after the onset at which a faulty log is looked at: dense at first, where the delay is decided."""
BEFORE_ONSET = 2
EVEN = 12
"""Points of a healthy log, evenly spaced."""
FEWEST_ROWS = 4


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
    """(code, severity, first step), most severe first; the code of a generic rule with the role of its column."""

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
    points: tuple[Verdict, ...]
    """Verdicts on the first rows of the log, in order; the last is of the whole log."""
    rows: tuple[int, ...] = ()
    """Steps of the rows of the log."""
    error: str = ""

    @property
    def final(self) -> Verdict:
        return self.points[-1]


def judge(log: Path, truth: Truth, replay: bool = True) -> Judged:
    """Read and diagnose the log of one run. A log that cannot be read counts as `cannot-tell`, with the reason."""
    try:
        run = read(log)
    except VaelabError as error:
        return Judged(truth, (Verdict(-1, "cannot-tell", 0.0, (), None),), (), f"{type(error).__name__}: {error}")
    counts = replay_rows(run.steps.tolist(), truth) if replay else [len(run)]
    points = tuple(verdict(diagnose(run if n == len(run) else first_rows(run, n))) for n in counts)
    return Judged(truth, points, tuple(run.steps.tolist()))


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
        findings=tuple((_key(f), f.severity, f.first_step) for f in diagnosis.findings),
    )


def _key(finding: Finding) -> str:
    return f"{finding.code}:{finding.subject}" if finding.code.startswith("MET") else finding.code


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
    """Row counts to diagnose, rising, the whole log last. Where a run has two faults the grid is dense after each."""
    n = len(steps)
    wanted: list[int] = []
    if not truth.faults:
        wanted = [math.ceil(n * (i + 1) / EVEN) for i in range(EVEN)]
    for fault in truth.faults:
        before = int(np.searchsorted(np.asarray(steps), fault.onset))
        wanted += [math.ceil(before * (i + 1) / BEFORE_ONSET) for i in range(BEFORE_ONSET)]
        wanted += [before + math.ceil((n - before) * share) for share in AFTER_ONSET]
    return sorted({count for count in wanted if FEWEST_ROWS <= count <= n} | {n})
