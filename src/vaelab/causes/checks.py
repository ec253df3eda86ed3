"""The tests of the catalogue that a log can answer by itself. Each gives None where this log cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vaelab.analysis import level
from vaelab.causes.needs import half_precision_declared
from vaelab.causes.types import CheckResult
from vaelab.words import rough

if TYPE_CHECKING:
    from vaelab.facts import Facts

STILL = 0.03
"""Change of a loss from its first row on up to which it has not moved."""
FAR = 3.0
"""Factor from which two numbers of a test are apart beyond doubt."""


def _weight(facts: Facts, key: str) -> float | None:
    """A loss weight as the columns give it, else as it is declared."""
    solved = facts.algebra.value(key)
    return solved if solved is not None else facts.view.number(key)


def start_beyond_plan(facts: Facts) -> CheckResult | None:
    """disc_start against the planned steps."""
    gan, plan = facts.phases.gan, facts.progress.planned
    if gan.planned_step is None or not plan:
        return None
    text = f"disc_start is {gan.planned_step:,}, the plan has {plan:,} steps"
    if gan.planned_step < plan:
        return CheckResult(False, f"{text}: it lies within the run.")
    return CheckResult(True, f"{text}: it is never reached.")


def start_in_another_unit(facts: Facts) -> CheckResult | None:
    """The first step of the GAN against disc_start."""
    gan = facts.phases.gan
    if gan.start_step is None or not gan.planned_step or gan.before_step is None:
        return None
    early, late = gan.planned_step / max(1, gan.start_step), gan.before_step / gan.planned_step
    text = f"The GAN acts from step {gan.start_step:,} on; disc_start is {gan.planned_step:,}"
    if max(early, late) > 1.2:
        return CheckResult(True, f"{text}: {rough(max(early, late))} times {'earlier' if early > late else 'later'}.")
    return CheckResult(False, f"{text}, as planned.")


def perceptual_weight_heavy(facts: Facts) -> CheckResult | None:
    """The perceptual weight against published ones (0.1 to 1)."""
    weight = _weight(facts, "perceptual_weight")
    if weight is None:
        return None
    return CheckResult(weight > 2 * FAR, f"The perceptual weight is {weight:.3g}; recipes use 0.1 to 1.")


def perceptual_weight_zero(facts: Facts) -> CheckResult | None:
    """Whether the perceptual weight is 0."""
    weight = _weight(facts, "perceptual_weight")
    return None if weight is None else CheckResult(weight < 1e-4, f"The perceptual weight is {weight:.3g}.")


def beta_too_big(facts: Facts) -> CheckResult | None:
    """The effective beta against 1e-6, in sum/sum units."""
    beta, solved = facts.scales.effective_beta, facts.algebra.solved.get("kl_weight")
    if beta is None:
        return None
    text = f"One nat of KL weighs {rough(beta)} against the summed pixel loss (effective beta); published recipes use about 1e-6."
    if beta > 30e-6:
        return CheckResult(True, text)
    return CheckResult(False, text) if beta < FAR * 1e-6 and solved is not None and solved.status == "closes" else None


def gan_weight_big(facts: Facts) -> CheckResult | None:
    """disc_weight against 1, or a fixed weight's share of the loss."""
    weight, gan = facts.algebra.solved.get("disc_weight"), facts.adversary
    if gan is not None and facts.view.trainer.fixed_d_weight:
        if gan.gan_to_nll is None:
            return None
        share = f"The GAN's term, at a constant weight, is {rough(gan.gan_to_nll)} times nll by value."
        return CheckResult(gan.gan_to_nll > FAR, share)
    if weight is None or weight.value is None:
        return None
    return CheckResult(weight.value > 2, f"disc_weight is {weight.value:.3g}; recipes use 0.05 to 1.")


def weight_at_clamp(facts: Facts) -> CheckResult | None:
    """d_weight / disc_weight against the clamp."""
    gan, clamp = facts.adversary, facts.view.trainer.clamp
    if gan is None or facts.view.trainer.fixed_d_weight:
        return None if gan is None else CheckResult(False, "The GAN's weight is constant: it cannot run away.")
    if gan.at_clamp and gan.at_clamp >= 0.3:
        return CheckResult(True, f"The adaptive weight stands at its clamp in {gan.at_clamp:.0%} of the GAN's rows.")
    if gan.raw_ratio is None:
        return None
    text = f"d_weight / disc_weight is {gan.raw_ratio:,.3g}, its clamp is {clamp:,.0f}"
    rising = gan.d_weight_trend is not None and gan.d_weight_trend.direction == "rising"
    return None if rising or gan.raw_ratio > clamp / 10 else CheckResult(False, f"{text}: far from it.")


def shock_passed(facts: Facts) -> CheckResult | None:
    """The reconstruction after the GAN start against its level before."""
    shock = facts.phases.shock("rec_loss")
    if shock is None or not shock.seen or shock.rows_after < 8:
        return None
    text = f"rec_loss stands at {rough(shock.remaining)} times its level before the GAN"
    if shock.recovered_step is not None:
        return CheckResult(True, f"{text}: it was back at step {shock.recovered_step:,}.")
    return CheckResult(False, f"{text} and has not come back.")


def shock_lasts(facts: Facts) -> CheckResult | None:
    """The reverse of ``shock_passed``."""
    passed = shock_passed(facts)
    return None if passed is None else CheckResult(not passed.holds, passed.text)


def jumps_with_an_epoch(facts: Facts) -> CheckResult | None:
    """The row of a lasting jump of the reconstruction against the first rows of epochs."""
    jump = facts.changes.jump
    if jump is None or jump.coincides != "epoch-start":
        return None
    return CheckResult(True, f"The jump at step {jump.step:,} falls on the first row of an epoch.")


