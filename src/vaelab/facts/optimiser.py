"""Optimiser: clipping, learning rate at the moment of an event, gradient norms. Progress: percent, milestones, time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaelab.analysis import level, quantile
from vaelab.facts.phases import Phases
from vaelab.facts.view import View
from vaelab.run import FloatArray

MOST_JUMPS = 3
"""Sudden changes of one weight up to which they are changes of a setting."""


@dataclass(frozen=True)
class Optimiser:
    """clipped: share of steps with grad_norm above clip_grad (of all where the trainer logs it); cut: smallest and largest factor of those
    rows. suggested: 90th percentile of the norm. lr_jumps: (step, ratio) where the learning rate rose at once after warm-up. weight_jumps:
    (metric, step, before, after) of the weights of loss terms that the log holds, where one changed 2.5 times and more at once."""

    clipped: float | None
    cut: tuple[float, float] | None
    suggested: float | None
    lr_peak: float | None
    lr_jumps: tuple[tuple[int, float], ...]
    weight_jumps: tuple[tuple[str, int, float, float], ...]


@dataclass(frozen=True)
class Progress:
    """planned: total steps; milestone: (name, step) that comes next; seconds: time per step."""

    step: int
    planned: int | None
    share: float | None
    milestone: tuple[str, int] | None
    seconds: float | None


def find_optimiser(view: View, phases: Phases) -> Optimiser:
    """Clip and learning-rate facts."""
    norm, lr = view.series("grad_norm"), view.series("lr")
    factors = _factors(view) if len(norm) else None
    clipped = cut = None
    if factors is not None:
        over, share = factors[factors < 1], view.series("clip_share")
        # of every step where that is logged, not only of those that are
        clipped = float(np.mean(share.values)) if len(share) else len(over) / len(factors)
        cut = (float(over.min()), float(over.max())) if len(over) else None
    suggested = quantile(norm.values, 0.9) if len(norm) else None
    peak = float(lr.values.max()) if len(lr) else None
    return Optimiser(clipped, cut, suggested, peak, _lr_jumps(view, phases), _weight_jumps(view))


def _lr_jumps(view: View, phases: Phases) -> tuple[tuple[int, float], ...]:
    lr, warm_up = view.series("lr"), phases.warm_up
    if len(lr) < 3 or view.lr_unreadable:
        return ()
    a, b = lr.values[:-1], lr.values[1:]
    rose = (a > 0) & (b > 2.5 * a)
    if warm_up is not None:
        rose &= (lr.steps[:-1] >= warm_up.end_step) if warm_up.end_step is not None else False
    return tuple((int(lr.steps[i + 1]), float(b[i] / a[i])) for i in np.flatnonzero(rose))


def _weight_jumps(view: View) -> tuple[tuple[str, int, float, float], ...]:
    jumps: list[tuple[str, int, float, float]] = []
    for metric in view.of("weight"):
        weight = view.series(metric)
        low, high = (f(weight.values[:-1], weight.values[1:]) for f in (np.minimum, np.maximum))
        rows = np.flatnonzero((low >= 0) & (high > 2.5 * low)) + 1
        # a weight that changes all the time is a schedule or adaptive; the GAN's switch is a phase of its own
        if metric != "disc_factor" and len(rows) <= MOST_JUMPS:
            jumps += [
                (metric, int(weight.steps[i]), float(weight.values[i - 1]), float(weight.values[i])) for i in rows
            ]
    return tuple(jumps)


def _factors(view: View) -> FloatArray | None:
    """What every logged gradient was multiplied by: logged itself, or from the norm and the declared threshold."""
    logged, clip = view.series("clip_coefficient"), view.number("clip_grad")
    if len(logged):
        return logged.values
    return np.minimum(1.0, clip / np.maximum(view.series("grad_norm").values, 1e-12)) if clip and clip > 0 else None


def find_progress(view: View, phases: Phases) -> Progress:
    """How far the run is and what comes next."""
    if not len(view.run):
        return Progress(0, None, None, None, None)
    last = int(view.run.steps[-1])
    planned = view.number("total_steps")
    per_step = view.series("step_time")
    share = min(1.0, (last + 1) / planned) if planned and planned > 0 else None
    milestones: list[tuple[str, int]] = []
    gan = phases.gan
    if gan.state == "scheduled" and gan.planned_step is not None:
        milestones.append(("GAN start", gan.planned_step))
    if phases.warm_up and phases.warm_up.end_step is None and phases.warm_up.planned:
        milestones.append(("end of the warm-up", phases.warm_up.planned))
    if planned and last + 1 < planned:
        milestones.append(("end of the run", int(planned)))
    ahead = sorted((m for m in milestones if m[1] > last), key=lambda m: m[1])
    seconds = level(per_step.values) if len(per_step) else None
    return Progress(last, int(planned) if planned else None, share, ahead[0] if ahead else None, seconds)
