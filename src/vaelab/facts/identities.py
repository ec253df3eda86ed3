"""Constants recovered from printed columns, and sums checked on their rows.

Printed values are rounded, so a constant comes out as an interval: what rounding allows on all rows at once. Sums hold exactly for
values of one step and for means over the same steps, and only roughly for windowed medians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaelab.analysis import level, quantile
from vaelab.facts.view import View
from vaelab.run import FloatArray

BoolArray = npt.NDArray[np.bool_]

MEDIAN_RATIO = (0.917, 1.169)
"""A sum of windowed medians (of 20 steps) over the median of the sum, in 95 of 100 rows."""
NICE = tuple(m * 10.0**e for e in range(-12, 5) for m in (1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0))


@dataclass(frozen=True)
class Printed:
    """Values on some rows (n,), and the most that rounding may have done to each."""

    value: FloatArray
    error: FloatArray

    def __add__(self, other: Printed) -> Printed:
        return Printed(self.value + other.value, self.error + other.error)

    def __sub__(self, other: Printed) -> Printed:
        return Printed(self.value - other.value, self.error + other.error)

    def __mul__(self, other: Printed | FloatArray | float) -> Printed:
        if isinstance(other, Printed):
            error = np.abs(self.value) * other.error + np.abs(other.value) * self.error
            return Printed(self.value * other.value, error)
        return Printed(self.value * other, self.error * np.abs(other))

    def __getitem__(self, rows: BoolArray | slice) -> Printed:
        return Printed(self.value[rows], self.error[rows])

    @property
    def as_medians(self) -> Printed:
        """The same for windowed medians, of which a sum is made."""
        low, high = (np.abs(self.value) * r for r in MEDIAN_RATIO)
        middle = np.sign(self.value) * (low + high) / 2
        return Printed(middle, (high - low) / 2 + MEDIAN_RATIO[1] * self.error)


class Rows:
    """Columns on the rows on which all of ``metrics`` are logged; ``how`` says what sums of them are worth (``View.joint``)."""

    def __init__(self, view: View, metrics: Sequence[str], *, linear: bool = True) -> None:
        self._view = view
        self._values, self.rows, self.how = view.joint(tuple(metrics), linear=linear)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, metric: str) -> Printed:
        """``metric`` on these rows: as it was joined, else as it is logged there (NaN where it is not)."""
        values = self._values[metric] if metric in self._values else self._view.run[metric][self.rows]
        return Printed(values, self._view.half_unit(metric, values))

    def where(self, keep: BoolArray | slice) -> Rows:
        """The same on some of the rows."""
        some = object.__new__(Rows)
        some._view, some.how, some.rows = self._view, self.how, self.rows[keep]
        some._values = {m: v[keep] for m, v in self._values.items()}
        return some

    def step(self, row: int = -1) -> int:
        return int(self._view.run.steps[self.rows[row]])


@dataclass(frozen=True)
class Solved:
    """A constant recovered from the columns. ``status``: ``closes``, ``does-not-close`` or ``cannot-tell``."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    how: str
    text: str
    declared: float | None = None

    @classmethod
    def as_declared(cls, name: str, value: float, text: str) -> Solved:
        """What nothing in the log says otherwise of."""
        return cls(name, value, value, value, "closes", "declared", f"{name} is {value:g} (declared{text}).", value)

    @property
    def contradicts_declared(self) -> bool:
        """The declared value lies clearly outside the interval."""
        if self.declared is None or self.low is None or self.high is None or self.status != "closes":
            return False
        slack = 0.02 * max(abs(self.declared), 1e-300)
        return not self.low - slack <= self.declared <= self.high + slack


@dataclass(frozen=True)
class Identity:
    """An identity checked on the rows: residual is the median of |left - right| over |left|."""

    name: str
    formula: str
    status: str
    residual: float | None
    rows: int
    text: str
    first_bad_step: int | None = None


def in_force(view: View, solved: Mapping[str, Solved], name: str) -> float | None:
    """A weight or another constant of the loss: as the columns give it, else as it is declared."""
    found = solved.get(name)
    return found.value if found is not None and found.value is not None else view.number(name)


