"""The diagnosis inside the run: what ``vaelab diagnose`` says of the log so far, and what the run does about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaelab.causes.changes import Value
from vaelab.config import RunConfig
from vaelab.diagnosis import Diagnosis, Status, diagnose
from vaelab.errors import VaelabError
from vaelab.live.hysteresis import StableStatus
from vaelab.readers import read

CALM: tuple[Status, ...] = ("healthy", "watch")


@dataclass(frozen=True)
class Judgement:
    """What is shown of the live run after one more diagnosis (``vaelab.live.hysteresis`` says when that changes).

    cause, values: of this diagnosis: the likeliest cause, and the canonical settings that it asks to change. critical: a confirmed ``act`` or ``stop``. healthy: neither what is shown nor this diagnosis asks for
    a change. changed: the status was another one before.
    """

    step: int
    status: Status
    headline: str
    cause: str | None
    critical: bool
    healthy: bool
    changed: bool
    values: tuple[tuple[str, Value], ...] = ()


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
        self.stable = StableStatus("train", str(folder))

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
        if diagnosis is None or not len(diagnosis.run):
            return None
        changes = self.stable.update(int(diagnosis.run.steps[-1]), diagnosis)
        status = self.stable.status
        first = diagnosis.causes[0] if diagnosis.causes else None
        return Judgement(
            step,
            status,
            self.stable.headline,
            first.id if first is not None else None,
            critical=self.stable.confirmed and status in ("act", "stop"),
            healthy=status in CALM and diagnosis.status in CALM,
            changed=any(change.kind == "status" for change in changes),
            values=first.fix.changes if first is not None else (),
        )

    @property
    def share(self) -> float:
        """Share of the time that diagnoses took."""
        return self.spent / max(1e-9, time.monotonic() - self.started)

    def state_dict(self) -> dict[str, Any]:
        return self.stable.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.stable.load_state_dict(state)
