"""Tracks: what every column with a role did over the run, once, with its noise taken into account.

A rule asks a track "how much, since when, how sure" and does no statistics of its own. What is asked for is computed on demand and kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np

from vaelab.analysis import (
    Change,
    ChangePoints,
    Series,
    change_points,
    isolated_spikes,
    level,
    noise,
    rolling_median,
    trend,
)
from vaelab.catalog.roles import Role, RoleName
from vaelab.facts.errors import DIRECTED, Growth, Shift, log_errors, times
from vaelab.facts.phases import Phases
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray

FOLLOWED: tuple[RoleName, ...] = (
    *DIRECTED, "kl", "quantiser", "entropy", "feature_matching", "generator_adversarial", "discriminator", "discriminator_real", "discriminator_fake",
    "gradient_norm", "discriminator_accuracy", "regulariser",
)  # fmt: skip
"""Roles over whose tracks generic rules go; a track of any other column is there where it is asked for by name."""
ENOUGH = 12
"""Rows below which only a change of many times says anything."""
CERTAIN = 4.0
"""A level differs from another from this many standard errors on."""
SURE_OF_SHIFT = 0.999
"""Certainty from which a shift is spoken of: 1 in 1,000 runs of its length would show it by chance."""
LASTS = 8
"""Rows for which a new level has to hold (or to the end of the log) to count as lasting."""


class Track:
    """One column's movement. Levels are medians in the column's own unit; "first" and "now" are those of ``Series``.

    An error is the value itself, 1 - value for a score of at most 1, and the mean squared error behind a PSNR; it is known
    where the column has a direction and a scale. Ratios of errors say how much worse or better the run is by this column.
    """

    def __init__(self, view: View, phases: Phases, metric: str) -> None:
        self.metric = metric
        self.role: Role = view.role(metric)
        self.series: Series = view.series(metric)
        self._view, self._phases = view, phases
        self.rows = int(self.series.rows[-1]) + 1 if self.series.per_block > 1 else len(self.series)
        self.steps = self.series.span

    # --- levels ---

    @cached_property
    def first(self) -> float:
        return self.series.first

    @cached_property
    def now(self) -> float:
        return self.series.now

    @cached_property
    def settled(self) -> float:
        """Level after the start: the warm-up is over and a tenth of the rows has passed."""
        n, warm_up = len(self.series), self._phases.warm_up
        tenth = int(self.series.steps[min(n - 1, n // 10)])
        first = int(np.searchsorted(self.series.steps, max(tenth, (warm_up.end_step or 0) if warm_up else 0)))
        return level(self.series.values[first:][: max(3, n // 10)]) if first < n else self.now

    @cached_property
    def before_gan(self) -> float | None:
        """Level of the last rows before the GAN starts; None where the log does not show its start."""
        gan = self._phases.gan
        if gan.state != "active" or gan.before_step is None:
            return None
        part = self.series.between(self.steps[0], gan.before_step)
        return part.now if len(part) else None

    @cached_property
    def _smooth(self) -> FloatArray:
        values = self.series.values
        return rolling_median(values, max(5, len(values) // 50)) if len(values) >= 5 else values

    @cached_property
    def _best(self) -> int:
        return int(np.argmax(self._smooth) if self.role.better == "up" else np.argmin(self._smooth))

    @property
    def best(self) -> float:
        """The best smoothed level."""
        return float(self._smooth[self._best])

    @property
    def best_step(self) -> int:
        return int(self.series.steps[self._best])

    @property
    def high(self) -> float:
        """The largest smoothed level."""
        return float(self._smooth.max())

    @property
    def low(self) -> float:
        """The smallest smoothed level."""
        return float(self._smooth.min())

    # --- noise and error ---

    @cached_property
    def errors(self) -> FloatArray | None:
        """Natural log of the error (n,), higher is worse; None where the column has no direction or no scale."""
        return log_errors(self.role, self.series.values)

    @cached_property
    def logs(self) -> FloatArray | None:
        """``errors``, or the natural log of a positive column that has no direction."""
        if self.errors is not None:
            return self.errors
        values = self.series.values
        return np.log(values) if values.min() > 0 else None

    @cached_property
    def noise(self) -> float:
        """Standard deviation of ``logs`` from row to row; NaN if values cross 0."""
        return noise(self.logs) if self.logs is not None and len(self.series) >= 4 else math.nan

    @cached_property
    def _calm(self) -> FloatArray | None:
        errors = self.errors
        if errors is None or len(errors) < 5:
            return errors
        return rolling_median(errors, max(9, len(errors) // 20))

    @cached_property
    def worse(self) -> float | None:
        """Error now over the error at the best level: 1 is as good as ever."""
        if self.errors is None or self._calm is None:
            return None
        return times(self._late_error - float(self._calm.min()))

    @cached_property
    def improved(self) -> float | None:
        """Error at first over error now."""
        if self.errors is None:
            return None
        return times(level(self.errors[: len(self.series.early)]) - self._late_error)

    @cached_property
    def _late_error(self) -> float:
        assert self.errors is not None
        return level(self.errors[-len(self.series.late) :])

    @cached_property
    def _left(self) -> int:
        """First row after which the error never came back to its best level."""
        if self._calm is None:
            return self._best
        best = float(self._calm.min())
        inside = np.flatnonzero(self._calm <= best + min(0.26, max(0.0, self._late_error - best) / 2))
        return min(len(self._calm) - 1, int(inside[-1]) + 1)

    @property
    def onset(self) -> int:
        """First step after which the column never came back to its best level."""
        return int(self.series.steps[self._left])

    @cached_property
    def certain(self) -> bool:
        """The change for the worse stands out of the noise and has lasted for 8 rows."""
        if self.errors is None or self._calm is None or len(self.series) - self._left < LASTS:
            return False
        return self._late_error - float(self._calm.min()) > CERTAIN * self.standard_error

    @cached_property
    def standard_error(self) -> float:
        """Of the difference of two levels of 5 rows; slow wandering of the curve counts as well as noise from row to row."""
        assert self.logs is not None
        slow = rolling_median(self.logs, 5) if len(self.logs) >= 10 else self.logs
        wander = noise(slow[::5]) if len(slow) >= 20 else 0.0
        late = noise(self.logs[-len(self.logs) // 3 :]) if len(self.logs) >= 24 else 0.0
        return (
            max(self.noise / math.sqrt(2.5), late / math.sqrt(2.5), wander, 0.02)
            if math.isfinite(self.noise + wander)
            else math.inf
        )

    @cached_property
    def scatter(self) -> tuple[float, float] | None:
        """Noise of ``logs`` between the first sixth and the middle, and in the last third; None below 40 rows."""
        if self.logs is None or len(self.logs) < 40:
            return None
        n = len(self.logs)
        return noise(self.logs[n // 6 : n // 2]), noise(self.logs[-(n // 3) :])

    # --- changes ---

    @cached_property
    def _falls(self) -> ChangePoints:
        return self._changes(-1)

    def _changes(self, sign: int) -> ChangePoints:
        if self.logs is None:
            return ChangePoints((), (), None)
        steps = [p.first_step for p in self._phases.phases[1:]]
        return change_points(self.logs, sign, tuple(int(i) for i in np.searchsorted(self.series.steps, steps)))

    @cached_property
    def shifts(self) -> tuple[Shift, ...]:
        """Sudden rises of the error (of the value, where it has no direction), in order."""
        return tuple(self._in_steps(c) for c in self._changes(1).shifts)

    @cached_property
    def falls(self) -> tuple[Shift, ...]:
        """Sudden falls of the error beyond a convex decay, in order."""
        return tuple(self._in_steps(c) for c in self._falls.shifts)

    @cached_property
    def slides(self) -> tuple[Shift, ...]:
        """Falls of the error beyond a convex decay that took more than one row, in order."""
        return tuple(self._in_steps(c) for c in self._falls.drifts)

    @cached_property
    def shift(self) -> Shift | None:
        """The largest sudden change for the worse that is certain: 1.5 times the error and three times the noise."""
        if self.errors is None:
            return None
        least = max(math.log(1.5), 3 * self.noise)
        found = [s for s in self.shifts if math.log(s.ratio) > least and s.certainty >= SURE_OF_SHIFT]
        return max(found, key=lambda s: s.ratio, default=None)

    def _in_steps(self, change: Change) -> Shift:
        steps, i = self.series.steps, change.index
        return Shift(
            step=int(steps[i]),
            before_step=int(steps[i - 1]),
            row=int(self.series.rows[i]),
            before=level(self.series.values[max(0, i - LASTS) : i]),
            after=level(self.series.values[i : i + LASTS]),
            ratio=times(change.size),
            certainty=change.certainty,
            back_step=int(steps[change.back]) if change.back is not None else None,
        )

    @cached_property
    def spikes(self) -> IntArray:
        """Steps of isolated spikes of a loss."""
        if self.role.better != "down":
            return np.empty(0, np.int64)
        return self.series.steps[isolated_spikes(self.series.values, self.series.high)]

    @cached_property
    def trend(self) -> str:
        """Over the whole run: ``rising``, ``falling`` or ``flat``."""
        return trend(self.series.values).direction

    @cached_property
    def growth(self) -> Growth | None:
        """None below 10 times."""
        rows = np.flatnonzero(self.series.values)
        size = np.abs(self.series.values[rows])
        if len(rows) < ENOUGH:
            return None
        before = float(size[: max(3, len(rows) // 5)].max())
        small = np.flatnonzero(size <= 10 * before)
        first = int(small[-1]) + 1
        if first + LASTS > len(rows):
            return None
        return Growth(int(self.series.steps[rows[first]]), before, level(size[-max(3, len(rows) // 10) :]) / before)

    # --- what the numbers themselves are ---

    @cached_property
    def non_finite(self) -> float:
        """Share of the logged values that are not finite."""
        column = self._view.run.columns[self.metric]
        return float(np.mean(~np.isfinite(column.values[column.logged])))

    @property
    def constant(self) -> bool:
        return len(self.series) >= 3 and bool(self.series.high.max() == self.series.low.min())

    @property
    def unreadable(self) -> bool:
        """So few decimals are printed that all it shows is 0 and a unit or two of the last one: rounding, never zero."""
        return self._view.unreadable(self.metric)


class Tracks(Mapping[str, Track]):
    """Tracks by metric: goes over columns whose role is followed; any other column with a finite value is there by its name."""

    def __init__(self, view: View, phases: Phases) -> None:
        self._view, self._phases = view, phases
        self._made: dict[str, Track] = {}
        self._followed = [m for m in view.run if view.role(m).name in FOLLOWED and view.has(m)]

    def __getitem__(self, metric: str) -> Track:
        if metric not in self._made:
            if not self._view.has(metric):
                raise KeyError(metric)
            self._made[metric] = Track(self._view, self._phases, metric)
        return self._made[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self._followed)

    def __len__(self) -> int:
        return len(self._followed)