def held_out_parts(facts: Facts) -> CheckResult | None:
    """Training and held-out reconstruction (total, where there is none) against their own best levels."""
    pairs = {}
    judged = "reconstruction" if facts.view.of("reconstruction") else "total"
    for track in facts.tracks.values():
        if track.role.name == judged and track.worse is not None and track.rows >= 3:
            pairs[track.role.split] = track
    train, held = pairs.get("train"), pairs.get("val")
    if train is None or held is None or train.worse is None or held.worse is None:
        return None
    text = f"{held.metric} stands at {rough(held.worse)} times its best level, {train.metric} at {rough(train.worse)} times."
    if train.worse < 1.05 and train.improved and held.improved and train.improved > 2 * held.improved:
        fell = f"{train.metric} fell to 1/{rough(train.improved)} of its first level, {held.metric} to 1/{rough(held.improved)}."
        return CheckResult(True, fell if held.worse <= 1.1 else text)
    return CheckResult(held.worse > 1.1 and train.worse < 1.05, text)


def rate_jumped(facts: Facts) -> CheckResult | None:
    """Sudden rises of the logged learning rate after its warm-up."""
    jumps = facts.optimiser.lr_jumps
    return CheckResult(True, f"lr rose {jumps[0][1]:.3g} times at step {jumps[0][0]:,}.") if jumps else None


def rate_jumped_or_diverged(facts: Facts) -> CheckResult | None:
    """Sudden rises of the logged learning rate; before a loss that is not finite, a rise of its terms or a run that has just begun."""
    if (jumped := rate_jumped(facts)) is not None:
        return jumped
    broke = facts.breakdown
    if broke is None:
        return None
    return CheckResult(broke.kind in ("rise", "early"), broke.text)


def calm_until_not_finite(facts: Facts) -> CheckResult | None:
    """The rows before a loss that is not finite."""
    broke = facts.breakdown
    return None if broke is None else CheckResult(broke.kind in ("calm", "start"), broke.text)


def starts_at_peak_rate(facts: Facts) -> CheckResult | None:
    """The learning rate of the first lines against its peak."""
    lr = facts.view.series("lr")
    if facts.view.lr_unreadable or len(lr) < 8 or not lr.values.max() > 0:
        return None
    share = float(lr.values[0] / lr.values.max())
    return CheckResult(share > 0.9, f"lr begins at {share:.0%} of its peak.")


def never_moved(facts: Facts) -> CheckResult | None:
    """The first row of a loss against its level now: a network that learns at all finds the mean of its data in the first rows."""
    tracks = [facts.tracks[m] for m in facts.view.of("reconstruction", "total")]
    moved = [abs(math.log(float(t.series.values[0]) / t.now)) for t in tracks if min(t.series.values[0], t.now) > 0]
    noisy = max((t.noise for t in tracks), default=math.nan)
    latent = [facts.tracks[m] for m in facts.view.of("kl")[:1]]
    trained = any(t.now > FAR * t.first > 0 for t in latent)  # then something is, whatever the losses show
    if not moved or not noisy < 0.03 or trained:
        return None
    text = f"From the first row to now the losses changed by {max(moved):.1%}."
    if max(moved) <= STILL + noisy:
        return CheckResult(True, text)
    return CheckResult(False, text) if max(moved) > STILL + 4 * noisy else None


def rate_has_decayed(facts: Facts) -> CheckResult | None:
    """The learning rate now against its peak."""
    share = facts.phases.lr_now_share
    return None if share is None else CheckResult(share < 0.1, f"lr stands at {share:.1%} of its peak.")


def half_precision(facts: Facts) -> CheckResult | None:
    """Whether settings or a loss scale that moves say that half precision is used."""
    declared = half_precision_declared(facts)
    # a scaler that never moves may be switched off
    if declared or len(np.unique(facts.view.series("loss_scale").values)) > 1:
        return CheckResult(True, "Settings or a loss scale say that half precision is used.")
    return None if declared is None else CheckResult(False, "Half precision is off in the settings.")


def kl_rose_before(facts: Facts) -> CheckResult | None:
    """The last finite KL against its median."""
    kl = facts.view.series("kl_loss")
    if len(kl) < 8 or not (usual := level(np.abs(kl.values))) > 0:
        return None
    ratio = float(np.abs(kl.values[-3:]).max() / usual)
    return CheckResult(ratio > 10, f"The last finite KL is {ratio:.3g} times its median.")


def weights_differ_after_resume(facts: Facts) -> CheckResult | None:
    """nll_loss (or the total before the GAN) over rec_loss, and lr, before and after the first resume."""
    steps = facts.phases.resumes
    if not steps:
        return None
    for above, below in (("nll_loss", "rec_loss"), ("total_loss", "rec_loss"), ("lr", "")):
        column, base = facts.view.series(above), facts.view.series(below) if below else None
        values = column.values / base.values if base is not None and len(base) == len(column) else column.values
        before, after = values[column.steps < steps[0]][-5:], values[column.steps >= steps[0]][:5]
        if len(before) < 3 or len(after) < 3 or (below and (base is None or len(base) != len(column))):
            continue
        if not min(np.abs(before).min(), np.abs(after).min()) > 0:
            continue
        ratio = level(after) / level(before)
        if max(ratio, 1 / ratio) > FAR / 2 if ratio > 0 else False:
            name = f"{above} / {below}" if below else above
            return CheckResult(True, f"{name} went {ratio:.3g} times at the resume of step {steps[0]:,}.")
    return None
