"""The numbers of log lines, fast: lines of one shape are read together with numpy, all others one by one.

A training log repeats a few line shapes millions of times. A format gives one careful function that says where the numbers of a
single line are (``ParseLine``). Here the lines are grouped by what is left of them without digits; the first line of a group is
parsed by that function, and the others are read at the same places where they fit (``line_shapes``). The result is exactly
``float(text)`` of every number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vaelab.readers.lexer import UNREADABLE, decimals_of, parse_number, plain
from vaelab.readers.line_ends import split_lines, whole_lines
from vaelab.readers.line_shapes import NOT_READ, Field, Template, learn
from vaelab.readers.number_runs import Lines, lines_of
from vaelab.readers.shape_reading import Read, read
from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

ParseLine = Callable[[bytes], "list[Field] | None"]
"""The numbers of one line in the order they stand, or None if it is no line of this format."""

Apart = Callable[[bytes], list[bytes]]
"""The records of one line, where another was written on behind its end."""

MIN_GROUP = 8  # fewer lines of one shape are parsed one by one
PIECE = 1 << 21  # bytes that a reader takes from a log at a time: few calls of numpy, and still near the processor
MOST_USUAL = 8  # templates that are tried before the shapes of lines are looked at
USUAL_SHARE = 1 / 16  # of the lines, which such a template must have read in the piece before
MOST_SHAPES = 10_000  # that are remembered
MOST_TEMPLATES = 64  # of one shape
MOST_FAILURES = 4  # lines of one shape that only the careful parser can read, before all of that shape are left to it

_LETTER = "é".encode()  # with it text is not ASCII


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


def scan_chunks(
    chunks: Iterable[bytes], parse: ParseLine, decimal_comma: bool = False, apart: Apart | None = None
) -> Iterator[Scan]:
    """Scan a log given in pieces that may end anywhere. Line numbers are 1-based over the whole log."""
    first_line, first_part = 1, 0
    learnt = Learnt()
    for text in whole_lines(chunks):
        text = plain(text, decimal_comma) if decimal_comma else text
        scan = scan_text(text, parse, first_line, first_part, learnt, apart)
        first_line += scan.n_lines
        first_part += scan.n_parts
        yield scan


def scan_tail(tail: tuple[int, bytes], parse: ParseLine) -> Scan:
    """``Scan.tail`` as if its line end were there; it comes after all other lines."""
    number, line = tail
    return scan_text(line + b"\n", parse, number, 1 << 62)


@dataclass
class Learnt:
    """What earlier pieces of a log taught: the templates of each shape of line, and those by which most lines were read last."""

    templates: dict[bytes, list[Template]] = field(default_factory=dict)
    usual: list[Template] = field(default_factory=list)


class _Numbered(dict[bytes, int]):
    """Numbers the keys that are asked for, in their order."""

    def __missing__(self, key: bytes) -> int:
        number = self[key] = len(self)
        return number


def scan_text(
    text: bytes,
    parse: ParseLine,
    first_line: int = 1,
    first_part: int = 0,
    learnt: Learnt | None = None,
    apart: Apart | None = None,
) -> Scan:
    """Scan lines. ``first_line`` is the number of the first of them, ``first_part`` its place in the log.

    learnt: kept from one piece of a log to the next.
    """
    learnt = Learnt() if learnt is None else learnt
    scan = Scan(0, [], [])
    if not text:
        return scan
    is_whole = text.endswith(b"\n")
    if b"\r" in text or b"\x1b" in text or b"\b" in text:
        parts, numbers, scan.ansi = split_lines(plain(text), first_line)
        text = b"".join(part + b"\n" for part in parts)
        if not parts:
            return scan
        lines = lines_of(text)
    else:
        text = text if is_whole else text + b"\n"
        lines = lines_of(text, drawn=b"|" in text and b"%|" in text)  # the first is found ten times faster
        numbers = first_line + np.arange(len(lines.end), dtype=np.int64)
    scan.n_lines, scan.n_parts = int(numbers[-1]) + 1 - first_line, len(numbers)
    if not is_whole:
        scan.tail = int(numbers[-1]), plain(lines.line(-1))
        numbers = numbers[:-1]
    found, pending = read([t for t in learnt.usual if _is_plain(t)], lines, np.arange(len(numbers)))
    rest = lines_of(plain(_text_of(lines, pending)))
    of_rest, careful = _read_rest(rest, parse, learnt)
    found += [(template, pending[some], values, decimals) for template, some, values, decimals in of_rest]
    counts = Counter[int]()
    for template, some, values, decimals in found:
        counts[id(template)] += len(some)
        scan.blocks.append(Block(template.columns, numbers[some], some + first_part, values, decimals))
    by_id = {id(template): template for template, _, _, _ in found}
    learnt.usual = [by_id[i] for i, n in counts.most_common(MOST_USUAL) if n >= USUAL_SHARE * len(numbers)]
    left = [(int(numbers[pending[i]]), int(pending[i]) + first_part, rest.line(i)) for i in careful]
    if apart:
        left = [(number, part, piece) for number, part, line in left for piece in apart(line)]
    _parse_one_by_one(left, parse, scan)
    return scan


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


def _is_plain(template: Template) -> bool:
    """Whether lines that ``template`` fits are lines of plain text, but for the bars that are drawn in them."""
    text = b"10".join(text.text for text in template.texts)  # the number that changes what stands beside it
    return plain(text + _LETTER) == text + _LETTER and text.count(b"%|") == text.count(b"%||")


def _text_of(lines: Lines, rows: IntArray) -> bytes:
    """These lines with their ends."""
    some = zip(lines.start[rows].tolist(), (lines.end[rows] + 1).tolist(), strict=True)
    return b"".join([lines.text[a:b] for a, b in some])


def _read_rest(lines: Lines, parse: ParseLine, learnt: Learnt) -> tuple[list[Read], list[int]]:
    """What the templates of the shapes of lines read, which are learnt where they are not known; and the lines left to the careful parser, ascending."""
    found, pending = read([t for t in learnt.usual if not _is_plain(t)], lines, np.arange(len(lines.end)))
    shapes = _text_of(lines, pending).translate(None, b"0123456789.+- ").split(b"\n")[: len(pending)]
    numbered = _Numbered()
    of_line = np.fromiter(map(numbered.__getitem__, shapes), np.int64, len(pending))
    in_order = pending[np.argsort(of_line, kind="stable")]
    careful: list[int] = []
    for shape, members in zip(numbered, np.split(in_order, np.cumsum(np.bincount(of_line))[:-1]), strict=False):
        known = learnt.templates.get(shape)
        if not known and (len(members) < MIN_GROUP or len(learnt.templates) > MOST_SHAPES):
            careful += members.tolist()
        else:
            careful += _read_alike(members, lines, parse, learnt.templates.setdefault(shape, []), found)
    return found, sorted(careful)


def _read_alike(
    members: IntArray, lines: Lines, parse: ParseLine, templates: list[Template], found: list[Read]
) -> list[int]:
    """Read lines of one shape into ``found`` by ``templates``, which are added to; returns what fits none."""
    careful: list[int] = []
    part, pending = read(templates, lines, members)
    found += part
    while len(pending) >= MIN_GROUP and len(careful) < MOST_FAILURES and len(templates) < MOST_TEMPLATES:
        first = int(pending[0])
        fields = parse(lines.line(first))
        learnt = learn(fields, lines, first) if fields else None
        part, rest = read([learnt], lines, pending) if learnt is not None else ([], pending)
        if learnt is None or not part:
            careful.append(first)
            pending = pending[1:]
        else:
            templates.append(learnt)
            found += part
            pending = rest
    return careful + pending.tolist()
