"""Lines of one shape: the first is parsed with care, all others are read at the same places.

Two lines have one shape if they are equal but for their digits, points, signs and blanks. A ``Template`` is what the careful
parser found in one of them. Another line fits it if it has as many runs of digits, with the same text between them, and each run is
of the same kind (with a point or without; equal where it belongs to a name). Then the parser would find the same in it.

Many lines are compared at once, from their beginnings on: a run ends where the next text begins, or some decimals behind its point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vaelab.readers.fixed_point import MOST_DECIMALS, FixedPoint, fixed_point_runs
from vaelab.readers.lexer import EXACT, parse_number
from vaelab.readers.number_runs import (
    LONGEST_TEXT,
    RUN,
    BoolArray,
    Lines,
    Numbers,
    Places,
    WordBefore,
    Words,
    differing,
    first_equal,
    first_mark,
    not_digits,
    read_numbers,
    scaled,
    shift_to_the_end,
    words_before,
)
from vaelab.run import FloatArray, IntArray

Field = tuple[str | None, int, int]
"""Column, start and end of one number in a line (bytes). Column None: a number that may change and is not wanted.

Without width (start is end): no number but a mark that the line is of some kind; its value is 1.
``NOT_READ`` before the column's name: what stands there begins like a number and cannot be read whole.
"""
NOT_READ = "[unread] "

LONGEST_NAME_RUN = 8  # digits in a name: compared as one word
LONGEST_INTEGER = 9  # digits; longer ones are left to the careful parser, which may limit them
MOST_BLANKS = 7  # before a number, where their count may vary
NUMBERS_PER_CALL = 32768  # keeps numpy's temporary arrays in the processor's cache

_TOKEN = re.compile(
    rb"(?P<first>[-+]?(?:\d+\.?\d*|\.\d+))(?:(?P<thousands>(?:,\d{3})+)|[eE](?P<exponent>[-+]?\d{1,3}))?(?P<suffix>[kKM])?"
)
_SAYS_MORE = re.compile(rb"\s?/|\s\d")  # behind a number that may then be a position, or a part of a number
_BLANKS = np.uint64(0x2020202020202020)
_SHIFT = {b"k": 3, b"K": 3, b"M": 6, None: 0}


@dataclass
class _Found:
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
    texts: what stands before each run, and behind the last one; words: the same for ``Lines.have_before``. blanks: how many of them are
    blanks directly before the run; opened: a bracket stands before these. closing: a word of the character behind each run.
    trim: points at the end of a run that end the sentence. fixed: runs that belong to names, word: these. free: runs that
    may have a point and a sign or not. fixed_point, varied: the runs that had the same decimals in every line so far, and the others.
    tail: of the first, bytes from the point on; of the others -1. places, kinds: the runs of the line.
    """

    columns: tuple[str, ...]
    row: IntArray
    composed: list[tuple[int, _Found]]
    constants: list[tuple[int, float]]
    texts: list[bytes]
    words: list[list[WordBefore]]
    closing: Words
    blanks: IntArray
    opened: BoolArray
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
    numbers: list[tuple[int, _Found]] = []
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
            numbers.append((len(columns), _Found(found[0], exponent, found[1:], _SHIFT[match["suffix"]])))
        elif token and np.isfinite(value):
            return None
        else:
            constants.append((len(columns), value))
        columns.append(column)
    fixed = np.flatnonzero(~loose)
    if any(spans[run][1] - spans[run][0] > LONGEST_NAME_RUN for run in fixed):
        return None
    starts, ends = np.array(spans, np.int64).T
    before = [line[:start].rstrip(b" ") for start, _ in spans]
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
        texts,
        list(map(words_before, texts)),
        np.array([text[0] if text else ord("\n") for text in texts[1:]], np.uint64) * np.uint64(0x0101010101010101),
        np.array([start - len(text) for (start, _), text in zip(spans, before, strict=True)], np.int64),
        np.array([text[-1:] in (b"[", b"(") for text in before], np.bool_),
        trim,
        fixed,
        free,
        placed,
        kinds,
        fixed_point_runs(which, kinds, free | kinds.point),
        np.flatnonzero(loose & ~simple),
        tail,
    )


