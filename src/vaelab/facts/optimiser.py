"""Optimiser: clipping, learning rate at the moment of an event, gradient norms. Progress: percent, milestones, time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import level
from vaelab.facts.base import Fact
from vaelab.facts.phases import Phases
from vaelab.facts.view import View
from vaelab.run import FloatArray
from vaelab.words import rough


@dataclass(frozen=True)
class Optimiser:
    """clipped: share of steps with grad_norm above clip_grad (of all where the trainer logs it); coefficient: median clip factor of those steps;
    suggested: 90th percentile of the norm. lr_jumps: (step, ratio) where the learning rate rose at once after warm-up.
    lr_unreadable: printed with too few decimals to be used."""

    grad_norm: float | None
    clip: float | None
    clipped: float | None
    coefficient: float | None
    suggested: float | None
    lr_now: float | None
    lr_peak: float | None
    lr_jumps: tuple[tuple[int, float], ...]
    lr_unreadable: bool
    statements: tuple[Fact, ...]

    def lr_jump_near(self, first: int, last: int) -> tuple[int, float] | None:
        return next((j for j in self.lr_jumps if first <= j[0] <= last), None)


@dataclass(frozen=True)
class Progress:
    """planned: total steps; milestone: (name, step) that comes next; seconds: time per step."""

    step: int
    planned: int | None
    share: float | None
    milestone: tuple[str, int] | None
    seconds: float | None
    statements: tuple[Fact, ...]


def find_optimiser(view: View, phases: Phases) -> Optimiser:
    """Clip and learning-rate facts."""
    norm, lr = view.series("grad_norm"), view.series("lr")
    clip = view.number("clip_grad")
    clipped = coefficient = suggested = None
    facts: list[Fact] = []
    if len(norm):
        suggested = float(np.quantile(norm.values, 0.9))
        now = level(norm.tail(0.25, 1 if len(norm) < 4 else 3).values)
        own = level(norm.values)
        multiple = f" That is {now / own:.2g} times its own median." if own > 0 and len(norm) >= 8 else ""
        factors = _factors(view, clip)
        if factors is not None:
            over = factors < 1
            clipped = float(np.mean(over))
            share = view.series("clip_share")
            exact = len(share) > 0
            if exact:  # of every step, not only of those that are logged
                clipped = float(np.mean(share.values))
            coefficient = level(factors[over]) if over.any() else 1.0
            at = f" at clip_grad {clip:g}" if clip else ""
            text = f"grad_norm is printed before clipping: {now:.3g}{at}."
            if clipped > 0 or over.any():
                cut = factors[over]
                span = f"{cut.min():.2g} to {cut.max():.2g}" if len(cut) > 1 else f"{cut[0]:.2g}" if len(cut) else ""
                steps = "steps" if exact else "logged steps"
                every = f"every {steps[:-1]} is" if clipped == 1 else f"{clipped:.0%} of the {steps} are"
                text += f" {every[0].upper()}{every[1:]} scaled{f' (by {span})' if span else ''}"
                text += (
                    f"; a threshold near {rough(suggested)} (90th percentile) would cut outliers only."
                    if clipped > 0.5
                    else "."
                )
            if not view.trainer.clip_before_step:
                text += " In this trainer the clip comes after the step and has no effect."
        else:
            text = f"grad_norm stands at {now:.3g} (the clip threshold is not declared)."
        facts.append(Fact("clip", "optimiser", text + multiple, "known", clipped))
    jumps: list[tuple[int, float]] = []
    unreadable = False
    if len(lr) > 2:
        decimals = view.run.columns["lr"].decimals
        unreadable = view.lr_unreadable
        if unreadable:
            text = f"lr is printed with {decimals} decimals and cannot be read here ({lr.values[-1]:g}): take it from the config or TensorBoard."
            facts.append(Fact("lr", "optimiser", text, "cannot-tell"))
        else:
            end = phases.warm_up.end_step if phases.warm_up else None
            for i in range(1, len(lr)):
                a, b = lr.values[i - 1], lr.values[i]
                if a > 0 and b > 2.5 * a and (phases.warm_up is None or (end is not None and lr.steps[i - 1] >= end)):
                    jumps.append((int(lr.steps[i]), float(b / a)))
            said = f"is {lr.values[-1]:.3g}" if lr.values[-1] or not view.lr_least else f"is below {view.lr_least:.3g}"
            text = f"The learning rate {said} at step {int(lr.steps[-1]):,} (peak {lr.values.max():.3g})."
            facts.append(Fact("lr", "optimiser", text, "known", float(lr.values[-1])))
            for step, ratio in jumps:
                text = f"The learning rate jumped {ratio:.3g} times at step {step:,}."
                facts.append(Fact(f"lr_jump_{step}", "optimiser", text, "known", ratio, "x"))
    return Optimiser(
        level(norm.tail(0.25, 1).values) if len(norm) else None,
        clip,
        clipped,
        coefficient,
        suggested,
        float(lr.values[-1]) if len(lr) else None,
        float(lr.values.max()) if len(lr) else None,
        tuple(jumps),
        unreadable,
        tuple(facts),
    )


def _factors(view: View, clip: float | None) -> FloatArray | None:
    """What every logged gradient was multiplied by: logged itself, or from the norm and the declared threshold."""
    logged = view.series("clip_coefficient")
    if len(logged):
        return logged.values
    return np.minimum(1.0, clip / np.maximum(view.series("grad_norm").values, 1e-12)) if clip and clip > 0 else None


def find_progress(view: View, phases: Phases) -> Progress:
    """How far the run is and what comes next."""
    if not len(view.run):
        return Progress(0, None, None, None, None, ())
    last = int(view.run.steps[-1])
    planned = view.number("total_steps")
    per_step = view.series("step_time")
    seconds = level(per_step.values) if len(per_step) else None
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
    facts: list[Fact] = []
    if share is not None and planned:
        exact = last / planned
        text = f"Progress: step {last:,} of {planned:,.0f} ({exact:.1%})."
        facts.append(Fact("progress", "progress", text, "declared", share))
    else:
        text = f"Step {last:,}; how many steps are planned is not in the log."
        facts.append(Fact("progress", "progress", text, "cannot-tell"))
    if ahead:
        name, step = ahead[0]
        text = f"Next milestone: {name} at step {step:,}, {step - last:,} steps to go"
        if seconds and math.isfinite(seconds) and seconds > 0:
            text += f", about {_duration((step - last) * seconds)} at {seconds:.3g} s a step"
        facts.append(Fact("milestone", "progress", text + ".", "inferred", float(step), "step"))
    return Progress(last, int(planned) if planned else None, share, ahead[0] if ahead else None, seconds, tuple(facts))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
