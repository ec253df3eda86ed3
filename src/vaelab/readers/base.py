"""RawLog: what a reader found, in the log's own names and order. ``build_runs`` turns it into runs.

A reader only parses. Everything that all formats share is done here: canonical names, rows of one step merged,
a resumed log stitched, a restarted one split, the trainer recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vaelab import dialects
from vaelab.errors import LogError
from vaelab.readers.counters import LARGEST_STEP
from vaelab.readers.source import Source
from vaelab.roles import NamedValues, assign, declared_roles
from vaelab.run import Column, Event, FloatArray, IntArray, ReadNote, Run, Smoothing

BoolArray = npt.NDArray[np.bool_]

UNKNOWN_EPOCH = -1
MOST_KEYS = 100_000
MOST_DECIMALS = 300  # 10 to this power is still a float


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


def build_runs(raw: RawLog, trainer: str | None = None, given: Mapping[str, str] | None = None) -> list[Run]:
    """The runs in ``raw``: one for each start of the step counter from the beginning; resumes are stitched.

    trainer: id of the trainer to read it as, instead of what the columns look like. given: column -> role or metric, from the user; it is
    laid over ``roles`` in the settings. Raises LogError if no column holds a number, ConfigError if a given role is none.
    """
    raw = _with_possible_steps(raw)
    columns = [replace(c, original=_printable(c.original)) for c in raw.columns if c.logged.any()]
    raw = replace(raw, columns=[_with_possible_decimals(c) for c in columns])
    if not raw.columns or not len(raw.steps):
        raise LogError(f"{raw.source} was read as {raw.format}, but there is no metric with a value in it.")
    raw = _without_empty_rows(raw)
    flat_config = flatten(raw.config)
    given = {**declared_roles(flat_config), **(given or {})}
    if trainer is None:
        trainer, confidence, reason = dialects.detect([c.original for c in raw.columns], raw.format, flat_config)
    else:
        confidence, reason = 1.0, "the format that was asked for"
    dialect = dialects.DIALECTS[trainer]
    pieces = _pieces(raw)
    configs = _configs(raw, pieces) if raw.settings and len(pieces) > 1 else [flat_config] * len(pieces)
    runs = []
    for number, (piece, piece_config) in enumerate(zip(pieces, configs, strict=True), start=1):
        notes = [*raw.notes, *piece.notes] if number == 1 else list(piece.notes)
        source = raw.source if len(pieces) == 1 else f"{raw.source}#{number}"
        steps, columns, epochs, merge_notes = _merge_rows(raw, piece.rows)
        title = dialect.title if trainer != "unknown" else ""
        named, name_notes = _canonical_columns(columns, dialect.columns, title, given)
        runs.append(
            Run(
                source=source,
                format=raw.format,
                trainer=trainer,
                trainer_confidence=confidence,
                trainer_reason=reason,
                steps=steps,
                columns=named,
                epochs=epochs,
                config=dialects.canonical_config(piece_config),
                raw_config=piece_config,
                events=tuple(piece.events),
                notes=tuple([*notes, *merge_notes, *name_notes]),
                step_unit=raw.step_unit,
                measured=raw.measured if number == len(pieces) else {},
            )
        )
    return runs


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


def _with_possible_steps(raw: RawLog) -> RawLog:
    """Without rows of a step that no training reaches: the difference of two such steps need not fit into an int64."""
    possible = np.abs(raw.steps.astype(np.float64)) < LARGEST_STEP
    if possible.all():
        return raw
    rows, lost = np.flatnonzero(possible), int(np.sum(~possible))
    text = f"{lost:,} rows have a step beyond {LARGEST_STEP:,.0f} and were left out"
    note = ReadNote("unparsed_value", lost, text)
    return replace(_rows_of(raw, rows), notes=[*raw.notes, note])


def _with_possible_decimals(column: RawColumn) -> RawColumn:
    """Without a unit of the last digit that is no number: that of ``1e999``."""
    possible = column.decimals is None or abs(column.decimals) <= MOST_DECIMALS
    return column if possible else replace(column, decimals=None)


def _rows_of(raw: RawLog, rows: IntArray) -> RawLog:
    epochs = None if raw.epochs is None else raw.epochs[rows]
    return replace(raw, steps=raw.steps[rows], columns=[_take(c, rows) for c in raw.columns], epochs=epochs)


def _without_empty_rows(raw: RawLog) -> RawLog:
    used = np.zeros(len(raw.steps), bool)
    for column in raw.columns:
        used |= column.logged
    if used.all():
        return raw
    return _rows_of(raw, np.flatnonzero(used))


# Runs in one log -----------------------------------------------------------------------------------------------------


@dataclass
class _Piece:
    """Rows of the log (ascending positions) that make one run, and what was found while putting them together."""

    rows: IntArray
    events: list[Event] = field(default_factory=list)
    notes: list[ReadNote] = field(default_factory=list)


def _pieces(raw: RawLog) -> list[_Piece]:
    """Split the rows where the counter starts again, drop the rows that a resume overwrote."""
    steps, lines = raw.steps, _row_lines(raw)
    n = len(steps)
    if np.all(steps[1:] >= steps[:-1]):
        return [_Piece(np.arange(n), list(raw.events))]
    pieces = [_Piece(np.empty(0, np.int64))]
    starts = [0]  # first row of each run
    kept = np.ones(n, bool)
    jitter = 0
    boundary = 0  # first row since the counter last went back
    for row, previous in _backward_rows(raw):
        if previous < boundary:
            continue  # this column only follows what another one has already shown
        first = starts[-1]
        step = int(steps[row])
        if _is_jitter(steps, boundary, row):
            jitter += 1
            continue
        line = int(lines[row]) or None
        start = int(steps[first:row].min())
        announced = any(e.kind == "resume" and e.line and lines[previous] < e.line <= lines[row] for e in raw.events)
        if step <= 1 or (step <= start and not announced):
            starts.append(row)
            text = f"the step counter starts again at {step:,}: this is another run in the same log"
            pieces.append(_Piece(np.empty(0, np.int64), [Event("restart", step, line, text)]))
            pieces[-1].notes.append(ReadNote("restart", 1, text, line))
        else:
            overwritten = np.flatnonzero(kept[first:row] & (steps[first:row] >= step)) + first
            kept[overwritten] = False
            reached = int(steps[overwritten].max())
            text = (
                f"the step counter goes back from {reached:,} to {step:,} (resume from a checkpoint): "
                f"{len(overwritten):,} earlier rows were logged again and the later ones are used"
            )
            if not announced:
                pieces[-1].events.append(Event("resume", step, line, text))
            pieces[-1].notes.append(ReadNote("backward_steps", len(overwritten), text, line))
        boundary = row
    if jitter:
        text = f"{jitter:,} rows were written out of order and have been sorted"
        if jitter > 2 and 4 * jitter > n:
            text += (
                "; so many are more likely of several processes or runs that write into one log: their rows are mixed"
            )
        pieces[0].notes.append(ReadNote("backward_steps", jitter, text))
    ends = [*starts[1:], n]
    for piece, first, end in zip(pieces, starts, ends, strict=True):
        piece.rows = np.flatnonzero(kept[first:end]) + first
    _share_events(raw.events, pieces, lines)
    return pieces


def _configs(raw: RawLog, pieces: list[_Piece]) -> list[dict[str, Any]]:
    """Flat settings of each run: those declared since the run before ended, or the last ones if it declares none."""
    lines = _row_lines(raw)
    found: list[dict[str, Any]] = []
    end = 0
    for piece in pieces:
        begin, end = end, int(lines[piece.rows].max())
        own = [config for line, config in raw.settings if begin < line <= end]
        declared: dict[str, Any] = {}
        for config in own:
            declared.update(config)
        found.append(flatten(declared) if own or not found else found[-1])
    return found


def _backward_rows(raw: RawLog) -> list[tuple[int, int]]:
    """``(row, previous row of that column)`` wherever a column's own steps go back, in the order of the log.

    Columns are looked at one by one: a log that writes one tag after the other, or the train line after the
    validation line, goes back as a whole and not in any column.
    """
    found = {(row, row - 1) for row in raw.begins}
    seen: set[bytes] = set()
    for column in raw.columns:
        pattern = np.packbits(column.logged).tobytes()
        if pattern in seen:
            continue
        seen.add(pattern)
        rows = np.flatnonzero(column.logged)
        own = raw.steps[rows]
        back = np.flatnonzero(own[1:] < own[:-1])
        found.update(zip(rows[back + 1].tolist(), rows[back].tolist(), strict=True))
    return sorted(found)


def _is_jitter(steps: IntArray, boundary: int, row: int) -> bool:
    """Whether the step at ``row`` is only late: a handful of rows, none of them logged before, then on as before."""
    limit = max(2, len(steps) // 100)
    before = steps[max(boundary, row - limit - 1) : row]
    if (before > steps[row]).sum() > limit:
        return False
    ahead = steps[row : row + limit + 1]
    on = np.flatnonzero(ahead > before.max())
    if not len(on):
        return False
    return not np.isin(ahead[: on[0]], before).any()


def _row_lines(raw: RawLog) -> IntArray:
    """Line of each row (0 where no column knows it)."""
    lines = np.zeros(len(raw.steps), np.int64)
    seen: list[IntArray] = []
    for column in raw.columns:
        if column.lines is not None and not any(column.lines is other for other in seen):
            seen.append(column.lines)
            np.copyto(lines, column.lines, where=lines == 0)
    return lines


_ENDS = ("crash", "non_finite_stop", "finished")


def _share_events(events: list[Event], pieces: list[_Piece], lines: IntArray) -> None:
    """Give each event to the run whose lines it stands among; how a run ended belongs to the run before the gap."""
    known = [lines[piece.rows][lines[piece.rows] > 0] for piece in pieces]
    firsts = [int(k[0]) if len(k) else 0 for k in known]
    lasts = [int(k[-1]) if len(k) else 0 for k in known]
    for event in events:
        index = 0
        if event.line is None:
            index = len(pieces) - 1 if event.kind in _ENDS else 0
        else:
            ends = event.kind in (*_ENDS, "checkpoint")
            for i in range(1, len(pieces)):
                if event.line >= firsts[i] or (not ends and event.line > lasts[i - 1]):
                    index = i
        pieces[index].events.append(event)
    for piece in pieces:
        piece.events.sort(key=lambda e: (e.line is None and e.kind in _ENDS, e.line or 0))


# Rows of one step ----------------------------------------------------------------------------------------------------


def _merge_rows(raw: RawLog, rows: IntArray) -> tuple[IntArray, list[RawColumn], IntArray | None, list[ReadNote]]:
    """One row a step, ascending. Where a column was logged twice for a step, the later value is used."""
    whole = len(rows) == len(raw.steps)
    steps = raw.steps if whole else raw.steps[rows]
    epochs = raw.epochs if raw.epochs is None or whole else raw.epochs[rows]
    if np.all(steps[1:] > steps[:-1]):
        columns = raw.columns if whole else [_take(c, rows) for c in raw.columns]
        return steps, [c for c in columns if c.logged.any()], epochs, []
    unique, group = np.unique(steps, return_inverse=True)
    columns, repeated, first_line = [], np.zeros(len(unique), bool), None
    for raw_column in raw.columns:
        column = raw_column if whole else _take(raw_column, rows)
        at = np.flatnonzero(column.logged)
        if not len(at):
            continue
        target = group[at]
        last = np.full(len(unique), -1, np.int64)
        last[target] = at  # with repeated targets numpy keeps the last assignment
        merged = _take(column, last)
        lost = ~_same(column.values[at], merged.values[target])
        if lost.any():
            repeated[target[lost]] = True
            if first_line is None and merged.lines is not None:
                first_line = int(merged.lines[target[lost][0]]) or None
        columns.append(merged)
    notes = []
    if count := int(repeated.sum()):
        text = f"{count:,} steps were logged more than once with different values; the last one of each is used"
        notes.append(ReadNote("duplicate_steps", count, text, first_line))
    if epochs is not None:
        latest = np.full(len(unique), UNKNOWN_EPOCH, np.int64)
        np.maximum.at(latest, group, epochs)
        epochs = latest
    return unique, columns, epochs, notes


def _take(column: RawColumn, rows: IntArray) -> RawColumn:
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


# Names ---------------------------------------------------------------------------------------------------------------


def _canonical_columns(
    columns: list[RawColumn], of_trainer: Mapping[str, str], title: str, given: Mapping[str, str]
) -> tuple[dict[str, Column], list[ReadNote]]:
    """Columns under canonical names. Of several that would have one name, the surest gets it, then the one spelled so.

    of_trainer: what this trainer means by its names. title: of the trainer, empty where it is unknown.
    """
    named: dict[str, Column] = {}
    notes: list[ReadNote] = []
    printed = [np.where(c.logged, c.values, np.nan) for c in columns]
    assigned = assign(
        [NamedValues(c.original, v) for c, v in zip(columns, printed, strict=True)], of_trainer, title, given
    )
    order = sorted(
        range(len(columns)),
        key=lambda i: (assigned[i].order, not _spelled_out(columns[i].original, assigned[i].metric), i),
    )
    position: dict[str, int] = {}
    for i in order:
        column, name = columns[i], assigned[i].metric
        if name in named:
            kept = named[name]
            both = kept.logged & column.logged
            if _agree(kept, column, both):
                only_here = column.logged & ~kept.logged
                if only_here.any():
                    named[name] = _fill(kept, column, only_here)
                    text = f"'{column.original}' and '{kept.original}' are one metric logged on different rows; merged"
                    notes.append(ReadNote("merged_column", int(only_here.sum()), text))
                else:
                    text = f"'{column.original}' repeats '{kept.original}' and was left out"
                    notes.append(ReadNote("duplicate_column", int(both.sum()), text))
                continue
            name = _free_name(_own_name(column.original), named)
        named[name] = Column(
            name,
            column.original,
            printed[i],
            column.logged,
            column.lines,
            column.decimals,
            column.smoothing,
            column.epoch_mean,
            assigned[i].role,
        )
        position[name] = i
    return dict(sorted(named.items(), key=lambda item: position[item[0]])), notes


def _printable(name: str) -> str:
    """The name without what a terminal would obey or could not show: control characters, half surrogates of JSON."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in name)


