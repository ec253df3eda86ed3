"""Logs in which every record is a drawn table of names and values: audiotools (descript-audio-codec), the loggers of OpenAI's
baselines (guided diffusion) and of Stable Baselines.

                  Iteration 1000              ------------------------
                      train                   | loss/      |         |
      key          | value    | mean          |    rec     | 0.289   |
      mel/loss     | 2.892310 | 2.921234      | step       | 1000    |
      adv/gen_loss | 2.680457 | 2.707262      ------------------------

The step stands in a title above the table or in a row of it; a table under the title ``val`` is the validation of the step before.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import RawLog
from vaelab.readers.counters import is_count
from vaelab.readers.line_ends import split_lines, whole_lines
from vaelab.readers.metric_names import may_be_metric
from vaelab.readers.record_columns import prefix_of_split, with_prefix
from vaelab.readers.source import Source
from vaelab.readers.table import Table
from vaelab.readers.table_layout import cell_number
from vaelab.readers.text_log import LineNotes, decode
from vaelab.run import ReadNote

_BARS = str.maketrans("\u2502\u2503\u2551", "|||")
_NAME = pattern(r"[A-Za-z_][\w/.\- %@()]{0,79}")
_HEADER = pattern(r"\W*(?:key|name|metric)\W+(?:value|val|last)\b(?:\W+(?:mean|avg|average))?\W*", re.IGNORECASE)
_PLACE = pattern(
    r"\W*(?:(?P<step>iter(?:ation)?|step|update)|(?P<epoch>epoch))s?\W{0,3}(?P<at>\d{1,3}(?:,\d{3})+|\d{1,15})(?:\s?/\s?\d+)?\W*",
    re.IGNORECASE,
)
LONGEST = 1000  # characters of a line of a table
FEWEST_ROWS = 4  # of tables without a header, in the first part of a log


def _cells(line: str) -> list[str] | None:
    """Name, value and whatever else is in a row of such a table; None if it is none. A name that ends in / heads a group."""
    if len(line) > LONGEST or "|" not in (line := line.translate(_BARS)):
        return None
    cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
    if not 2 <= len(cells) <= 4 or not _NAME.fullmatch(cells[0]):
        return None
    group = cells[0].endswith("/") and not any(cells[1:])
    return cells if group or all(cell_number(cell)[0] is not None for cell in cells[1:]) else None


class _Tables:
    """The records of the lines so far. A record ends with its table; a validation belongs to the step before it."""

    def __init__(self) -> None:
        self.table = Table()
        self.rows = 0
        self.means = 0
        self.headers = 0
        self._place: dict[str, float] = {}
        self._prefix = ""
        self._group = ""
        self._record: dict[str, float] = {}
        self._line = 0
        self._ruled = False
        self._decimals: dict[str, set[int]] = {}

    def take(self, number: int, line: str) -> bool:
        """Take one line. False if it is neither a row nor a title nor part of the drawing."""
        if len(line) > LONGEST:
            self.end()
            return False
        if cells := _cells(line):
            self._row(number, cells)
            return True
        if not any(map(str.isalnum, line)):
            if self._ruled or not line.strip():  # a single rule may stand between the rows of one table
                self.end()
            self._ruled = True
            return True
        if _HEADER.fullmatch(line):
            self.end()
            self.headers += 1
            return True
        self.end()
        title = line.strip(" |\u2502=-*").lower()
        if place := _PLACE.fullmatch(line):
            self._place = {"step" if place["step"] else "epoch": float(place["at"].replace(",", ""))}
            self._prefix = ""
            return True
        if prefix_of_split(title) or title in ("train", "training"):
            self._prefix = prefix_of_split(title)
            return True
        return False

    def _row(self, number: int, cells: list[str]) -> None:
        name, self._ruled = cells[0], False
        if name.endswith("/"):
            self._group = name
            return
        self.rows += 1
        self.means += len(cells) > 2
        name = with_prefix(self._prefix, self._group + name)
        if name in self._record:
            self.end()
        value = cell_number(cells[1])[0]
        assert value is not None, "a row of _cells has a number"
        self._record[name] = value
        self._line = self._line or number
        self._decimals.setdefault(name, set()).add(len(cells[1].partition(".")[2]))

    def end(self) -> None:
        """The table ends here."""
        record, place, line = self._record, self._place, self._line
        self._record, self._line, self._group = {}, 0, ""
        if not record:
            return
        counted = {
            name.rpartition("/")[2]: value for name, value in record.items() if is_count(name.rpartition("/")[2])
        }
        values = {name: value for name, value in record.items() if not is_count(name.rpartition("/")[2])}
        if counted or place or not self._prefix or not len(self.table):
            self.table.add_row(line, (place | counted).items())
        self.table.extend_row(values.items())

    def finish(self) -> Table:
        self.end()
        self.table.decimals.update({n: d for n, found in self._decimals.items() if len(found) == 1 for d in found})
        return self.table


class DrawnTablesReader:
    name = "drawn_tables"
    title = "drawn tables of key and value, one a record (audiotools, OpenAI baselines, Stable Baselines)"

    def sniff(self, head: bytes, source: Source) -> float:
        if b"|" not in head and b"\xe2\x94" not in head and b"\xe2\x95" not in head:
            return 0.0
        names: Counter[str] = Counter()
        found = headers = 0
        lines = [decode(line) for line in split_lines(head, 1)[0]]
        for line in lines:
            barred = line[:LONGEST].translate(_BARS)
            headers += "|" in barred and _HEADER.fullmatch(barred) is not None
            if (cells := _cells(line)) and not cells[0].endswith("/"):
                found += 1
                names[cells[0]] += 1
        if not any(may_be_metric(name) for name in names) or len(names) < 2:
            return 0.0
        if headers and found > headers:
            return 0.97
        drawn = sum(bool(line.strip()) and not any(map(str.isalnum, line)) for line in lines)
        return (
            0.9 if found >= FEWEST_ROWS and drawn and 2 * found > sum(map(bool, map(str.strip, lines))) - drawn else 0.0
        )

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if no table has a row with a number."""
        tables, other, first = _Tables(), LineNotes(), 1
        for text in whole_lines(source.chunks()):
            lines, numbers, _ = split_lines(text, first)
            if not text.endswith(b"\n") and lines[-1].strip():
                other.count("torn_line", int(numbers[-1]), lines.pop())
            for number, line in zip(numbers.tolist(), lines, strict=False):
                if not tables.take(number, decode(line)):
                    other.add(number, line)
            first += text.count(b"\n")
        table = tables.finish()
        if not len(table):
            raise LogError(f"{source.name} has no drawn table of keys and values (`mel/loss | 2.89 | 2.92`).")
        raw = table.to_log(source.name, self.name, config=other.whole_config())
        raw.events = other.events(raw.steps, np.frombuffer(table.lines, np.int64))
        means = [ReadNote("means", tables.means, f"means beside the values, left out: {tables.means:,}")] * (
            tables.means > 0
        )
        raw.notes = [*other.notes(tables.rows), *means, *raw.notes]
        return [raw]


READER = DrawnTablesReader()
