"""How a table of text is laid out: what parts its columns, their names, and how its numbers are written."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vaelab.patterns import pattern
from vaelab.readers.lexer import is_missing, number_in, parse_measure

DELIMITERS = (",", "\t", ";", "|", "  ", " ")  # two blanks: one blank may stand in a name
QUOTING = (",", "\t", ";")  # those under which a cell may stand in quotes with anything in it
MOST_FIELD_LINES = 50  # lines that one quoted field may go over; a quote that is open for longer is no quote

_BARS = str.maketrans("\u2502\u2503\u2551", "|||")  # of tables drawn with lines
_RULE = pattern(r"[\s|+:=\-\u2500-\u257f]*")
_DECIMAL_COMMA = pattern(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:[eE][+-]?\d{1,4})?")
_THOUSANDS = pattern(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_DOT_THOUSANDS = pattern(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
_DECIMAL_POINT = pattern(r"[+-]?\d*\.\d+(?:[eE][+-]?\d{1,4})?")
_COMMA_NUMBER = pattern(r"\s*[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+")


@dataclass(frozen=True)
class Layout:
    """delimiter: one of ``DELIMITERS``. header_lines: lines up to and including the header. outer: a bar stands at either
    end of a row, as in Markdown. decimal_comma: ``0,51`` is a half."""

    delimiter: str
    names: list[str]
    header_lines: int
    decimal_comma: bool = False
    outer: bool = False

    def split(self, row: str) -> list[str]:
        """The cells of a row, without what stands around them."""
        return split_row(row, self.delimiter, self.outer)


def split_row(row: str, delimiter: str, outer: bool = False) -> list[str]:
    """The cells of a row."""
    if delimiter == "|":
        row = row.translate(_BARS).strip()
        if outer:
            row = row.removeprefix("|").removesuffix("|")
        return [cell.strip(' \t*`"') for cell in row.split("|")]
    if delimiter == "  ":
        return re.split(r"\s{2,}|\t", row.strip())
    if delimiter == " ":
        return row.split()
    if '"' not in row:
        return row.split(delimiter)
    try:
        return next(csv.reader([row], delimiter=delimiter, strict=True), [])
    except csv.Error:  # a quote without an end, or a field longer than csv allows: not a row
        return []


def is_rule(line: str) -> bool:
    """Whether a line only draws a rule under a header or between rows."""
    return _RULE.fullmatch(line) is not None and (
        "--" in line or "==" in line or ":-" in line or "\u2500" in line or "\u2501" in line
    )


def rows_of(lines: Sequence[str], delimiter: str, more: bool = False) -> Iterator[tuple[int, int, str]]:
    """``(first line, line after the last, text)`` of each row: a quoted field may go over several lines.

    more: other lines will follow; a row that may go on in them is not given.
    """
    i = 0
    while i < len(lines):
        end, quotes = i + 1, lines[i].count('"') if delimiter in QUOTING else 0
        while quotes % 2 and end < min(len(lines), i + MOST_FIELD_LINES):
            quotes += lines[end].count('"')
            end += 1
        if quotes % 2:
            if more and end < i + MOST_FIELD_LINES:
                return
            end = i + 1
        yield i, end, "\n".join(lines[i:end])
        i = end


def cell_number(cell: str, decimal_comma: bool = False) -> tuple[float | None, str]:
    """The number in a cell and its unit (``24.5 dB``, ``45%``; mostly none). None if the cell is not a number as a whole.

    decimal_comma: ``0,51`` is a half and ``1.234`` may be a thousand, so it is no number; without it ``1,234`` is 1234.
    """
    if decimal_comma:
        if _DOT_THOUSANDS.fullmatch(cell.strip()):
            return None, ""
        cell = _COMMA_NUMBER.sub(lambda match: match[0].replace(".", "").replace(",", "."), cell, count=1)
    value, unit = parse_measure(cell)
    return (value, unit) if isinstance(value, float) else (None, "")


@lru_cache(maxsize=1)  # a log is told by it, and then read
def find_layout(head: bytes) -> Layout | None:
    """The layout under which a line near the start gives names and the next ones numbers, in rows of equal length."""
    lines = _first_lines(head)
    first = _first_content(lines)
    layout = _layout_at(lines, first, DELIMITERS)
    if layout is None and (barred := _first_with_bar(lines)) is not None:
        layout = _layout_at(lines, barred, ("|",))
    return layout or _named_in_a_comment(lines)


def has_no_header(head: bytes) -> bool:
    """Whether it is a table of numbers in which no line names the columns."""
    lines = _first_lines(head)
    rows = [line for line in lines[_first_content(lines) :] if line.strip() and not line.startswith("#")][:40]
    for delimiter in DELIMITERS[:4] + DELIMITERS[5:]:
        cells = [split_row(row, delimiter) for row in rows]
        alike = len(rows) > 1 and len(cells[0]) > 1 and all(len(row) == len(cells[0]) for row in cells)
        if alike and all(is_missing(cell) or cell_number(cell)[0] is not None for row in cells for cell in row):
            return True
    return False


def distinct(header: Sequence[str]) -> list[str]:
    """Names without blanks around them; a name that comes twice is numbered."""
    seen: Counter[str] = Counter()
    names = []
    for name in (name.strip() for name in header):
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _first_lines(head: bytes) -> list[str]:
    if b"\0" in head:
        return []
    lines = head.decode("utf-8", "replace").replace("\r", "").removesuffix("\n").split("\n")
    if not head.endswith(b"\n") and len(lines) > 2:
        lines.pop()  # it may be cut
    return lines


def _first_content(lines: list[str]) -> int:
    for i, line in enumerate(lines):
        if line.strip() and not line.startswith("#") and not is_rule(line):
            return i
    return len(lines)


def _first_with_bar(lines: list[str]) -> int | None:
    """The header of a table that stands in other text: the first line that begins with a bar."""
    return next((i for i, line in enumerate(lines) if line.translate(_BARS).lstrip().startswith("|")), None)


def _layout_at(lines: list[str], first: int, delimiters: Sequence[str], header: str | None = None) -> Layout | None:
    """The layout if the header is the line ``first`` (or ``header``, and the rows begin there)."""
    body = [line for line in lines[first + (header is None) :][:40] if line.strip() and not is_rule(line)]
    if first >= len(lines) or not body:
        return None
    title = lines[first] if header is None else header
    outer = title.translate(_BARS).lstrip().startswith("|")
    for delimiter in delimiters:
        names = split_row(title, delimiter, outer)
        rows = [split_row(text, delimiter, outer) for _, _, text in rows_of(body, delimiter)]
        if delimiter == "|" and outer:
            rows = rows[: next((i for i, row in enumerate(rows) if len(row) < 2), len(rows))]
        if delimiter in ("  ", " ") and rows and len(rows[0]) == len(names) + 1:
            names = ["", *names]  # pandas prints no name over its index
        while len(names) > 2 and not names[-1].strip() and not any(row[len(names) - 1 :] for row in rows):
            names.pop()
        if len(names) < 2 or sum(number_in(name) is not None for name in names) > 0.2 * len(names):
            continue
        if fits := _fits(names, rows, delimiter):
            return Layout(delimiter, distinct(names), first + (header is None), fits == "comma", outer)
    return None


def _fits(names: list[str], rows: list[list[str]], delimiter: str) -> str:
    """How the numbers are written (``point`` or ``comma``) if the rows fit under the names; empty if they do not."""
    rows = [row for row in rows if row]
    fitting = [row for row in rows if len(trimmed(row, len(names))) == len(names)]
    cells = [cell.strip() for row in fitting for cell in row if not is_missing(cell)]
    comma = _writes_decimal_comma(cells, delimiter)
    numeric = sum(cell_number(cell, comma)[0] is not None for cell in cells)
    blanks = delimiter in ("  ", " ")  # any text has blanks: look twice
    if not fitting or len(fitting) < (0.8 if blanks else 0.6) * len(rows):
        return ""
    if any(not name.strip().isdigit() and cell_number(name.strip())[0] is not None for name in names if name.strip()):
        return ""  # the "header" is a row of another kind of text: step 0, loss: 0.5 | 3.2 it/s
    if numeric < max(1, (0.8 if blanks else 0.5) * len(cells)) or (blanks and not all(map(_is_name, names))):
        return ""
    return "comma" if comma else "point"


def _is_name(text: str) -> bool:
    return not text or (bool(re.match(r"[A-Za-z_]", text)) and not text.endswith((":", "=")))


def trimmed(row: list[str], width: int) -> list[str]:
    """The row without empty cells beyond ``width``: a delimiter may end each row."""
    return row[:width] if len(row) > width and not any(cell.strip() for cell in row[width:]) else row


def _writes_decimal_comma(cells: list[str], delimiter: str) -> bool:
    """Whether the comma is the decimal sign: some number cannot be read otherwise, or a ``;`` keeps it free for that."""
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if any(not _THOUSANDS.fullmatch(cell) for cell in commas):
        return True
    return delimiter == ";" and bool(commas) and not any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)


def _named_in_a_comment(lines: list[str]) -> Layout | None:
    """A table whose names stand in a comment above it, as numpy.savetxt writes them."""
    first = _first_content(lines)
    above = [line for line in lines[:first] if line.startswith("#")]
    if not above:
        return None
    return _layout_at(lines, first, DELIMITERS, header=above[-1].lstrip("# "))
