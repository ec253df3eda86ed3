"""Bug: one known fault of a public trainer's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vaelab.lint.conditions import ALWAYS, Condition
from vaelab.rules.base import Severity


@dataclass(frozen=True)
class Bug:
    """code: trainer and number, as in docs/faults.md; stable. trainers: ids of vaelab.lint.trainers.SOURCES.

    severity: critical for a run that is lost or silently trains wrongly, warn for one that trains worse or an option that
    fails, info for a number that misleads or work that is wasted. where: file and line in the original, at the commit in
    SOURCES; a mapping by trainer where the copies differ ("*" for the rest). when: what must be so for it to bite. fix: what to do. options: the trainer's options it is about. patch: lines
    to change. rule: code of a lint rule that says the same of the settings; the fault is then named beside it.
    """

    code: str
    trainers: tuple[str, ...]
    severity: Severity
    title: str
    where: str | Mapping[str, str]
    fix: str
    when: Condition = ALWAYS
    options: tuple[str, ...] = ()
    patch: tuple[str, ...] = ()
    rule: str = ""

    @property
    def name(self) -> str:
        """The same for all: what it is, is in the title."""
        return "known-fault"

    def place(self, trainer: str) -> str:
        """File and line in this trainer's code."""
        if isinstance(self.where, str):
            return self.where
        return self.where.get(trainer) or self.where["*"]
