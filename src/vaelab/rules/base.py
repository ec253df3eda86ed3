"""Rule: one small check on facts. Finding: what it found, with the numbers it rests on."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vaelab.facts.base import Evidence

if TYPE_CHECKING:
    from vaelab.facts import Facts

Severity = Literal["info", "warn", "critical"]
SEVERITY_ORDER: dict[str, int] = {"info": 0, "warn": 1, "critical": 2}


@dataclass(frozen=True)
class Finding:
    """What a rule found. ``first_step``/``last_step`` bound the rows it speaks of; ``phase`` is the phase's kind.

    ``explained_by`` is the code of the finding, or the id of the cause, that this one follows from (it is then shown
    under it, not beside it).
    """

    code: str
    name: str
    severity: Severity
    message: str
    metrics: tuple[str, ...] = ()
    first_step: int | None = None
    last_step: int | None = None
    evidence: tuple[Evidence, ...] = ()
    phase: str | None = None
    explained_by: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A rule that could not run, and the columns or facts it missed."""

    code: str
    name: str
    missing: tuple[str, ...]


class Rule(ABC):
    """One check. Subclasses set ``code`` (family letters and number, never reused), ``name`` (kebab-case), ``needs``
    (names of columns or facts) and a docstring with the sections *What it checks*, *Why it matters*, *Evidence it
    needs*, *What to do*, *References*."""

    code: ClassVar[str]
    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def check(self, facts: Facts) -> Iterable[Finding]:
        """Findings on ``facts``; never raises on data, yields nothing where it sees nothing."""

    def finding(
        self,
        severity: Severity,
        message: str,
        *,
        metrics: tuple[str, ...] = (),
        steps: tuple[int | None, int | None] = (None, None),
        evidence: Iterable[Evidence] = (),
        phase: str | None = None,
    ) -> Finding:
        return Finding(self.code, self.name, severity, message, metrics, steps[0], steps[1], tuple(evidence), phase)

    @classmethod
    def documentation(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "")
