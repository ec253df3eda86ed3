"""Reading lines by templates: where the numbers of many lines stand, and what they are.

Lines are compared with several templates at once, from their beginnings on: up to where the templates differ in their text, all are compared in one go,
and from there on each goes on with the lines that have its text. So lines that take turns (a value that is printed as ``803`` and as
``1.9e+03``) are gone through once. A run ends where the next text begins, or some decimals behind its point.
"""

from __future__ import annotations

import numpy as np

from vaelab.readers.lexer import EXACT
from vaelab.readers.line_shapes import Found, Template
from vaelab.readers.number_runs import (
    BoolArray,
    Lines,
    Numbers,
    Places,
    differing,
    first_equal,
    first_mark,
    not_digits,
    read_numbers,
    scaled,
    shift_to_the_end,
)
from vaelab.run import FloatArray, IntArray

LONGEST_INTEGER = 9  # digits; longer ones are left to the careful parser, which may limit them
MOST_BLANKS = 7  # before a number, where their count may vary
NUMBERS_PER_CALL = 32768  # keeps numpy's temporary arrays in the processor's cache

_BLANKS = np.uint64(0x2020202020202020)

Read = tuple[Template, IntArray, FloatArray, list[tuple[int, int] | None]]
"""Template, lines (n,) read by it, values (columns, n), and the least and most decimals of each column."""


def read(templates: list[Template], lines: Lines, rows: IntArray) -> tuple[list[Read], IntArray]:
    """What was read of the lines ``rows`` by the first of the templates that each fits, some lines at a time; and the lines that fit none."""
    fits = np.zeros(len(rows), np.bool_)
    found: list[Read] = []
    for alike, which, places in _stand_alike(templates, lines, rows):
        for template in alike:
            fitting = _read_places(template, lines, rows[which], places, found)
            fits[which[fitting]] = True
            if fitting.all():
                break
            others = np.flatnonzero(~fitting)
            which, places = which[others], places.of_lines(others)
    return found, rows[~fits]


# Where the numbers stand ---------------------------------------------------------------------------------------------


def _stand_alike(
    templates: list[Template], lines: Lines, rows: IntArray
) -> list[tuple[list[Template], IntArray, Places]]:
    """Templates of equal texts, which of the lines ``rows`` have these texts around as many runs (n,), and where the runs are (runs, n).

    Only the count of blanks before a number may vary.
    """
    if not templates or not len(rows):
        return []
    found = []
    most_runs = max(len(template.tail) for template in templates)
    reached = [(templates, 0, np.arange(len(rows)), lines.start[rows], Places.empty(most_runs, len(rows)))]
    while reached:
        some, run, which, stop, places = reached.pop()
        parts = _by_next_text(some, run)
        line_end = lines.end[rows[which]] if any(run == len(part[0].tail) for part in parts) else None
        start, of_parts = _find_texts(parts, lines, run, stop, places, line_end)
        if len(of_parts[0]) == len(which):
            begun = [places]
        else:  # side by side in the same arrays
            copies = [places[:run].of_lines(these) for these in of_parts]
            begun, end = [], 0
            for these, copy in zip(of_parts, copies, strict=True):
                begun.append(places[:, end : end + len(these)])
                begun[-1][:run] = copy
                end += len(these)
        for part, these, part_places in zip(parts, of_parts, begun, strict=False):
            if run == len(part[0].tail):
                found.append((part, which[these], part_places))
            elif len(these):
                stop = _place(part, lines, run, start[these], part_places)
                reached.append((part, run + 1, which[these], stop, part_places))
    return found


def _by_next_text(templates: list[Template], run: int) -> list[list[Template]]:
    """Templates by the text before a run, or behind the last one."""
    if len(templates) == 1:
        return [templates]
    parts: dict[tuple[bytes, bool], list[Template]] = {}
    for template in templates:
        parts.setdefault((template.texts[run].text, run == len(template.tail)), []).append(template)
    return list(parts.values())


def _find_texts(
    parts: list[list[Template]], lines: Lines, run: int, stop: IntArray, places: Places, line_end: IntArray | None
) -> tuple[IntArray, list[IntArray]]:
    """Where the text before a run ends behind the run before, which ends at ``stop`` (n,); and which lines have the text of each of ``parts``.

    line_end: for a last text, which ends the line. Where none of the texts is there, the end of the run before is looked for: so far it
    is where a run of the templates' kind would end.
    """
    start, alike = _find_text(parts[0][0], lines, run, stop, line_end, exactly=True)
    if alike.all():
        return start, [np.arange(len(stop))]
    part_of = np.where(alike, 0, -1)
    for exactly in (True, False):
        left = np.flatnonzero(part_of < 0)
        if run and not exactly:
            stop[left] = places.end[run - 1, left] = lines.run_ends(
                places.begin[run - 1, left], places.word[run - 1, left]
            )
        for k, part in enumerate(parts):
            if k or not exactly:
                start[left], alike = _find_text(
                    part[0], lines, run, stop[left], None if line_end is None else line_end[left], exactly
                )
                part_of[left[alike]] = k
                left = left[~alike]
    return start, [np.flatnonzero(part_of == k) for k in range(len(parts))]


