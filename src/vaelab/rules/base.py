"""Rule: one small check on facts. Finding: what it found, with the numbers it rests on."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from vaelab.facts.base import Evidence
from vaelab.rules.harm import Severity
from vaelab.rules.severity import CERTAIN, DOUBTFUL, SEVERITY_ORDER, severity_of

if TYPE_CHECKING:
    from vaelab.facts import Facts

__all__ = ["SEVERITY_ORDER", "Direction", "Finding", "Rule", "Severity", "Skipped"]

Direction = Literal[
    "too-high", "too-low", "rising", "falling", "worse", "jumped", "dropped", "stuck", "unstable", "non-finite", "zero", "at-chance",
    "below-chance", "saturated", "collapsed", "contradicts", "late", "missing", "lost", "unreadable", "broken-off", "as-expected",
]  # fmt: skip
"""Where the subject of a finding went. Causes and reports may rely on the list being closed."""


@dataclass(frozen=True)
class Finding:
    """What a rule found. ``first_step``/``last_step`` bound the rows it speaks of; ``phase`` is the phase's kind.

    subject: the role of the column it speaks of (``vaelab.catalog.roles``), a setting (``kl_weight``), or ``data``, ``latent``,
    ``output``, ``run``. size: how far it went, in the unit that ``vaelab.rules.harm`` names for the code; None where it has no
    size. certainty: in [0, 1], by the finding's own evidence.
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
    subject: str = ""
    direction: Direction = "as-expected"
    size: float | None = None
    certainty: float = CERTAIN


@dataclass(frozen=True)
class Skipped:
    """A rule that could not run, and the columns or facts it missed."""

    code: str
    name: str
    missing: tuple[str, ...]


class Rule(ABC):
    """One check. ``name`` is the class's in kebab-case. Subclasses set ``code`` (family letters and number, never reused), ``needs``
    (names of columns or facts), ``finds`` (subject, empty where it differs from finding to finding, and direction) and a docstring with the sections *What it checks*, *Why it matters*, *Evidence it
    needs*, *What to do*, *References*."""

    code: ClassVar[str]
    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    finds: ClassVar[tuple[str, Direction]]

    def __init_subclass__(cls) -> None:
        cls.name = cls.__dict__.get("name", re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower())

    @abstractmethod
    def check(self, facts: Facts) -> Iterable[Finding]:
        """Findings on ``facts``; never raises on data, yields nothing where it sees nothing."""

    def finding(
        self,
        message: str,
        *,
        size: float | None = None,
        sure: bool = True,
        costs: bool = False,
        subject: str = "",
        metrics: tuple[str, ...] = (),
        steps: tuple[int | None, int | None] = (None, None),
        evidence: Iterable[Evidence] = (),
        phase: str | None = None,
    ) -> Finding:
        """A finding with the severity that the policy gives its size, certainty (``sure``: its own numbers
        say it; else something other may explain them) and cost (``costs``: the run already shows the damage)."""
        certainty = CERTAIN if sure else DOUBTFUL
        about = subject or self.finds[0]
        grave = severity_of(self.code, about, size, certainty, costs)
        return Finding(
            self.code, self.name, grave, message, metrics, *steps, tuple(evidence), phase, None, about, self.finds[1],
            size, certainty,
        )  # fmt: skip

    @classmethod
    def documentation(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "")
