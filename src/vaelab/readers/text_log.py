"""What the readers of text logs share: rows put together to columns, and the lines that are not rows."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from vaelab.patterns import pattern
from vaelab.readers.base import BoolArray, flatten
from vaelab.readers.lexer import EXACT
from vaelab.readers.named_lines import is_row
from vaelab.readers.numeric_scan import Block
from vaelab.readers.passed_over import PassedOver
from vaelab.run import Event, EventKind, FloatArray, IntArray, ReadNote

MAX_TEXT = 300  # characters of a log line that an event or a note quotes
SMALL_NUMBERS = 4  # decimals from which a column holds no loss
FEWEST_SETTINGS, MOSTLY = 8, 0.75  # of settings that are printed again, and the share of them that is the same
LARGEST_EXPONENT = 300  # of a unit of the last digit that a float can hold


@dataclass
class TextColumn:
    """One column over all rows. decimals: fewest and most digits after the point, None if nothing finite was printed."""

    values: FloatArray
    logged: BoolArray
    decimals: tuple[int, int] | None


class TextTable:
    """Rows of a text log, collected piece by piece; columns are made, and their pieces freed, one at a time.

    shapes: every combination of columns that a row had so far, and its number.
    """

    def __init__(self) -> None:
        self._lines: list[IntArray] = []
        self._order: list[IntArray] = []
        self._pieces: dict[str, list[int]] = {}
        # one buffer a column that grows in place: pieces kept apart and joined at the end would need it all twice
        self._values: dict[str, array[float]] = {}
        self._decimals: dict[str, tuple[int, int] | None] = {}
        self._positions: list[IntArray] | None = None
        self._in_order = False
        self._logged: dict[tuple[int, ...], BoolArray] = {}
        self.shapes: dict[tuple[str, ...], int] = {}
        self._shapes: list[int] = []

    def add(self, blocks: list[Block]) -> None:
        """Add the rows of one piece of the log."""
        alike: dict[tuple[str, ...], list[Block]] = {}
        for block in blocks:
            alike.setdefault(block.columns, []).append(block)
        for columns, group in alike.items():
            self._lines.append(np.concatenate([block.lines for block in group]))
            self._order.append(np.concatenate([block.order for block in group]))
            self._shapes.append(self.shapes.setdefault(columns, len(self.shapes)))
            for row, name in enumerate(columns):
                self._pieces.setdefault(name, []).append(len(self._lines) - 1)
                buffer = self._values.setdefault(name, array("d"))
                for block in group:
                    buffer.frombytes(np.ascontiguousarray(block.values[row]).tobytes())
                    self._decimals[name] = _widest(self._decimals.get(name), block.decimals[row])

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    @property
    def names(self) -> list[str]:
        """Columns in the order in which they first appeared."""
        return list(self._pieces)

    def decimals(self, name: str) -> tuple[int, int] | None:
        """Fewest and most digits after the point of a column so far."""
        return self._decimals.get(name)

    def lines(self) -> IntArray:
        """int64 (n,) line numbers, ascending; the order of the rows of every column."""
        if not self._lines:
            return np.empty(0, np.int64)
        lines = np.concatenate(self._lines)
        order = np.argsort(np.concatenate(self._order), kind="stable")
        position = np.empty(len(lines), np.int64)
        position[order] = np.arange(len(lines))
        self._in_order = bool(np.all(order == np.arange(len(order))))
        self._positions = np.split(position, np.cumsum([len(piece) for piece in self._lines])[:-1])
        return lines[order]

    def shape_of_rows(self) -> IntArray:
        """int64 (n,) number of each row's combination of columns (after ``lines()``)."""
        assert self._positions is not None, "call lines() first"
        shapes = np.empty(len(self), np.int64)
        for shape, positions in zip(self._shapes, self._positions, strict=True):
            shapes[positions] = shape
        return shapes

    def take(self, name: str) -> TextColumn:
        """The column ``name`` (after ``lines()``); it is removed from the table."""
        assert self._positions is not None, "call lines() first"
        where = tuple(self._pieces.pop(name))
        printed = np.frombuffer(self._values.pop(name), np.float64)
        if self._in_order and len(printed) == len(self):
            values = printed
        else:
            values = np.full(len(self), np.nan)
            at = np.concatenate([self._positions[piece] for piece in where])
            values[at] = printed
        if where not in self._logged:  # one array for all columns that the same rows log
            self._logged[where] = np.zeros(len(self), np.bool_)
            for piece in where:
                self._logged[where][self._positions[piece]] = True
        return TextColumn(values, self._logged[where], self._decimals[name])


