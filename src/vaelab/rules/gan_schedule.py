"""ADV: does the GAN start as planned, and what does its start do."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule

ENOUGH = 15
"""Active rows below which no verdict on the discriminator is given: ten noisy points decide nothing."""


FEW, FAR = 4, 4.0
"""Rows after the GAN start that say enough where rec_loss stands this many times above its level before, and does not fall."""


def active(facts: Facts, metric: str) -> Series:
    """Series of ``metric`` while the GAN is on."""
    row = facts.phases.gan.start_row or 0
    series = facts.view.series(metric)
    return series.between(int(facts.run.steps[row]), int(facts.run.steps[-1]))


class GanNeverStarts(Rule):
    """The GAN never starts in this plan.

    What it checks: the declared disc_start against the planned steps, adversarial columns that stay off, and a
    disc_loss that is still missing after disc_start.
    Why it matters: Pyramid-Flow's shipped script starts the GAN at step 250,000 of 200,000. No loss value shows it.
    Evidence it needs: disc_start and the planned steps, declared.
    What to do: set disc_start inside the plan and pass the flag that builds the discriminator, or accept a plain VAE.
    References: Pyramid-Flow's script; Turbo-VAED#7 (9,999,999 on purpose); cause D1.
    """

    code = "ADV301"
    finds = ("generator_adversarial", "missing")
    needs = ("config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan = facts.phases.gan
        if gan.state != "never" or gan.planned_step is None:
            flag = facts.run.config.get("add_discriminator")
            declared = facts.view.number("disc_start")
            reached = declared is not None and len(facts.run) and facts.run.steps[-1] > declared
            missing = not any(facts.view.has(m) for m in ("disc_loss", "logits_real", "non_saturated_d_loss"))
            passed = int(np.sum(facts.run.steps > declared)) if declared is not None else 0
            if flag is False and gan.state in ("absent", "off", "scheduled") and reached:
                yield self.finding(
                    f"disc_start {declared:,.0f} has passed, but the discriminator was never built (add_discriminator is"
                    " False): this trains a plain VAE, or stops with an error at the first GAN step.",
                    costs=True,
                    evidence=(Evidence("disc_start", declared or 0.0),),
                )
            elif reached and missing and passed >= ENOUGH and gan.state in ("absent", "off", "scheduled"):
                shows = any(facts.view.has(m) for m in ("disc_factor", "g_loss", "d_weight"))
                yield self.finding(
                    f"disc_start {declared:,.0f} passed {passed} rows ago and there is no disc_loss: the discriminator was not"
                    f" built{'' if shows else ', or is not logged'}.",
                    costs=shows,
                    metrics=("disc_loss",),
                    evidence=(Evidence("disc_start", declared or 0.0), Evidence("rows since", float(passed))),
                )
            return
        yield self.finding(
            f"The GAN never starts: {gan.reason}. disc_loss, g_loss and d_weight stay off to the end; what trains is a"
            " plain VAE with a perceptual loss.",
            costs=True,
            metrics=("disc_loss", "g_loss", "d_weight"),
            evidence=(Evidence("disc_start", float(gan.planned_step)),),
        )


class GanStartsLate(Rule):
    """disc_start has passed and the GAN is still off, or it came on much later.

    What it checks: the declared disc_start against the first row with disc_factor above 0 (or, without it, with adversarial
    columns): 3 rows and 5% later, or not yet.
    Why it matters: a counter that counts something else (batches against optimizer steps, a stage of its own) moves the
    plan without a word; the run trains a plain VAE in the steps that were planned for the GAN.
    Evidence it needs: disc_start, declared, and ``disc_factor``.
    What to do: print the counter that is compared with disc_start beside the logged step.
    References: gradient accumulation counts micro-steps or updates; taming-transformers#129, VidTok's main.py; causes G1, D1.
    """

    code = "ADV318"
    finds = ("generator_adversarial", "late")
    needs = ("disc_factor", "config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan, steps = facts.phases.gan, facts.run.steps
        planned = facts.view.number("disc_start")
        if planned is None or planned <= 0 or facts.view.trainer.disc_warms_up or steps[0] >= planned:
            return
        factor = facts.view.series("disc_factor")
        off = factor.steps[(factor.steps >= planned) & (factor.values <= 0)]
        if gan.state == "active" and gan.start_step is not None:
            off = off[off < gan.start_step]
        if len(off) < 3 or off[-1] < 1.05 * planned:
            return
        if gan.state != "active" and not facts.view.has("disc_loss") and not facts.view.has("logits_fake"):
            return  # no discriminator was built: gan-never-starts
        on = (
            f"came on at step {gan.start_step:,}"
            if gan.state == "active"
            else f"is still off at step {int(steps[-1]):,}"
        )
        yield self.finding(
            f"disc_start is {planned:,.0f}, but the GAN {on}: disc_factor was 0 in {len(off)} rows after it. The counter that is"
            " compared with disc_start is not the logged step.",
            metrics=("disc_factor", "disc_loss"),
            steps=(int(off[0]), int(off[-1])),
            evidence=(Evidence("declared", planned), Evidence("rows off after it", float(len(off)))),
        )


class GanStartShock(Rule):
    """The GAN start has shaken the reconstruction.

    What it checks: the rise of ``rec_loss`` and ``perceptual_loss`` at the GAN start against their level before, and
    whether they have come back. Watched where they have not, or where a rise of 3 times took most of the rows since then to undo.
    Why it matters: a jump of 2 to 6 times that decays within some thousand steps is what every recipe shows. The level
    to come back to is the one before the GAN, nothing else.
    Evidence it needs: ``rec_loss`` on both sides of the GAN start.
    What to do: wait while it falls; compare held-out LPIPS and PSNR with the checkpoint before the start.
    References: unleashing-transformers#17, TokenFlow#22; cause D5.
    """

    code = "ADV306"
    finds = ("reconstruction", "jumped")
    needs = ("gan-start-seen", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        shock = facts.phases.shock("rec_loss")
        if shock is None or not shock.seen or (shock.rows_after < 3 and len(facts.run) >= 12):
            return
        if (
            shock.recovered_step is None
            and shock.rows_after >= ENOUGH
            and shock.remaining > max(1.5, shock.level_margin)
        ):
            return  # lasting damage is ADV307's
        back = (
            f"back at its old level since step {shock.recovered_step:,}"
            if shock.recovered_step is not None
            else f"now {shock.remaining:.2g} times the level before"
        )
        start, end = facts.phases.gan.start_step or 0, int(facts.run.steps[-1])
        slow = (
            shock.ratio >= 3 and shock.recovered_step is not None and shock.recovered_step - start > (end - start) / 2
        )
        slow = slow and shock.rows_after >= ENOUGH and shock.remaining > 0.9
        yield self.finding(
            f"At the GAN start rec_loss rose {shock.ratio:.1f} times ({shock.before:.4g} to {shock.worst:.4g} by step"
            f" {shock.worst_step:,}), {back}. {'That took most of the steps since: nothing was gained by them' if slow else 'Expected'}; the level to come back to is {shock.before:.4g}.",
            size=shock.ratio,
            costs=shock.recovered_step is None or slow,
            metrics=("rec_loss",),
            steps=(facts.phases.gan.start_step, shock.recovered_step or int(facts.run.steps[-1])),
            evidence=(Evidence("before", shock.before), Evidence("worst", shock.worst), Evidence("now", shock.after)),
            phase="gan-start",
        )


class LastingDamageAfterGanStart(Rule):
    """The reconstruction has not come back after the GAN start.

    What it checks: the late level of ``rec_loss`` against the level before the GAN (and ``perceptual_loss`` beside it),
    with enough rows after the start (15, or 4 that all stand at 4 times it) and no fast recovery under way.
    Why it matters: rec worse *and* perceptual worse long after the start means the GAN hurts. Rec slightly worse with
    perceptual clearly better is the accepted trade.
    Evidence it needs: ``rec_loss`` on both sides of the GAN start, 8 rows after it.
    What to do: roll back to the checkpoint before the start; disc_weight times 0.1 to 0.5, later start, discriminator
    warm-up.
    References: latent-diffusion#350 (0.15 to 0.4), TATS#28; users' analyses of real runs; causes D6, D17.
    """

    code = "ADV307"
    finds = ("reconstruction", "worse")
    needs = ("gan-start-seen", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        shock, other = facts.phases.shock("rec_loss"), facts.phases.shock("perceptual_loss")
        if shock is None or shock.recovered_step is not None or shock.remaining <= max(1.3, shock.level_margin):
            return
        rec = active(facts, "rec_loss")
        post, recent = rec.later, rec.values[-FEW:]
        falling = len(post) >= 8 and trend(post.values).direction == "falling" and shock.remaining < 2
        # at many times the level before, and not coming back, a few rows say it
        far = len(recent) == FEW and recent.min() > FAR * shock.before and recent[-1] > 0.8 * recent.max()
        enough = shock.rows_after >= ENOUGH or far
        better = other is not None and other.remaining < 0.9
        both = other is not None and other.remaining > 1.1
        per = ""
        if other is not None:
            per = f" perceptual_loss stands at {other.remaining:.2g} times its level before"
            per += ": both are worse, so the GAN has not paid yet." if both else "."
        yield self.finding(
            f"rec_loss stands at {shock.remaining:.2g} times its level before the GAN ({shock.before:.4g} to"
            f" {shock.after:.4g}) at step {int(facts.run.steps[-1]):,}{' and still falls' if falling else ''}.{per}"
            + ("" if enough else f" Only {shock.rows_after} rows after the start: too few to call it lasting."),
            size=shock.remaining,
            sure=enough and not falling and not better,
            metrics=("rec_loss", "perceptual_loss"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(
                Evidence("before", shock.before),
                Evidence("now", shock.after),
                Evidence("now / before", shock.remaining, "x"),
            ),
            phase="gan",
        )


class DiscStartInOtherUnit(Rule):
    """disc_start is counted in another unit than the logged step.

    What it checks: the observed GAN start against the declared disc_start: a whole factor apart.
    Why it matters: Lightning's global_step counts every optimizer, so a GAN planned for 50,001 starts at batch 25,000.
    Evidence it needs: disc_start, declared, and the observed start.
    What to do: double disc_start, or read the plan in optimizer steps.
    References: Lightning global_step; TokenFlow#22, taming-transformers#129; cause G1.
    """

    code = "ADV315"
    finds = ("disc_start", "contradicts")
    needs = ("gan-start-seen", "config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan = facts.phases.gan
        if gan.unit_ratio is None or gan.planned_step is None:
            return
        yield self.finding(
            f"disc_start is {gan.planned_step:,}, but the GAN starts at logged step {gan.start_step:,}: the counter that is"
            f" compared runs {gan.unit_ratio} times faster (it counts every optimizer's step).",
            metrics=("disc_loss",),
            steps=(gan.before_step, gan.start_step),
            evidence=(Evidence("declared", float(gan.planned_step)), Evidence("observed", float(gan.start_step or 0))),
        )