def _spelled_out(original: str, metric: str) -> bool:
    """Whether the log's name is the canonical one but for its prefix."""
    stem = original.strip().lower().removesuffix("_step").rpartition("/")[2]
    return stem == metric.rpartition("/")[2]


def _own_name(original: str) -> str:
    return "_".join(original.strip().lower().split())


def _free_name(name: str, taken: Mapping[str, Column]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _agree(kept: Column, column: RawColumn, both: BoolArray) -> bool:
    """Whether the two print the same numbers where both do, up to the rounding of the coarser one."""
    a, b = kept.values[both], column.values[both]
    printed = [d for d in (kept.decimals, column.decimals) if d is not None]
    unit = 10.0 ** -min(printed) if printed else 0.0
    if kept.decimals == column.decimals:
        unit = 0.0
    with np.errstate(invalid="ignore"):
        return bool(np.all(_same(a, b) | (np.abs(a - b) <= unit / 2)))


def _fill(kept: Column, column: RawColumn, rows: BoolArray) -> Column:
    lines = kept.lines
    if lines is not None and column.lines is not None:
        lines = np.where(rows, column.lines, lines)
    mean = kept.epoch_mean
    if mean is not None and column.epoch_mean is not None:
        mean = np.where(rows, column.epoch_mean, mean)
    return replace(
        kept,
        values=np.where(rows, column.values, kept.values),
        logged=kept.logged | rows,
        lines=lines,
        epoch_mean=mean,
    )


def _same(a: FloatArray, b: FloatArray) -> BoolArray:
    """Equal, or both NaN."""
    return (a == b) | (np.isnan(a) & np.isnan(b))
