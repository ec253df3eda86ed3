"""RawLog: what a reader found, in the log's own names and order. ``building.build_runs`` turns it into runs.

A reader only parses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vaelab.readers.source import Source
from vaelab.run import Event, FloatArray, IntArray, ReadNote, Smoothing

BoolArray = npt.NDArray[np.bool_]

UNKNOWN_EPOCH = -1
MOST_KEYS = 100_000


@dataclass
class RawColumn:
    """One column as the log names it.

    values: float64 (n,). logged: bool (n,), True where the log printed a value, NaN and inf included.
    lines: int64 (n,), 1-based line or record number, 0 where unknown; may be shared by columns.
    decimals: digits printed after the point, None if full precision.
    epoch_mean: float64 (n,), the mean since the epoch began where the log prints it beside the value.
    """

    original: str
    values: FloatArray
    logged: BoolArray
    lines: IntArray | None = None
    decimals: int | None = None
    smoothing: Smoothing = field(default_factory=Smoothing)
    epoch_mean: FloatArray | None = None


@dataclass
class RawLog:
    """What a reader found in one source.

    steps: int64 (n,), in the order of the log; they may repeat or go back.
    epochs: int64 (n,), ``UNKNOWN_EPOCH`` where the log does not say.
    config: what the log declares, nested or flat.
    settings: the same as it was declared, with the line of each declaration, where the log declares something more than once
    (each start of a run prints its own); ``config`` is then all of them, the later laid over the earlier.
    begins: rows from which on another trainer writes, none of whose columns was there before.
    measured: of a checkpoint, see ``Run.measured``; it belongs to the last run of the log.
    """

    source: str
    format: str
    steps: IntArray
    columns: list[RawColumn]
    epochs: IntArray | None = None
    config: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    notes: list[ReadNote] = field(default_factory=list)
    step_unit: str = "step"
    measured: dict[str, float] = field(default_factory=dict)
    settings: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)


class Reader(Protocol):
    """One log format. Readers are module-level objects, listed in ``vaelab.readers.READERS``."""

    name: str
    title: str

    def sniff(self, head: bytes, source: Source) -> float:
        """How sure it is, in [0, 1], that a log which starts with ``head`` has this format."""
        ...

    def read(self, source: Source) -> list[RawLog]:
        """Parse the log. Raises LogError if it holds nothing of this format."""
        ...


@runtime_checkable
class JoiningReader(Reader, Protocol):
    """A reader that takes several files of one run together: each start of the run begins a new file."""

    def first_time(self, source: Source) -> float:
        """Unix time at which the file was begun: the files are read in this order."""
        ...

    def read_together(self, sources: Sequence[Source], name: str) -> list[RawLog]:
        """The log of several files; ``name`` is that of the run. Raises LogError as ``read`` does."""
        ...


def flatten(config: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Nested mappings as one level: ``{"a": {"b": 1}}`` -> ``{"a.b": 1}``. Lists are kept as values.

    No more than ``MOST_KEYS`` are kept: aliases let a small YAML file unfold without end.
    """
    flat: dict[str, Any] = {}
    stack: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", iter(config.items()))]
    while stack:  # a loop, not recursion: the nesting comes from a file
        prefix, items = stack[-1]
        for key, value in items:
            name = f"{prefix}{key}"
            if isinstance(value, Mapping) and value:
                stack.append((name + separator, iter(value.items())))
                break
            flat[name] = value
            if len(flat) >= MOST_KEYS:
                return flat
        else:
            stack.pop()
    return flat


def rows_of(raw: RawLog, rows: IntArray) -> RawLog:
    """The log with these of its rows."""
    epochs = None if raw.epochs is None else raw.epochs[rows]
    return replace(raw, steps=raw.steps[rows], columns=[take(c, rows) for c in raw.columns], epochs=epochs)


def take(column: RawColumn, rows: IntArray) -> RawColumn:
    """The column at ``rows``; a row of -1 is one that did not log it."""
    present = rows >= 0

    def pick(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else np.where(present, values[rows], np.nan)

    values = pick(column.values)
    assert values is not None
    return replace(
        column,
        values=values,
        logged=column.logged[rows] & present,
        lines=None if column.lines is None else np.where(present, column.lines[rows], 0),
        epoch_mean=pick(column.epoch_mean),
    )


def row_lines(raw: RawLog) -> IntArray:
    """Line of each row (0 where no column knows it)."""
    lines = np.zeros(len(raw.steps), np.int64)
    seen: list[IntArray] = []
    for column in raw.columns:
        if column.lines is not None and not any(column.lines is other for other in seen):
            seen.append(column.lines)
            np.copyto(lines, column.lines, where=lines == 0)
    return lines


def same(a: FloatArray, b: FloatArray) -> BoolArray:
    """Equal, or both NaN."""
    return (a == b) | (np.isnan(a) & np.isnan(b))
