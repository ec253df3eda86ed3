"""The diagnosis inside the run: what ``vaelab diagnose`` says of the log so far, and what the run does about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab.causes.changes import Value
from vaelab.config import RunConfig
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.errors import VaelabError
from vaelab.readers import read


@dataclass(frozen=True)
class Judgement:
    """One diagnosis of the live run. critical: it says ``stop``, or ``act`` for the second time in a row. changes: what the likeliest
    cause asks for, as (canonical setting, value)."""

    step: int
    status: str
    headline: str
    cause: str | None
    critical: bool
    changed: bool
    changes: tuple[tuple[str, Value], ...] = ()


class Watch:
    """Diagnoses the run's own metrics.jsonl now and then, within a budget of time.

    A diagnosis is left out while all of them together have taken more than ``diagnose_budget`` of the time since the start,
    so the cost stays bounded however fast the steps are.
    """

    def __init__(self, folder: Path, config: RunConfig) -> None:
        self.folder, self.config = folder, config
        self.started = time.monotonic()
        self.spent = 0.0
        self.count = 0
        self.last = ""
        self.in_a_row = 0

    def due(self, done: int) -> bool:
        """Whether a diagnosis is due after ``done`` updates."""
        if done % self.config.diagnose_every:
            return False
        cost = self.spent / self.count if self.count else 0.0
        return self.spent + cost <= self.config.diagnose_budget * (time.monotonic() - self.started) or self.count == 0

    def judge(self, step: int) -> Judgement | None:
        """Diagnose now. None where the log cannot be judged yet: the run goes on, a diagnosis never ends it by error."""
        begun = time.monotonic()
        try:
            diagnosis: Diagnosis | None = diagnose(read(self.folder))
        except VaelabError:
            diagnosis = None
        self.spent += time.monotonic() - begun
        self.count += 1
        if diagnosis is None:
            return None
        status = diagnosis.status
        self.in_a_row = self.in_a_row + 1 if status in ("act", "stop") else 0
        critical = status == "stop" or self.in_a_row >= 2
        changed = status != self.last
        self.last = status
        first = diagnosis.causes[0] if diagnosis.causes else None
        cause, changes = (first.id, first.fix.changes) if first is not None else (None, ())
        return Judgement(step, status, diagnosis.headline, cause, critical, changed, changes)

    @property
    def share(self) -> float:
        """Share of the time that diagnoses took."""
        return self.spent / max(1e-9, time.monotonic() - self.started)

    def state_dict(self) -> dict[str, Any]:
        return {"last": self.last, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.last, self.in_a_row = state["last"], state["in_a_row"]
