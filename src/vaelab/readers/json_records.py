"""JSON objects in the bytes of a log: one a line, an array of them, or one printed after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from vaelab.readers.line_ends import whole_lines
from vaelab.readers.source import Source

Record = dict[str, Any]

PIECE = 1 << 20  # bytes of lines that are parsed at once
BATCH = 4096  # records handed on together
MOST_TRIES = 16  # places in one line at which an object may begin, after a broken one
_DECODER = json.JSONDecoder()


@dataclass
class JsonRecords:
    """The objects in ``source``, with the line each begins in; and, once they have been read, what was no object.

    bad_lines: lines left out, first_bad the first of them. torn: the line of an unfinished record at the end.
    """

    source: Source
    bad_lines: int = 0
    first_bad: int | None = None
    torn: int | None = None
    _start: str = "{"  # how records begin, learned from the last whole one

    def __iter__(self) -> Iterator[tuple[list[int], list[Record]]]:
        """Line numbers and objects, batch by batch."""
        return self._lines() if _is_line_wise(self.source.head()) else self._anywhere()

    def _lines(self) -> Iterator[tuple[list[int], list[Record]]]:
        first, ended = 1, True
        for piece in whole_lines(self.source.chunks(PIECE)):
            lines = piece.count(b"\n") + (not piece.endswith(b"\n"))
            records = _all_at_once(piece)
            if records is not None and len(records) == lines:
                yield list(range(first, first + len(records))), records
            else:
                yield self._line_by_line(piece, first)
            first += lines
            ended = piece.endswith(b"\n")
        if not ended and self.bad_lines and self._last_bad == first - 1:
            self.torn = first - 1
            self.bad_lines -= 1
            self.first_bad = self.first_bad if self.bad_lines else None

    _last_bad: int = 0

    def _line_by_line(self, piece: bytes, first: int) -> tuple[list[int], list[Record]]:
        numbers: list[int] = []
        records: list[Record] = []
        for number, line in enumerate(piece.split(b"\n"), start=first):
            if not (line := line.strip()):
                continue
            value = loads(line)
            if isinstance(value, dict):
                records.append(value)
                numbers.append(number)
                continue
            found, whole = objects_in(line.decode("utf-8", "replace"), self._begin(records))
            records += found
            numbers += [number] * len(found)
            if not whole:
                self.bad_lines += 1
                self.first_bad = self.first_bad or number
                self._last_bad = number
        return numbers, records

    def _begin(self, records: list[Record]) -> str:
        if records and records[-1]:
            self._start = "{" + json.dumps(next(iter(records[-1])), ensure_ascii=False)
        return self._start

    def _anywhere(self) -> Iterator[tuple[list[int], list[Record]]]:
        """Objects of an array, or objects printed over several lines: one after the other, whatever lies between."""
        text = self.source.read().decode("utf-8", "replace")
        numbers: list[int] = []
        records: list[Record] = []
        position, line, counted = 0, 1, 0
        while (start := text.find("{", position)) >= 0:
            line += text.count("\n", counted, start)
            counted = start
            try:
                value, position = _DECODER.raw_decode(text, start)
            except (ValueError, RecursionError):
                position = _next_at_same_indent(text, start)
                if position < 0:
                    self.torn = line
                    break
                self.bad_lines += 1
                self.first_bad = self.first_bad or line
                continue
            records.append(value)
            numbers.append(line)
            if len(records) >= BATCH:
                yield numbers, records
                numbers, records = [], []
        yield numbers, records


def loads(text: bytes | str) -> Any:
    """What a JSON text holds, NaN and Infinity allowed; None if it is broken or nested too deeply."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        return None


def _all_at_once(piece: bytes) -> list[Record] | None:
    """The objects of a piece with one on every line; None where any line is something else.

    (The caller sees from their number whether there is.) A line feed may stand in no JSON string, so a string that goes on in the next line is an error; so is an object that does:
    it would make fewer objects than there are lines, or have to be closed and opened within one.
    """
    try:
        values = orjson.loads(b"[" + piece.removesuffix(b"\n").replace(b"\n", b",\n") + b"]")
    except ValueError:
        return None
    return values if set(map(type, values)) == {dict} else None


def objects_in(line: str, start: str = "{") -> tuple[list[Record], bool]:
    """The objects written one after the other in a line, and whether there is nothing else in it.

    start: how an object must begin that comes after a broken one: what is nested in the broken one is no record.
    """
    found: list[Record] = []
    whole, tries, position = True, 0, 0
    while position < len(line) and tries < MOST_TRIES:
        if line[position] != "{":
            whole, tries = False, tries + 1
            position = line.find(start, position + 1)
            if position < 0:
                break
        try:
            value, end = _DECODER.raw_decode(line, position)
        except (ValueError, RecursionError):
            whole, tries = False, tries + 1
            position = line.find(start, position + 1)
            if position < 0:
                break
            continue
        found.append(value)
        position = end
        while position < len(line) and line[position] in " ,;\t\r":
            position += 1
    return found, whole and position >= len(line)


def _is_line_wise(head: bytes) -> bool:
    """Whether objects stand one in a line: some line of the first ones is an object."""
    text = head.lstrip()
    return not text.startswith(b"[") and any(isinstance(loads(line), dict) for line in text.splitlines()[:20])


def _next_at_same_indent(text: str, start: int) -> int:
    """Where the next object begins that is indented as the one at ``start``; -1 if there is none."""
    line_start = text.rfind("\n", 0, start) + 1
    indent = text[line_start:start]
    if indent.strip():
        return -1
    match = re.compile(rf"\n{indent}(?=\{{)").search(text, start)
    return match.end() if match else -1


def sniff_records(head: bytes) -> list[Record]:
    """Up to 20 objects from the start of a log; empty if it does not begin as JSON."""
    text = head.lstrip()
    if not text.startswith(b"{") and not (text.startswith(b"[") and text[1:].lstrip().startswith(b"{")):
        return []
    lines = text.splitlines()
    complete = (lines if text.endswith(b"\n") or len(lines) == 1 else lines[:-1])[:20]
    found = [value for value in map(loads, complete) if isinstance(value, dict)]
    if found:
        begun = sum(line.lstrip()[:1] == b"{" for line in complete)
        return found if begun >= 0.7 * len(complete) and 2 * len(found) >= begun else []
    whole, position = text.decode("utf-8", "replace"), 0
    while len(found) < 20 and (start := whole.find("{", position)) >= 0:
        try:
            value, position = _DECODER.raw_decode(whole, start)
        except (ValueError, RecursionError):
            break
        found.append(value)
    return found