def _widest(a: tuple[int, int] | None, b: tuple[int, int] | None) -> tuple[int, int] | None:
    if a is None or b is None:
        return a or b
    return min(a[0], b[0]), max(a[1], b[1])


# Lines that are not rows ---------------------------------------------------------------------------------------------

_EVENT = pattern(
    rb"(?P<traceback>Traceback \(most recent call last\))"
    rb"|(?P<non_finite>Loss is (?:nan|-?inf)\b.*stopping|(?:non-finite|nan) loss.*(?:stop|abort|exit))"
    rb"|(?P<data>Load video: .*Error|Loading Video Error|pure black image)"
    rb"|(?P<resume>^Auto resume checkpoint: *\S|^\W*Resum(?:e|ed|ing)\b"
    rb"|^\W*loaded checkpoint\b[^\n]{0,400}\((?:epoch|iter|step)\w*[ :=]{1,3}\d"  # => loaded checkpoint 'last' (epoch 3)
    rb"|(?:^|[|:\]\-] {0,4})(?:successfully )?resum(?:ed|ing)(?: training)? (?:from|at)\b)"  # behind a logger's time and level
    rb"|(?P<checkpoint>\bsav(?:ed?|ing) (?:state |model )?(?:to )?checkpoint)"
    rb"|(?P<finished>^Training time \d|\btraining (?:finished|completed?|done)\b)"
    rb"|(?P<crash>CUDA out of memory|^Killed\b|Segmentation fault|Bus error|\bCANCELLED\b|SIGKILL|SIGTERM"
    rb"|KeyboardInterrupt|^[\w.]*(?:Error|Exception)\b(?::|$)|DUE TO TIME LIMIT|oom.kill|Watchdog caught collective)",
    re.IGNORECASE,
)
_EVENT_WORDS = (
    b"traceback", b"loss is", b"loaded checkpoint", b"nan loss", b"finite loss", b"error", b"exception", b"black image", b"resum", b"sav",
    b"training", b"cuda out", b"killed", b"segmentation", b"cancelled", b"sigkill", b"sigterm", b"interrupt", b"limit", b"oom",
    b"watchdog",
)  # fmt: skip
_PREFIX = pattern(  # of a rank, of a launcher, of the logging module
    rb"^(?:\[(?:rank|default)\s?\d+\]:? ?|\[\d+,\d+\]<std\w+>: ?)?"
    rb"(?:\[?\d{2,4}[-/]\d\d[-/]\d{2,4}[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\]?(?: - [\w.]+(?= - ))*(?: - )?\s*)?"
)
_STEP = pattern(rb"\b(?:(?:global[ _]?|optmization )?step|iter(?:ation)?)(?: is|:|=)? ?(\d+)", re.IGNORECASE)
_NOT_FINITE = pattern(
    rb":.*\b(?:nans?|non-?finite|not finite|infs?|infinite)\b.*\b(?:loss|gradient|detected|encountered|found)",
    re.IGNORECASE,
)
# Lightning's "Using 16bit Automatic Mixed Precision (AMP)", Accelerate's "Mixed precision type: fp16"
_PRECISION = pattern(
    rb"\bUsing (?:native |apex )?(?P<banner>16bit|bfloat16|half)\b[^\n]{0,40}?\bprecision"
    rb"|\bmixed[ _-]precision(?: type)?\s*[:=]\s*['\"]?(?P<setting>fp16|bf16|no)\b",
    re.IGNORECASE,
)
_EXCEPTION = pattern(rb"^[A-Za-z_][\w.]*(?:: |$)")


