"""How a log was read: what each column was taken for, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vaelab.catalog.roles import Role, RoleName
from vaelab.run import Column, Run

_NOT_ASKED: frozenset[RoleName] = frozenset(("time", "memory", "progress", "weight"))


@dataclass(frozen=True)
class ColumnReading:
    """One column: its name in the log, the metric and the role it was read as, how many values it has."""

    column: str
    metric: str
    role: Role = field(metadata={"inline": True})
    values: int

    @property
    def title(self) -> str:
        """The role in words: ``reconstruction (spectral), val``."""
        words = self.role.name.replace("_", " ")
        words += f" ({self.role.kind})" if self.role.kind and self.role.kind not in words else ""
        return words + (f", {self.role.split}" if self.role.split != "train" else "")

    @property
    def map_line(self) -> str:
        """What to add to the command to settle it."""
        role = next(iter(self.role.could_be), "ROLE")
        return f"--map '{self.column}={role}'" if " " in self.column else f"--map {self.column}={role}"


def columns(run: Run) -> list[ColumnReading]:
    """Every column of the run, in the order of the log."""
    return [_column(c) for c in run.columns.values()]


def _column(column: Column) -> ColumnReading:
    return ColumnReading(column.original, column.name, column.role, int(column.logged.sum()))


def guessed(run: Run) -> list[ColumnReading]:
    """Columns read by name or behaviour only, that a judgement may rest on."""
    return [c for c in columns(run) if c.role.standing == "inferred" and c.role.name not in _NOT_ASKED]


def unsettled(run: Run) -> list[ColumnReading]:
    """Columns whose role is ambiguous or unknown."""
    return [c for c in columns(run) if c.role.standing in ("ambiguous", "unknown")]


def summary(run: Run) -> list[str]:
    """One to three lines: how many columns are known, which are guesses, which nobody knows."""
    everything = columns(run)
    guesses, open_ones = guessed(run), unsettled(run)
    lines = []
    if guesses:
        lines.append(f"read by name, not known for sure: {_listed([f'{c.column} as {c.title}' for c in guesses])}")
    ambiguous = [c for c in open_ones if c.role.standing == "ambiguous"]
    if ambiguous:
        told = [f"{c.column} ({' or '.join(r.replace('_', ' ') for r in c.role.could_be)})" for c in ambiguous]
        lines.append(f"ambiguous, not judged: {_listed(told)}; settle with {ambiguous[0].map_line}")
    unknown = [c for c in open_ones if c.role.standing == "unknown"]
    if unknown:
        example = f"; say what one is with {unknown[0].map_line}" if len(unknown) < len(everything) or not lines else ""
        lines.append(f"of no known role: {_listed([c.column for c in unknown])}{example}")
    return lines


def _listed(texts: Sequence[str], most: int = 5) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
