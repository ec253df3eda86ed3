"""WatchedRun: what is known of one run that is watched, and what one more read of its log changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vaelab.diagnosis import Diagnosis, Status
from vaelab.live.changes import Change, clean
from vaelab.live.hysteresis import SeenFinding, StableStatus
from vaelab.live.joining import is_continuation, is_other_run, join
from vaelab.report.numbers import steps
from vaelab.run import Run

STALLED_SECONDS = 600.0
"""Without a new row for this long, and for ``STALLED_GAPS`` times the longest gap so far, a run is said to stand still."""

STALLED_GAPS = 5
MOST_CHANGES = 500  # kept of one run


@dataclass
class WatchedRun:
    """One run that is watched.

    id: short and stable, of ``a-z``, ``0-9`` and ``-``, begins with a letter. run, diagnosis: the last ones that could be
    made, None before the first. problem: why the log cannot be read now, one sentence, or None. history: the changes so far,
    the oldest first. updated: when the diagnosis was made, seconds since 1970. finished: the log says that the run has ended.
    stale: seconds since the log got its last row. stalled: that is too long for this run. seconds_per_step: the pace since the
    watch began, None where it is not known yet.
    """

    id: str
    source: str
    stable: StableStatus
    run: Run | None = None
    diagnosis: Diagnosis | None = None
    problem: str | None = None
    history: list[Change] = field(default_factory=list)
    updated: float = 0.0
    finished: bool = False
    stale: float = 0.0
    stalled: bool = False
    seconds_per_step: float | None = None
    _begun: tuple[int, float] | None = None  # step and time of the first read
    _last_row_at: float | None = None
    _longest_gap: float = 0.0
    _problem_polls: int = 0

    @classmethod
    def new(cls, run_id: str, source: str) -> WatchedRun:
        return cls(run_id, source, StableStatus(run_id, source))

    @property
    def status(self) -> Status:
        """The shown status, after hysteresis; ``cannot-tell`` before the first diagnosis."""
        return self.stable.status

    @property
    def headline(self) -> str:
        """The sentence that belongs to the shown status; empty before the first diagnosis."""
        return self.stable.headline

    @property
    def cause(self) -> str | None:
        """Id of the most likely cause that is shown."""
        return self.stable.cause

    @property
    def findings(self) -> list[SeenFinding]:
        """Findings that are shown, the gravest first, then those that are gone, the latest first."""
        return self.stable.findings

    @property
    def step(self) -> int | None:
        """The last logged step, None before the first row."""
        return self.stable.step

    def take(self, run: Run, changed_at: float, diagnose: Callable[[Run], Diagnosis]) -> None:
        """The log was read again and holds ``run`` (one row or more); ``changed_at``: its time of change since 1970."""
        old = self.run
        if old is not None and is_other_run(old, run):
            self._restart(run)
        elif old is not None and is_continuation(old, run):
            run = join(old, run)
        if self.run is None or len(run) != len(self.run) or run.steps[-1] != self.run.steps[-1]:
            self._new_rows(run, changed_at)
        self.run = run
        try:
            self.diagnosis = diagnose(run)
        except Exception as error:  # a rule that fails on one log must not end the watch of all others
            self.cannot(
                f"the diagnosis failed, an error of vaelab's own ({type(error).__name__}: {error}): please report it."
            )
            return
        self._readable()
        self.updated = time.time()
        ended = self.diagnosis.facts.finished
        self.history += self.stable.update(int(run.steps[-1]), self.diagnosis, final=ended or self.stalled)
        if ended and not self.finished:
            self.say("finished", None, self.status, f"the run has finished at step {steps(self.step)}: {self.status}")
        self.finished = ended

    def cannot(self, problem: str) -> None:
        """The log cannot be read now; what is known of the run stays."""
        self.problem = clean(problem)

    def look_at_the_time(self) -> None:
        """Once a poll: how long there was no new row, and a problem that was no matter of a moment."""
        if self.problem is not None:
            self._problem_polls += 1
            if self._problem_polls == 2:
                self.say("problem", None, self.problem, self.problem)
        if self._last_row_at is None:
            return
        self.stale = max(0.0, time.time() - self._last_row_at)
        limit = max(STALLED_SECONDS, STALLED_GAPS * self._longest_gap)
        if self.stale > limit and not self.stalled and not self.finished and self.run is not None:
            self.stalled = True
            if self.diagnosis is not None:
                self.history += self.stable.update(int(self.run.steps[-1]), self.diagnosis, final=True)
            minutes = f"{self.stale / 60:.0f} minutes"
            self.say("stalled", None, minutes, f"no new row for {minutes}, the last one was step {steps(self.step)}")

    def say(self, kind: str, old: str | None, new: str | None, text: str) -> None:
        """Add a change to the history."""
        self.history.append(Change(self.id, self.step, kind, old, new, clean(text), self.source))

    def as_json(self) -> dict[str, Any]:
        """The present state as plain values for ``json.dumps``."""
        return {
            "kind": "state",
            "run": self.id,
            "source": clean(self.source),
            "step": self.step,
            "rows": len(self.run) if self.run is not None else 0,
            "status": self.status,
            "headline": self.headline,
            "cause": self.cause,
            "findings": [f"{s.finding.code} {s.finding.severity}" for s in self.findings if s.active],
            "finished": self.finished,
            "stalled": self.stalled,
            "problem": self.problem,
        }

    def _readable(self) -> None:
        if self._problem_polls >= 2:
            self.say("recovered", self.problem, None, "the log can be read now")
        self.problem, self._problem_polls = None, 0

    def _restart(self, run: Run) -> None:
        first, last = steps(int(run.steps[0])), steps(self.step)
        self.say(
            "restarted",
            last,
            first,
            f"another run stands in the log now: it begins at step {first}, the one before had reached step {last}",
        )
        self.stable = StableStatus(self.id, self.source)
        self.run = self.diagnosis = self._last_row_at = self._begun = self.seconds_per_step = None
        self.finished, self._longest_gap = False, 0.0

    def _new_rows(self, run: Run, changed_at: float) -> None:
        if self.run is not None and run.steps[-1] < self.run.steps[-1]:
            first, last = steps(int(run.steps[-1])), steps(self.step)
            self.say("resumed", last, first, f"the run went back from step {last} to step {first}")
        if self.stalled and self.run is not None:
            self.say("recovered", None, None, f"new rows again after {self.stale / 60:.0f} minutes")
        if self._last_row_at is not None:
            self._longest_gap = max(self._longest_gap, changed_at - self._last_row_at)
        step = int(run.steps[-1])
        if self._begun is None or step < self._begun[0]:
            self._begun = (step, changed_at)
        elif step > self._begun[0] and changed_at > self._begun[1]:
            self.seconds_per_step = (changed_at - self._begun[1]) / (step - self._begun[0])
        # an old log that is opened now is no news
        self._last_row_at, self.stalled = changed_at, self.run is None and time.time() - changed_at > STALLED_SECONDS
