"""Solved and Identity: a constant recovered from printed columns, and a sum checked on their rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaelab.analysis import level, quantile
from vaelab.facts.phases import Gan
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

MEDIAN_RATIO = (0.917, 1.169)
NICE = tuple(m * 10.0**e for e in range(-12, 5) for m in (1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0))


@dataclass(frozen=True)
class Solved:
    """A constant recovered from the columns. ``status``: ``closes``, ``does-not-close`` or ``cannot-tell``."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    how: str
    rows: int
    text: str
    declared: float | None = None

    @classmethod
    def as_declared(cls, name: str, value: float, text: str) -> Solved:
        """What nothing in the log says otherwise of."""
        return cls(name, value, value, value, "closes", "declared", 0, f"{name} is {value:g} (declared{text}).", value)

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


def intersect(low: FloatArray, high: FloatArray) -> tuple[float, float, float]:
    """``(low, high, share of rows that contain their overlap)``. Up to 2% of rows may disagree (torn or odd rows)."""
    best_low, best_high = float(np.max(low)), float(np.min(high))
    if best_low > best_high:
        best_low, best_high = quantile(low, 0.98), quantile(high, 0.02)
    if best_low > best_high:
        middle = level((low + high) / 2)
        inside = float(np.mean((low <= middle) & (middle <= high)))
        return level(low), level(high), inside
    middle = (best_low + best_high) / 2
    return best_low, best_high, float(np.mean((low <= middle) & (middle <= high)))


def typical(low: FloatArray, high: FloatArray) -> tuple[float, float, float]:
    """As ``_intersect`` for rows that hold only in 95 of 100 cases each: their typical interval, not their overlap."""
    a, b = level(low), level(high)
    middle = (a + b) / 2
    return a, b, float(np.mean((low <= middle) & (middle <= high)))


def nice_in(low: float, high: float) -> float | None:
    """The only round number inside the interval, if the interval is narrow enough to hold just one."""
    inside = sorted({round(v, 15) for v in NICE if low <= v <= high})
    if len(inside) == 1 and low > 0 and high / low < 3:
        return inside[0]
    return None


def check_identity(
    name: str,
    formula: str,
    left: FloatArray,
    right: FloatArray,
    slack: FloatArray,
    rows: IntArray,
    view: View,
    how: str,
) -> Identity:
    gap = np.abs(left - right)
    tolerance = 1.5 * slack + 2e-5 * np.abs(left)
    if how == "medians":
        tolerance = tolerance + 0.17 * np.abs(left)
    bad = gap > tolerance
    residual = level(gap / np.maximum(np.abs(left), 1e-12))
    share = float(np.mean(bad))
    if share <= 0.05:
        return Identity(name, formula, "closes", residual, len(left), f"{formula} closes in {len(left)} rows"
                        f" (median residual {residual:.2g}).")  # fmt: skip
    others = foreign_terms(view) if name.startswith("total") else ()
    if others:
        text = (
            f"cannot tell whether {formula}: the log has {', '.join(others)} too, which that formula does not hold, so this total has"
            " other terms."
        )
        return Identity(name, formula, "cannot-tell", residual, len(left), text)
    first = int(view.run.steps[rows[int(np.flatnonzero(bad)[0])]])
    text = f"{formula} does not close in {share:.0%} of {len(left)} rows, from step {first:,} (median residual {residual:.2g})."
    return Identity(name, formula, "does-not-close", residual, len(left), text, first)


def foreign_terms(view: View) -> tuple[str, ...]:
    """Columns, as the log names them, that are terms of a loss and that the trainer's known formula does not hold."""
    terms = view.of("alignment", "quantiser", "feature_matching", "entropy")
    return tuple(view.run.columns[m].original for m in terms if m not in view.trainer.extra_terms)


def before_gan(view: View, gan: Gan, rows: IntArray) -> BoolArray:
    """Mask of rows in which the GAN term is certainly zero."""
    if gan.state == "active":
        start = gan.start_row or 0
        return np.asarray(rows < start)
    return np.ones(len(rows), bool)


def fit_two(
    left: FloatArray,
    rec: FloatArray,
    p: FloatArray,
    left_error: FloatArray,
    rec_error: FloatArray,
    p_error: FloatArray,
) -> tuple[float, float] | None:
    """Weight of ``p`` in left = a rec + b p with its 4-sigma interval, or None if the rows cannot separate the two."""
    if len(left) < 6:
        return None
    solution = np.array([max(level(left / rec), 0.0), 0.0])
    # the rounding of rec and p counts as often as their weights say: once with a guess, once with the first fit
    for _ in range(2):
        error = np.maximum(left_error + np.abs(solution[0]) * rec_error + np.abs(solution[1]) * p_error, 1e-12)
        design = np.stack([rec, p], axis=1) / error[:, None]
        try:
            covariance = np.linalg.inv(design.T @ design)
        except np.linalg.LinAlgError:
            return None
        solution = covariance @ design.T @ (left / error)
        if not np.isfinite(solution).all():
            return None
    spread = 4 * math.sqrt(max(float(covariance[1, 1]), 0.0) / 3)
    if spread > 0.2 * max(abs(float(solution[1])), 0.1) or solution[1] < -spread:
        return None
    return float(solution[1]), spread
