"""Tables of text: Lightning's metrics.csv, any CSV, TSV or semicolon file, and CSVs exported from Weights & Biases.

Whole pieces of the file are parsed by numpy at once; a piece with quotes, words or rows of another length is parsed
row by row. Both give the same numbers.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.source import Source
from vaelab.readers.table import EPOCH_NAMES, NOT_METRICS, STEP_NAMES, Table
from vaelab.run import ReadNote

DELIMITERS = (",", "\t", ";", "|")
EMPTY = frozenset(("", "none", "null", "n/a", "na", "-", "--"))  # of these only a NaN is a value
SAMPLE = 200  # cells looked at to see how many digits a column prints
_FIXED = re.compile(r"^[+-]?\d+\.(\d+)$")
_WANDB_RUN = re.compile(r"^(?P<run>.+) - (?P<metric>[^ ].*)$")


class DelimitedReader:
    name = "csv"
    title = "CSV, TSV or another delimited table with a header"

    def sniff(self, head: bytes, source: Source) -> float:
        layout = _find_layout(head)
        if layout is None:
            return 0.0
        names = {name.strip().lower() for name in layout.names}
        return 0.95 if names & {*STEP_NAMES, *EPOCH_NAMES} else 0.7

    def read(self, source: Source) -> list[RawLog]:
        layout = _find_layout(source.head())
        if layout is None:
            raise LogError(f"{source.name} is not a delimited table: no header line with rows of numbers under it.")
        parser = _Parser(layout)
        for piece in _whole_lines(source):
            parser.add(piece)
        if not len(parser.table):
            raise LogError(f"{source.name} is a table with a header, but without a row of numbers yet.")
        log = parser.table.to_log(source.name, self.name, notes=parser.notes())
        return _split_wandb_runs(log)


@dataclass(frozen=True)
class _Layout:
    """Delimiter, column names, and the number of lines up to and including the header."""

    delimiter: str
    names: list[str]
    header_lines: int


def _find_layout(head: bytes) -> _Layout | None:
    """The delimiter under which the first line gives names and the next ones numbers, in rows of equal length."""
    if b"\0" in head:
        return None
    lines = head.decode("utf-8", "replace").replace("\r", "").removesuffix("\n").split("\n")
    if not head.endswith(b"\n") and len(lines) > 2:
        lines.pop()  # it may be cut
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].startswith("#")):
        skipped += 1
    lines = lines[skipped : skipped + 40]
    if len(lines) < 2:
        return None
    for delimiter in DELIMITERS:
        header = next(csv.reader(lines[:1], delimiter=delimiter), [])
        if len(header) < 2 or sum(_number(name) is not None for name in header) > 0.2 * len(header):
            continue
        rows = [row for row in _csv_rows(lines[1:], delimiter) if row]
        fitting = [row for row in rows if len(row) == len(header)]
        cells = [cell for row in fitting for cell in row if cell.strip().lower() not in EMPTY]
        numeric = sum(_number(cell) is not None for cell in cells)
        if fitting and len(fitting) >= 0.6 * len(rows) and numeric >= max(1, 0.5 * len(cells)):
            return _Layout(delimiter, _distinct(header), skipped + 1)
    return None


def _distinct(header: list[str]) -> list[str]:
    """Names without blanks around them; a name that comes twice is numbered."""
    seen: Counter[str] = Counter()
    names = []
    for name in (name.strip() for name in header):
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _csv_rows(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field longer than csv allows: not a row
            yield []


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _whole_lines(source: Source) -> Iterator[bytes]:
    """Pieces that end at the end of a line (the last one may not)."""
    rest = b""
    for chunk in source.chunks():
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
    if rest:
        yield rest


@dataclass
class _Parser:
    layout: _Layout
    table: Table = field(default_factory=Table)
    line: int = 0  # lines read so far
    other_length: int = 0
    first_other: int | None = None
    words: Counter[str] = field(default_factory=Counter)
    repeated_headers: int = 0
    torn: int | None = None
    _printed: dict[str, list[int]] = field(default_factory=dict)

    def add(self, piece: bytes) -> None:
        lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
        skip = max(0, min(lines, self.layout.header_lines - self.line))
        body = piece.split(b"\n", skip)[-1] if skip else piece
        first = self.line + skip + 1
        self.line += lines
        if body and not self._add_block(body, first):
            self._add_rows(body, first)

    def _add_block(self, body: bytes, first: int) -> bool:
        """Parse a piece of plain rows at once. False, with nothing added, if it is not that plain."""
        if b'"' in body or not body.endswith(b"\n"):
            return False
        body = body.replace(b"\r", b"")
        delimiter, names = self.layout.delimiter, self.layout.names
        data = np.frombuffer(body, np.uint8)
        newline = data == ord("\n")
        separating = newline | (data == ord(delimiter))
        if np.any((data <= ord(" ")) & ~separating):
            return False  # without blanks every cell reads as one number or more, so equal counts below are proof
        separators = np.flatnonzero(separating)
        ends = np.flatnonzero(newline[separators])
        if np.any(np.diff(ends, prepend=-1) != len(names)):
            return False
        present = np.diff(separators, prepend=-1).reshape(-1, len(names)) > 1
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # numpy before 2.5 only warns that it stopped early
            try:
                numbers = np.fromstring(body.replace(delimiter.encode(), b" "), sep=" ")
            except (ValueError, DeprecationWarning):
                return False
        if len(numbers) != present.sum():
            return False
        values = np.full(present.shape, np.nan)
        values[present] = numbers
        rows = present.any(axis=1)
        self.table.add_block(first + np.flatnonzero(rows), names, values[rows], present[rows])
        for row in _csv_rows(body[: 1 << 16].decode("latin-1").splitlines()[:SAMPLE], delimiter):
            self._note_digits(row)
        return True

    def _add_rows(self, body: bytes, first: int) -> None:
        names = self.layout.names
        lines = body.decode("utf-8", "replace").replace("\0", "").replace("\r", "").split("\n")
        whole = not lines[-1]
        if whole:
            lines.pop()
        for offset, line in enumerate(lines):
            if not line.strip() or line.startswith("#"):
                continue
            delimiter = self.layout.delimiter
            row = line.split(delimiter) if '"' not in line else next(_csv_rows([line], delimiter), [])
            number = first + offset
            unfinished = offset == len(lines) - 1 and not whole
            if unfinished and len(row) != len(names):
                self.torn = number
            elif len(row) != len(names):
                self.other_length += 1
                self.first_other = self.first_other or number
            elif row[0].strip() == names[0] and _distinct(row) == names:
                self.repeated_headers += 1
            else:
                self._add_row(number, row)

    def _add_row(self, number: int, row: list[str]) -> None:
        items = []
        for name, cell in zip(self.layout.names, row, strict=True):
            value = _number(cell)
            if value is not None:
                items.append((name, value))
            elif cell.strip().lower() not in EMPTY and name.lower() not in NOT_METRICS:  # created_at holds dates
                self.words[name] += 1
        if items:
            self.table.add_row(number, items)
            if len(self.table) <= SAMPLE:
                self._note_digits(row)

    def _note_digits(self, row: list[str]) -> None:
        """Remember how many digits the first cells of each column print; -1 for one that is not fixed-point."""
        for name, cell in zip(self.layout.names, row, strict=False):
            printed = self._printed.setdefault(name, [])
            if cell.strip() and len(printed) < SAMPLE:
                match = _FIXED.match(cell.strip())
                printed.append(len(match[1]) if match else -1)

    def notes(self) -> list[ReadNote]:
        for name, printed in self._printed.items():
            if printed and printed[0] > 1 and len(set(printed)) == 1 and printed[0] <= 8 and len(printed) > 1:
                self.table.decimals[name] = printed[0]
        notes = []
        if self.other_length:
            text = f"{self.other_length:,} rows do not have {len(self.layout.names)} fields and were left out"
            notes.append(ReadNote("wrong_field_count", self.other_length, text, self.first_other))
        if self.repeated_headers:
            text = f"the header comes again {self.repeated_headers:,} times"
            notes.append(ReadNote("repeated_header", self.repeated_headers, text))
        if self.words:
            text = "words where a number is expected were left out, in: " + ", ".join(sorted(self.words))
            notes.append(ReadNote("unparsed_value", self.words.total(), text))
        if self.torn:
            text = "the last line is unfinished and was left out"
            notes.append(ReadNote("torn_line", 1, text, self.torn))
        return notes


def _split_wandb_runs(log: RawLog) -> list[RawLog]:
    """A chart exported from W&B has columns ``<run> - <metric>`` (and ``__MIN``, ``__MAX``): one log for each run."""
    named = [(column, _WANDB_RUN.match(column.original)) for column in log.columns]
    if not named or any(match is None for _, match in named):
        return [log]
    runs: dict[str, RawLog] = {}
    for column, match in named:
        assert match is not None
        if match["metric"].endswith(("__MIN", "__MAX")) or match["metric"] == "_step":
            continue
        run = runs.setdefault(match["run"], RawLog(log.source, log.format, log.steps, [], log.epochs, notes=log.notes))
        column.original = match["metric"]
        run.columns.append(column)
    if len(runs) > 1:
        for name, run in runs.items():
            run.source = f"{log.source}[{name}]"
    return list(runs.values()) or [log]


READER = DelimitedReader()
