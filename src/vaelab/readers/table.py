"""Table: named numbers row by row, as delimited files and JSON records hold them, and which column counts the steps."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import BoolArray, RawColumn, RawLog
from vaelab.readers.counters import (
    LARGEST_STEP,
    are_counts,
    is_epoch,
    is_sample_count,
    newest_first,
    pick_counter,
    step_rank,
)
from vaelab.run import FloatArray, IntArray, ReadNote, Smoothing

# bookkeeping that trackers write beside the metrics
NOT_METRICS = frozenset(
    ("_runtime", "_timestamp", "timestamp", "created_at", "wall_time", "wall time", "n_parameters", "unnamed: 0", "",
     "relative time (process)", "relative time (wall)")
)  # fmt: skip

MOST_COLUMNS = 2000  # of one log; a trainer that logs a norm for each weight has some hundreds
MOST_NAMES = 100_000  # different names of which the values are held until the columns are chosen
MOST_CELLS_EACH = 50  # a column is an array over all rows: no more cells than this for each value that was logged
FREE_CELLS = 10_000_000  # ... and this many for nothing


def columns_kept(counts: Mapping[str, int], rows: int) -> tuple[set[str], list[ReadNote]]:
    """The columns that a log of ``rows`` rows keeps: those logged most often, up to the limits above; a note on the rest.

    counts: how many values each column has, in the order in which the columns appeared.
    """
    cells = max(FREE_CELLS, MOST_CELLS_EACH * sum(counts.values()))
    most = max(1, min(MOST_COLUMNS, cells // max(rows, 1)))
    if len(counts) <= most:
        return set(counts), []
    ranked = sorted(counts, key=lambda name: -counts[name])
    left = ranked[most:]
    text = (
        f"the log has {len(counts):,} different names: the {most:,} logged most often are kept; {len(left):,} others "
        f"('{left[0][:80]}', ...), logged {sum(counts[name] for name in left):,} times in all, were left out"
    )
    return set(ranked[:most]), [ReadNote("too_many_columns", len(left), text)]


@dataclass
class _Cells:
    """The cells of one column, in any order: row and value of each that is not empty."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Table:
    """Rows of named numbers; a row need not have them all.

    lines: line (or record) number of each row. decimals: digits after the point by column, where they are fixed.
    nameless: values that were not held since there were ``MOST_NAMES`` names already.
    """

    def __init__(self) -> None:
        self.lines = array("q")
        self.decimals: dict[str, int] = {}
        self.nameless = 0
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
            cells = self._cells.get(name) or self._new_cells(name)
            if cells is None:
                self.nameless += 1
                continue
            cells.rows.append(row)
            cells.values.append(value)

    def add_rows(self, lines: IntArray) -> int:
        """Many rows without cells; gives the number of the first one."""
        first = len(self.lines)
        self.lines.frombytes(np.ascontiguousarray(lines, np.int64).tobytes())
        return first

    def add_cells(self, name: str, rows: IntArray, values: FloatArray) -> None:
        """Cells of one column. rows: int64 (n,) numbers of rows that were added before; values: float64 (n,)."""
        cells = self._cells.get(name) or self._new_cells(name)
        if cells is None:
            self.nameless += len(rows)
            return
        cells.rows.frombytes(rows.tobytes())
        cells.values.frombytes(values.tobytes())

    def add_block(self, lines: IntArray, names: list[str], values: FloatArray, present: BoolArray | None) -> None:
        """Many rows at once. values, present: (rows, columns); rows without any value are left out; None: all present."""
        if present is not None and not (some := present.any(axis=1)).all():
            lines, values, present = lines[some], values[some], present[some]
        row_of = np.arange(len(lines)) + self.add_rows(lines)
        for i, name in enumerate(names):
            at = slice(None) if present is None else present[:, i]
            self.add_cells(name, row_of[at], values[at, i])

    def _new_cells(self, name: str) -> _Cells | None:
        if len(self._cells) >= MOST_NAMES:
            return None
        cells = self._cells[name] = _Cells()
        return cells

    def column(self, name: str) -> tuple[FloatArray, BoolArray]:
        """Values (NaN where empty) and whether there is one, both (rows,)."""
        values = np.full(len(self), np.nan)
        logged = np.zeros(len(self), bool)
        cells = self._cells[name]
        rows = np.frombuffer(cells.rows, np.int64)
        values[rows] = np.frombuffer(cells.values, np.float64)
        logged[rows] = True
        return values, logged

    def _finite(self, name: str) -> FloatArray:
        """The finite values of a column, in the order in which they were added."""
        values = np.frombuffer(self._cells[name].values, np.float64)
        return values[np.isfinite(values)]

    def to_log(
        self,
        source: str,
        format: str,
        *,
        config: Mapping[str, Any] | None = None,
        notes: Iterable[ReadNote] = (),
        smoothing: Smoothing | None = None,
        row_unit: str = "record",
        step_names: tuple[str, ...] = (),
    ) -> RawLog:
        """The rows as a RawLog; ``step_names``: lower-case names of columns known to count the steps, the surest first.

        Raises LogError if there is no row.
        """
        if not len(self):
            raise LogError(f"{source} was read as {format}, but there is no row with a number in it.")
        notes = list(notes)
        counters = self._counters(step_names)
        step_name = pick_counter(counters, self._finite, len(self))
        epoch_names = [name for name in self.names if is_epoch(name)]
        epoch_name = next((name for name in epoch_names if _counts_epochs(self._finite(name), len(self))), None)
        steps, epochs, unit = self._rows_counted(step_name, epoch_name, counters, row_unit, notes)
        other = [name for name in (*counters, *epoch_names) if name not in (step_name, epoch_name)]
        if other:
            text = f"other counts of the same rows are no metrics and were left out: {', '.join(map(repr, other[:9]))}"
            notes.append(ReadNote("other_counter", len(other), text))
        not_metrics = {*other, step_name, epoch_name, *(n for n in self.names if n.strip().lower() in NOT_METRICS)}
        counts = {name: len(cells.rows) for name, cells in self._cells.items() if name not in not_metrics}
        kept, left_out = columns_kept(counts, len(self))
        notes.extend(left_out)
        if self.nameless:
            text = f"{self.nameless:,} values under still more than {MOST_NAMES:,} different names were left out"
            notes.append(ReadNote("too_many_columns", self.nameless, text))
        lines = np.frombuffer(self.lines, np.int64)
        columns = []
        for name in (name for name in counts if name in kept):
            values, logged = self.column(name)
            columns.append(RawColumn(name, values, logged, lines, self.decimals.get(name), smoothing or Smoothing()))
        notes.extend(_nan_for_empty(columns))
        return RawLog(source, format, steps, columns, epochs, dict(config or {}), [], notes, unit)

    def _counters(self, known: tuple[str, ...]) -> list[str]:
        """Columns that count steps by their name, the surest first; ``known`` (lower-case) before all others."""
        order = {name: place - len(known) for place, name in enumerate(known)}
        ranks = {name: order.get(name.strip().lower(), step_rank(name)) for name in self.names}
        ranked = [(rank, name) for name, rank in ranks.items() if rank is not None]
        return [name for _, name in sorted(ranked, key=lambda pair: pair[0])]

    def _rows_counted(
        self,
        step_name: str | None,
        epoch_name: str | None,
        counters: list[str],
        row_unit: str,
        notes: list[ReadNote],
    ) -> tuple[IntArray, IntArray | None, str]:
        """Steps, epochs and the unit of the steps; a note where they are no steps."""
        epochs = _carried(*self.column(epoch_name)) if epoch_name else None
        if step_name:
            steps = _carried(*self.column(step_name))
            if epochs is not None:
                steps, counted = _steps_over_epochs(steps, epochs)
                notes.extend(counted)
            return steps, epochs, "step"
        samples = pick_counter((n for n in self.names if is_sample_count(n)), self._finite, len(self))
        if samples and np.all(np.diff(self._finite(samples)) > 0):
            text = f"there is no step column: the rows are counted by the samples seen, '{samples}'"
            notes.append(ReadNote("no_step_column", len(self), text))
            return _carried(*self.column(samples)), epochs, "sample"
        why = self._why_no_counter(counters)
        if epochs is not None and epoch_name:
            fractions = self._finite(epoch_name)
            if np.any(fractions != np.floor(fractions)):
                why = f" ('{epoch_name}' has fractions)"
            elif self._repeats(epochs):
                why = f" ('{epoch_name}' has several rows each)"
            else:
                text = f"there is no step column{why}: the rows are counted by '{epoch_name}'"
                notes.append(ReadNote("no_step_column", len(self), text))
                return epochs, epochs, "epoch"
        text = f"there is no step column{why}: the rows are counted from 0 ({row_unit}s, not steps)"
        notes.append(ReadNote("no_step_column", len(self), text))
        return np.arange(len(self), dtype=np.int64), epochs, row_unit

    def _why_no_counter(self, counters: list[str]) -> str:
        """What is wrong with the first column that counts steps by its name."""
        if not counters:
            return ""
        values = self._finite(counters[0])
        if len(odd := values[~are_counts(values)]):
            return f" ('{counters[0]}' is no count of steps: it has {odd[0]:g})"
        return f" ('{counters[0]}' is empty in most rows, or does not change)"

    def _repeats(self, epochs: IntArray) -> bool:
        """Whether one metric has several values in an epoch: counted by epochs, all but the last would be lost."""
        for name, cells in self._cells.items():
            rows = np.sort(np.frombuffer(cells.rows, np.int64))
            if not is_epoch(name) and len(rows) > 1 and np.mean(np.diff(epochs[rows]) == 0) > 0.2:
                return True
        return False


