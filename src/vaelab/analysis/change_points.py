"""The one change detector: sudden shifts and drifts of a curve that is meant to fall, and how sure each of them is.

A CUSUM (Page 1954) runs over residuals that are whitened by their lag-1 correlation. Its threshold comes from a simulation of the curve's
own residuals, in blocks so that their correlation and tails stay: one false alarm in ``RUN_LENGTH`` rows. A convex decay
never alarms: what a curve is compared with is the best level so far (rises), or the straight continuation of its past (falls).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaelab.analysis.series import MAD_TO_SIGMA, MAX_BLOCKS, FloatArray, IntArray, level, median, rolling_median

RUN_LENGTH = 1000
"""Mean number of rows to a false alarm."""
MARGIN = 1.3
"""The threshold aims at a run length this much longer: noise that is estimated from the same rows is estimated too low."""
LEAST = 3
"""Rows that a new level has to last, and that a level is measured on at least."""
SIDE = 8
"""Rows on each side of a shift that its levels are medians of."""
CLIP = 3.0
"""Sigmas that one row can add: an outlier alone must not alarm."""
ALLOWANCE = 0.5
"""Sigmas per row that are let pass: half of the smallest lasting change that is looked for."""
SMALLEST_SIGMA = 0.01
"""Noise of a natural logarithm below which a curve counts as this noisy: a change of less than 1% says nothing."""
SUDDEN = 0.6
"""Share of a change that stands between the three rows before and the three rows after it, if it is a shift; else it drifts."""
CERTAIN = 0.999
"""Certainty of a change after which the level before it is history."""
STANDS_OUT = 2.5
"""Sigmas of a single row below which a shift looks like any other rise: it counts as a drift."""
AT_ONCE = 6.0
"""Sigmas between two neighbouring rows from which a change is sudden, whether or not its new level holds."""
AT_ONCE_SHARE = 0.5
"""Share of such a change that stands between the two rows at least: a steady rise of a smooth curve is not sudden."""
LARGEST = 1e9
"""Size beyond which values are all the same: a logarithm of this size is no measurement, and its square would overflow."""
SIMULATED_ROWS = 40_000
BLOCK = 10
EULER = 0.5772156649
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Change:
    """A lasting change that the noise does not explain.

    index: first row of the new level (of the rise, for a drift). before, after: levels (medians of up to 8 rows). back: first row at which it is
    more than half undone; None if it lasts to the end. certainty: 1 - the chance that noise does this in as many rows.
    """

    index: int
    before: float
    after: float
    back: int | None
    certainty: float

    @property
    def size(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class ChangePoints:
    """shifts: all sudden changes of one direction, in order of rows; drifts: those that took more than one row. first_alarm: row at which a change, sudden or slow, was first noticed."""

    shifts: tuple[Change, ...]
    drifts: tuple[Change, ...]
    first_alarm: int | None


@dataclass(frozen=True)
class _Scale:
    """What the noise of a curve allows: sigma and correlation of its residuals, allowance and distribution of the CUSUM's maximum."""

    sigma: float
    correlation: float
    window: int
    allowance: float
    threshold: float
    mode: float
    spread: float

    def certainty(self, height: float) -> float:
        return math.exp(-math.exp(min(50.0, -(height - self.mode) / self.spread)))


