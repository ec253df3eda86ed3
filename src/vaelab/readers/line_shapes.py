"""Lines of one shape: the first is parsed with care, all others are read at the same places.

Two lines have one shape if they are equal but for their digits, points, signs and blanks. A ``Template`` is what the careful
parser found in one of them. Another line fits it if it has as many runs of digits, with the same text between them, and each run is
of the same kind (with a point or without; equal where it belongs to a name). Then the parser would find the same in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vaelab.readers.fixed_point import MOST_DECIMALS, FixedPoint, fixed_point_runs
from vaelab.readers.lexer import parse_number
from vaelab.readers.number_runs import RUN, BoolArray, Numbers, Runs, Words, last_bytes, read_numbers, scaled, word_of
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

_TOKEN = re.compile(
    rb"(?P<first>[-+]?(?:\d+\.?\d*|\.\d+))(?:(?P<thousands>(?:,\d{3})+)|[eE](?P<exponent>[-+]?\d{1,3}))?(?P<suffix>[kKM])?"
)
_SAYS_MORE = re.compile(rb"\s?/|\s\d")  # behind a number that may then be a position, or a part of a number
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
    gaps: bytes before each run; texts: these, and what stands behind the last run; text_words: (runs, words, masks) that say the same, eight
    bytes at a time from the end. blanks: how many of them are blanks directly before the run; opened: a bracket stands before these.
    trim: points at the end of a run that end the sentence. fixed: runs that belong to names, word: these. free: runs that
    may have a point and a sign or not. fixed_point, varied: the runs that had the same decimals in every line so far, and the others.
    length, kinds: what the runs of the line are.
    """

    columns: tuple[str, ...]
    row: IntArray
    composed: list[tuple[int, _Found]]
    constants: list[tuple[int, float]]
    gaps: IntArray
    texts: list[bytes]
    text_words: list[tuple[IntArray | slice, Words, Words]]
    blanks: IntArray
    opened: BoolArray
    trim: IntArray
    fixed: IntArray
    free: BoolArray
    length: IntArray
    word: Words
    kinds: Numbers
    fixed_point: FixedPoint
    varied: IntArray

    def let_vary(self, some: BoolArray) -> None:
        """Expect other decimals from now on in these of ``fixed_point``."""
        self.varied = np.append(self.varied, self.fixed_point.runs[some])
        self.fixed_point = self.fixed_point.without(some)


def learn(line: bytes, fields: list[Field], runs: Runs, index: IntArray) -> Template | None:
    """The template of a line whose runs are ``index`` of ``runs``; None if it has a value that only a parser can read."""
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
    own_start, own_end = runs.start[index], runs.end[index] - trim
    row = np.full(len(spans), -1)
    composed = [(column, found) for column, found in numbers if not found.is_plain]
    for place, number in numbers:
        if number.is_plain:
            row[number.run] = place
    kinds = read_numbers(runs, own_start, own_end)
    simple = loose & kinds.regular & (trim == 0) & (kinds.decimals <= MOST_DECIMALS)
    for _, number in composed:
        simple[[number.run, *number.thousands, *([] if number.exponent is None else [number.exponent])]] = False
    return Template(
        tuple(columns),
        row,
        composed,
        constants,
        starts - np.append(0, ends[:-1]),
        texts,
        _words_of(texts[:-1]),
        np.array([start - len(text) for (start, _), text in zip(spans, before, strict=True)], np.int64),
        np.array([text[-1:] in (b"[", b"(") for text in before], np.bool_),
        trim,
        fixed,
        free,
        ends - starts,
        runs.words[own_end - 8],
        kinds,
        fixed_point_runs(np.flatnonzero(simple), kinds, free | kinds.point),
        np.flatnonzero(loose & ~simple),
    )


def _words_of(texts: list[bytes]) -> list[tuple[IntArray | slice, Words, Words]]:
    """``Template.text_words`` of what stands before each run."""
    found: list[tuple[IntArray | slice, Words, Words]] = []
    for at in range(0, max(map(len, texts)), 8):
        which = np.array([run for run, text in enumerate(texts) if len(text) > at], np.int64)
        parts = [texts[run][max(len(texts[run]) - at - 8, 0) : len(texts[run]) - at] for run in which.tolist()]
        masks = last_bytes(np.array([len(part) for part in parts], np.int64))
        words = np.array([word_of(part) for part in parts], np.uint64)
        found.append((slice(None) if len(which) == len(texts) else which, words, masks))
    return found