@dataclass
class LineNotes:
    """Events in the lines that hold no metrics, and a count of the lines that say nothing known.

    ``add`` each such line in order; ``events`` and ``notes`` give the result once the steps of the rows are known.
    """

    settings: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    raw_events: list[Event] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _first: dict[str, tuple[int, str]] = field(default_factory=dict)
    _unread: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    _passed_over: PassedOver = field(default_factory=PassedOver)
    _in_traceback: bool = False

    def count(self, kind: str, number: int, line: bytes | str, n: int = 1) -> None:
        """Count a line under ``kind``; the first one is quoted."""
        if kind not in self._counts:
            text = line if isinstance(line, str) else decode(line[: 4 * MAX_TEXT])
            self._first[kind] = number, text[:MAX_TEXT]
        self._counts[kind] += n

    def note_unread(self, unread: dict[str, list[tuple[int, bytes]]]) -> None:
        """Count the values that could not be read whole, by column."""
        for column, tokens in unread.items():
            number, token = tokens[0]
            line, text, count = self._unread.get(column, (number, decode(token[:60]), 0))
            self._unread[column] = line, text, count + len(tokens)

    def declare(self, number: int, values: dict[str, Any]) -> None:
        """Settings that the log prints in line ``number``."""
        self.settings.append((number, values))

    def whole_config(self) -> dict[str, Any]:
        """All settings, the later laid over the earlier."""
        config: dict[str, Any] = {}
        for _, values in self.settings:
            config.update(values)
        return config

    def event(self, kind: EventKind, number: int, text: str, step: int | None = None) -> None:
        self.raw_events.append(Event(kind, step, number, text.strip()[:MAX_TEXT]))

    def add(self, number: int, line: bytes) -> None:
        """Look at one line that is not a row: an event, or a line that says nothing known."""
        if line[:1] in b"[0123456789":
            line = _PREFIX.sub(b"", line)
        if self._in_traceback:
            if line[:1] in b" \t" or not _EXCEPTION.match(line):
                return
            self._in_traceback = False
            self.event("non_finite_stop" if _NOT_FINITE.search(line) else "crash", number, decode(line))
            return
        match = _EVENT.search(line[:2000]) if _may_be_event(line) else None
        if match is None:
            if b"recision" in line and (used := _PRECISION.search(line[:2000])) is not None:
                self.declare(number, {"mixed_precision": decode(used["banner"] or used["setting"])})
            self.count("other_format" if is_row(line) else "foreign_lines", number, line)
            self._passed_over.add(number, line)
            return
        kind, text = match.lastgroup, decode(line)
        if kind == "traceback":
            self._in_traceback = True
        elif kind == "non_finite":
            self.event("non_finite_stop", number, text)
        elif kind == "data":
            if "data_errors" not in self._counts:
                self.event("data_error", number, text)
            self.count("data_errors", number, text)
        elif kind == "finished":
            self.event("finished", number, text)
        elif kind == "crash":
            self.event("non_finite_stop" if _NOT_FINITE.search(line) else "crash", number, text)
        elif kind in ("resume", "checkpoint"):
            step = _STEP.search(line)
            self.event(
                "resume" if kind == "resume" else "checkpoint", number, text, int(step[1][:18]) if step else None
            )

    def events(self, steps: IntArray, lines: IntArray) -> list[Event]:
        """The events with their steps: where the log does not say it, the step of the last row before the line.

        Several reports of one crash, stop or resume (each rank writes its own) are given once. An error after which
        the rows simply go on was not a crash: it is counted as ``errors_survived``.
        """
        found: list[Event] = []
        marks = np.array([e.line for e in self.raw_events if e.kind == "resume"], np.int64)
        seen: set[tuple[str, int]] = set()
        told = sorted([*self.raw_events, *self._started_again(steps, lines)], key=lambda e: e.line or 0)
        for event in told:
            line = event.line or 0
            row = int(np.searchsorted(lines, line))
            if event.kind in ("crash", "non_finite_stop", "resume"):
                if event.kind == "crash" and 0 < row < len(steps) and steps[row] > steps[row - 1]:
                    resumed = np.any((marks > line) & (marks < lines[row])) if len(marks) else False
                    if not resumed:
                        self.count("errors_survived", line, event.text)
                        continue
                if (event.kind, row) in seen:
                    if event.kind == "resume" and event.step is not None:
                        at = max(i for i, e in enumerate(found) if e.kind == "resume")
                        found[at] = event
                    continue
                seen.add((event.kind, row))
            if event.step is None and event.kind != "resume" and row > 0:
                event = Event(event.kind, int(steps[row - 1]), event.line, event.text)
            found.append(event)
        return found

    def _started_again(self, steps: IntArray, lines: IntArray) -> list[Event]:
        """Where the same settings are printed once more and the count goes on: the trainer was killed, and went on from a checkpoint."""
        found: list[Event] = []
        printed = [(line, flatten(values)) for line, values in self.settings]
        for (_, before), (line, again) in pairwise(printed):
            same = sum(before.get(key) == value for key, value in again.items())
            row = int(np.searchsorted(lines, line))
            if len(again) < FEWEST_SETTINGS or same < MOSTLY * max(len(before), len(again)) or not 0 < row < len(steps):
                continue
            if steps[row] > steps[:row].min():  # at the first step again it is another run
                found.append(
                    Event("resume", None, line, "the settings are printed again: the trainer was started anew")
                )
        return found if len(found) * 10 <= len(steps) else []

    def notes(self, read: int) -> list[ReadNote]:
        """One note for each kind counted, and for each column of which values were not read. read: lines that were read as rows."""
        unread = [
            ReadNote(
                "unparsed_value",
                count,
                f"values of '{column}' that could not be read, left out: {count:,} (the first: {text})",
                line,
            )
            for column, (line, text, count) in self._unread.items()
        ]
        mostly_unread = []
        if most := self._passed_over.most(read):
            lost, number, line = most
            text = f"{lost:,} of {lost + read:,} lines with numbers were passed over; the first: {decode(line).strip()[:200]}"
            mostly_unread = [ReadNote("mostly_unread", lost, text, number)]
        return (
            mostly_unread
            + unread
            + [
                ReadNote(kind, count, _NOTE_TEXTS[kind].format(n=count, first=text), line)
                for kind, count in self._counts.items()
                for line, text in [self._first[kind]]
            ]
        )


