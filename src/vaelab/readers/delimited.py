"""Tables of text: Lightning's metrics.csv, any CSV, TSV or semicolon file, tables in Markdown or aligned with blanks, and CSVs
exported from Weights & Biases.

Whole pieces of the file are parsed at once (``plain_cells``); a piece with words, other spellings of numbers or rows of another
length is parsed row by row. Both give the same numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import RawLog
from vaelab.readers.counters import is_count
from vaelab.readers.lexer import is_missing
from vaelab.readers.line_ends import whole_lines
from vaelab.readers.plain_cells import plain_cells
from vaelab.readers.record_columns import NAME_KEYS, SPLIT_KEYS, SPLITS, prefix_of_split, with_prefix
from vaelab.readers.source import Source
from vaelab.readers.table import NOT_METRICS, Table
from vaelab.readers.table_layout import (
    QUOTING,
    Layout,
    cell_number,
    distinct,
    find_layout,
    has_no_header,
    is_rule,
    rows_of,
    trimmed,
)
from vaelab.run import ReadNote

PIECE = 1 << 20  # bytes of lines that are parsed at once
SAMPLE = 200  # cells looked at to see how many digits a column prints
_FIXED = pattern(r"^[+-]?\d+[.,](\d+)$")
_WANDB_RUN = pattern(r"^(?P<run>.+) - (?P<metric>[^ ].*)$")


class DelimitedReader:
    name = "csv"
    title = "CSV, TSV or another delimited table with a header"

    def sniff(self, head: bytes, source: Source) -> float:
        layout = find_layout(head)
        if layout is None:
            return 0.1 if has_no_header(head) else 0.0  # enough to say what is wrong with it
        counted = any(is_count(name) for name in layout.names)
        return 0.95 if counted else 0.55 if layout.delimiter in ("  ", " ") else 0.7

    def read(self, source: Source) -> list[RawLog]:
        layout = find_layout(source.head())
        if layout is None and has_no_header(source.head()):
            raise LogError(
                f"{source.name} is a table of numbers without names: put the names of its columns into a first line."
            )
        if layout is None:
            raise LogError(f"{source.name} is not a delimited table: no header line with rows of numbers under it.")
        parser = _Parser(layout)
        for piece in whole_lines(source.chunks(PIECE)):
            parser.add(piece)
        parser.end()
        if not len(parser.table):
            raise LogError(f"{source.name} is a table with a header, but without a row of numbers yet.")
        log = parser.table.to_log(source.name, self.name, notes=parser.notes())
        return _split_wandb_runs(log)


@dataclass
class _Parser:
    layout: Layout
    table: Table = field(default_factory=Table)
    line: int = 0  # lines read so far
    other_length: int = 0
    first_other: int | None = None
    no_numbers: Counter[str] = field(default_factory=Counter)
    repeated_headers: int = 0
    other_headers: int = 0
    of_split: int = 0
    torn: int | None = None
    _open: list[str] = field(default_factory=list)  # lines of a row that a quoted field has not ended yet
    _units: dict[str, str] = field(default_factory=dict)
    _printed: dict[str, list[int]] = field(default_factory=dict)

    def add(self, piece: bytes) -> None:
        """Add the next lines of the file."""
        lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
        skip = max(0, min(lines, self.layout.header_lines - self.line))
        body = piece.split(b"\n", skip)[-1] if skip else piece
        first = self.line + skip + 1
        self.line += lines
        if body and (self._open or not self._add_block(body, first, lines - skip)):
            self._add_text(body, first)

    def _add_block(self, body: bytes, first: int, lines: int) -> bool:
        """Parse a piece of plain rows at once. False, with nothing added, if it is not that plain."""
        layout = self.layout
        if layout.delimiter not in QUOTING or layout.decimal_comma:
            return False
        found = plain_cells(body, lines, layout.delimiter.encode(), len(layout.names))
        if found is None:
            return False
        values, present = found
        self.table.add_block(first + np.arange(len(values)), layout.names, values, present)
        if len(self.table) - lines < SAMPLE:
            for row in body[: 1 << 16].decode("latin-1").splitlines()[:SAMPLE]:
                self._note_digits(layout.split(row))
        return True

    def _add_text(self, body: bytes, first: int) -> None:
        """Parse a piece row by row."""
        text = body.decode("utf-8", "replace").replace("\0", "").replace("\r", "")
        lines = text.split("\n")
        whole = not lines[-1]
        if whole:
            lines.pop()
        first -= len(self._open)
        lines = self._open + lines
        done = 0
        for begin, done, row in rows_of(lines, self.layout.delimiter, more=whole):
            self._add_row_of_text(first + begin, row, whole or done < len(lines))
        self._open = lines[done:]

    def end(self) -> None:
        """Add what is still open at the end of the file."""
        for begin, _, row in rows_of(self._open, self.layout.delimiter):
            self._add_row_of_text(self.line - len(self._open) + 1 + begin, row, True)

    def _add_row_of_text(self, number: int, text: str, whole: bool) -> None:
        names = self.layout.names
        if not text.strip() or text.startswith("#") or is_rule(text):
            return
        row = trimmed(self.layout.split(text), len(names))
        if not whole and len(row) != len(names):
            self.torn = number
        elif self._is_header(row):
            own = distinct(row)
            self.repeated_headers += own == names
            self.other_headers += own != names
            self.layout = replace(self.layout, names=own)
        elif len(row) != len(names):
            self.other_length += 1
            self.first_other = self.first_other or number
        else:
            self._add_row(number, row)

    def _is_header(self, row: list[str]) -> bool:
        """Whether a row gives names again: words only, and one of them a name known already."""
        known = set(self.layout.names)
        return (
            len(row) > 1
            and row[0].strip() in known | {"step", "epoch"}
            and not any(cell_number(cell)[0] is not None or is_missing(cell) for cell in row)
        )

    def _add_row(self, number: int, row: list[str]) -> None:
        items: list[tuple[str, float]] = []
        prefix, value_name = "", "value"
        for name, cell in zip(self.layout.names, row, strict=True):
            value, unit = cell_number(cell, self.layout.decimal_comma)
            if value is not None and unit and self._units.setdefault(name, unit) != unit:
                value = None  # 800 ms under 1.2 s
            if value is not None:
                items.append((name, value))
            elif name.lower() in SPLIT_KEYS and cell.strip().lower() in SPLITS:
                prefix = prefix_of_split(cell)
            elif name.lower() in NAME_KEYS and "value" in self.layout.names:
                value_name = cell.strip()
            elif not is_missing(cell) and name.lower() not in NOT_METRICS:  # created_at holds dates
                self.no_numbers[name] += 1
        if prefix or value_name != "value":
            self.of_split += bool(prefix)
            names = {"value": value_name}
            items = [(with_prefix(prefix, names.get(name, name)), value) for name, value in items]
        if items:
            self.table.add_row(number, items)
            if len(self.table) <= SAMPLE:
                self._note_digits(row)

    def _note_digits(self, row: list[str]) -> None:
        """Remember how many digits the first cells of each column print; -1 for one that is not fixed-point."""
        for name, cell in zip(self.layout.names, row, strict=False):
            printed = self._printed.setdefault(name, [])
            if cell.strip() and len(printed) < SAMPLE:
                match = _FIXED.match(cell.strip().strip('"'))
                printed.append(len(match[1]) if match else -1)

    def notes(self) -> list[ReadNote]:
        """What was left out or handled; it also tells the table the digits that its columns print."""
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
        if self.other_headers:
            text = f"the header changes {self.other_headers:,} times; the rows under each are read by its own names"
            notes.append(ReadNote("repeated_header", self.other_headers, text))
        if self.no_numbers:
            names = ", ".join(repr(name[:60]) for name in sorted(self.no_numbers)[:9])
            text = f"{self.no_numbers.total():,} cells that are no numbers were left out, in: {names}"
            notes.append(ReadNote("unparsed_value", self.no_numbers.total(), text))
        if self.of_split:
            text = f"{self.of_split:,} rows say that they are no training rows: their metrics stand under val/ or test/"
            notes.append(ReadNote("split_rows", self.of_split, text))
        if self.layout.decimal_comma:
            notes.append(ReadNote("decimal_comma", 1, "the numbers have a decimal comma"))
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
        run = runs.setdefault(match["run"], replace(log, columns=[]))
        column.original = match["metric"]
        run.columns.append(column)
    if len(runs) > 1:
        for name, run in runs.items():
            run.source = f"{log.source}[{name}]"
    return list(runs.values()) or [log]


READER = DelimitedReader()