_Values = tuple[
    IntArray, FloatArray, list[tuple[int, int] | None]
]  # of lines (n,): (columns, n), decimals of each column


def read(template: Template, lines: Lines, rows: IntArray) -> tuple[BoolArray, list[_Values]]:
    """Which of the lines ``rows`` fit (n,), and the values of those that do, some lines at a time."""
    fitting, places = _stand_alike(template, lines, rows)
    same = np.ones(len(fitting), np.bool_)
    for run in np.flatnonzero(template.trim).tolist():
        places.end[run] -= template.trim[run]
        for k in range(int(template.trim[run])):
            same &= lines.data[places.end[run] + k] == ord(".")
    learnt = template.places
    for run in template.fixed.tolist():
        same &= (places.sign[run] == learnt.sign[run]) & (places.length[run] == learnt.length[run])
        to_the_end = shift_to_the_end(learnt.length[run])
        same &= (places.word[run] << to_the_end) == learnt.word[run] << to_the_end
    if not same.all():
        fitting, places = fitting[same], places[:, same]
    fits = np.zeros(len(rows), np.bool_)
    found: list[_Values] = []
    step = max(1, NUMBERS_PER_CALL // len(template.tail))
    for at in range(0, len(fitting), step):
        usable, values, decimals = _values(template, lines, places[:, at : at + step])
        some = fitting[at : at + step][usable]
        fits[some] = True
        if len(some):
            found.append((rows[some], values, decimals))
    return fits, found


def _stand_alike(template: Template, lines: Lines, rows: IntArray) -> tuple[IntArray, Places]:
    """Which of the lines ``rows`` have the text of the template around as many runs, and where these are (runs, n).

    Only the count of blanks before a number may vary.
    """
    n_runs = len(template.tail)
    shape = n_runs, len(rows)
    begin, end = np.empty((2, *shape), np.int64)
    places = Places(np.zeros(shape, np.uint8), begin, end, np.empty(shape, np.uint64))
    index, stop, line_end = np.arange(len(rows)), lines.start[rows], lines.end[rows]
    for run in range(n_runs + 1):
        start = stop + len(template.texts[run])
        alike = lines.have_before(start, template.words[run])
        if run == n_runs:
            alike &= start == line_end
        if not alike.all():
            others = np.flatnonzero(~alike)
            if run:
                stop[others] = places.end[run - 1, others] = lines.run_ends(places.begin[run - 1, others])
            start[others], alike[others] = _next_run(template, lines, run, stop[others])
            if run == n_runs:
                alike &= start == line_end
            if not alike.all():
                index, start, line_end = index[alike], start[alike], line_end[alike]
                before = places[:run, alike]
                places = places[:, : len(index)]
                places[:run] = before
                if not len(index):
                    break
        if run < n_runs:
            stop = _place(template, lines, run, start, places)
    return index, places


def _place(template: Template, lines: Lines, run: int, start: IntArray, places: Places) -> IntArray:
    """Fill in ``places`` of a run that begins at ``start`` (n,), where it ends if it is as the template has it; returns this end."""
    if not template.kinds.regular[run]:
        places[run] = lines.place_runs(start)
        return places.end[run].copy()
    tail = int(template.tail[run])
    word = lines.words[start]
    if tail >= 0:
        width = first_mark(not_digits(word))
    else:
        width = first_equal(word, template.closing[run])
        width[lines.data[start] < ord(".")] = 0
    end = start + width
    if tail > 0:
        end += tail
    places.begin[run], places.end[run], places.word[run] = start, end, word
    others = np.flatnonzero(width <= 0)  # a sign, or too long
    if len(others):
        placed = lines.place_runs(start[others])
        places[run, others] = placed
        end[others] = placed.end
    return end


def _next_run(template: Template, lines: Lines, run: int, stop: IntArray) -> tuple[IntArray, BoolArray]:
    """Where a run begins behind the end of the one before (n,), with other blanks between them maybe; and if its text is there."""
    text = template.texts[run]
    if run == len(template.tail):
        place = stop + len(text)
        return place, lines.have_before(place, template.words[run])
    letters, before = text.rstrip(b" "), int(template.blanks[run])
    place = stop + len(letters)
    alike = lines.have_before(place, words_before(letters))
    blanks = first_mark(differing(lines.words[place], _BLANKS))  # negative: more than seven
    alike &= (blanks == before) | (
        (blanks >= 0) & (before <= MOST_BLANKS) & (((blanks > 0) & (before > 0)) | template.opened[run])
    )
    return place + blanks, alike


def _values(
    template: Template, lines: Lines, places: Places
) -> tuple[BoolArray, FloatArray, list[tuple[int, int] | None]]:
    """Which lines have numbers of the template's kinds at ``places`` (runs, n), their values, and the decimals."""
    expected, kinds = template.fixed_point, template.kinds
    fixed_values, as_learnt, same_sign = expected.read(lines, places[expected.runs])
    kept = np.all(as_learnt, axis=1)
    if not kept.all():
        template.let_vary(np.logical_not(kept))
        fixed_values, same_sign = fixed_values[kept], same_sign[kept]
    usable = same_sign.all(axis=0)
    varied = template.varied
    places = places[varied]
    said = read_numbers(lines, places)
    length = places.length + said.signed
    same = (said.point == kinds.point[varied, None]) & ((said.signed == kinds.signed[varied, None]) | said.point)
    same |= template.free[varied, None]
    same &= said.regular == kinds.regular[varied, None]
    usable &= same.all(axis=0)
    values = np.empty((len(template.columns), len(usable)))
    decimals: list[tuple[int, int] | None] = [(0, 0)] * len(template.columns)
    row = template.row[template.fixed_point.runs]
    wanted = row >= 0
    values[row[wanted]] = fixed_values[wanted]
    for column, printed in zip(row[wanted].tolist(), template.fixed_point.decimals[wanted, 0].tolist(), strict=True):
        decimals[column] = printed, printed
    shown: dict[int, IntArray] = {}
    wanted = template.row[varied] >= 0
    values[template.row[varied][wanted]] = said.values(wanted)
    for i in np.flatnonzero(wanted).tolist():
        shown[int(template.row[varied[i]])] = said.decimals[i]
        if not kinds.point[varied[i]]:
            usable &= said.point[i] | (length[i] <= LONGEST_INTEGER)
    place = {run: i for i, run in enumerate(varied.tolist())}
    for column, found in template.composed:
        values[column], shown[column], exact = _composed(found, place, said, length)
        usable &= exact
    for column, constant in template.constants:
        values[column] = constant
        decimals[column] = (0, 0) if np.isfinite(constant) else None
    if not usable.all():
        values = values[:, usable]
        shown = {column: printed[usable] for column, printed in shown.items()}
    if usable.any():
        for column, printed in shown.items():
            decimals[column] = int(printed.min()), int(printed.max())
    return usable, values, decimals


def _composed(
    found: _Found, place: dict[int, int], said: Numbers, length: IntArray
) -> tuple[FloatArray, IntArray, BoolArray]:
    """Values, decimals and which can be used (n,), of a number of several runs or with a suffix. place: of each run in ``said``."""
    run = place[found.run]
    digits, shown = said.digits[run], said.decimals[run]
    usable = (said.power[run] == -shown) & (digits < 2.0**53)
    for part in map(place.__getitem__, found.thousands):
        usable &= (length[part] == 3) & ~said.point[part] & ~said.point[run] & (length[run] - said.signed[run] <= 3)
        digits = digits * 1000 + said.digits[part]
    shift = np.full(len(digits), found.shift)
    if found.exponent is not None:
        exponent = place[found.exponent]
        size = said.digits[exponent].astype(np.int64)
        shift += np.where(said.negative[exponent], -size, size)
        usable &= ~said.point[exponent]
    values, exact = scaled(digits, shift - shown, said.negative[run])
    # a zero with an exponent is no rounding
    printed = shown - shift if found.exponent is None else np.where(digits == 0, EXACT, shown - shift)
    return values, printed, usable & exact
