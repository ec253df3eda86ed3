"""Fact, Phase and Evidence: what is known about a run, and the numbers it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["algebra", "units", "phases", "adversary", "optimiser", "progress", "trainer"]
Standing = Literal["declared", "inferred", "known", "bounded", "cannot-tell"]
PhaseKind = Literal["warm-up", "vae-only", "disc-warm-up", "gan-start", "gan", "lr-decay", "whole"]


@dataclass(frozen=True)
class Evidence:
    """One number a statement rests on: its name, value, unit, and where it stands in the log."""

    name: str
    value: float | str
    unit: str = ""
    step: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        value = f"{self.value:.4g}" if isinstance(self.value, float) else str(self.value)
        where = ""
        if self.step is not None:
            where = f" (step {self.step:,}{f', line {self.line:,}' if self.line else ''})"
        return f"{self.name} {value}{' ' + self.unit if self.unit else ''}{where}"


@dataclass(frozen=True)
class Fact:
    """One statement about the run that is not a judgement.

    ``standing``: ``declared`` (the log or the user says it), ``inferred`` (solved from the columns), ``known`` (follows
    from the trainer's code), ``bounded`` (only an interval is certain), ``cannot-tell`` (``text`` says what to log).
    ``low``/``high`` bound ``value`` where it carries an uncertainty.
    """

    name: str
    group: Group
    text: str
    standing: Standing
    value: float | str | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Phase:
    """A stretch of the run that is judged on its own. Steps and rows are inclusive."""

    kind: PhaseKind
    title: str
    first_step: int
    last_step: int
    first_row: int
    last_row: int
    text: str = ""

    @property
    def rows(self) -> slice:
        return slice(self.first_row, self.last_row + 1)
