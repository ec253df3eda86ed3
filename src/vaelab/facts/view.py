"""View: a run's columns as cached series, with rounding and smoothing taken into account."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from vaelab.analysis import Series, blocks
from vaelab.catalog import METRICS
from vaelab.catalog.roles import UNKNOWN, Role, RoleName, Split
from vaelab.dialects import Dialect, conventions
from vaelab.facts.base import Evidence
from vaelab.facts.standing import SURE, role_of
from vaelab.run import Column, FloatArray, IntArray, Run

NOT_THE_TRAINERS: dict[str, dict[str, Any]] = {
    "rec_loss": {"rec_kind": "unknown", "nll_reduction": "unknown"},
    "kl_loss": {"kl_reduction": "unknown"},
    "disc_loss": {"disc_loss_family": "unknown", "disc_loss_scale": 1.0},
}
"""What is not known of a metric that the trainer's own code does not name: its column stands for it by its role alone."""
SUMMED = {"total", "sum"}
"""Words in a KL's own name that say how an unknown trainer reduces it: over all elements of the latent."""
FLOAT32_DIGITS = 3e-6
CONSOLE_DIGITS = 5e-6  # six significant digits


class View:
    """Read-only helper shared by all facts. ``number(key)`` reads a declared config value as a float."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.trainer: Dialect = conventions(run.trainer, run.config, (c.original for c in run.columns.values()))
        if run.format == "vaelab_console":
            self.trainer = replace(self.trainer, precision=CONSOLE_DIGITS)
        self._series: dict[str, Series] = {}
        self.roles: dict[str, Role] = {name: role_of(column) for name, column in run.columns.items()}
        for metric, unknown in NOT_THE_TRAINERS.items():
            if self.trainer.id != "unknown" and self.role(metric).standing == "inferred":
                self.trainer = replace(self.trainer, **unknown)
        if self.trainer.kl_reduction == "unknown" and "kl_loss" in run:
            words = re.split(r"[^a-z]+", run.columns["kl_loss"].original.lower())
            if SUMMED.intersection(words):
                self.trainer = replace(self.trainer, kl_reduction="sum-per-sample")

    def role(self, metric: str) -> Role:
        """What ``metric`` is. A total with an adversarial term beside it has no direction: it may rise in a healthy run."""
        role = self.roles.get(metric, UNKNOWN)
        if role.name == "total" and self.has_role("generator_adversarial", "discriminator"):
            return replace(role, better="none")
        return role

    def of(self, *names: RoleName, split: Split = "train") -> tuple[str, ...]:
        """Columns of these roles that are sure enough to judge by, canonical names first."""
        found = [
            m
            for m, r in self.roles.items()
            if r.name in names and r.split == split and r.standing in SURE and self.has(m)
        ]
        return tuple(sorted(found, key=lambda m: (m.rpartition("/")[2] not in METRICS, m)))

    def has_role(self, *names: RoleName) -> bool:
        """Whether some column may be one of these, a doubtful one included."""
        return any(r.name in names or set(names) & set(r.could_be) for r in self.roles.values())

    def series(self, metric: str) -> Series:
        """Finite values of ``metric`` at working resolution (empty if it was never logged)."""
        if metric not in self._series:
            if metric in self.run:
                values = self.run[metric]
                rows = np.flatnonzero(np.isfinite(values))
                self._series[metric] = blocks(self.run.steps[rows], values[rows], rows)
            else:
                empty = np.empty(0, np.float64)
                none = np.empty(0, np.int64)
                self._series[metric] = Series(none, empty, empty, empty, none)
        return self._series[metric]

    def has(self, *metrics: str) -> bool:
        """Every metric was logged with at least one finite value."""
        return all(len(self.series(m)) for m in metrics)

    @cached_property
    def clip(self) -> tuple[int, int, int] | None:
        """Frames, height and width of a declared clip."""
        shape = [int(v) for v in numbers(self.run.config.get("clip_shape")) if v >= 1]
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None

    def number(self, key: str) -> float | None:
        """A declared config value as a finite float, else None."""
        value = self.run.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            number = float(value)
        except OverflowError:  # an integer beyond 1e308
            return None
        return number if math.isfinite(number) else None

    def unreadable(self, metric: str) -> bool:
        """So few decimals are printed that 0.00000 and 0.00001 are all the column shows: rounding, never zero."""
        series, decimals = self.series(metric), self.run.columns[metric].decimals if metric in self.run else None
        # nobody prints a small number with one decimal: 0.0 is a zero in full precision
        few = decimals is not None and decimals >= 2 and len(series) > 2 and len(set(series.values.tolist())) <= 3
        return few and decimals is not None and bool(np.abs(series.values).max() <= 2 * 10.0**-decimals)

    @cached_property
    def lr_unreadable(self) -> bool:
        return self.unreadable("lr")

    @cached_property
    def lr_least(self) -> float:
        """The largest learning rate that is printed as 0: half a unit of the last decimal, 0 in full precision."""
        decimals = self.run.columns["lr"].decimals if "lr" in self.run else None
        return 0.0 if decimals is None or decimals < 2 else 0.5 * 10.0**-decimals

    @cached_property
    def lr_share(self) -> tuple[float, str] | None:
        """The last learning rate over the highest, and how a sentence says it; of a rate printed as 0 the share it is below."""
        lr = self.series("lr")
        if not len(lr) or lr.values.max() <= 0 or self.lr_unreadable:
            return None
        share = float(max(lr.values[-1], self.lr_least) / lr.values.max())
        return share, f"{'below ' if lr.values[-1] < self.lr_least else ''}{share:.1%}"

    @cached_property
    def error(self) -> tuple[str, str]:
        """``(metric, kind)``: the column that says most about the pixel error, and which loss it holds (``mse``, ``l1`` ...).

        ``rec_mse`` where rec_loss is another loss and the trainer logs the squared error beside it.
        """
        beside = self.trainer.rec_kind != "mse" and self.has("rec_mse")
        return ("rec_mse", "mse") if beside else ("rec_loss", self.trainer.rec_kind)

    def kl_growth(self, rows: IntArray | slice) -> FloatArray:
        """Share of kl_weight that is in force on ``rows``: it grows in a line over the declared kl_warmup steps."""
        steps = self.run.steps[rows].astype(np.float64)
        length = self.number("kl_warmup") or 0.0
        return np.minimum(1.0, (steps + 1) / (length + 1)) if length > 0 else np.ones(len(steps))

    def disc_factor(self, rows: IntArray | slice) -> FloatArray:
        """Factor of g_loss on ``rows``: logged, else what the declared ramp gives, else 1 (the caller knows that the GAN is on)."""
        if "disc_factor" in self.run:
            factor = self.run["disc_factor"][rows]
            return np.where(np.isfinite(factor), factor, 1.0)
        steps = self.run.steps[rows].astype(np.float64)
        start, ramp = self.number("disc_start"), self.number("disc_ramp")
        if not self.trainer.disc_warms_up or start is None:
            return np.ones(len(steps))
        growth = np.clip((steps - start + 1) / ((ramp or 0.0) + 1), 0.0, 1.0)
        return growth * self.trainer.disc_loss_scale

    def half_unit(self, metric: str, values: FloatArray) -> FloatArray:
        """Rounding error of printed ``values``: half a unit of the last decimal, or float32 resolution."""
        decimals = self.run.columns[metric].decimals
        floor = np.abs(values) * max(FLOAT32_DIGITS, self.trainer.precision)
        return floor if decimals is None else np.maximum(floor, 0.5 * 10.0**-decimals)

    def evidence(self, metric: str, row: int, value: float | None = None, unit: str = "") -> Evidence:
        """The number that stands at ``row`` of ``metric``, with its step and source line."""
        column = self.run.columns[metric]
        number = float(column.values[row]) if value is None else value
        return Evidence(column.original, number, unit, int(self.run.steps[row]), self.run.line(metric, row))

    def _single(self, column: Column) -> npt.NDArray[np.bool_]:
        """Rows whose windowed median covers one value: there it equals the mean since the epoch began."""
        finite = np.isfinite(column.values)
        if column.smoothing.kind == "none" or column.epoch_mean is None:
            return finite
        with np.errstate(invalid="ignore"):
            return finite & (np.abs(column.values - column.epoch_mean) <= 1e-12 * np.abs(column.values))

    @property
    def unsure_smoothing(self) -> bool:
        """A table made from a trainer's printed medians no longer says that they are medians."""
        return bool(self.trainer.smoothed_formats) and self.run.format not in self.trainer.smoothed_formats

    @cached_property
    def epoch_first_rows(self) -> IntArray:
        """Rows that are the first of their epoch in this log."""
        if self.run.epochs is None or not len(self.run):
            return np.empty(0, np.int64)
        return np.flatnonzero(np.diff(self.run.epochs, prepend=self.run.epochs[0] - 1) != 0)

    def joint(self, metrics: tuple[str, ...], *, linear: bool = True) -> tuple[dict[str, FloatArray], IntArray, str]:
        """Values of ``metrics`` that belong together: ``(values, rows, how)``.

        ``how`` is ``exact`` (unsmoothed values of one step), ``means`` (means over the same steps: sums of them hold)
        or ``medians`` (windowed medians: sums of them hold only roughly). ``linear`` False asks for products too.
        """
        columns = [self.run.columns[m] for m in metrics]
        values = {m: self.run[m] for m in metrics}
        kinds = {c.smoothing.kind for c in columns}
        how = "medians"
        if not self.unsure_smoothing and kinds == {"none"}:
            how = "exact"
        elif (
            not self.unsure_smoothing
            and linear
            and all(c.epoch_mean is not None for c in columns)
            and "none" not in kinds
        ):
            values, how = {c.name: np.asarray(c.epoch_mean) for c in columns}, "means"
        elif not self.unsure_smoothing and linear and kinds == {"epoch_mean"}:
            how = "means"
        elif not self.unsure_smoothing and self.run.format == "metric_logger" and kinds <= {"none", "window_median"}:
            first = self.epoch_first_rows
            rows = first[np.all([self._single(c)[first] for c in columns], axis=0)]
            if len(rows):
                return {m: self.run[m][rows] for m in metrics}, rows, "exact"
        rows = np.flatnonzero(np.all([np.isfinite(v) for v in values.values()], axis=0))
        return {m: v[rows] for m, v in values.items()}, rows, how


def numbers(value: object) -> list[float]:
    """A list of numbers, also one that is written with commas or ``x`` between them; empty if it is none."""
    if isinstance(value, str):
        value = value.lower().replace("x", ",").split(",")
    if not isinstance(value, Sequence):
        return []
    try:
        found = [float(v) for v in value]
    except (TypeError, ValueError, OverflowError):
        return []
    # a size beyond a thousand million is no size
    return found if all(abs(v) <= 1e9 for v in found) else []