def factor(left: Printed, unit: Printed, *, medians: bool = False) -> tuple[float, float, float]:
    """``(low, high, share of rows that agree)`` of the one w with left = w x unit. Units are larger than their own rounding.

    Up to 2% of rows may disagree (torn or odd rows). Of medians, which hold in 95 of 100 rows each, the typical interval is
    taken and not their overlap.
    """
    ratio = left.value / unit.value
    slack = (left.error + abs(level(ratio)) * unit.error) / np.abs(unit.value)
    lows, highs = ratio - slack, ratio + slack
    low, high = float(np.max(lows)), float(np.min(highs))
    if low > high:
        low, high = quantile(lows, 0.98), quantile(highs, 0.02)
    if medians or low > high:
        low, high = level(lows), level(highs)
        middle = (low + high) / 2 if medians else level((lows + highs) / 2)
    else:
        middle = (low + high) / 2
    return low, high, float(np.mean((lows <= middle) & (middle <= highs)))


def fit(left: Printed, terms: Sequence[Printed]) -> list[tuple[float, float]] | None:
    """``(weight, standard error)`` of every term in left = sum of weight x term, by least squares; None where the rows cannot
    separate them. Rounding is uniform: its standard deviation is the largest error over the root of 3."""
    design = np.stack([t.value for t in terms], axis=1)
    weights = np.zeros(len(terms))
    # the rounding of a term counts as often as its weight says: known after the first fit
    for _ in range(3):
        error = left.error + np.stack([t.error for t in terms], axis=1) @ np.abs(weights)
        scaled = design / np.maximum(error, 1e-12)[:, None]
        try:
            covariance = np.linalg.inv(scaled.T @ scaled)
        except np.linalg.LinAlgError:
            return None
        weights = covariance @ scaled.T @ (left.value / np.maximum(error, 1e-12))
        if not np.isfinite(weights).all():
            return None
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0) / 3)
    return list(zip(weights.tolist(), errors.tolist(), strict=True))


def nice_in(low: float, high: float) -> float | None:
    """The only round number inside the interval, if the interval is narrow enough to hold just one."""
    inside = sorted({round(v, 15) for v in NICE if low <= v <= high})
    if len(inside) == 1 and low > 0 and high / low < 3:
        return inside[0]
    return None


def best_value(low: float, high: float, declared: float | None = None) -> float:
    """What a constant within the interval is: what is declared, else the only round number, else the middle."""
    if declared is not None and low <= declared <= high:
        return declared
    nice = nice_in(low, high)
    return nice if nice is not None else (low + high) / 2


def check_identity(name: str, formula: str, left: Printed, right: Printed, on: Rows, view: View) -> Identity:
    """``left = right`` on the rows ``on``, within what rounding allows."""
    size = np.abs(left.value)
    gap = np.abs(left.value - right.value)
    tolerance = 1.5 * (left.error + right.error) + 2e-5 * size
    if on.how == "medians":
        tolerance = tolerance + (MEDIAN_RATIO[1] - 1) * size
    bad = gap > tolerance
    residual = level(gap / np.maximum(size, 1e-12))
    if np.mean(bad) <= 0.05:
        text = f"{formula} closes in {len(on)} rows (median residual {residual:.2g})."
        return Identity(name, formula, "closes", residual, len(on), text)
    if name.startswith("total") and (others := _foreign_terms(view)):
        text = (
            f"cannot tell whether {formula}: the log has {', '.join(others)} too, which that formula does not hold, so this total has"
            " other terms."
        )
        return Identity(name, formula, "cannot-tell", residual, len(on), text)
    first = on.step(int(np.argmax(bad)))
    text = f"{formula} does not close in {np.mean(bad):.0%} of {len(on)} rows, from step {first:,} (median residual {residual:.2g})."
    return Identity(name, formula, "does-not-close", residual, len(on), text, first)


def _foreign_terms(view: View) -> tuple[str, ...]:
    """Columns, as the log names them, that are terms of a loss and that the trainer's known formula does not hold."""
    terms = view.of("alignment", "quantiser", "feature_matching", "entropy")
    return tuple(view.run.columns[m].original for m in terms if m not in view.trainer.extra_terms)
