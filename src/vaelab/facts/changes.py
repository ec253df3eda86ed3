"""Changes of the reconstruction loss that are not a trend: lasting jumps, spikes that return, how smooth the curve is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import isolated_spikes, level, noise, rolling_median, step_change
from vaelab.facts.base import Fact
from vaelab.facts.optimiser import Optimiser
from vaelab.facts.phases import Phases
from vaelab.facts.tracks import standard_error
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray

JUMP = 1.8
"""A lasting rise by this factor between neighbouring levels counts as a jump (2.6 dB of MSE)."""


@dataclass(frozen=True)
class Jump:
    """A sudden lasting rise of rec_loss between ``before_step`` and ``step``.

    coincides: ``gan-start``, ``lr-jump``, ``resume``, ``epoch-start`` or empty. kl_ratio, perceptual_ratio: level after
    over level before of those columns (None if not logged). remaining: rec level at the end over the level before.
    scatter_before, scatter_after: row-to-row noise of log rec on up to 16 rows of each side (None with fewer than 4).
    """

    step: int
    before_step: int
    row: int
    before: float
    after: float
    remaining: float
    coincides: str
    kl_ratio: float | None
    perceptual_ratio: float | None
    scatter_before: float | None = None
    scatter_after: float | None = None

    @property
    def ratio(self) -> float:
        return self.after / self.before


@dataclass(frozen=True)
class Drift:
    """A lasting rise of rec_loss above its best level. ``onset`` is the first step after which it never came back.

    ratio: late over best level. kl_ratio, grad_ratio, lr_ratio: late over best of those columns at the same places.
    """

    best: float
    best_step: int
    onset: int
    late: float
    kl_ratio: float | None
    grad_ratio: float | None
    lr_ratio: float | None

    @property
    def ratio(self) -> float:
        return self.late / self.best


@dataclass(frozen=True)
class Changes:
    """jump: the largest lasting jump of rec_loss, None if there is none. spikes: steps of isolated spikes that return.

    roughness: row-to-row noise of log rec_loss before any GAN (0.1 = 10%); None with fewer than 12 rows.
    real_logit_spread: standard deviation over mean of logits_real of the untrained discriminator before the GAN start.
    best, late: best smoothed level of rec_loss and its step, and the level of the last tenth of the rows.
    """

    jump: Jump | None
    drop: Jump | None
    drift: Drift | None
    spikes: IntArray
    roughness: float | None
    real_logit_spread: float | None
    best: float | None
    best_step: int | None
    late: float | None
    statements: tuple[Fact, ...]


def find_changes(view: View, phases: Phases, optimiser: Optimiser) -> Changes:
    """Changes of rec_loss (or of total_loss where the log has no rec_loss)."""
    metric = "rec_loss" if view.has("rec_loss") else "total_loss"
    series = view.series(metric)
    positive = series.values > 0
    if len(series) < 4 or not positive.all():
        return Changes(None, None, None, np.empty(0, np.int64), None, None, None, None, None, ())
    smooth = rolling_median(series.values, 5)
    best = int(np.argmin(smooth))
    late = level(series.tail(0.1, min(5, len(series))).values)
    jump = _jump(view, phases, optimiser, metric)
    spikes = series.steps[isolated_spikes(series.values, series.high)]
    facts: list[Fact] = []
    if jump is not None:
        text = (
            f"{metric} jumped {jump.ratio:.3g} times ({jump.before:.4g} to {jump.after:.4g}) between step"
            f" {jump.before_step:,} and {jump.step:,}"
        )
        cause = {
            "gan-start": ", where the GAN starts",
            "lr-jump": ", where the learning rate jumps",
            "resume": ", at the resume",
            "epoch-start": ", at the start of an epoch",
        }.get(jump.coincides, ", with no change of the learning rate and no GAN start there")
        lr = view.series("lr")
        at = int(np.searchsorted(lr.steps, jump.step))
        rate = f" The learning rate there is {lr.values[min(at, len(lr) - 1)]:.3g}." if len(lr) else ""
        facts.append(Fact("rec_jump", "phases", text + cause + "." + rate, "inferred", jump.ratio, "x"))
    return Changes(
        jump,
        _drop(view, phases, metric),
        _drift(view, phases, metric),
        spikes,
        _roughness(view, phases),
        _real_spread(view, phases),
        float(smooth[best]),
        int(series.steps[best]),
        late,
        tuple(facts),
    )


def _jump(view: View, phases: Phases, optimiser: Optimiser, metric: str) -> Jump | None:
    series = view.series(metric)
    logs = np.log(series.values)
    found = step_change(logs, side=8, least=3, sign=1)
    if found is None or found.after - found.before < math.log(JUMP):
        return None
    # three times the usual row-to-row noise, else a noisy log has a jump everywhere
    if found.after - found.before < 3 * noise(logs) or math.exp(found.after) < _negligible(view, phases, metric):
        return None
    if not _lasts(logs, found.index, (found.before + found.after) / 2):
        return None
    i = found.index
    # the first point that stands at the new level
    near = np.flatnonzero(logs[max(0, i - 2) : i + 3] > (found.before + found.after) / 2)
    i = max(0, i - 2) + int(near[0]) if len(near) else i
    step, before_step = int(series.steps[i]), int(series.steps[i - 1]) if i else int(series.steps[0])
    coincides = ""
    gan = phases.gan
    slack = 3 * max(1, step - before_step)
    started = gan.state == "active" and gan.before_step is not None and gan.start_step is not None
    if started and gan.before_step <= step <= gan.start_step + slack:  # type: ignore[operator]
        coincides = "gan-start"
    if not coincides and optimiser.lr_jump_near(before_step - slack, step):
        coincides = "lr-jump"
    if not coincides and any(before_step - slack <= s <= step + 1 for s in phases.resumes):
        coincides = "resume"
    if (
        not coincides
        and phases.warm_up is not None
        and (phases.warm_up.end_step is None or step <= phases.warm_up.end_step + slack)
    ):
        coincides = "warm-up"
    epochs = view.epoch_first_rows
    if not coincides and len(epochs) > 1 and int(series.rows[i]) in set(epochs.tolist()):
        coincides = "epoch-start"
    late = level(series.tail(0.1, min(5, len(series))).values)
    return Jump(
        step,
        before_step,
        int(series.rows[i]),
        math.exp(found.before),
        math.exp(found.after),
        late / math.exp(found.before),
        coincides,
        _ratio_at(view, "kl_loss", step),
        _ratio_at(view, "perceptual_loss", step),
        _scatter(logs[max(0, i - 16) : i]),
        _scatter(logs[i : i + 16]),
    )


def _scatter(logs: FloatArray) -> float | None:
    return noise(logs) if len(logs) >= 4 else None


def _negligible(view: View, phases: Phases, metric: str) -> float:
    """Level of ``metric`` below which its changes say nothing: 3% (1% of a loss that is no square) of an untrained
    network's error in amplitude.

    A rise from one level to another is a loss of quality only where the second is a visible error. Zero where the first
    row is not that of an untrained network.
    """
    series = view.series(metric)
    if metric != "rec_loss" or not len(series) or phases.origin != "scratch":
        return 0.0
    return float(series.values[0]) * (0.001 if view.trainer.rec_kind == "mse" else 0.01)


def _lasts(logs: FloatArray, index: int, middle: float) -> bool:
    """The level above ``middle`` that begins at ``index`` holds for 8 rows and 3% of the run, or to the end."""
    tail = rolling_median(logs[index:], 5)
    below = np.flatnonzero(tail < middle)
    return not len(below) or int(below[0]) >= max(8, 0.03 * len(logs))


def _drop(view: View, phases: Phases, metric: str) -> Jump | None:
    """A sudden lasting fall of the series after its first sixth, away from GAN start, resume and learning-rate steps."""
    series = view.series(metric)
    start = max(8, len(series) // 6)
    if len(series) < 24:
        return None
    logs = np.log(series.values[start:])
    found = step_change(logs, side=8, least=3, sign=-1)
    if found is None or found.before - found.after < max(math.log(JUMP), 3 * noise(logs)):
        return None
    size = found.before - found.after
    before, after = logs[max(0, found.index - 8) : found.index], logs[found.index : found.index + 8]
    if len(before) < 6 or len(after) < 6 or not _lasts(-logs, found.index, -(found.before + found.after) / 2):
        return None
    # a fall that was already under way is learning; one that goes on as steeply is too
    if level(before[:3]) - level(before[-3:]) > 0.25 * size or level(after[:3]) - level(after[-3:]) > 0.6 * size:
        return None
    # back at a level it had before: the end of a spike, not other data
    if found.after > float(np.log(series.values[: start + found.index - 1]).min()) - 0.3 * size:
        return None
    i = start + found.index
    step, before_step = int(series.steps[i]), int(series.steps[i - 1])
    slack = 3 * max(1, step - before_step)
    lr, gan = view.series("lr"), phases.gan
    rates = lr.between(before_step - slack, step + slack).values
    moved = len(rates) > 1 and rates.max() > 1.8 * max(float(rates.min()), 1e-300)
    shock = phases.shock(metric)
    back = shock.recovered_step if shock is not None else None
    recovering = (
        shock is not None and shock.seen and shock.worst_step <= step and (back is None or step <= back + slack)
    )
    at_start = gan.state == "active" and gan.start_step is not None and abs(step - gan.start_step) <= slack
    warming = phases.warm_up is not None and (
        phases.warm_up.end_step is None or step <= phases.warm_up.end_step + slack
    )
    if moved or at_start or recovering or warming or any(abs(step - r) <= slack for r in phases.resumes):
        return None
    late = level(series.tail(0.1, 5).values)
    level_before, level_after = math.exp(found.before), math.exp(found.after)
    return Jump(
        step, before_step, int(series.rows[i]), level_before, level_after, late / level_before, "",
        _ratio_at(view, "kl_loss", step), _ratio_at(view, "perceptual_loss", step),
    )  # fmt: skip


def _drift(view: View, phases: Phases, metric: str) -> Drift | None:
    """The rise of the smoothed series above its best earlier level, if it stands out of the noise at the end."""
    series = view.series(metric)
    n = len(series)
    if n < 16:
        return None
    smooth = rolling_median(series.values, max(5, n // 50))
    best = int(np.argmin(smooth))
    late = level(series.tail(0.08, 5).values)
    logs = np.log(series.values)
    rise = math.log(late) - math.log(smooth[best])
    if (
        best > 0.9 * n
        or rise < max(0.3, 3 * standard_error(logs, noise(logs)))
        or late < _negligible(view, phases, metric)
    ):
        return None
    limit = math.sqrt(smooth[best] * late)
    inside = np.flatnonzero(smooth <= min(limit, 1.3 * smooth[best]))
    onset = int(series.steps[min(n - 1, int(inside[-1]) + 1)])

    def ratio(name: str) -> float | None:
        other = view.series(name)
        i = int(np.searchsorted(other.steps, series.steps[best]))
        near = other.values[max(0, i - 5) : i + 5]
        if len(near) < 3 or level(near) <= 0:
            return None
        return level(other.tail(0.08, 5).values) / level(near)

    return Drift(
        float(smooth[best]), int(series.steps[best]), onset, late, ratio("kl_loss"), ratio("grad_norm"), ratio("lr")
    )


def _ratio_at(view: View, metric: str, step: int) -> float | None:
    series = view.series(metric)
    i = int(np.searchsorted(series.steps, step))
    before, after = series.values[max(0, i - 8) : i], series.values[i : i + 8]
    if len(before) < 2 or len(after) < 2 or level(before) <= 0:
        return None
    return level(after) / level(before)


def _roughness(view: View, phases: Phases) -> float | None:
    rec = view.series("rec_loss")
    if not len(rec):
        return None
    gan = phases.gan
    if gan.state == "active" and gan.before_step is not None:
        rec = rec.between(int(rec.steps[0]), gan.before_step)
    decimals = view.run.columns["rec_loss"].decimals
    # rows whose last printed digit is worth at most 3% of the value
    readable = np.flatnonzero(rec.values > 30 * 10.0**-decimals) if decimals is not None else np.arange(len(rec))
    late = rec.values[readable][round(0.4 * len(readable)) :]
    if len(late) < 12 or rec.per_block > 1:
        return None
    # second differences: a steep fall must not hide the noise, as it does from a rolling median
    return float(np.std(np.diff(np.log(late), 2)) / math.sqrt(6))


def _real_spread(view: View, phases: Phases) -> float | None:
    real, gan = view.series("logits_real"), phases.gan
    if not len(real) or not view.trainer.d_weight_logged_before_start:
        return None
    if gan.state == "active" and gan.before_step is not None:
        real = real.between(int(real.steps[0]), gan.before_step)
    elif gan.state == "active":
        return None
    if len(real) < 8:
        return None
    # relative: a network without normalisation layers gives logits that vary little on any data
    size = abs(float(np.mean(real.values)))
    spread = float(np.std(real.values))
    return spread / size if size > 0 else None