def _find_text(
    template: Template, lines: Lines, run: int, stop: IntArray, line_end: IntArray | None, exactly: bool
) -> tuple[IntArray, BoolArray]:
    """Where the text before a run ends that begins at ``stop`` (n,), and if it is there. Not exactly: with other blanks at its end maybe."""
    text = template.texts[run]
    if run == len(template.tail):
        start, alike = lines.behind(stop, text)
        return start, alike & (start == line_end)
    if (exactly and text.blanks < 2) or (lines.drawn and len(text.parts) > 1):
        return lines.behind(stop, text)
    place = stop + len(text.text) - text.blanks
    alike = lines.have_before(place, text.letters)
    blanks = first_mark(differing(lines.words[place], _BLANKS))  # negative: more than seven
    alike &= (blanks == text.blanks) | (
        (blanks >= 0) & (text.blanks <= MOST_BLANKS) & (((blanks > 0) & (text.blanks > 0)) | text.opened)
    )
    return place + blanks, alike


def _place(templates: list[Template], lines: Lines, run: int, start: IntArray, places: Places) -> IntArray:
    """Fill in ``places`` of a run that begins at ``start`` (n,), where it ends if it is as all templates have it; returns this end."""
    tails = {int(template.tail[run]) for template in templates}
    behind = {int(template.texts[run + 1].first_byte) for template in templates}
    tail = tails.pop()
    if tails or (tail < 0 and len(behind) > 1) or not all(template.kinds.regular[run] for template in templates):
        places[run] = lines.place_runs(start)
        return places.end[run].copy()
    word = lines.words[start]
    if tail >= 0:
        width = first_mark(not_digits(word))
    else:
        width = first_equal(word, np.uint64(behind.pop()))
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


# What the numbers are ------------------------------------------------------------------------------------------------


def _read_places(template: Template, lines: Lines, rows: IntArray, places: Places, found: list[Read]) -> BoolArray:
    """Read the runs at ``places`` (runs, n) of the lines ``rows`` into ``found``; which lines fit ``template`` (n,)."""
    fits = np.ones(len(rows), np.bool_)
    if template.trim.any():
        places = Places(places.sign, places.begin, places.end - template.trim[:, None], places.word)
        for run in np.flatnonzero(template.trim).tolist():
            for k in range(int(template.trim[run])):
                fits &= lines.data[places.end[run] + k] == ord(".")
    learnt = template.places
    for run in template.fixed.tolist():
        fits &= (places.sign[run] == learnt.sign[run]) & (places.length[run] == learnt.length[run])
        to_the_end = shift_to_the_end(learnt.length[run])
        fits &= (places.word[run] << to_the_end) == learnt.word[run] << to_the_end
    fitting = np.flatnonzero(fits)
    if len(fitting) < len(rows):
        rows, places = rows[fitting], places.of_lines(fitting)
    step = max(1, NUMBERS_PER_CALL // len(template.tail))
    for at in range(0, len(rows), step):
        usable, values, decimals = _values(template, lines, places[:, at : at + step])
        fits[fitting[at : at + step]] = usable
        if usable.any():
            found.append((template, rows[at : at + step][usable], values, decimals))
    return fits


def _values(
    template: Template, lines: Lines, places: Places
) -> tuple[BoolArray, FloatArray, list[tuple[int, int] | None]]:
    """Which lines have numbers of the template's kinds at ``places`` (runs, n), their values, and the decimals."""
    expected, kinds = template.fixed_point, template.kinds
    fixed_values, as_learnt, same_sign = expected.read(lines, places[expected.runs])
    kept = np.all(as_learnt, axis=1)
    if not kept.all():
        template.let_vary(np.logical_not(kept))
        fixed_values, same_sign = fixed_values[kept[: expected.wanted]], same_sign[kept]
        expected = template.fixed_point
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
    row = template.row[expected.runs[: expected.wanted]]
    values[row] = fixed_values
    for column, printed in zip(row.tolist(), expected.decimals[: expected.wanted, 0].tolist(), strict=True):
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
    found: Found, place: dict[int, int], said: Numbers, length: IntArray
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
