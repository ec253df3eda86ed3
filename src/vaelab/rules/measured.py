"""Rules on what a command measured on a checkpoint: each compares some numbers with limits, and is one entry of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Direction, Finding, Rule
from vaelab.words import number


class Number(float):
    """In a sentence it reads as ``vaelab.words.number`` has it where no other format is asked for."""

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else number(self)


class Numbers(dict[str, float]):
    """What one command measured, by the name without the command's; NaN for what it did not measure."""

    def __missing__(self, name: str) -> float:
        return math.nan


@dataclass(frozen=True)
class Entry:
    """One rule on such numbers. code, name, finds: as of any rule. needs: the numbers without which it cannot run, separated by blanks.

    title, checks, matters, do, refs: its page. evidence: the section *Evidence it needs*, where the table's is not enough.
    where: whether it finds something. says: the finding, with the numbers' names in braces, or a function that gives it (empty where
    there is none). shows: the numbers it rests on besides those it needs. size: its size, a number's name or made of several.
    costs: whether the damage shows already. about: the columns that it is about, where logged.
    """

    code: str
    name: str
    finds: tuple[str, Direction]
    needs: str
    title: str
    checks: str
    matters: str
    do: str
    refs: str
    says: str | Callable[[Numbers], str]
    where: Callable[[Numbers], bool] = lambda n: True
    shows: str | Callable[[Numbers], str] = ""
    size: str | Callable[[Numbers], float] = ""
    costs: Callable[[Numbers], bool] = lambda n: False
    about: str = ""
    evidence: str = ""


class Measured(Rule):
    """A rule made of an entry. source: the command's part of the names of its numbers. usual: the evidence that it needs."""

    source: ClassVar[str]
    usual: ClassVar[str]
    entry: ClassVar[Entry]

    @classmethod
    def documentation(cls) -> str:
        e = cls.entry
        sections = {
            "What it checks": e.checks,
            "Why it matters": e.matters,
            "Evidence it needs": e.evidence or cls.usual,
            "What to do": e.do,
            "References": e.refs,
        }
        return "\n\n".join((f"{e.title}.", "\n".join(f"{name}: {text}." for name, text in sections.items())))

    def check(self, facts: Facts) -> Iterable[Finding]:
        e, begin = self.entry, f"{self.source}."
        of = Numbers({n.removeprefix(begin): Number(v) for n, v in facts.run.measured.items() if n.startswith(begin)})
        if not e.where(of) or not (text := e.says.format_map(of) if isinstance(e.says, str) else e.says(of)):
            return
        size = e.size(of) if callable(e.size) else of[e.size] if e.size else math.nan
        shown = f"{e.needs.replace('|', ' ')} {e.shows(of) if callable(e.shows) else e.shows}".split()
        step = int(of["step"]) if "step" in of else None
        yield self.finding(
            text,
            size=None if math.isnan(size) else size,
            costs=e.costs(of),
            metrics=tuple(m for m in e.about.split() if m in facts.run),
            steps=(step, step),
            evidence=[Evidence(begin + name, of[name], _unit(name)) for name in dict.fromkeys(shown) if name in of],
        )


def _unit(name: str) -> str:
    if name.startswith("psnr"):
        return "dB"
    if name.startswith("kl_"):
        return "nats"
    return "x" if name.endswith(("_std", "_std_ratio", "_bypass")) and name != "latent_std" else ""


def rules_of(source: str, usual: str, *entries: Entry) -> tuple[type[Measured], ...]:
    """The rules that a table's entries are. source: the command's part of the numbers' names. usual: the evidence they need."""
    return tuple(_rule(source, usual, entry) for entry in entries)


def _rule(source: str, usual: str, entry: Entry) -> type[Measured]:
    needs = tuple("|".join(f"{source}.{name}" for name in need.split("|")) for need in entry.needs.split())
    own = {"code": entry.code, "name": entry.name, "finds": entry.finds, "needs": needs}
    return type(entry.code, (Measured,), {**own, "source": source, "usual": usual, "entry": entry})
