"""The numbers of log lines, fast: lines of one shape are parsed together with numpy, all others one by one.

A training log repeats a few line shapes millions of times. A format gives one careful function that says where the
numbers of a single line are (``ParseLine``). Here the lines are grouped by what is left of them without digits; the
first line of a group is parsed by that function, and the whole group is then read at the same places with a few numpy
calls. The result is exactly ``float(text)`` of every number: digits are assembled as an integer below 2**53 and divided
by a power of ten, which rounds once. Each group is checked to the last digit and minus sign (``_read_group`` says how);
one that does not fit is parsed line by line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vaelab.readers.lexer import UNREADABLE, decimals_of, parse_number, plain
from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

Field = tuple[str | None, int, int]
"""Column, start and end of one number in a line (bytes). Column None: a number that may change and is not wanted.

Without width (start is end): no number but a mark that the line is of some kind; its value is 1.
``NOT_READ`` before the column's name: what stands there begins like a number and cannot be read whole.
"""
NOT_READ = "[unread] "

ParseLine = Callable[[bytes], "list[Field] | None"]
"""The numbers of one line in the order they stand, or None if it is no line of this format."""

MIN_GROUP = 8  # fewer lines of one shape are parsed one by one
NUMBERS_PER_CALL = 32768  # keeps numpy's temporary arrays in the processor's cache
MAX_REGION = 256  # widest stretch between two decimal points that is searched for whole numbers
UNREAD = 135

_DECIMAL = re.compile(rb"(-?)(\d+)\.(\d+)")
_DIGITS = re.compile(rb"\d+")
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

_U64 = np.dtype("<u8")
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_ZEROS = np.uint64(0x3030303030303030)
_TO_HIGH_BIT = np.uint64(0x7676767676767676)
_LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)
_JOINS = (
    (np.uint64(10), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(100), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(10000), np.uint64(32), np.uint64(0x00000000FFFFFFFF)),
)
_POWERS = np.array([10.0**k for k in range(8)])


@dataclass
class Block:
    """Rows that hold the same columns.

    lines: int64 (n,) line numbers. order: int64 (n,) place in the log (what a carriage return separates has one line number).
    values: float64 (k, n). decimals: per column the least and the most digits after
    the point ((0, 0) for whole numbers), None if no row printed a finite number.
    """

    columns: tuple[str, ...]
    lines: IntArray
    order: IntArray
    values: FloatArray
    decimals: list[tuple[int, int] | None]


@dataclass
class Scan:
    """One piece of a log: ``n_lines`` physical lines, the rows found, and every line that is not a row.

    tail: the last line, if the log stops without a line end; whether it is complete is for the reader to judge.
    ansi: lines that had terminal colours. unread: column -> line and text of every value that could not be read whole.
    """

    n_lines: int
    blocks: list[Block]
    others: list[tuple[int, bytes]]
    tail: tuple[int, bytes] | None = None
    ansi: int = 0
    unread: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    n_parts: int = 0


def scan_chunks(chunks: Iterable[bytes], parse: ParseLine, decimal_comma: bool = False) -> Iterator[Scan]:
    """Scan a log given in pieces that may end anywhere. Line numbers are 1-based over the whole log."""
    first_line, first_part = 1, 0
    for text in whole_lines(chunks):
        scan = scan_text(plain(text, decimal_comma), parse, first_line, first_part)
        first_line += scan.n_lines
        first_part += scan.n_parts
        yield scan


def scan_tail(tail: tuple[int, bytes], parse: ParseLine) -> Scan:
    """``Scan.tail`` as if its line end were there; it comes after all other lines."""
    number, line = tail
    return scan_text(line + b"\n", parse, number, 1 << 62)


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that end with a line end; a last piece without one if the log ends so."""
    rest: list[bytes] = []
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest.append(chunk)
            continue
        yield b"".join([*rest, memoryview(chunk)[:end]])
        rest = [chunk[end:]] if end < len(chunk) else []
    if rest:
        yield b"".join(rest)


