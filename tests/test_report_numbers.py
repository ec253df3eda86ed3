"""Numbers are readable: few digits, thousands separators, units, and never wrong by more than their last digit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.report.numbers import number, quantity, step_range


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (37881.4, "37,881"), (605745.0, "605,745"), (0.00153, "0.00153"), (1e-12, "1e-12"), (1e-4, "1e-4"),
        (27.6234, "27.62"), (0.99984, "0.9998"), (0.0, "0"), (-0.0295, "-0.0295"), (1234567890.0, "1.23e9"),
        (float("nan"), "NaN"), (float("inf"), "inf"), (float("-inf"), "-inf"), (None, "-"), ("hinge", "hinge"),
    ],
)  # fmt: skip
def test_number(value: float | str | None, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e300, 1e300), st.integers(3, 6))
def test_a_number_is_short_and_reads_back(value: float, digits: int) -> None:
    text = number(value, digits)
    assert len(text) <= 14
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=10.0 ** (1 - min(digits, 3)), abs_tol=1e-320)


def test_units() -> None:
    assert quantity(27.6234, "dB") == "27.6 dB"
    assert quantity(12.3456, "nats/element") == "12.3 nats/element"
    assert quantity(None, "dB") == "-"
    assert quantity("hinge") == "hinge"


def test_step_ranges() -> None:
    assert step_range(2000, 10000) == "steps 2,000 to 10,000"
    assert step_range(7, 7) == "step 7"
    assert step_range(None, 7) == "step 7"
    assert step_range(None, None) == ""