def explicit_steps_first(table: Table, name: str) -> tuple[str, ...]:
    """``name``, a tracker's own count, if the trainer set it (a count of log calls has no gaps); nothing otherwise."""
    values, logged = table.column(name)
    counted = np.diff(values[logged])
    return (name,) if np.any(counted > 1) else ()


def _counts_epochs(values: FloatArray, rows: int) -> bool:
    """Whether finite values may be epochs, with fractions or without."""
    return 2 * len(values) >= rows and len(values) > 0 and bool(np.all((values > -2) & (values < 2**31)))


def _carried(values: FloatArray, logged: BoolArray) -> IntArray:
    """Counts as int64. A row without one belongs to the count before it (or to the first, at the start)."""
    known = np.flatnonzero(logged & np.isfinite(values))
    before = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return np.floor(values[known[np.maximum(before, 0)]]).astype(np.int64)


def _steps_over_epochs(steps: IntArray, epochs: IntArray) -> tuple[IntArray, list[ReadNote]]:
    """Steps that begin again in each epoch, counted on: ``epoch * length + step``."""
    if newest_first(epochs):
        counted, notes = _steps_over_epochs(steps[::-1], epochs[::-1])
        return counted[::-1], notes
    back = np.flatnonzero(steps[1:] < steps[:-1]) + 1
    if not len(back) or np.any(epochs[1:] < epochs[:-1]) or np.any(epochs[back] == epochs[back - 1]):
        return steps, []
    if np.any(steps[back] > steps[: back[0]].min()):
        return steps, []
    length = int(steps.max())
    if steps.min() == 0:  # counted from 0: the last step logged is one interval before the end
        length += max(1, int(np.median(np.diff(steps[: back[0]])))) if back[0] > 1 else 1
    if float(epochs.max()) * length >= LARGEST_STEP:
        return steps, []
    text = f"the step begins again in each epoch; steps are counted as epoch * {length:,} + step"
    return epochs * length + steps, [ReadNote("steps_per_epoch", len(back), text)]


def _nan_for_empty(columns: list[RawColumn]) -> list[ReadNote]:
    """Take NaN for *not logged* where a table is filled up with it, as pandas prints one.

    A loss that has become NaN stays so, or comes back after a few rows. Here NaN stands in at least half of the rows of a
    column, numbers come back after it at least twice, and every row has a number in some column.
    """
    suspects = [column for column in columns if 2 * np.isnan(column.values[column.logged]).sum() >= column.logged.sum()]
    some = np.zeros(len(columns[0].values) if columns else 0, bool)
    for column in columns if suspects else ():
        some |= np.isfinite(column.values)
    names, cells = [], 0
    for column in suspects if some.all() else ():
        empty = np.isnan(column.values) & column.logged
        rows = np.flatnonzero(column.logged)
        returns = np.count_nonzero(empty[rows[:-1]] & ~empty[rows[1:]])
        if returns >= 2:
            column.logged &= ~empty
            names.append(column.original)
            cells += int(empty.sum())
    if not names:
        return []
    text = f"nan stands for 'not logged' between the numbers of {', '.join(map(repr, names[:9]))}"
    return [ReadNote("nan_for_empty", cells, text)]