def _may_be_event(line: bytes) -> bool:
    """Whether a word of ``_EVENT`` is in the line; most lines have none, and this is ten times quicker."""
    lower = line[:2000].lower()
    return any(word in lower for word in _EVENT_WORDS)


_NOTE_TEXTS = {
    "foreign_lines": "lines without metrics, passed over: {n:,} (the first: {first})",
    "data_errors": "lines that report data which could not be read: {n:,} (the first: {first})",
    "errors_survived": "errors after which training went on: {n:,} (the first: {first})",
    "torn_line": "lines of metrics that are incomplete, left out: {n:,} (the first: {first})",
    "averaged_stats": "lines that repeat the averages of an epoch, not steps: {n:,}",
    "evaluation_lines": "lines of an evaluation, not of training, left out: {n:,}",
    "other_format": "lines of metrics in another form than the rows read (of another trainer?), left out: {n:,} (the first: {first})",
    "other_rank": "rows of other processes for a step that was already logged, left out: {n:,}",
    "ansi": "lines whose terminal colours were removed: {n:,}",
    "config_changed": "{first}",
}


def decode(line: bytes) -> str:
    """Text of a line: UTF-8, or Latin-1 where it is not valid UTF-8; characters that cannot be shown are dropped."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return text if text.isprintable() else "".join(c for c in text if c.isprintable() or c == "\t")


def printed_decimals(decimals: tuple[int, int] | None) -> int | None:
    """Decimals of a column for ``Column.decimals``.

    Of numbers printed with varying digits (``%.3g``) the fewest are certain; where they go to seven or more, the log
    prints what Python has (None, full precision). A zero with an exponent is exact, and so is the zero of a column of small
    numbers (a learning rate); beside larger ones it says nothing of their rounding.
    """
    if decimals is not None and decimals[1] == EXACT and decimals[0] < SMALL_NUMBERS:
        return decimals[0] if decimals[0] >= -LARGEST_EXPONENT else None
    if decimals is None or (decimals[0] != decimals[1] and decimals[1] >= 7) or decimals[0] < -LARGEST_EXPONENT:
        return None
    return decimals[0]


def error_told(text: bytes) -> Event | None:
    """The error that a text without rows ends with, if it tells one."""
    notes = LineNotes()
    for number, line in enumerate(text.splitlines(), 1):
        notes.add(number, line)
    return next((e for e in reversed(notes.raw_events) if e.kind in ("crash", "non_finite_stop")), None)
