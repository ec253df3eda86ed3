"""The bytes of a log as lines: pieces that end where a line does, and the lines of a piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vaelab.patterns import pattern
from vaelab.run import IntArray

_DRAWN_OVER = pattern(rb"[^\n]*\x08\r?")
# logging and print begin behind a tqdm bar that is still drawn: "... [00:01<01:06, 4.46it/s][Train Step] 4/300: ..."
_BEHIND_BAR = pattern(
    rb"(<[\d:?]{1,12}, {1,8}[\d.?]{1,12} ?\w{0,12}/\w{1,12}(?:, [^\]\r\n]{0,400})?\])"
    rb"(?=[^\s,;:|)\]]|[ \t]{1,400}(?:\[|\d{4}-\d\d-|(?:INFO|WARNING|DEBUG|ERROR)\b))"
)
_ANSI = pattern(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


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


def split_lines(text: bytes, first_line: int) -> tuple[list[bytes], IntArray, int]:
    """Lines without their ends, the number of each, and how many had terminal colours.

    What a carriage return separates (a progress bar drawn over itself) comes as lines of their own with one number, and so
    does what was printed behind a bar. Of what backspaces draw over (Keras' bar, which shows the mean since the epoch began) only the last state is left.
    """
    ansi = 0
    if b"\x1b" in text:
        ansi = sum(b"\x1b" in line for line in text.split(b"\n"))
        text = _ANSI.sub(b"", text)
    if b"\b" in text:
        text = _DRAWN_OVER.sub(b"", text)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
        text = _BEHIND_BAR.sub(rb"\1\r", text)
    lines = text.split(b"\n")
    if text.endswith(b"\n"):
        lines.pop()
    numbers = np.arange(first_line, first_line + len(lines), dtype=np.int64)
    if b"\r" not in text:
        return lines, numbers, ansi
    updates = [line.split(b"\r") for line in lines]
    return [u for line in updates for u in line], np.repeat(numbers, [len(u) for u in updates]), ansi
