"""Table: named numbers row by row, as delimited files and JSON records hold them, and which column counts the steps."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import BoolArray, RawColumn, RawLog
from vaelab.run import FloatArray, IntArray, ReadNote, Smoothing

# names of the column that counts steps, the surest first; ``_step`` is W&B's own count of log calls
STEP_NAMES = (
    "global_step", "trainer/global_step", "train/global_step", "step", "steps", "train/step", "iteration", "iterations",
    "iter", "iters", "it", "global_iter", "n_iter", "num_updates", "batch", "i", "_step",
)  # fmt: skip
EPOCH_NAMES = ("epoch", "train/epoch", "trainer/epoch", "current_epoch", "epochs", "_epoch")
# bookkeeping that trackers write beside the metrics
NOT_METRICS = frozenset(
    ("_runtime", "_timestamp", "timestamp", "created_at", "wall_time", "wall time", "n_parameters", "unnamed: 0", "",
     "relative time (process)", "relative time (wall)")
)  # fmt: skip
LARGEST_STEP = 2.0**53


@dataclass
class _Cells:
    """The cells of one column: row and value of each that is not empty."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Table:
    """Rows of named numbers; a row need not have them all.

    lines: line (or record) number of each row. decimals: digits after the point by column, where they are fixed.
    """

    def __init__(self) -> None:
        self.lines = array("q")
        self.decimals: dict[str, int] = {}
        self._cells: dict[str, _Cells] = {}

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def names(self) -> list[str]:
        return list(self._cells)

    def add_row(self, line: int, items: Iterable[tuple[str, float]]) -> None:
        self.lines.append(line)
        self.extend_row(items)

    def extend_row(self, items: Iterable[tuple[str, float]]) -> None:
        """Add cells to the last row."""
        row = len(self.lines) - 1
        for name, value in items:
            cells = self._cells.get(name)
            if cells is None:
                cells = self._cells[name] = _Cells()
            cells.rows.append(row)
            cells.values.append(value)

    def add_block(self, lines: IntArray, names: list[str], values: FloatArray, present: BoolArray) -> None:
        """Many rows at once. values, present: (rows, columns)."""
        first = len(self.lines)
        self.lines.frombytes(np.ascontiguousarray(lines, np.int64).tobytes())
        for i, name in enumerate(names):
            cells = self._cells.setdefault(name, _Cells())
            rows = np.flatnonzero(present[:, i])
            cells.rows.frombytes((rows + first).tobytes())
            cells.values.frombytes(values[rows, i].tobytes())

    def column(self, name: str) -> tuple[FloatArray, BoolArray]:
        """Values (NaN where empty) and whether there is one, both (rows,)."""
        values = np.full(len(self), np.nan)
        logged = np.zeros(len(self), bool)
        cells = self._cells[name]
        rows = np.frombuffer(cells.rows, np.int64)
        values[rows] = np.frombuffer(cells.values, np.float64)
        logged[rows] = True
        return values, logged

    def to_log(
        self,
        source: str,
        format: str,
        *,
        config: Mapping[str, Any] | None = None,
        notes: Iterable[ReadNote] = (),
        smoothing: Smoothing | None = None,
        row_unit: str = "row",
        step_names: tuple[str, ...] = STEP_NAMES,
    ) -> RawLog:
        """The rows as a RawLog; ``step_names``: lower-case names of the column that counts steps, the surest first.

        Raises LogError if there is no row.
        """
        if not len(self):
            raise LogError(f"{source} was read as {format}, but there is no row with a number in it.")
        notes = list(notes)
        step_name, epoch_name = _pick(self, step_names), _pick(self, EPOCH_NAMES)
        epochs = _whole(*self.column(epoch_name)) if epoch_name else None
        if step_name:
            steps, unit = _whole(*self.column(step_name)), "step"
            if epochs is not None:
                steps, counted = _steps_over_epochs(steps, epochs)
                notes.extend(counted)
        elif epochs is not None:
            steps, unit = epochs, "epoch"
            text = f"there is no step column: the rows are counted by '{epoch_name}'"
            notes.append(ReadNote("no_step_column", len(self), text))
        else:
            steps, unit = np.arange(len(self), dtype=np.int64), row_unit
            text = f"there is no step column: the rows are counted from 0 ({row_unit}s, not steps)"
            notes.append(ReadNote("no_step_column", len(self), text))
        lines = np.frombuffer(self.lines, np.int64)
        columns = []
        for name in self.names:
            if name.strip().lower() in NOT_METRICS or (step_name and name.strip().lower() in step_names):
                continue  # bookkeeping, or another count of the same rows
            if name == epoch_name:
                continue
            values, logged = self.column(name)
            columns.append(RawColumn(name, values, logged, lines, self.decimals.get(name), smoothing or Smoothing()))
        return RawLog(source, format, steps, columns, epochs, dict(config or {}), [], notes, unit)


def explicit_steps_first(table: Table, name: str) -> tuple[str, ...]:
    """``STEP_NAMES`` with ``name``, a tracker's own count, in front if the trainer set it: a count of log calls has no gaps."""
    values, logged = table.column(name)
    counted = np.diff(values[logged])
    return (name, *STEP_NAMES) if np.any(counted > 1) else STEP_NAMES


def _pick(table: Table, candidates: tuple[str, ...]) -> str | None:
    """The first candidate that is a column with whole numbers in at least half of the rows."""
    spelled = {name.strip().lower(): name for name in reversed(table.names)}
    for candidate in candidates:
        name = spelled.get(candidate)
        if name is None:
            continue
        values, logged = table.column(name)
        known = values[logged]
        usable = np.isfinite(known) & (np.abs(known) < LARGEST_STEP)
        if len(known) >= len(table) / 2 and usable.all() and (known >= 0).mean() > 0.5:
            return name
    return None


def _whole(values: FloatArray, logged: BoolArray) -> IntArray:
    """Counts as int64. A row without one belongs to the count before it (or to the first, at the start)."""
    known = np.flatnonzero(logged)
    before = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return np.floor(values[known[np.maximum(before, 0)]]).astype(np.int64)


def _steps_over_epochs(steps: IntArray, epochs: IntArray) -> tuple[IntArray, list[ReadNote]]:
    """Steps that begin again in each epoch, counted on: ``epoch * length + step``."""
    back = np.flatnonzero(steps[1:] < steps[:-1]) + 1
    if not len(back) or np.any(epochs[1:] < epochs[:-1]) or np.any(epochs[back] == epochs[back - 1]):
        return steps, []
    if np.any(steps[back] > steps[: back[0]].min()):
        return steps, []
    length = int(steps.max())
    if steps.min() == 0:  # counted from 0: the last step logged is one interval before the end
        length += max(1, int(np.median(np.diff(steps[: back[0]])))) if back[0] > 1 else 1
    text = f"the step begins again in each epoch; steps are counted as epoch * {length:,} + step"
    return epochs * length + steps, [ReadNote("steps_per_epoch", len(back), text)]