def read(template: Template, runs: Runs, rows: IntArray) -> tuple[BoolArray, FloatArray, list[tuple[int, int] | None]]:
    """Which of the lines ``rows`` fit (n,), the values of those that do (columns, fitting), and the decimals of each column.

    All lines must have as many runs as the template.
    """
    start, end = runs.of_lines(rows)
    fits = _stands_alike(template, runs, rows, start, end)
    for run in np.flatnonzero(template.trim).tolist():
        end[run] -= template.trim[run]
        for k in range(int(template.trim[run])):
            fits &= runs.data[end[run] + k] == ord(".")
    for run in template.fixed.tolist():
        length = template.length[run]
        mask = last_bytes(length)
        fits &= end[run] - start[run] == length
        fits &= (runs.words[end[run] - 8] & mask) == (template.word[run] & mask)
    if not fits.all():
        start, end = start[:, fits], end[:, fits]
    usable, values, decimals = _values(template, runs, start, end)
    fits[fits] = usable
    return fits, values, decimals


def _values(
    template: Template, runs: Runs, start: IntArray, end: IntArray
) -> tuple[BoolArray, FloatArray, list[tuple[int, int] | None]]:
    """What ``read`` returns, of lines with the text of the template whose runs stand between ``start`` and ``end`` (runs, n)."""
    expected, kinds = template.fixed_point, template.kinds
    fixed_values, as_learnt, same_sign = expected.read(runs, start[expected.runs], end[expected.runs])
    kept = np.all(as_learnt, axis=1)
    if not kept.all():
        template.let_vary(np.logical_not(kept))
        fixed_values, same_sign = fixed_values[kept], same_sign[kept]
    usable = same_sign.all(axis=0)
    varied = template.varied
    start, end = start[varied], end[varied]
    said = read_numbers(runs, start, end)
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
            usable &= said.point[i] | (end[i] - start[i] <= LONGEST_INTEGER)
    place = {run: i for i, run in enumerate(varied.tolist())}
    for column, found in template.composed:
        values[column], shown[column], exact = _composed(found, place, said, end - start)
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
    return values, shown - shift, usable & exact


def _stands_alike(template: Template, runs: Runs, rows: IntArray, start: IntArray, end: IntArray) -> BoolArray:
    """Which lines have the same text around their runs as the template: only the count of blanks before a number may vary."""
    gaps = start.copy()
    gaps[0] -= runs.line_start[rows]
    gaps[1:] -= end[:-1]
    alike = gaps == template.gaps[:, None]
    for k, (which, words, masks) in enumerate(template.text_words):
        found = runs.words[start[which] - 8 * (k + 1)]
        found &= masks[:, None]
        alike[which] &= found == words[:, None]
    for run in np.flatnonzero(~alike.all(axis=1)).tolist():
        some = np.flatnonzero(~alike[run])
        before = int(template.blanks[run])
        place = start[run, some]
        blanks = np.minimum(_blanks_before(runs, place), gaps[run, some])
        same = (gaps[run, some] - blanks == template.gaps[run] - before) & (blanks <= MOST_BLANKS)
        same &= ((blanks > 0) & (before > 0)) | template.opened[run]
        same &= runs.have_before(place - blanks, template.texts[run].rstrip(b" "))
        alike[run, some] = same & (before <= MOST_BLANKS)
    line_end = runs.line_end[rows]
    behind = template.texts[-1]
    return alike.all(axis=0) & (line_end - end[-1] == len(behind)) & runs.have_before(line_end, behind)


def _blanks_before(runs: Runs, start: IntArray) -> IntArray:
    """How many blanks, up to eight, stand directly before each place."""
    other = runs.words[start - 8] ^ np.uint64(0x2020202020202020)
    highest = (other.astype(np.float64).view(np.int64) >> 52) - 1023  # of the last byte that is no blank
    return np.where(other == 0, 8, 7 - (highest >> 3))
