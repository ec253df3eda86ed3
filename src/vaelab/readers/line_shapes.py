"""Lines of one shape: the first is parsed with care, all others are read at the same places.

Two lines have one shape if they are equal but for their digits, points, signs and blanks. A ``Template`` is what the careful
parser found in one of them. Another line fits it if it has as many runs of digits, with the same text between them, and each run is
of the same kind (with a point or without; equal where it belongs to a name). Then the parser would find the same in it.
``shape_reading`` reads by templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vaelab.patterns import pattern
from vaelab.readers.fixed_point import MOST_DECIMALS, FixedPoint, fixed_point_runs
from vaelab.readers.lexer import parse_number
from vaelab.readers.number_runs import (
    LONGEST_TEXT,
    RUN,
    BoolArray,
    Lines,
    Numbers,
    Places,
    Text,
    read_numbers,
)
from vaelab.run import IntArray

Field = tuple[str | None, int, int]
"""Column, start and end of one number in a line (bytes). Column None: a number that may change and is not wanted.

Without width (start is end): no number but a mark that the line is of some kind; its value is 1.
``NOT_READ`` before the column's name: what stands there begins like a number and cannot be read whole.
"""
NOT_READ = "[unread] "

LONGEST_NAME_RUN = 8  # digits in a name: compared as one word

_TOKEN = pattern(
    rb"(?P<first>[-+]?(?:\d+\.?\d*|\.\d+))(?:(?P<thousands>(?:,\d{3})+)|[eE](?P<exponent>[-+]?\d{1,3}))?(?P<suffix>[kKM])?"
)
_SAYS_MORE = pattern(rb"\s?/|\s\d")  # behind a number that may then be a position, or a part of a number
_SHIFT = {b"k": 3, b"K": 3, b"M": 6, None: 0}


@dataclass
class Found:
    """Where one column's number is: its run, the run of its exponent, those behind thousands separators, 10**shift for a suffix."""

    run: int
    exponent: int | None
    thousands: list[int]
    shift: int

    @property
    def is_plain(self) -> bool:
        return self.exponent is None and not self.thousands and not self.shift


@dataclass
class Template:
    """What the parser found in one line, for all lines like it. Arrays are (runs,).

    columns: names in the order of the values. row: row of the values that is just this run, or -1. composed: (row, where it is).
    constants: (row, value).
    texts: what stands before each run, and behind the last one. trim: points at the end of a run that end the sentence. fixed: runs that belong to names, word: these. free: runs that
    may have a point and a sign or not. fixed_point, varied: the runs that had the same decimals in every line so far, and the others.
    tail: of the first, bytes from the point on; of the others -1. places, kinds: the runs of the line.
    """

    columns: tuple[str, ...]
    row: IntArray
    composed: list[tuple[int, Found]]
    constants: list[tuple[int, float]]
    texts: list[Text]
    trim: IntArray
    fixed: IntArray
    free: BoolArray
    places: Places
    kinds: Numbers
    fixed_point: FixedPoint
    varied: IntArray
    tail: IntArray

    def let_vary(self, some: BoolArray) -> None:
        """Expect other decimals from now on in these of ``fixed_point``."""
        self.varied = np.append(self.varied, self.fixed_point.runs[some])
        self.tail[self.varied] = -1
        self.fixed_point = self.fixed_point.without(some)


def learn(fields: list[Field], lines: Lines, i: int) -> Template | None:
    """The template of the line ``i``, in which ``fields`` were found; None if it has a value that only a parser can read."""
    line = lines.line(i)
    spans = [match.span() for match in RUN.finditer(line)]
    if not spans:
        return None
    at = {start: i for i, (start, _) in enumerate(spans)}
    trim = np.zeros(len(spans), np.int64)
    loose = np.zeros(len(spans), np.bool_)
    free = np.zeros(len(spans), np.bool_)
    columns: list[str] = []
    numbers: list[tuple[int, Found]] = []
    constants: list[tuple[int, float]] = []
    for column, start, end in fields:
        if column is None:
            loose |= np.array([a < end and b > start for a, b in spans], np.bool_)
            continue
        token = line[start:end]
        value = parse_number(token) if token else 1.0
        if value is None:
            continue
        if column.startswith(NOT_READ) or not isinstance(value, float):
            return None
        match = _TOKEN.fullmatch(token)
        if match:
            own = [match.span("first")] + [m.span() for m in re.finditer(rb"(?<=,)\d{3}", token)]
            if match["exponent"]:
                own.append(match.span("exponent"))
            found = [at.get(start + a, -1) for a, _ in own]
            if -1 in found or (match["thousands"] and b"." in match["first"]):
                return None
            for run, (_, b) in zip(found, own, strict=True):
                trim[run] = spans[run][1] - start - b
                if line[start + b : spans[run][1]].strip(b"."):
                    return None
                loose[run] = True
            alone = line[start - 1 : start] != b":" and not _SAYS_MORE.match(line, end)
            free[found[0]] = alone and not column.startswith("[")
            exponent = found.pop() if match["exponent"] else None
            if exponent is not None:
                free[exponent] = True
            numbers.append((len(columns), Found(found[0], exponent, found[1:], _SHIFT[match["suffix"]])))
        elif token and np.isfinite(value):
            return None
        else:
            constants.append((len(columns), value))
        columns.append(column)
    fixed = np.flatnonzero(~loose)
    if any(spans[run][1] - spans[run][0] > LONGEST_NAME_RUN for run in fixed):
        return None
    starts, ends = np.array(spans, np.int64).T
    texts = [line[a:b] for a, b in zip([0, *ends.tolist()], [*starts.tolist(), len(line)], strict=True)]
    if max(map(len, texts)) > LONGEST_TEXT:
        return None
    placed = lines.place_runs(starts + lines.start[i])
    placed.end = ends + lines.start[i] - trim
    row = np.full(len(spans), -1)
    composed = [(column, found) for column, found in numbers if not found.is_plain]
    for place, number in numbers:
        if number.is_plain:
            row[number.run] = place
    kinds = read_numbers(lines, placed)
    simple = loose & kinds.regular & (trim == 0) & (kinds.decimals <= MOST_DECIMALS)
    for _, number in composed:
        simple[[number.run, *number.thousands, *([] if number.exponent is None else [number.exponent])]] = False
    which = np.flatnonzero(simple)
    tail = np.full(len(spans), -1)
    tail[which] = kinds.decimals[which] + kinds.point[which]
    return Template(
        tuple(columns),
        row,
        composed,
        constants,
        [Text.of(text) for text in texts],
        trim,
        fixed,
        free,
        placed,
        kinds,
        fixed_point_runs(which, row >= 0, kinds, free | kinds.point),
        np.flatnonzero(loose & ~simple),
        tail,
    )
