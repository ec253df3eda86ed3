"""LintRule: one check of a plan. LintFinding: what it found, with the line and the change in the trainer's own spelling."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from vaelab.dialects.plan import Plan
from vaelab.rules.base import Severity


@dataclass(frozen=True)
class LintFinding:
    """One finding.

    line: 1-based, None if the file has no such option. option: the trainer's option it is about, if the file gives it. patch: lines to change, as the trainer spells them. certain:
    False where the file does not say whether it bites. known_as: faults of the trainer's public code that are the same
    thing, as ``PF-3 (file:line)``. advice: what to do where no ``patch`` says it. where: place in the trainer's code.
    """

    code: str
    name: str
    severity: Severity
    message: str
    line: int | None = None
    option: str = ""
    patch: tuple[str, ...] = ()
    certain: bool = True
    known_as: tuple[str, ...] = ()
    advice: str = ""
    where: str = ""


@dataclass(frozen=True)
class LintReport:
    """The findings on one plan. source: the file or preset. title: the trainer, and which training of the file it is.
    suppressed: findings that a comment in the file switches off. checked: rules and known faults that were looked at."""

    source: str
    title: str
    plan: Plan
    findings: tuple[LintFinding, ...] = ()
    suppressed: tuple[LintFinding, ...] = ()
    checked: int = 0


class LintRule(ABC):
    """One check of settings. Subclasses set ``code`` (LNT and a number, never reused), ``name`` (kebab-case) and a docstring
    with the sections *What it checks*, *Why it matters*, *What to do*, *References*."""

    code: ClassVar[str]
    name: ClassVar[str]

    @abstractmethod
    def check(self, plan: Plan) -> Iterable[LintFinding]:
        """Findings on ``plan``; yields nothing where the file does not say enough."""

    def finding(
        self,
        severity: Severity,
        message: str,
        plan: Plan,
        *options: str,
        patch: Iterable[str] = (),
        certain: bool = True,
    ) -> LintFinding:
        """options: common names, or the trainer's, of the options it is about; the first that the file gives has the line."""
        key = next((k for k in map(plan.key, options) if k in plan.options), "")
        return LintFinding(self.code, self.name, severity, message, plan.options.line(key), key, tuple(patch), certain)

    @classmethod
    def documentation(cls) -> str:
        return inspect.cleandoc(cls.__doc__ or "")
