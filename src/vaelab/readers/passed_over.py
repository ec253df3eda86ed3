"""Whether most of a text log was not read: lines that repeat and hold numbers, and are no rows."""

from __future__ import annotations

from vaelab.catalog.roles import RoleName
from vaelab.patterns import pattern
from vaelab.readers.lexer import items
from vaelab.roles.grammar import read_name

MOST_SHAPES = 10_000  # of lines that are told apart
LONGEST = 500  # bytes of a line that are looked at
REPEATED = 3  # lines of one shape from which they are a log's; settings and summaries stand once
FEWEST = 20  # lines passed over that are worth a warning

_DECIMAL = pattern(
    rb"(?<![\w./])(?<!\d:)[-+]?\d+\.\d+(?:[eE][-+]?\d+)?(?!\.?\d|[\w/:]|\s?(?:%|[mu]?s|secs?|seconds?|min|h|[KMGT]i?B|it/s)(?![\w/]))"
)
_OF_THE_MACHINE: frozenset[RoleName] = frozenset(("time", "memory", "progress", "learning_rate", "weight"))


class PassedOver:
    """The lines that are no rows, by their shape: what is left without digits, points, signs and blanks."""

    def __init__(self) -> None:
        self._shapes: dict[bytes, list[int]] = {}  # how many, number of the first
        self._first: dict[bytes, bytes] = {}

    def add(self, number: int, line: bytes) -> None:
        if b"." not in line:
            return
        line = line[:LONGEST]
        shape = line.translate(None, b"0123456789.+- ")
        known = self._shapes.get(shape)
        if known:
            known[0] += 1
        elif len(self._shapes) < MOST_SHAPES:
            self._shapes[shape] = [1, number]
            self._first[shape] = line

    def most(self, read: int) -> tuple[int, int, bytes] | None:
        """How many lines with numbers were passed over, and number and text of the first, if more than the ``read`` that were read."""
        found = [
            (number, count, self._first[shape])
            for shape, (count, number) in self._shapes.items()
            if count >= REPEATED and _says_numbers(self._first[shape])
        ]
        lost = sum(count for _, count, _ in found)
        if lost < FEWEST or lost <= read:
            return None
        number, _, line = min(found)
        return lost, number, line


def _says_numbers(line: bytes) -> bool:
    """Whether a line has a number that is neither a time, a size nor a rate."""
    of_the_machine = [(i.name_at, i.stop) for i in items(line) if read_name(i.name).role in _OF_THE_MACHINE]
    return any(
        not any(start <= match.start() < end for start, end in of_the_machine) for match in _DECIMAL.finditer(line)
    )