def change_points(values: FloatArray, sign: int = 1, starts: tuple[int, ...] = ()) -> ChangePoints:
    """Changes of ``values`` (n,), finite and on a scale whose differences mean something (a logarithm, dB).

    sign: +1 looks for rises, -1 for falls beyond a convex decay. starts: rows at which a phase of the run begins; what
    had added up before does not count against the rows after. Fewer than 8 rows have no changes.
    """
    n = len(values)
    if n < 2 * LEAST + 2:
        return ChangePoints((), (), None)
    values = np.clip(values, -LARGEST, LARGEST)
    window = max(LEAST, min(max(12, n // 20), n // 4))
    middle = rolling_median(values, 5)
    residuals = values - rolling_median(values, 2 * window + 1)
    scatter = max(MAD_TO_SIGMA * float(median(np.abs(residuals[window:]))), SMALLEST_SIGMA)
    # an outlier that neither neighbour shares says nothing of the level
    clean = np.where(np.abs(values - middle) > CLIP * scatter, middle, values)
    # what a median leaves of a steep start and of the rows around a change is no noise
    quiet = np.abs(rolling_median(residuals, 5)) <= CLIP * scatter
    quiet[:window] = False
    pool = residuals[quiet] if quiet.sum() > 2 * LEAST else residuals
    scale = _simulate(np.clip(pool, -CLIP * scatter, CLIP * scatter), n, window, sign)
    shifts: list[Change] = []
    drifts: list[Change] = []
    first_alarm: int | None = None
    begin = since = 0  # rows from which on levels are measured, and sums add up
    while len(sums := _sums(clean[begin:], scale, sign, (*(s - begin for s in starts), since - begin))):
        above = np.flatnonzero(sums[since - begin :] > scale.threshold)
        if not len(above):
            break
        alarm = since - begin + int(above[0])
        zeros = np.flatnonzero(sums[:alarm] <= 0)
        onset = begin + (int(zeros[-1]) + 1 if len(zeros) else 1)
        ahead = sums[alarm : alarm + 2 * SIDE]
        ends = np.flatnonzero(ahead <= 0)
        certainty = scale.certainty(float(ahead[: ends[0] if len(ends) else None].max()))
        alarm += begin
        first_alarm = alarm if first_alarm is None else first_alarm
        at = _sudden(clean, begin, onset, alarm, sign, STANDS_OUT * scatter)
        if at is not None:
            before, after = level(values[max(begin, at - SIDE) : at]), level(values[at : at + SIDE])
            back = _back(values, at, (before + after) / 2, sign)
            shifts.append(Change(at, before, after, back, certainty))
        else:
            _add_drift(drifts, values, begin, onset, alarm, sign, certainty)
        # what may be chance does not make the level forgotten
        begin = begin if certainty < CERTAIN else alarm if at is None else at
        since = max(begin, alarm + 1) if certainty < CERTAIN else begin
    return ChangePoints(tuple(shifts), tuple(drifts), first_alarm)


def largest_shift(values: FloatArray) -> Change | None:
    """The largest certain shift, up or down, of ``values`` (n,) that are meant to stay level. Of a long curve blocks are looked at."""
    size = max(1, math.ceil(len(values) / MAX_BLOCKS))
    whole = median(values[: len(values) // size * size].reshape(-1, size)) if size > 1 else values
    found = [(c, sign) for sign in (1, -1) for c in change_points(sign * whole).shifts if c.certainty >= CERTAIN]
    if not found:
        return None
    change, sign = max(found, key=lambda f: f[0].size)
    back = change.back * size if change.back is not None else None
    return replace(change, index=change.index * size, back=back, before=sign * change.before, after=sign * change.after)


def _sums(values: FloatArray, scale: _Scale, sign: int, starts: tuple[int, ...]) -> FloatArray:
    """The CUSUM of ``values`` (n,); empty if there are too few for a level and a change."""
    if len(values) < (scale.window if sign > 0 else 2 * scale.window) + LEAST:
        return np.empty(0)
    return _cusum(_whitened(values, scale, sign), scale.allowance, sorted(s for s in starts if s > 0))


def _simulate(residuals: FloatArray, n: int, window: int, sign: int) -> _Scale:
    """The CUSUM's threshold and its maximum by chance, from level curves of ``n`` rows made of blocks of ``residuals``."""
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    rho = float(centred[1:] @ centred[:-1]) / power if power > 0 else 0.0
    # what the rolling median and few rows hide of the variance and of the correlation (Kendall 1954)
    own = 2 * window + 1
    correlation = min(max(rho + (1 + 4 * max(rho, 0.0)) / own, 0.0), 0.9)
    centred *= (1 + 5 / n) * math.sqrt(1 + math.pi / own * (1 + correlation) / (1 - correlation))
    innovations = centred[1:] - correlation * centred[:-1]
    sigma = max(float(np.sqrt(np.mean(innovations**2))), SMALLEST_SIGMA)
    runs = max(16, min(100, SIMULATED_ROWS // n))
    block = min(BLOCK, len(residuals))
    count = runs * -(-n // block)
    # places that are as good as random, and the same every time (numpy's generators take as long to import as all this)
    first = (
        (np.arange(1, count + 1) ** 2 * GOLDEN % 1 * (len(residuals) - block + 1)).astype(np.int64).reshape(runs, -1)
    )
    drawn = centred[(first[:, :, None] + np.arange(block)).reshape(runs, -1)[:, :n]]
    if sign < 0:  # the worst case: a straight fall, on the edge of what is convex
        drawn -= 10 * max(float(np.abs(centred).max()), sigma) * np.arange(n)
    scale = _Scale(sigma, correlation, window, 0.0, 0.0, 0.0, 1.0)
    noise = _whitened(drawn, scale, sign)
    # a best level so far lies below the true one by chance
    allowance = ALLOWANCE + max(0.0, float(noise[:, n // 2 :].mean()))
    highest = _cusum(noise, allowance).max(axis=1)
    spread = max(float(highest.std()) * math.sqrt(6) / math.pi, 0.3)
    mode = float(highest.mean()) - EULER * spread
    threshold = max(CLIP, mode - spread * math.log(n / (MARGIN * RUN_LENGTH)))
    return _Scale(sigma, correlation, window, allowance, threshold, mode, spread)


def _whitened(values: FloatArray, scale: _Scale, sign: int) -> FloatArray:
    """Residuals of ``values`` (..., n) against what the rows before lead one to expect, in sigmas, at most ``CLIP`` each."""
    w = scale.window
    total = np.cumsum(values, axis=-1)
    means = total[..., w - 1 :].copy()
    means[..., 1:] -= total[..., :-w]
    means /= w  # means[i]: of the w rows up to row i + w - 1
    if sign > 0:
        expected = np.minimum.accumulate(means, axis=-1)
    else:
        expected = means.copy()
        past = means[..., :-w]
        # a convex fall slows down: it stays above the line through its past
        expected[..., w:] += np.minimum(0.0, means[..., w:] - past) * (w + 1) / (2 * w)
        w = 2 * w
        expected = expected[..., w // 2 :]
    distance = np.zeros_like(values)
    distance[..., w:] = sign * (values[..., w:] - expected[..., :-1])
    distance[..., 1:] -= scale.correlation * distance[..., :-1]
    return np.clip(distance / scale.sigma, -CLIP, CLIP)


def _cusum(residuals: FloatArray, allowance: float, starts: Sequence[int] = ()) -> FloatArray:
    """max(0, S + residual - allowance) over the last axis, from 0 anew at every row of ``starts``."""
    total = np.cumsum(residuals - allowance, axis=-1)
    lowest = np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)
    sums = total - lowest
    for start in starts:
        part = total[..., start:] - (total[..., start - 1 : start] if start else 0.0)
        sums[..., start:] = part - np.minimum(np.minimum.accumulate(part, axis=-1), 0.0)
    return sums


def _sudden(values: FloatArray, begin: int, onset: int, alarm: int, sign: int, least: float) -> int | None:
    """First row of the new level if the change that was noticed at ``alarm`` is sudden, of this size and has lasted 3 rows."""
    n = len(values)
    at = np.arange(max(begin + LEAST, onset - LEAST), min(n - LEAST, alarm + 1) + 1)
    if not len(at):
        return None
    change = _medians(values, at, np.minimum(at + SIDE, n)) - _medians(values, np.maximum(begin, at - SIDE), at)
    near = _medians(values, at, at + LEAST) - _medians(values, at - LEAST, at)
    steps = (change * sign >= least) & (near * sign >= SUDDEN * change * sign)
    if not steps.any():
        return None
    best = int(np.argmax(np.where(steps, change * sign, -np.inf)))
    # the medians are the same a row or two beside the shift: the first row beyond the middle is its first
    i = int(at[best])
    before, after = level(values[max(begin, i - SIDE) : i]), level(values[i : i + SIDE])
    low = max(begin + 1, i - 2)
    beyond = np.flatnonzero(sign * (values[low : i + LEAST] - (before + after) / 2) > 0)
    i = low + int(beyond[0]) if len(beyond) else i
    # the first of a fall that goes on may be sudden too
    at_once = float((sign * np.diff(values[max(begin, i - 2) : i + LEAST])).max())
    level_holds = _steps_rather_than_rises(values[max(begin, i - SIDE) : i], values[i : i + SIDE])
    stands_out = at_once >= max(AT_ONCE * least / STANDS_OUT, AT_ONCE_SHARE * abs(after - before))
    return i if level_holds or stands_out else None


def _steps_rather_than_rises(old: FloatArray, new: FloatArray) -> bool:
    """Whether two levels describe the rows better than one straight line does."""
    rows = np.concatenate([old, new])
    rows -= rows.mean()
    time = np.arange(len(rows)) - (len(rows) - 1) / 2
    line = float(rows @ rows) - float(time @ rows) ** 2 / float(time @ time)
    return float(np.var(old)) * len(old) + float(np.var(new)) * len(new) <= line


def _back(values: FloatArray, at: int, middle: float, sign: int) -> int | None:
    undone = np.flatnonzero(sign * (rolling_median(values[at:], 5) - middle) < 0)
    return at + int(undone[0]) if len(undone) else None


def _add_drift(
    drifts: list[Change], values: FloatArray, begin: int, onset: int, alarm: int, sign: int, certainty: float
) -> None:
    """Adds a drift, or continues the last one if the curve has not come back half way since."""
    before, after = level(values[max(begin, onset - SIDE) : onset]), level(values[max(onset, alarm - SIDE) : alarm + 1])
    if drifts and (before - drifts[-1].before) * sign > 0.5 * abs(drifts[-1].size):
        last = drifts.pop()
        onset, before, certainty = last.index, last.before, max(certainty, last.certainty)
    if (after - before) * sign > 0:
        drifts.append(Change(onset, before, after, _back(values, alarm, (before + after) / 2, sign), certainty))


def _medians(values: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """Median of ``values[first[i]:last[i]]`` for every i; windows of one length are done at once."""
    out = np.empty(len(first))
    for width in set((last - first).tolist()):
        windows = np.lib.stride_tricks.sliding_window_view(values, width)
        same = np.flatnonzero(last - first == width)
        out[same] = median(windows[first[same]])
    return out
