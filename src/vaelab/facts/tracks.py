"""Tracks: what every column with a role did over the run, once, with its noise taken into account.

A rule asks a track "how much, since when, how sure" and does no statistics of its own. All windows are defined here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import Series, isolated_spikes, level, noise, rolling_median, step_change, trend
from vaelab.catalog.roles import Role, RoleName
from vaelab.facts.phases import Phases
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray

DIRECTED: tuple[RoleName, ...] = ("reconstruction", "perceptual", "alignment", "total", "quality", "codebook_usage")
"""Roles whose value says by itself whether the run became better. A KL, a quantiser's loss, feature matching and every
adversarial term may go either way in a healthy run."""

FOLLOWED: tuple[RoleName, ...] = (
    *DIRECTED, "kl", "quantiser", "entropy", "feature_matching", "discriminator", "discriminator_real", "discriminator_fake",
    "gradient_norm", "discriminator_accuracy", "regulariser",
)  # fmt: skip
ENOUGH = 12
"""Rows below which only a change of many times says anything."""
CERTAIN = 4.0
"""A change counts from this many standard errors on."""
LASTS = 8
"""Rows for which a new level has to hold (or to the end of the log) to count as lasting."""
TOP = math.log(1e12)


@dataclass(frozen=True)
class Shift:
    """A sudden change for the worse between ``before_step`` and ``step``: ``ratio`` times the level before.

    lasting: the level holds to the end, or came back (then ``back_step`` is the first step at the old level).
    """

    step: int
    before_step: int
    before: float
    after: float
    ratio: float
    lasting: bool
    back_step: int | None


@dataclass(frozen=True)
class Growth:
    """A lasting rise by orders of magnitude: ``ratio`` is the size now over ``before``, the largest size in the first fifth of
    the rows that are not 0 (the untrained networks, or a GAN that starts later). ``step``: from here on 10 times it and more."""

    step: int
    before: float
    ratio: float


@dataclass(frozen=True)
class Track:
    """One column's movement. Levels are medians in the column's own unit.

    first: the first rows (a twentieth, at least 3). settled: after the first tenth or the warm-up. best: the best smoothed level, its
    step in ``best_step``. now: the last tenth (at least 3 rows, 5 for ``worse``). high, low: largest and smallest smoothed level.
    worse: error now over error at the best level (1 = as good as ever), improved: error at first over error now; both None
    where the column has no direction or no scale. An error is the value itself, 1 - value for a score of at most 1, and the
    mean squared error behind a PSNR. noise: row-to-row standard deviation of the log error (of the log value where there
    is no direction), nan if values cross 0. onset: first step after which it never came back to its best level.
    certain: the change for the worse stands out of the noise and has lasted for 8 rows. growth: None below 10 times.
    """

    metric: str
    role: Role
    rows: int
    steps: tuple[int, int]
    first: float
    settled: float
    best: float
    best_step: int
    now: float
    high: float
    low: float
    noise: float
    worse: float | None
    improved: float | None
    certain: bool
    onset: int
    shift: Shift | None
    spikes: IntArray
    trend: str
    constant: bool
    zero_since: int | None
    growth: Growth | None


def find_tracks(view: View, phases: Phases) -> Mapping[str, Track]:
    """One track for every column whose role is followed and that has a finite value."""
    tracks = {}
    for metric in view.run:
        role = view.role(metric)
        if role.name in FOLLOWED and len(series := view.series(metric)):
            tracks[metric] = _track(view, phases, metric, role, series)
    return tracks


def log_errors(role: Role, values: FloatArray) -> FloatArray | None:
    """Natural log of the error that ``values`` (n,) stand for: higher is worse; None where they have no scale."""
    if role.name not in DIRECTED or role.better not in ("down", "up") or not len(values):
        return None
    if role.better == "down":
        return np.log(values) if values.min() > 0 else None
    if role.kind in ("psnr", "snr") or (role.name == "quality" and values.max() > 1):
        return -values * (math.log(10) / 10)
    if role.name == "quality":
        return np.log(np.maximum(1 - values, 1e-4))
    return -np.log(np.maximum(values, 1e-12)) if values.min() >= 0 < values.max() else None


def _track(view: View, phases: Phases, metric: str, role: Role, series: Series) -> Track:
    values, n = series.values, len(series)
    up = role.better == "up"
    smooth = rolling_median(values, max(5, n // 50)) if n >= 5 else values
    best = int(np.argmax(smooth) if up else np.argmin(smooth))
    after_first = np.searchsorted(series.steps, _settled_from(view, phases, series))
    settled = series.values[int(after_first) :][: max(3, n // 10)]
    now = level(series.tail(0.1, 3).values)
    errors = log_errors(role, values)
    logs = errors if errors is not None else np.log(values) if values.min() > 0 else None
    scatter = noise(logs) if logs is not None and n >= 4 else math.nan
    worse = improved = None
    certain, onset, shift = False, int(series.steps[best]), None
    if errors is not None:
        calm = rolling_median(errors, max(9, n // 20)) if n >= 5 else errors
        low, late = int(np.argmin(calm)), level(errors[-max(5, n // 10) :])
        worse = _times(late - float(calm[low]))
        improved = _times(level(errors[: max(3, n // 20)]) - late)
        inside = np.flatnonzero(calm <= calm[low] + min(0.26, max(0.0, late - calm[low]) / 2))
        left = min(n - 1, int(inside[-1]) + 1)
        onset = int(series.steps[left])
        certain = late - float(calm[low]) > CERTAIN * standard_error(errors, scatter) and n - left >= LASTS
        shift = _shift(series, errors, scatter)
    return Track(
        metric=metric,
        role=role,
        rows=int(series.rows[-1]) + 1 if series.per_block > 1 else n,
        steps=(int(series.steps[0]), int(series.steps[-1])),
        first=level(series.head(0.05, 3).values),
        settled=level(settled) if len(settled) else now,
        best=float(smooth[best]),
        best_step=int(series.steps[best]),
        now=now,
        high=float(smooth.max()),
        low=float(smooth.min()),
        noise=scatter,
        worse=worse,
        improved=improved,
        certain=certain,
        onset=onset,
        shift=shift,
        spikes=series.steps[isolated_spikes(values, series.high)] if role.better == "down" else np.empty(0, np.int64),
        trend=trend(values).direction,
        constant=n >= 3 and bool(series.high.max() == series.low.min()),
        zero_since=_zero_since(series),
        growth=_growth(series),
    )


def _times(log_ratio: float) -> float:
    """The ratio itself, at most a million millions either way."""
    return math.exp(min(max(log_ratio, -TOP), TOP))


def _settled_from(view: View, phases: Phases, series: Series) -> int:
    """First step that is no longer of the start: the warm-up is over and a tenth of the rows has passed."""
    tenth = int(series.steps[min(len(series) - 1, len(series) // 10)])
    end = phases.warm_up.end_step if phases.warm_up is not None else None
    return max(tenth, end or 0)


def standard_error(errors: FloatArray, scatter: float) -> float:
    """Of the difference of two levels of 5 rows; slow wandering of the curve counts as well as noise from row to row."""
    slow = rolling_median(errors, 5) if len(errors) >= 10 else errors
    wander = noise(slow[::5]) if len(slow) >= 20 else 0.0
    return max(scatter / math.sqrt(2.5), wander, 0.02) if math.isfinite(scatter + wander) else math.inf


def _shift(series: Series, errors: FloatArray, scatter: float) -> Shift | None:
    """The largest sudden change for the worse, 1.5 times the level, three times the noise and certain, of 3 rows and more."""
    found = step_change(errors, side=LASTS, least=3, sign=1)
    least = max(math.log(1.5), 3 * scatter, CERTAIN * standard_error(errors, scatter))
    if found is None or not found.after - found.before > least:
        return None
    middle = (found.before + found.after) / 2
    near = np.flatnonzero(errors[max(0, found.index - 2) : found.index + 3] > middle)
    i = max(0, found.index - 2) + int(near[0]) if len(near) else found.index
    if i == 0:
        return None
    back = np.flatnonzero(rolling_median(errors[i:], 5) < middle)
    lasting = not len(back)
    return Shift(
        int(series.steps[i]),
        int(series.steps[i - 1]),
        level(series.values[max(0, i - LASTS) : i]),
        level(series.values[i : i + LASTS]),
        _times(found.after - found.before),
        lasting,
        None if lasting else int(series.steps[i + int(back[0])]),
    )


def _growth(series: Series) -> Growth | None:
    rows = np.flatnonzero(series.values)
    size = np.abs(series.values[rows])
    if len(rows) < ENOUGH:
        return None
    before = float(size[: max(3, len(rows) // 5)].max())
    small = np.flatnonzero(size <= 10 * before)
    first = int(small[-1]) + 1
    if first + LASTS > len(rows):
        return None
    return Growth(int(series.steps[rows[first]]), before, level(size[-max(3, len(rows) // 10) :]) / before)


def _zero_since(series: Series) -> int | None:
    """First step of a stretch of exact zeros that lasts to the end, after values that were not zero; else None."""
    moving = np.flatnonzero((series.low != 0) | (series.high != 0))
    if not len(moving) or moving[-1] + LASTS > len(series) - 1:
        return None
    return int(series.steps[moving[-1] + 1])
