"""What comes next in a run: planned steps at which something begins or ends, and how long it takes to get there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaelab.facts import Facts


@dataclass(frozen=True)
class Milestone:
    """``step``: the planned step, after the last logged one. seconds: time to get there, None if the pace is unknown."""

    name: str
    step: int
    steps_ahead: int
    seconds: float | None


def milestones(facts: Facts, seconds_per_step: float | None = None) -> list[Milestone]:
    """Milestones ahead, the next one first.

    seconds_per_step: measured pace, used where the log has no time per step.
    """
    if not len(facts.run):
        return []
    view, phases, last = facts.view, facts.phases, int(facts.run.steps[-1])
    gan_start = phases.gan.planned_step if phases.gan.state == "scheduled" else None
    gan_on = phases.gan.start_step if phases.gan.state == "active" else gan_start
    planned = {
        "end of the learning-rate warm-up": phases.warm_up.planned if phases.warm_up else view.number("warmup_steps"),
        "end of the KL warm-up": view.number("kl_warmup"),
        "discriminator starts to train": _plus(gan_start, -(view.number("disc_warmup") or math.nan)),
        "GAN start": gan_start,
        "end of the GAN ramp": _plus(gan_on, view.number("disc_ramp") or math.nan),
        "end of the run": facts.progress.planned,
    }
    pace = facts.progress.seconds or seconds_per_step
    return sorted(
        (
            Milestone(name, int(step), int(step) - last, None if not pace else (int(step) - last) * pace)
            for name, step in planned.items()
            if step is not None and math.isfinite(step) and step > last + (name == "end of the run")
        ),
        key=lambda milestone: milestone.step,
    )


def duration(seconds: float) -> str:
    """``40 s``, ``34 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def _plus(step: float | None, more: float) -> float | None:
    return None if step is None else step + more
