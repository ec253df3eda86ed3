"""Bug: one known fault of a public trainer's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vaelab.dialects.conditions import ALWAYS, Condition


@dataclass(frozen=True)
class Bug:
    """code: trainer and number, as in docs/faults.md; stable. trainers: ids of the settings' sources.

    severity: critical for a run that is lost or silently trains wrongly, warn for one that trains worse or an option that
    fails, info for a number that misleads or work that is wasted. where: file and line in the original, at the commit in
    the source; a mapping by trainer for a fault of several. when: what must be so for it to bite. fix: what to do. options: the trainer's options it is about. patch: lines
    to change. rule: code of a lint rule that says the same of the settings; the fault is then named beside it.
    """

    code: str
    trainers: tuple[str, ...]
    severity: Literal["info", "warn", "critical"]
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
        return self.where if isinstance(self.where, str) else self.where[trainer]