def scan_text(text: bytes, parse: ParseLine, first_line: int = 1, first_part: int = 0) -> Scan:
    """Scan lines. ``first_line`` is the number of the first of them, ``first_part`` its place in the log."""
    scan = Scan(0, [], [])
    lines, numbers, scan.ansi = split_lines(text, first_line)
    if not lines:
        return scan
    scan.n_lines, scan.n_parts = int(numbers[-1]) + 1 - first_line, len(lines)
    if not text.endswith(b"\n"):
        scan.tail = int(numbers[-1]), lines.pop()
    if b"\r" in text or b"\x1b" in text:
        text = b"\n".join(lines)
    groups: dict[bytes, list[int]] = {}
    # zip leaves out what follows the last line end: nothing, or the tail
    for index, shape in zip(range(len(lines)), text.translate(None, b"0123456789- ").split(b"\n"), strict=False):
        if shape in groups:
            groups[shape].append(index)
        else:
            groups[shape] = [index]
    careful: list[int] = []
    for members in groups.values():
        template = _learn(lines[members[0]], parse) if len(members) >= MIN_GROUP else None
        if template is None:
            careful += members
            continue
        step = max(MIN_GROUP, NUMBERS_PER_CALL // template.n_numbers)
        for at in range(0, len(members), step):
            some = members[at : at + step]
            values = _read_group([lines[i] for i in some], template)
            if values is None:
                careful += some
            else:
                order = np.array(some, np.int64) + first_part
                scan.blocks.append(Block(template.columns, numbers[some], order, values, template.decimals))
    careful.sort()
    _parse_one_by_one([(int(numbers[i]), i + first_part, lines[i]) for i in careful], parse, scan)
    return scan


def split_lines(text: bytes, first_line: int) -> tuple[list[bytes], IntArray, int]:
    """Lines without their ends, the number of each, and how many had terminal colours.

    What a carriage return separates (a progress bar drawn over itself) comes as lines of their own with one number.
    """
    ansi = 0
    if b"\x1b" in text:
        ansi = sum(b"\x1b" in line for line in text.split(b"\n"))
        text = _ANSI.sub(b"", text)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    lines = text.split(b"\n")
    if text.endswith(b"\n"):
        lines.pop()
    numbers = np.arange(first_line, first_line + len(lines), dtype=np.int64)
    if b"\r" not in text:
        return lines, numbers, ansi
    updates = [line.split(b"\r") for line in lines]
    return [u for line in updates for u in line], np.repeat(numbers, [len(u) for u in updates]), ansi


# Line by line --------------------------------------------------------------------------------------------------------


def _parse_one_by_one(lines: list[tuple[int, int, bytes]], parse: ParseLine, scan: Scan) -> None:
    """Parse numbered lines with ``parse``: rows go to ``scan.blocks``, lines that are none to ``scan.others``."""
    found: dict[tuple[str, ...], tuple[list[tuple[int, int]], list[list[float]], list[list[int | None]]]] = {}
    for number, part, line in lines:
        fields = parse(line)
        if fields is None:
            if line:
                scan.others.append((number, line))
            continue
        columns, values, decimals = [], [], []
        for column, start, end in fields:
            if column is None:
                continue
            token = line[start:end]
            value = parse_number(token) if end > start else 1.0
            if value is UNREADABLE or column.startswith(NOT_READ):
                scan.unread.setdefault(column.removeprefix(NOT_READ), []).append((number, token))
            elif isinstance(value, float):
                columns.append(column)
                values.append(value)
                decimals.append(decimals_of(token) if end > start else 0)
        row_lines, rows, printed = found.setdefault(tuple(columns), ([], [], []))
        row_lines.append((number, part))
        rows.append(values)
        printed.append(decimals)
    for names, (row_lines, rows, printed) in found.items():
        limits: list[tuple[int, int] | None] = []
        for column_decimals in zip(*printed, strict=True):
            known = [d for d in column_decimals if d is not None]
            limits.append((min(known), max(known)) if known else None)
        array = np.array(rows, np.float64).reshape(len(rows), len(names)).T
        where = np.array(row_lines, np.int64).T
        scan.blocks.append(Block(names, where[0], where[1], array, limits))


# Many lines at once --------------------------------------------------------------------------------------------------


@dataclass
class _Region:
    """Text before, between or after decimal numbers that holds whole numbers, or minus signs that are not theirs.

    gap: the decimal number it stands before. minus: how many minus signs it has.
    For each run of digits, int64 (r,): the byte ``before`` and ``after`` it; ``slots``, its output row, -1 if it is not
    wanted; ``fixed``, its number if it belongs to a name and must stay (with ``fixed_digits`` digits), otherwise -1.
    """

    gap: int
    minus: int
    before: IntArray
    after: IntArray
    slots: IntArray
    fixed: IntArray
    fixed_digits: IntArray


@dataclass
class _Template:
    """Where the numbers of one line shape stand. Decimal numbers are found by their points, in order.

    point_decimals: uint64 (p,) digits after each point. point_before: uint8 (p,) the byte before each number.
    point_slots: output row of each, -1 if not wanted.
    constants: (output row, nan or inf).
    """

    columns: tuple[str, ...]
    decimals: list[tuple[int, int] | None]
    point_decimals: Words
    point_before: npt.NDArray[np.uint8]
    point_slots: IntArray
    regions: list[_Region]
    constants: list[tuple[int, float]]

    @property
    def n_numbers(self) -> int:
        return len(self.point_slots) + sum(len(r.slots) for r in self.regions) + 1


def _learn(line: bytes, parse: ParseLine) -> _Template | None:
    """The template of a line's shape, or None if it is no row or has numbers that only ``parse`` can read."""
    fields = parse(line)
    if fields is None:
        return None
    columns: list[str] = []
    decimals: list[tuple[int, int] | None] = []
    points: list[tuple[int, int, int, int]] = []  # start of the digits, end, digits after the point, output row
    whole: dict[int, int] = {}  # start -> output row
    free: list[tuple[int, int]] = []
    constants: list[tuple[int, float]] = []
    for column, start, end in fields:
        token = line[start:end]
        if start == end and column is not None:
            constants.append((len(columns), 1.0))
            decimals.append((0, 0))
            columns.append(column)
            continue
        if column is not None and column.startswith(NOT_READ):
            return None
        if column is None:
            free.append((start, end))
            points += [(start + m.start(2), start + m.end(), len(m[3]), -1) for m in _DECIMAL.finditer(token)]
            continue
        if match := _DECIMAL.fullmatch(token):
            points.append((start + match.start(2), end, len(match[3]), len(columns)))
            decimals.append((len(match[3]), len(match[3])))
        elif token.isdigit():
            whole[start] = len(columns)
            decimals.append((0, 0))
        elif isinstance(value := parse_number(token), float) and not np.isfinite(value) and not _DIGITS.search(token):
            constants.append((len(columns), value))
            decimals.append(None)
        else:
            return None
        columns.append(column)
    if len(points) != line.count(b".") or any(p[2] > 7 for p in points):
        return None
    regions = []
    for gap in range(len(points) + 1):
        start = points[gap - 1][1] if gap else 0
        end = points[gap][0] if gap < len(points) else len(line)
        if gap < len(points) and line[end - 1 : end] == b"-":
            end -= 1  # the sign is counted with its number
        minus = line.count(b"-", start, end)
        runs = []
        for match in _DIGITS.finditer(line, start, end):
            slot = whole.pop(match.start(), -1)
            named = slot < 0 and not any(a <= match.start() and match.end() <= b for a, b in free)
            if named and len(match[0]) > 8:
                return None
            around = b"\n" + line + b"\n"
            fixed = int(match[0]) if named else -1
            runs.append((around[match.start()], around[match.end() + 1], slot, fixed, len(match[0])))
        if runs or minus:
            regions.append(_Region(gap, minus, *np.array(runs, np.int64).reshape(-1, 5).T))
    if whole:
        return None
    return _Template(
        tuple(columns),
        decimals,
        np.array([p[2] for p in points], np.uint64),
        np.array([(b"\n" + line)[p[0] - (line[p[0] - 1 : p[0]] == b"-")] for p in points], np.uint8),
        np.array([p[3] for p in points], np.int64),
        regions,
        constants,
    )


def _read_group(lines: list[bytes], template: _Template) -> FloatArray | None:
    """float64 (columns, lines) of lines with one shape, or None if they are not all like the template.

    The lines are equal but for digits, minus signs and spaces. Each number is found by its decimal point, or by its
    place among the whole numbers between two points. That no digit and no minus sign of the text is left over then
    shows that the lines differ from the template in the numbers only, and in how many spaces are before them.
    """
    n, p = len(lines), len(template.point_slots)
    margin = b"\n" * 9  # eight bytes can be loaded on either side of every point
    text = margin + b"\n".join(lines) + b"\n" * MAX_REGION
    data = np.frombuffer(text, np.uint8)
    words: Words = np.ndarray((len(text) - 7,), _U64, text, strides=(1,))  # the eight bytes from each position
    ends = np.cumsum(np.fromiter(map(len, lines), np.int64, n) + 1) + (len(margin) - 1)
    starts = np.concatenate(([len(margin)], ends[:-1] + 1))
    values = np.empty((len(template.columns), n))
    points = np.flatnonzero(data == ord(".")).reshape(n, p)
    numbers = _read_decimals(words, points, template.point_decimals)
    if numbers is None:
        return None
    decimal_values, whole_digits, negative = numbers
    if (whole_digits == UNREAD).any():
        _read_long(text, points, template.point_decimals, decimal_values, whole_digits, negative)
    if (whole_digits == 0).any() or (data[points - whole_digits - negative - 1] != template.point_before).any():
        return None
    wanted = template.point_slots >= 0
    values[template.point_slots[wanted]] = decimal_values[:, wanted].T
    digits = int(whole_digits.sum()) + n * int(template.point_decimals.sum())
    minus = int(np.count_nonzero(negative))
    for region in template.regions:
        first = points[:, region.gap - 1] + int(template.point_decimals[region.gap - 1]) + 1 if region.gap else starts
        last = ends
        if region.gap < p:
            last = points[:, region.gap] - whole_digits[:, region.gap] - negative[:, region.gap]
        found = _read_region(data, words, first, last, region, values)
        if found is None:
            return None
        digits += found
        minus += n * region.minus
    if digits != np.count_nonzero((data - np.uint8(48)) < 10) or minus != np.count_nonzero(data == ord("-")):
        return None
    for slot, constant in template.constants:
        values[slot] = constant
    return values


def _read_decimals(words: Words, points: IntArray, decimals: Words) -> tuple[FloatArray, IntArray, BoolArray] | None:
    """Values, digits before the point, and whether negative, of the numbers at ``points``: each (n, p).

    Numbers with more than seven digits before the point are not read; they have ``UNREAD`` digits.
    None if a number has not as many digits after the point as the template says.
    """
    bits = decimals * np.uint64(8)
    rest = np.uint64(64) - bits
    after = words[points + 1]
    stop = np.uint64(128) << bits  # the first byte that is no digit must be the one after the last decimal
    if ((_not_digits(after) & (stop | (stop - np.uint64(1)))) != stop).any():
        return None
    before = words[points - 8]
    # the byte before the first digit is the highest one that is no digit; its place is in the exponent of a float
    highest = (_not_digits(before).astype(np.float64).view(np.int64) >> 52) - 1023
    whole_digits = 7 - (highest >> 3)  # UNREAD where all eight bytes are digits (the float is 0)
    shift = (np.minimum(whole_digits, 8) * -8 + 64).astype(np.uint64)
    sign = (before >> np.maximum(shift, np.uint64(8)) - np.uint64(8)) & np.uint64(0xFF)
    negative = (sign == np.uint64(ord("-"))) & (whole_digits < 8)
    before = (before >> shift) << shift
    lowest = _eight_digits((before >> bits) | (after << rest))
    long = np.flatnonzero(whole_digits > 8 - decimals.astype(np.int64))
    if len(long):
        high = (before << rest).reshape(-1)[long]
        lowest.reshape(-1)[long] += _eight_digits(high) * np.uint64(10**8)
    values = lowest.astype(np.float64) / _POWERS[decimals.astype(np.int64)]
    np.negative(values, out=values, where=negative)
    return values, whole_digits, negative


def _read_long(
    text: bytes, points: IntArray, decimals: Words, values: FloatArray, whole_digits: IntArray, negative: BoolArray
) -> None:
    """Fill in the numbers that ``_read_decimals`` left unread."""
    for row, column in np.argwhere(whole_digits == UNREAD).tolist():
        point = start = int(points[row, column])
        while text[start - 1 : start].isdigit():
            start -= 1
        whole_digits[row, column] = point - start
        negative[row, column] = text[start - 1] == ord("-")
        values[row, column] = float(text[start - int(negative[row, column]) : point + 1 + int(decimals[column])])


def _read_region(
    data: npt.NDArray[np.uint8],
    words: Words,
    first: IntArray,
    last: IntArray,
    region: _Region,
    values: FloatArray,
) -> int | None:
    """Read the whole numbers between ``first`` and ``last`` (n,) into ``values``; returns how many digits were seen.

    None if a line has other numbers there than the template.
    """
    n = len(first)
    lengths = last - first
    width = int(lengths.max())
    if width > MAX_REGION - 9 or lengths.min() < 0:
        return None
    text: npt.NDArray[np.uint8] = np.ndarray((len(data) - width + 1, width), np.uint8, data, strides=(1, 1))[first]
    inside = np.arange(width) < lengths[:, None]
    if region.minus and (((text == ord("-")) & inside).sum(axis=1) != region.minus).any():
        return None
    is_digit = np.zeros((n, width + 2), np.bool_)
    np.logical_and((text - np.uint8(48)) < 10, inside, out=is_digit[:, 1:-1])
    flat = is_digit.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    n_runs = len(region.slots)
    if len(edges) != n * 2 * n_runs:
        return None
    edges = edges.reshape(n, n_runs, 2) - np.arange(n)[:, None, None] * (width + 2)
    if (edges < 0).any() or (edges > width).any():
        return None
    digits = edges[:, :, 1] - edges[:, :, 0]
    starts, ends = edges[:, :, 0] + first[:, None], edges[:, :, 1] + first[:, None]
    before = data[starts - 1]
    padded = ((before == ord(" ")) | (before == ord("["))) & ((region.before == ord(" ")) | (region.before == ord("[")))
    if (data[ends] != region.after).any() or not ((before == region.before) | padded).all():
        return None
    fixed, wanted = region.fixed >= 0, region.slots >= 0
    if (digits[:, wanted] > 8).any() or (digits != region.fixed_digits)[:, fixed].any():
        return None
    if (_read_whole(words, ends[:, fixed], digits[:, fixed]) != region.fixed[fixed].astype(np.uint64)).any():
        return None
    values[region.slots[wanted]] = _read_whole(words, ends[:, wanted], digits[:, wanted]).T
    return int(digits.sum())


def _read_whole(words: Words, ends: IntArray, digits: IntArray) -> Words:
    """Whole numbers of up to eight digits that end before ``ends``."""
    shift = (64 - 8 * digits).astype(np.uint64)
    return _eight_digits((words[ends - 8] >> shift) << shift)


def _not_digits(words: Words) -> Words:
    """128 in every byte that is not an ASCII digit, 0 in the others."""
    x = words ^ _ZEROS
    y = x & _LOW_SEVEN
    y += _TO_HIGH_BIT
    y |= x
    y &= _HIGH_BITS
    return y


def _eight_digits(words: Words) -> Words:
    """The number that eight ASCII digits spell (first digit in the lowest byte; a zero byte counts as 0).

    Neighbours are joined in pairs, then fours, then eights: each step is one multiplication for all of them.
    """
    x = words & _LOW_NIBBLES
    for factor, shift, mask in _JOINS:  # in place: new arrays would cost more than the arithmetic
        right = x >> shift
        x *= factor
        x += right
        x &= mask
    return x
