"""Lines that are read together: their numbers are exactly those of Python's float, and their text is that of the first of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.readers import numeric_scan
from vaelab.readers.key_value import parse_line
from vaelab.readers.radiodiff_log import parse_line as parse_radiodiff


def read(lines: list[str]) -> dict[int, dict[str, str]]:
    scan = numeric_scan.scan_text("".join(f"{line}\n" for line in lines).encode(), parse_line)
    return {
        int(number): {name: repr(float(block.values[i, row])) for i, name in enumerate(block.columns)}
        for block in scan.blocks
        for row, number in enumerate(block.lines)
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(10**16), 10**16), min_size=10, max_size=40),
    st.integers(0, 9),
    st.lists(st.integers(0, 9), max_size=3),
)
def test_numbers_of_as_many_decimals_are_exact(numbers: list[int], decimals: int, others: list[int]) -> None:
    printed = [f"{n / 10**decimals:.{decimals}f}" for n in numbers]
    printed += [f"{numbers[0] / 10**d:.{d}f}" for d in others]  # the decimals change at the end
    found = read([f"step {i}: loss={text}, kl_loss: {text} (0.5)" for i, text in enumerate(printed)])
    assert [found[i + 1]["loss"] for i in range(len(printed))] == [repr(float(text)) for text in printed]
    assert [found[i + 1]["kl_loss"] for i in range(len(printed))] == [repr(float(text)) for text in printed]


@pytest.mark.parametrize("other", ["INFO --step 9: loss: 0.5", "INFO-  step 9: loss: 0.5", "INFO - st ep9: loss: 0.5"])
def test_signs_and_blanks_elsewhere_are_another_text(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"INFO - step {i}: loss: 0.{i}" for i in range(9)] + [other]
    together = read(lines)
    monkeypatch.setattr(numeric_scan, "MIN_GROUP", 10**9)
    assert together == read(lines)


def test_usual_lines_are_known_in_the_next_piece() -> None:
    pieces = ["".join(f"step {i}: loss={i / 7:.4f}\n" for i in range(k, k + 50)).encode() for k in range(0, 500, 50)]
    calls = []

    def parse(line: bytes):  # type: ignore[no-untyped-def]
        calls.append(line)
        return parse_line(line)

    values = [v for scan in numeric_scan.scan_chunks(pieces, parse) for b in scan.blocks for v in b.values[1].tolist()]
    assert values == [float(f"{i / 7:.4f}") for i in range(500)]
    assert len(calls) == 1


def test_a_number_without_a_first_digit_is_read_by_itself_too() -> None:
    fields = parse_radiodiff(b"[Train Step] 20/600: train/g_loss: .01232, lr: 0.00000, ")
    assert fields is not None and [name for name, _, _ in fields][-2:] == ["train/g_loss", "lr"]


@pytest.mark.parametrize("character", ["-", ":", " ", "x", ";"])
@pytest.mark.parametrize("decimals", [4, 6])
@pytest.mark.parametrize("varied", [False, True])
def test_only_a_point_parts_a_number(
    character: str, decimals: int, varied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = [f"{30 + i / 7:.{decimals - (varied and i % 2)}f}" for i in range(20)]
    printed += [text.replace(".", character) for text in ("31.2345", "131.2345", "131.234567")]
    lines = [f"step {i}: loss: {text}, kl_loss: 0.5" for i, text in enumerate(printed)]
    together = read(lines)
    monkeypatch.setattr(numeric_scan, "MIN_GROUP", 10**9)
    assert together == read(lines)


def test_numbers_of_full_precision_are_read_together() -> None:
    calls = []

    def parse(line: bytes):  # type: ignore[no-untyped-def]
        calls.append(line)
        return parse_line(line)

    printed = [repr(-1 / (i + 7) ** 2) for i in range(20)]
    text = "".join(f"step {i}: loss={value}\n" for i, value in enumerate(printed)).encode()
    scan = numeric_scan.scan_text(text, parse)
    assert sorted(value for block in scan.blocks for value in block.values[1].tolist()) == sorted(map(float, printed))
    assert len(calls) == 1
