"""What a probe found, as data: numbers by name, tables, sentences, pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaelab.errors import VaelabError
from vaelab.probing.statistics import Interval
from vaelab.run import FloatArray

SCHEMA = "vaelab.probe/1"
Cell = str | float | int | None
Progress = Callable[[str, int, int], None]
"""Called with the part of the work, what is done of it, and the whole."""


class ProbeError(VaelabError):
    """A checkpoint cannot be probed, or the result cannot be written."""


@dataclass(frozen=True)
class Table:
    """columns: titles. rows: cells; a float is shown with four digits, None as a dash. note: one line below."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass
class ProbeResult:
    """Filled by each part of a probe in turn.

    which: ``best``, ``newest`` or ``EMA`` where a run has several. files: that the clips were cut from. measured: numbers that rules read (``Run.measured``), only those that rest on enough clips. intervals: 95% over
    clips. scale: shift and factor by group of frames, to paste. spectrum: power of clips and outputs by frequency, for a
    picture (``evaluation.radial``). cannot_tell: what was not judged, and why.
    """

    checkpoint: str
    data: str
    clips: int
    files: int
    size: tuple[int, int, int]
    model: str
    step: int | None = None
    which: str = ""
    measured: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    scale: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    cannot_tell: list[str] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    spectrum: FloatArray | None = None

    def measure(self, name: str, value: float | Interval) -> None:
        """Keep ``value`` as ``probe.NAME``; one that is not finite is left out."""
        if isinstance(value, Interval):
            if math.isfinite(value.low) and math.isfinite(value.high) and value.clips > 1:
                self.intervals[f"probe.{name}"] = value.low, value.high
            value = value.value
        if math.isfinite(value):
            self.measured[f"probe.{name}"] = float(value)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``probe.json``."""
        return {
            "schema": SCHEMA,
            "checkpoint": self.checkpoint,
            "model": self.model,
            "step": self.step,
            "which": self.which,
            "data": self.data,
            "clips": self.clips,
            "files": self.files,
            "clip_shape": list(self.size),
            "measured": self.measured,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "scale": self.scale,
            "tables": [
                {
                    "title": t.title,
                    "columns": list(t.columns),
                    "rows": [list(map(_plain, r)) for r in t.rows],
                    "note": t.note,
                }
                for t in self.tables
            ],
            "statements": self.statements,
            "cannot_tell": self.cannot_tell,
            "pictures": [path.name for path in self.pictures],
        }

    def write(self, path: Path) -> Path:
        """Write ``probe.json``, whole or not at all. Errors: ProbeError."""
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
            return part.replace(path)
        except OSError as error:
            raise ProbeError(f"{path} cannot be written: {error.strerror or error}. Choose another --output.") from None


def _plain(cell: Cell) -> Cell:
    """A number that JSON has."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
