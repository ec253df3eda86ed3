"""The plot of a few lines of text."""

from __future__ import annotations

import numpy as np
import pytest

from vaelab.report.text_plot import LABEL, text_plot

STEPS = np.arange(100, dtype=np.int64)


def curve(lines: list[str]) -> list[str]:
    """The lines without the numbers on the left and the step axis."""
    return [line[LABEL + 1 :] for line in lines[:-1]]


@pytest.mark.parametrize(
    ("value", "high", "low", "filled"), [(0.0, "1", "0", 0.0), (3.0, "6", "0", 0.5), (-3.0, "0", "-6", 0.5)]
)
def test_a_constant_is_half_as_high_as_the_plot_and_0_lies_on_the_axis(
    value: float, high: str, low: str, filled: float
) -> None:
    lines = text_plot(STEPS, np.full(100, value), 80, height=4)
    assert lines[0].split()[0] == high and lines[3].split()[0] == low
    full = sum(line.count("█") for line in curve(lines))
    assert full == filled * 4 * (80 - LABEL - 1)


@pytest.mark.parametrize(
    ("low", "label"), [(-9_497_603.0, "-9,497,603"), (9_497_603.0, "9,497,603"), (-1.08e-100, "-1.08e-100")]
)
def test_no_number_beside_the_plot_is_cut(low: float, label: str) -> None:
    lines = text_plot(STEPS, np.repeat([low, 2e7], 50), 80)
    assert lines[0].split()[0] == "2e7" and lines[3].split()[0] == label
    assert all(len(line) <= 80 for line in lines)


def test_a_constant_with_a_level_keeps_both_in_sight() -> None:
    lines = text_plot(STEPS, np.full(100, 2.0), 80, levels=[3.0])
    assert lines[0].split()[0] == "3" and "╌" in lines[0]
