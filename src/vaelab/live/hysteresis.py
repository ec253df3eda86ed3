"""A status that does not flicker: alarms are raised when confirmed and lowered when their reason has stayed away.

Diagnoses of a growing log change their mind at the edge of a threshold. ``StableStatus`` takes one diagnosis after the other
and says what to show: ``stop`` at once, everything else that is worse after more rows have confirmed it, everything that is
better after the reason has stayed away for a number of rows and a share of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vaelab.diagnosis import Diagnosis, Status
from vaelab.facts.base import Evidence
from vaelab.live.changes import Change, clean
from vaelab.report.layout import headline
from vaelab.report.numbers import steps
from vaelab.rules.base import SEVERITY_ORDER, Finding, Severity
from vaelab.run import Run

CONFIRM_ROWS = 2
"""New rows that must repeat a worse status, a finding or a cause before it is shown (``stop`` is shown at once)."""

CLEAR_ROWS = 10
"""New rows for which the reason of an alarm must stay away before it is lowered ..."""

CLEAR_SHARE = 0.05
"""... and the share of the run so far, if that is more."""

STATUS_ORDER: dict[Status, int] = {"cannot-tell": 0, "healthy": 1, "watch": 2, "act": 3, "stop": 4}
_STATUSES: tuple[Status, ...] = tuple(STATUS_ORDER)
_SEVERITIES: tuple[Severity, ...] = ("info", "warn", "critical")
# the status that a finding of this severity supports at most
_GRADE: dict[Severity, int] = {
    "info": STATUS_ORDER["healthy"],
    "warn": STATUS_ORDER["watch"],
    "critical": STATUS_ORDER["stop"],
}
_ABSENT = -1
_MOST_GONE = 50  # findings that are gone and still remembered


@dataclass(frozen=True)
class SeenFinding:
    """A finding as it was last seen. active: it is shown; False: it is gone. Steps are the last logged ones at that time."""

    finding: Finding
    since_step: int
    last_seen_step: int
    active: bool = True


@dataclass
class _Level:
    """An ordinal value that goes up when a higher one is confirmed, and down when it has been lower for long enough."""

    value: int
    rise: tuple[int, int] | None = None  # (step since when it is higher, the lowest of the higher values)
    fall: tuple[int, int] | None = None  # (last step at which it was not lower, the highest of the lower values)
    last: int = 0  # step of the last update

    def update(self, step: int, raw: int, confirm: float, clear: float) -> None:
        """``confirm`` and ``clear`` are in steps; 0 takes ``raw`` at once."""
        if raw > self.value:
            since, lowest = self.rise or (step, raw)
            self.rise, self.fall = (since, min(lowest, raw)), None
            if step - since >= confirm:
                self._take(raw if confirm == 0 else min(lowest, raw))
        elif raw < self.value:
            since, highest = self.fall or (self.last, raw)
            self.rise, self.fall = None, (since, max(highest, raw))
            if step - since >= clear:
                self._take(raw if clear == 0 else max(highest, raw))
        else:
            self.rise = self.fall = None
        self.last = step

    def forget(self, step: int) -> None:
        """The run went back to ``step``: what was counted before does not count any more."""
        self.rise, self.fall, self.last = None, None, step

    def _take(self, value: int) -> None:
        self.value, self.rise, self.fall = value, None, None


@dataclass
class _Tracked:
    """One finding through the diagnoses: its severity as a level, and where it was first and last seen."""

    finding: Finding
    since: int
    seen: int
    level: _Level
    was_shown: bool = False

    def shown(self) -> SeenFinding:
        active = self.level.value > _ABSENT
        finding = replace(self.finding, severity=_SEVERITIES[self.level.value]) if active else self.finding
        return SeenFinding(finding, self.since, self.seen, active)


class StableStatus:
    """The status, findings and first cause to show of one run.

    run_id, source: written into the changes. status: the shown status. cause: id of the most likely cause that is shown, or
    None. step: the last logged step, None before the first diagnosis. confirmed: False while the shown alarm rests on one
    diagnosis only (the first diagnosis is shown as it is); a program that cancels jobs should wait for True.
    """

    def __init__(self, run_id: str = "", source: str = "") -> None:
        self.run_id, self.source = run_id, source
        self.cause: str | None = None
        self.step: int | None = None
        self.confirmed = False
        self._level = _Level(0)
        self._headlines: dict[Status, str] = {}
        self._next_cause: tuple[str | None, int] = (None, 0)
        self._tracked: dict[tuple[str, tuple[str, ...]], _Tracked] = {}

    @property
    def status(self) -> Status:
        return _STATUSES[self._level.value]

    @property
    def headline(self) -> str:
        """The sentence of the last diagnosis whose status is the shown one; empty before the first diagnosis."""
        return self._headlines.get(self.status, "")

    @property
    def findings(self) -> list[SeenFinding]:
        """Findings that are shown, the gravest first, then those that are gone, the latest first."""
        seen = [tracked.shown() for tracked in self._tracked.values() if tracked.was_shown]
        shown = [s for s in seen if s.active]
        gone = [s for s in seen if not s.active]
        return [
            *sorted(shown, key=lambda s: (-SEVERITY_ORDER[s.finding.severity], s.since_step)),
            *sorted(gone, key=lambda s: -s.last_seen_step),
        ]

    def update(self, step: int, diagnosis: Diagnosis, final: bool = False) -> list[Change]:
        """Take ``diagnosis``, made when ``step`` was the last logged step; returns what is shown differently from now on.

        The first diagnosis is taken as it is; later ones of no new step change nothing. ``final``: no more rows will come,
        so nothing is waited for and the status is that of ``diagnosis``. A smaller step than before means that the run went
        back (resume, rollback): the shown status stays, counting begins again.
        """
        first = self.step is None
        if step == self.step and not final:
            return []
        if self.step is not None and step < self.step:
            for level in (self._level, *(tracked.level for tracked in self._tracked.values())):
                level.forget(step)
            self._next_cause = (None, step)
        self.step = step
        confirm, clear = (0.0, 0.0) if first or final else waits(diagnosis.run)
        findings = list(self._update_findings(step, diagnosis, confirm, clear))
        # where findings take turns and none of them lasts, the status waits longer than they do
        wanted = min(STATUS_ORDER[diagnosis.status], self._level.rise[1] if self._level.rise else STATUS_ORDER["stop"])
        supported = any(s.active and _GRADE[s.finding.severity] >= wanted for s in self.findings)
        changes = list(self._update_status(step, diagnosis, confirm if supported else clear, clear, first)) + findings
        risen = any(c.kind == "status" and c.new in ("act", "stop") for c in changes)
        changes += self._update_cause(step, diagnosis, 0.0 if risen else clear if self.cause else confirm)
        self.confirmed = (
            final
            or self.status == "stop"
            or (not first and (self.confirmed or STATUS_ORDER[diagnosis.status] >= self._level.value))
        )
        return changes

    def state_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        tracked = [asdict(t) for t in self._tracked.values()]
        kept = {"cause": self.cause, "step": self.step, "confirmed": self.confirmed, "headlines": dict(self._headlines)}
        state = {**kept, "level": asdict(self._level), "next_cause": self._next_cause, "tracked": tracked}
        plain: dict[str, Any] = json.loads(json.dumps(state, default=lambda value: value.item()))  # of numpy
        return plain

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.cause, self.step, self.confirmed = state["cause"], state["step"], state["confirmed"]
        self._headlines, self._next_cause = dict(state["headlines"]), tuple(state["next_cause"])
        self._level = _Level(**state["level"])
        self._tracked = {}
        for kept in state["tracked"]:
            told = kept["finding"]
            evidence = tuple(Evidence(**e) for e in told["evidence"])
            finding = Finding(**{**told, "metrics": tuple(told["metrics"]), "evidence": evidence})
            self._tracked[_key(finding)] = _Tracked(**{**kept, "finding": finding, "level": _Level(**kept["level"])})

    def _update_status(
        self, step: int, diagnosis: Diagnosis, confirm: float, clear: float, first: bool
    ) -> Iterator[Change]:
        old, fall = self.status, self._level.fall
        seen = fall[0] if fall else self._level.last
        self._headlines[diagnosis.status] = headline(diagnosis)
        at_once = diagnosis.status == "stop" or (old, diagnosis.status) == ("cannot-tell", "healthy")
        self._level.update(step, STATUS_ORDER[diagnosis.status], 0.0 if at_once else confirm, clear)
        new = self.status
        if first or STATUS_ORDER[new] > STATUS_ORDER[old]:
            text = f"{new} at step {steps(step)}: {self.headline}"
            yield self._change(step, "status", None if first else old, new, text)
        elif new != old:
            text = f"now {new} at step {steps(step)}: what spoke for {old} was last seen at step {steps(seen)}"
            yield self._change(step, "status", old, new, text)

    def _update_findings(self, step: int, diagnosis: Diagnosis, confirm: float, clear: float) -> Iterator[Change]:
        present: dict[tuple[str, tuple[str, ...]], Finding] = {}
        for finding in diagnosis.findings:
            known = present.get(_key(finding))
            if known is None or SEVERITY_ORDER[finding.severity] > SEVERITY_ORDER[known.severity]:
                present[_key(finding)] = finding
        for key, finding in present.items():
            tracked = self._tracked.setdefault(key, _Tracked(finding, step, step, _Level(_ABSENT, last=step)))
            if tracked.level.value == _ABSENT and tracked.level.rise is None:
                tracked.since = step
            tracked.finding, tracked.seen = finding, step
        for key, tracked in list(self._tracked.items()):
            raw = SEVERITY_ORDER[present[key].severity] if key in present else _ABSENT
            # what stops a run is shown with its reason
            at_once = diagnosis.status == "stop" and raw == SEVERITY_ORDER["critical"]
            old = tracked.level.value
            tracked.level.update(step, raw, 0.0 if at_once else confirm, clear)
            yield from self._finding_change(step, tracked, old)
            if tracked.level.value > _ABSENT:
                tracked.was_shown = True
            elif raw == _ABSENT and not tracked.was_shown:
                del self._tracked[key]
        gone = sorted(
            (k for k, t in self._tracked.items() if t.level.value == _ABSENT), key=lambda k: self._tracked[k].seen
        )
        for key in gone[:-_MOST_GONE]:
            del self._tracked[key]

    def _finding_change(self, step: int, tracked: _Tracked, old: int) -> Iterator[Change]:
        """Nothing is said of a finding that is only for information."""
        new, warn = tracked.level.value, SEVERITY_ORDER["warn"]
        if new == old or max(new, old) < warn:
            return
        name = f"{tracked.finding.code} {tracked.finding.name}"
        before = None if old == _ABSENT else f"{tracked.finding.code} {_SEVERITIES[old]}"
        if new == _ABSENT:
            text = f"{name} is gone, last seen at step {steps(tracked.seen)}"
            yield self._change(step, "finding", before, None, text)
            return
        severity = _SEVERITIES[new]
        since = f" since step {steps(tracked.since)}" if tracked.since < step else ""
        what = f"{severity} {name}{since}" if old == _ABSENT else f"{name} is now {severity}, it was {_SEVERITIES[old]}"
        text = f"{what}: {tracked.finding.message}"
        yield self._change(step, "finding", before, f"{tracked.finding.code} {severity}", text)

    def _update_cause(self, step: int, diagnosis: Diagnosis, wait: float) -> Iterator[Change]:
        raw = diagnosis.causes[0].id if diagnosis.causes else None
        if raw == self.cause:
            self._next_cause = (raw, step)
            return
        wanted, since = self._next_cause
        if raw != wanted:
            self._next_cause = (raw, step)
            since = step
        if step - since >= wait:
            old, self.cause = self.cause, raw
            text = "no cause is suspected any more"
            if raw is not None:
                title = diagnosis.causes[0].title
                text = f"most likely cause now: {raw} {title}" + (f" (it was {old})" if old else "")
            yield self._change(step, "cause", old, raw, text)

    def _change(self, step: int, kind: str, old: str | None, new: str | None, text: str) -> Change:
        return Change(self.run_id, step, kind, old, new, clean(text), self.source)


def waits(run: Run) -> tuple[float, float]:
    """``(confirm, clear)`` in steps, from how far apart the last rows of ``run`` are."""
    if len(run) < 2:
        return 1.0, float(CLEAR_ROWS)
    spacing = float(np.median(np.diff(run.steps[-100:])))
    # half a row less: rows are not always equally far apart
    return (CONFIRM_ROWS - 0.5) * spacing, max(
        (CLEAR_ROWS - 0.5) * spacing, CLEAR_SHARE * float(run.steps[-1] - run.steps[0])
    )


def _key(finding: Finding) -> tuple[str, tuple[str, ...]]:
    return finding.code, finding.metrics
