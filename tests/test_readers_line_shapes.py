"""Lines of several shapes that are compared together, and bars that are left in the text: read as line by line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaelab.readers import numeric_scan
from vaelab.readers.key_value import parse_line
from vaelab.readers.lexer import MOST_DRAWN, plain

BARS = ["", " ", "█", "██▏   ", "###5      ", "█" * 10, "█" * 60, "#" * MOST_DRAWN, "#" * (MOST_DRAWN + 1), "a 0.5 b"]
VALUES = ["803", "1.9e+03", "2.5e-05", "0.5", "-0.25", "12,500", "nan", "1.5k", "−0.5", "0.123456789"]
REMARKS = ["", " 损失=0.5", ", lr=1e-4", ", kl = 0.5", " |x|", " 7%|#| a", " 1.1 × 10^-3", " \x1b[32mok\x1b[0m"]


@st.composite
def logs(draw: st.DrawFn) -> list[str]:
    """Lines of a few shapes that take turns."""
    shapes = draw(st.lists(st.tuples(*map(st.sampled_from, (BARS, VALUES, VALUES, REMARKS))), min_size=1, max_size=6))
    order = draw(st.lists(st.integers(0, len(shapes) - 1), min_size=30, max_size=60))
    lines = []
    for i, k in enumerate(order):
        bar, first, second, remark = shapes[k]
        lines.append(
            f"Epoch 1: {i:3d}%|{bar}| {i}/100 [00:{i:02d}<1:05,  1.01s/it, loss={first}, g_loss={second}{remark}]"
        )
    return lines


def values(lines: list[str], pieces: int) -> Iterator[tuple[int, str, str]]:
    """Line, column and number of all that is read. pieces: into which the log is cut."""
    at = [len(lines) * k // pieces for k in range(pieces + 1)]
    chunks = ["".join(f"{line}\n" for line in lines[a:b]).encode() for a, b in pairwise(at)]
    for scan in numeric_scan.scan_chunks(chunks, parse_line):
        for block in scan.blocks:
            for row, number in enumerate(block.lines.tolist()):
                yield from (
                    (number, name, repr(float(v))) for name, v in zip(block.columns, block.values[:, row], strict=True)
                )
        yield from ((number, "", line.decode()) for number, line in scan.others)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs(), st.integers(1, 4))
def test_lines_that_take_turns_are_read_as_line_by_line(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], pieces: int
) -> None:
    together = sorted(values(lines, pieces))
    with monkeypatch.context() as patch:
        patch.setattr(numeric_scan, "MIN_GROUP", 10**9)
        assert together == sorted(values(lines, 1))


def test_the_lines_of_usual_shapes_are_not_made_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    made_plain = []
    monkeypatch.setattr(numeric_scan, "plain", lambda text, *args: made_plain.append(text) or plain(text, *args))
    lines = [f"{i:3d}%|{'█' * (i // 10)}| {i}/99 [0:01, loss={803 if i % 2 else '1.9e+03'}]" for i in range(90)]
    read = list(values(lines, 3))
    assert len(read) == 90 * len({name for _, name, _ in read})
    assert "█".encode() in made_plain[0] and not any("█".encode() in text for text in made_plain[1:])
