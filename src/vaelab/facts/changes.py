"""What the reconstruction's changes go with: what stands at a jump or a drop in other columns; how smooth the curve is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaelab.analysis import level, noise
from vaelab.facts.adversary import Adversary
from vaelab.facts.errors import Shift
from vaelab.facts.optimiser import Optimiser
from vaelab.facts.phases import Phases
from vaelab.facts.tracks import LASTS, SURE_OF_SHIFT, Track, Tracks
from vaelab.facts.view import View
from vaelab.run import FloatArray

JUMP = 1.8
"""A lasting change by this factor between neighbouring levels counts as a jump (2.6 dB of MSE)."""
SLIDE = 1 / 20
"""Error after over before from which a fall that took some rows is no learning either."""
SOON = 0.05
"""Share of the run after a GAN start in which a jump is the discriminator's, where that has left its balance."""


@dataclass(frozen=True)
class Jump(Shift):
    """A sudden lasting rise of rec_loss, or a fall that is no learning.

    coincides: ``gan-start``, ``lr-jump``, ``weight-jump``, ``resume``, ``warm-up``, ``epoch-start`` or empty. remaining: level at the end, since the
    jump, over the level before. kl_ratio: level after over level before of kl_loss (None if not logged). scatter_before,
    scatter_after: row-to-row noise of log rec on up to 16 rows of each side (None with fewer than 4).
    """

    coincides: str
    remaining: float
    kl_ratio: float | None
    scatter_before: float | None
    scatter_after: float | None


@dataclass(frozen=True)
class Changes:
    """track: of rec_loss, or of total_loss where the log has no rec_loss; None where it has too few rows or values that are not
    positive, and then nothing else is known either. jump, drop: its largest lasting rise and fall, None if there is none."""

    track: Track | None = None
    jump: Jump | None = None
    drop: Jump | None = None


def find_changes(
    view: View, phases: Phases, optimiser: Optimiser, tracks: Tracks, adversary: Adversary | None = None
) -> Changes:
    metric = "rec_loss" if view.has("rec_loss") else "total_loss"
    track = tracks.get(metric)
    if track is None or len(track.series) < 4 or not (track.series.values > 0).all():
        return Changes()
    jumps = [s for s in track.shifts if _stands_out(track, s) and s.after > _negligible(view, phases, metric)]
    # learning that begins anew after a level makes some times less, never a twentieth
    drops = [
        s
        for s in (*track.falls, *(f for f in track.slides if track.now < SLIDE * f.before))
        if _stands_out(track, s) and not _learning(view, phases, track, s)
    ]
    jump = max(jumps, key=lambda s: s.ratio, default=None)
    drop = min(drops, key=lambda s: s.ratio, default=None)
    return Changes(
        track=track,
        jump=_beside(view, track, jump, coincides(view, phases, optimiser, adversary, jump)) if jump else None,
        drop=_beside(view, track, drop, "") if drop else None,
    )


def _stands_out(track: Track, shift: Shift) -> bool:
    """Large against the noise, certain, and lasting for 8 rows and 3% of the run, or to the end."""
    size = abs(math.log(shift.ratio))
    if size < max(math.log(JUMP), 3 * track.noise) or shift.certainty < SURE_OF_SHIFT:
        return False
    rows = np.searchsorted(track.series.steps, [shift.step, shift.back_step or 0])
    return shift.lasting or int(rows[1] - rows[0]) >= max(LASTS, 0.03 * len(track.series))


def _beside(view: View, track: Track, shift: Shift, coincides: str) -> Jump:
    assert track.logs is not None
    i = int(np.searchsorted(track.series.steps, shift.step))
    return Jump(
        **shift.__dict__,
        coincides=coincides,
        remaining=level(track.series.values[max(i, len(track.series) - len(track.series.late)) :]) / shift.before,
        kl_ratio=_ratio_at(view, "kl_loss", shift.step),
        scatter_before=_scatter(track.logs[max(0, i - 16) : i]),
        scatter_after=_scatter(track.logs[i : i + 16]),
    )


def coincides(view: View, phases: Phases, optimiser: Optimiser, adversary: Adversary | None, shift: Shift) -> str:
    """What else the run did at that row; empty if nothing that the log shows."""
    step, before = shift.step, shift.before_step
    slack = 3 * max(1, step - before)
    gan, warm_up = phases.gan, phases.warm_up
    started = gan.state == "active" and gan.before_step is not None and gan.start_step is not None
    # its shock takes a few rows to build up, and one of a discriminator that left its balance longer, as does a ramp of its weight
    builds_up = float(LASTS * max(1, step - before))
    if adversary is not None and adversary.unbalanced:
        ramp = view.number("disc_ramp") or 0.0
        builds_up = max(builds_up, SOON * float(view.run.steps[-1] - view.run.steps[0]) + ramp)
    if started and gan.before_step <= step <= gan.start_step + builds_up:  # type: ignore[operator]
        return "gan-start"
    if any(before - slack <= at <= step for at, _ in optimiser.lr_jumps):
        return "lr-jump"
    if any(before - slack <= at <= step for _, at, *_ in optimiser.weight_jumps):
        return "weight-jump"
    # in noise the row of a change is known to within a row or two
    if any(before - slack <= s <= step + 2 * max(1, step - before) for s in phases.resumes):
        return "resume"
    if warm_up is not None and (warm_up.end_step is None or step <= warm_up.end_step + slack):
        return "warm-up"
    epochs = view.epoch_first_rows
    # where every row or two begins an epoch, every change does
    return "epoch-start" if 1 < len(epochs) <= len(view.run) / 3 and shift.row in epochs else ""


def _learning(view: View, phases: Phases, track: Track, shift: Shift) -> bool:
    """A sudden fall that the schedule or the run itself explains: early rows, a step of the rate, a resume, the GAN, the end of a spike."""
    series, logs = track.series, track.logs
    assert logs is not None
    i = int(np.searchsorted(series.steps, shift.step))
    if len(series) < 24 or i < max(8, len(series) // 6) + 6 or len(series) - i < 6:
        return True
    # back at a level it had before: the end of a spike, not other data
    early = max(8, len(series) // 6)
    if math.log(shift.after) > float(logs[early : i - 1].min()) - 0.3 * abs(math.log(shift.ratio)):
        return True
    step, before_step, gan = shift.step, shift.before_step, phases.gan
    slack = 3 * max(1, step - before_step)
    rates = view.series("lr").between(before_step - slack, step + slack).values
    if len(rates) > 1 and rates.max() > 1.8 * max(float(rates.min()), 1e-300):
        return True
    shock = phases.shock(track.metric)
    back = shock.recovered_step if shock is not None else None
    if shock is not None and shock.seen and shock.worst_step <= step and (back is None or step <= back + slack):
        return True
    warm_up = phases.warm_up
    return (
        (gan.state == "active" and gan.start_step is not None and abs(step - gan.start_step) <= slack)
        or (warm_up is not None and (warm_up.end_step is None or step <= warm_up.end_step + slack))
        or any(abs(step - r) <= slack for r in phases.resumes)
    )


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


def _scatter(logs: FloatArray) -> float | None:
    return noise(logs) if len(logs) >= 4 else None


def _ratio_at(view: View, metric: str, step: int) -> float | None:
    series = view.series(metric)
    i = int(np.searchsorted(series.steps, step))
    before, after = series.values[max(0, i - 8) : i], series.values[i : i + 8]
    if len(before) < 2 or len(after) < 2 or level(before) <= 0:
        return None
    return level(after) / level(before)
