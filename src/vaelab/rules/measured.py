"""Rules on what was measured on a checkpoint: the numbers, and what all such rules share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule


class Numbers(dict[str, float]):
    """What one command measured, by the name without the command's; NaN for what it did not measure."""

    def __missing__(self, name: str) -> float:
        return math.nan


class Measured(Rule):
    """A rule on such numbers.

    source: the command's part of their names. usual: the section *Evidence it needs* of a rule that asks for nothing else. shows: the
    numbers that a finding rests on, each with its unit after a blank. sized_by: the number that is its size, where one is. about: the
    columns that it is about, where logged.
    """

    source: ClassVar[str]
    usual: ClassVar[str]
    shows: ClassVar[tuple[str, ...]]
    sized_by: ClassVar[str] = ""
    about: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def documentation(cls) -> str:
        """The docstring; where it does not say what it needs, the usual is what that is."""
        text = super().documentation()
        missing = "Evidence it needs:" not in text
        return text.replace("What to do:", f"Evidence it needs: {cls.usual}\n\nWhat to do:", 1) if missing else text

    @abstractmethod
    def says(self, of: Numbers) -> str:
        """The finding as a sentence; empty where there is none."""

    def rests_on(self, of: Numbers) -> Iterable[str]:
        return self.shows

    def size(self, of: Numbers) -> float | None:
        return of[self.sized_by] if self.sized_by else None

    def costs(self, of: Numbers) -> bool:
        return False

    def check(self, facts: Facts) -> Iterable[Finding]:
        begin = f"{self.source}."
        of = Numbers({n.removeprefix(begin): v for n, v in facts.run.measured.items() if n.startswith(begin)})
        if text := self.says(of):
            step = int(of["step"]) if "step" in of else None
            shown = (name.partition(" ") for name in self.rests_on(of))
            yield self.finding(
                text,
                size=self.size(of),
                costs=self.costs(of),
                metrics=tuple(m for m in self.about if m in facts.run),
                steps=(step, step),
                evidence=[Evidence(begin + name, of[name], unit) for name, _, unit in shown if name in of],
            )


class Probed(Measured):
    """A rule on what ``vaelab probe`` measured."""

    source = "probe"
    usual = "vaelab probe on 8 clips or more."


class Evaluated(Measured):
    """A rule on what ``vaelab evaluate`` measured on held-out clips."""

    source = "evaluation"
    usual = "vaelab evaluate on held-out clips."
