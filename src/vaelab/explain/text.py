"""The shape of an explanation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A heading and its lines of plain text. drawn: the lines are a picture of fixed width, not to be wrapped."""

    heading: str
    lines: tuple[str, ...]
    drawn: bool = False


@dataclass(frozen=True)
class Explanation:
    """kind: ``metric``, ``setting``, ``rule``, ``cause``, ``trainer`` or ``known fault``. name: the topic's canonical name,
    code or id."""

    kind: str
    name: str
    title: str
    sections: tuple[Section, ...]

    def __str__(self) -> str:
        parts = [f"{self.title} ({self.kind} {self.name})"]
        parts += ["\n".join([s.heading, *(f"  {line}" for line in s.lines)]) for s in self.sections]
        return "\n\n".join(parts)
