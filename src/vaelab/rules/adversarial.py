"""ADV: is the GAN on, what did its start do, does the discriminator know anything, does its term run away."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, level, trend
from vaelab.facts import Evidence, Facts
from vaelab.facts.statements.adversary import why_negative
from vaelab.rules.base import Finding, Rule

ENOUGH = 15
"""Active rows below which no verdict on the discriminator is given: ten noisy points decide nothing."""


def active(facts: Facts, metric: str) -> Series:
    """Series of ``metric`` while the GAN is on."""
    row = facts.phases.gan.start_row or 0
    series = facts.view.series(metric)
    return series.between(int(facts.run.steps[row]), int(facts.run.steps[-1]))


class NeverStarts(Rule):
    """The GAN never starts in this plan.

    What it checks: the declared disc_start against the planned steps, adversarial columns that stay off, and a
    disc_loss that is still missing after disc_start.

    Why it matters: Pyramid-Flow's shipped script starts the GAN at step 250,000 of 200,000. No loss value shows it.

    Evidence it needs: disc_start and the planned steps, declared.

    What to do: set disc_start inside the plan and pass the flag that builds the discriminator, or accept a plain VAE.

    References: Pyramid-Flow's script; Turbo-VAED#7 (9,999,999 on purpose); cause D1.
    """

    code = "ADV301"
    name = "gan-never-starts"
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
                    "warn",
                    f"disc_start {declared:,.0f} has passed, but the discriminator was never built (add_discriminator is"
                    " False): this trains a plain VAE, or stops with an error at the first GAN step.",
                    evidence=(Evidence("disc_start", declared or 0.0),),
                )
            elif reached and missing and passed >= ENOUGH and gan.state in ("absent", "off", "scheduled"):
                shows = any(facts.view.has(m) for m in ("disc_factor", "g_loss", "d_weight"))
                yield self.finding(
                    "warn" if shows else "info",
                    f"disc_start {declared:,.0f} passed {passed} rows ago and there is no disc_loss: the discriminator was not"
                    f" built{'' if shows else ', or is not logged'}.",
                    metrics=("disc_loss",),
                    evidence=(Evidence("disc_start", declared or 0.0), Evidence("rows since", float(passed))),
                )
            return
        yield self.finding(
            "warn",
            f"The GAN never starts: {gan.reason}. disc_loss, g_loss and d_weight stay off to the end; what trains is a"
            " plain VAE with a perceptual loss.",
            metrics=("disc_loss", "g_loss", "d_weight"),
            evidence=(Evidence("disc_start", float(gan.planned_step)),),
        )


class NotYet(Rule):
    """The GAN has not started yet.

    What it checks: the log ends before the declared disc_start.

    Why it matters: disc_loss 0.0 then means "off", not "the discriminator has won"; d_weight, g_loss and logits printed
    before the start are those of an untrained discriminator and mean nothing.

    Evidence it needs: disc_start, declared.

    What to do: carry on; keep a checkpoint of the last step before the start to compare with.

    References: RadioDiff, latent-diffusion (disc_factor 0).
    """

    code = "ADV302"
    name = "gan-not-yet"
    needs = ("config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan = facts.phases.gan
        if gan.state != "scheduled" or gan.planned_step is None:
            return
        last = int(facts.run.steps[-1])
        yield self.finding(
            "info",
            f"The GAN starts at step {gan.planned_step:,}, {gan.planned_step - last:,} steps from here; adversarial columns"
            " mean nothing until then.",
            metrics=("disc_loss", "g_loss", "d_weight", "logits_real", "logits_fake"),
            evidence=(Evidence("disc_start", float(gan.planned_step)), Evidence("last step", float(last))),
        )


class PhaseInShock(Rule):
    """The GAN start has shaken the reconstruction.

    What it checks: the rise of ``rec_loss`` and ``perceptual_loss`` at the GAN start against their level before, and
    whether they have come back.

    Why it matters: a jump of 2 to 6 times that decays within some thousand steps is what every recipe shows. The level
    to come back to is the one before the GAN, nothing else.

    Evidence it needs: ``rec_loss`` on both sides of the GAN start.

    What to do: wait while it falls; compare held-out LPIPS and PSNR with the checkpoint before the start.

    References: unleashing-transformers#17, TokenFlow#22; cause D5.
    """

    code = "ADV306"
    name = "gan-start-shock"
    needs = ("gan-start-seen", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        shock = facts.phases.shock("rec_loss")
        if shock is None or not shock.seen or (shock.rows_after < 3 and len(facts.run) >= 12):
            return
        if shock.recovered_step is None and shock.rows_after >= ENOUGH and shock.remaining > max(1.5, shock.margin):
            return  # lasting damage is ADV307's
        back = (
            f"back at its old level since step {shock.recovered_step:,}"
            if shock.recovered_step is not None
            else f"now {shock.remaining:.2g} times the level before"
        )
        yield self.finding(
            "info" if shock.recovered_step is not None else "warn",
            f"At the GAN start rec_loss rose {shock.ratio:.1f} times ({shock.before:.4g} to {shock.worst:.4g} by step"
            f" {shock.worst_step:,}), {back}. Expected; the level to come back to is {shock.before:.4g}.",
            metrics=("rec_loss",),
            steps=(facts.phases.gan.start_step, shock.recovered_step or int(facts.run.steps[-1])),
            evidence=(Evidence("before", shock.before), Evidence("worst", shock.worst), Evidence("now", shock.after)),
            phase="gan-start",
        )


class LastingDamage(Rule):
    """The reconstruction has not come back after the GAN start.

    What it checks: the late level of ``rec_loss`` against the level before the GAN (and ``perceptual_loss`` beside it),
    with enough rows after the start and no fast recovery under way.

    Why it matters: rec worse *and* perceptual worse long after the start means the GAN hurts. Rec slightly worse with
    perceptual clearly better is the accepted trade.

    Evidence it needs: ``rec_loss`` on both sides of the GAN start, 8 rows after it.

    What to do: roll back to the checkpoint before the start; disc_weight times 0.1 to 0.5, later start, discriminator
    warm-up.

    References: latent-diffusion#350 (0.15 to 0.4), TATS#28; users' analyses of real runs; causes D6, D17.
    """

    code = "ADV307"
    name = "lasting-damage-after-gan-start"
    needs = ("gan-start-seen", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        shock, other = facts.phases.shock("rec_loss"), facts.phases.shock("perceptual_loss")
        if shock is None or shock.recovered_step is not None or shock.remaining <= max(1.3, shock.margin):
            return
        enough = shock.rows_after >= ENOUGH
        post = active(facts, "rec_loss").tail(0.6, 8)
        falling = len(post) >= 8 and trend(post.values).direction == "falling" and shock.remaining < 2
        better = other is not None and other.remaining < 0.9
        both = other is not None and other.remaining > 1.1
        per = ""
        if other is not None:
            per = f" perceptual_loss stands at {other.remaining:.2g} times its level before"
            per += ": both are worse, so the GAN has not paid yet." if both else "."
        severity = "critical" if enough and shock.remaining >= 1.8 and not falling and not better else "warn"
        yield self.finding(
            severity,  # type: ignore[arg-type]
            f"rec_loss stands at {shock.remaining:.2g} times its level before the GAN ({shock.before:.4g} to"
            f" {shock.after:.4g}) at step {int(facts.run.steps[-1]):,}{' and still falls' if falling else ''}.{per}"
            + ("" if enough else f" Only {shock.rows_after} rows after the start: too few to call it lasting."),
            metrics=("rec_loss", "perceptual_loss"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(
                Evidence("before", shock.before),
                Evidence("now", shock.after),
                Evidence("now / before", shock.remaining, "x"),
            ),
            phase="gan",
        )


class GanTermDominates(Rule):
    """The GAN term is far larger than the reconstruction term.

    What it checks: ``|d_weight * g_loss|`` against nll by value, late in the GAN phase.

    Why it matters: the adaptive weight balances gradients, so its value may be large while nothing is wrong; beyond three
    times nll with a damaged reconstruction the adversary has taken over.

    Evidence it needs: ``d_weight``, ``g_loss`` and nll (or rec with its solved weight).

    What to do: lower disc_weight, or use a constant GAN weight.

    References: latent-diffusion#383 (total -1e6), taming-transformers#73, #93; cause D7.
    """

    code = "ADV308"
    name = "gan-term-dominates"
    needs = ("gan-active", "d_weight", "g_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.gan_to_nll is None or a.rows < 8 or a.gan_to_nll < 3:
            return
        shock = facts.phases.shock("rec_loss")
        drift = facts.changes.drift
        hurt = shock is not None and shock.seen and shock.remaining > 1.5
        hurt = hurt or (drift is not None and drift.ratio > 1.3 and drift.onset >= (facts.phases.gan.start_step or 0))
        # at the clamp the weight no longer balances anything: less damage is enough
        hurt = hurt or ((a.at_clamp or 0) >= 0.4 and shock is not None and shock.remaining > 1.2)
        row = facts.view.series("d_weight").rows[-1]
        yield self.finding(
            "critical" if hurt else "warn",
            f"The GAN term |d_weight x g_loss| is {a.gan_to_nll:.3g} times nll by value"
            f"{' and the reconstruction has suffered' if hurt else ''}; d_weight stands at {a.d_weight:,.4g}.",
            metrics=("d_weight", "g_loss", "total_loss"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("d_weight", int(row)), Evidence("GAN term / nll", a.gan_to_nll, "x")),
            phase="gan",
        )


class WeightOutOfFamily(Rule):
    """The GAN weight is far above what recipes use.

    What it checks: disc_weight, declared or read off the clamp of d_weight, against the published 0.05 to 1; critical at 5
    or more where the reconstruction doubled at the GAN start (that it comes back while the learning rate decays is no
    acquittal: the rate has become too small to do damage).

    Why it matters: the scaled GAN gradient at the last layer is disc_weight times the nll gradient, always. Above 2 the
    adversary leads and the reconstruction follows.

    Evidence it needs: disc_weight, declared, or ``d_weight`` at its clamp.

    What to do: set disc_weight to 0.5 or less.

    References: causes D6, D7.
    """

    code = "ADV309"
    name = "disc-weight-out-of-family"
    needs = ("d_weight|disc_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        solved = facts.algebra.solved.get("disc_weight")
        if solved is None or solved.value is None or solved.value <= 2 or facts.view.trainer.fixed_d_weight:
            return  # a fixed weight does not compare with an adaptive one
        on = facts.phases.gan.state == "active"
        shock = facts.phases.shock("rec_loss")
        shaken = shock is not None and shock.seen and shock.ratio >= 2 and shock.rows_after >= 3
        yield self.finding(
            "critical" if shaken and solved.value >= 5 else "warn",
            f"disc_weight is {solved.value:g} ({solved.how}): the scaled GAN gradient is {solved.value:g} times the nll"
            f" gradient at the last layer; published recipes use 0.05 to 1.{'' if on else ' The GAN is not on yet.'}"
            + (f" rec_loss rose {shock.ratio:.2g} times at its start." if shaken and shock is not None else ""),
            metrics=("d_weight",),
            evidence=(Evidence("disc_weight", solved.value),),
        )


class AtClamp(Rule):
    """d_weight stands at its clamp.

    What it checks: the share of GAN rows in which d_weight stands at its clamp, disc_weight x 10,000 (or ``d_weight_clamped``).

    Why it matters: at the clamp the raw GAN gradient is nearly zero: a weak or dead discriminator, not a strong one. In
    trainers that sum the nll over pixels the clamp binds far earlier than in those that average.

    Evidence it needs: ``d_weight`` and disc_weight.

    What to do: judge it with the logit gap; with a gap it is noise of a single batch, without one the discriminator is
    dead.

    References: taming-transformers#93, WF-VAE#7; cause D7.
    """

    code = "ADV310"
    name = "d-weight-at-clamp"
    needs = ("gan-active", "d_weight")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.at_clamp is None or a.at_clamp < 0.3 or a.rows < 8:
            return
        yield self.finding(
            "info",
            f"d_weight stands at its clamp in {a.at_clamp:.0%} of the GAN rows: the raw GAN gradient is nearly zero there."
            " That measures a weak discriminator, not a strong one.",
            metrics=("d_weight",),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(Evidence("rows at the clamp", a.at_clamp),),
            phase="gan",
        )


class LogitDrift(Rule):
    """Both logits drift away from zero together.

    What it checks: mean of the two logits beyond 1 with a gap smaller than 0.8 of it in most of the last half of the GAN
    rows, or in nearly all of the last quarter, and disc_loss above chance. Or: both beyond 0.5 on one side in the last five
    rows, with disc_loss rising and above 1.1 times chance in the last three, 1.25 in the last.

    Why it matters: with hinge both at +3 gives disc_loss 2 at no skill; g_loss and the total drift with them and mean
    nothing.

    Evidence it needs: ``logits_real``, ``logits_fake``, ``disc_loss``, 15 rows with the GAN on.

    What to do: LeCam, a zero-centred penalty, or weight decay on the discriminator.

    References: latent-diffusion#187 ("always becomes 2.0"), taming-transformers#137; cause D8.
    """

    code = "ADV311"
    name = "logit-drift"
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.rows < ENOUGH or not a.chance_known or a.chance is None or a.disc_loss is None:
            return
        now = _drifts_now(facts, a.chance)
        for late, most in ((0.5, 0.6), (0.25, 0.75)):
            real, fake = active(facts, "logits_real").tail(late, 8), active(facts, "logits_fake").tail(late, 8)
            if len(real) != len(fake):
                return
            middle = np.abs(real.values + fake.values) / 2
            share = float(np.mean((middle > 1) & (np.abs(real.values - fake.values) < 0.8 * middle)))
            if share >= most:
                break
        else:
            if not now:
                return
        late_loss = max(a.disc_loss, level(active(facts, "disc_loss").tail(0, 3).values))
        if late_loss < 1.15 * a.chance:
            return
        yield self.finding(
            "critical" if now or a.disc_loss > 1.4 * a.chance else "warn",
            f"Both logits have drifted together (mean |logit| {level(middle):.2f}, gap {a.gap or 0:.2f}) in {share:.0%} of"
            f" the late GAN rows; disc_loss {late_loss:.3g} is above chance {a.chance:.3g} with no skill behind it.",
            metrics=("logits_real", "logits_fake", "disc_loss", "g_loss"),
            steps=(int(real.steps[0]), int(real.steps[-1])),
            evidence=(Evidence("mean |logit|", level(middle)), Evidence("disc_loss", late_loss)),
            phase="gan",
        )


def _drifts_now(facts: Facts, chance: float) -> bool:
    """Both logits beyond 0.5 on one side in the last five rows, and a rising disc_loss above chance."""
    disc, real, fake = (active(facts, name) for name in ("disc_loss", "logits_real", "logits_fake"))
    nearer = np.minimum(np.abs(real.values[-5:]), np.abs(fake.values[-5:])) * np.sign(
        real.values[-5:] * fake.values[-5:]
    )
    far = bool(np.all(nearer > 0.5)) and bool(np.all(disc.values[-3:] > np.array([1.1, 1.1, 1.25]) * chance))
    # three above all of the eight before: less than once in a hundred by chance
    return far and len(disc) >= 11 and bool(disc.values[-3:].min() > disc.values[-11:-3].max())


class NegativeTotal(Rule):
    """A negative total loss, explained.

    What it checks: rows with a negative ``total_loss`` while the GAN is on.

    Why it matters: g_loss = -mean(logits_fake) has no lower bound; a negative total only says that d_weight x g_loss is
    larger than the rest. It is neither good nor bad; a runaway is judged by its size (gan-term-dominates).

    Evidence it needs: ``total_loss``.

    What to do: nothing. Watch nll, rec_loss and perceptual_loss.

    References: users' analyses of real runs; latent-diffusion#383.
    """

    code = "ADV312"
    name = "negative-total"
    needs = ("gan-active", "total_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        total = active(facts, "total_loss")
        if a is None or not a.negative_total:
            return
        first = int(total.steps[int(np.argmax(total.values < 0))])
        yield self.finding(
            "info",
            f"total_loss is negative in {a.negative_total:.0%} of the GAN rows (first at step {first:,}):"
            f" {why_negative(facts.view)}",
            metrics=("total_loss", "g_loss"),
            steps=(first, int(total.steps[-1])),
            evidence=(Evidence("share negative", a.negative_total),),
            phase="gan",
        )


class ColdStart(Rule):
    """The discriminator starts cold at the peak learning rate.

    What it checks: a GAN start on the step where the learning-rate warm-up ends, or with the discriminator's learning
    rate at its peak from its first step.

    Why it matters: an untrained discriminator at full speed makes the start shock larger and d_weight climb for hundreds
    of steps.

    Evidence it needs: ``lr`` (and ``disc_lr``) around the GAN start.

    What to do: give the discriminator a warm-up of its own, or train it some hundred steps before its loss is used.

    References: users' analyses of real runs; Pyramid-Flow's scheduler; cause D14.
    """

    code = "ADV313"
    name = "discriminator-cold-at-peak-lr"
    needs = ("gan-start-seen", "lr|disc_lr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan, warm_up = facts.phases.gan, facts.phases.warm_up
        start = gan.start_step or 0
        spacing = start - (gan.before_step or 0)
        planned = warm_up.planned or warm_up.end_step if warm_up else None
        same = planned is not None and abs(start - planned) <= max(spacing, 1)
        rate = facts.view.series("disc_lr")
        at = int(np.searchsorted(rate.steps, start))
        peak = len(rate) > 2 and at < len(rate) and rate.values[at] >= 0.9 * rate.values.max() > 0
        if gan.disc_row is not None or (not same and not (peak and start > 0)):
            return
        why = "on the step where the learning-rate warm-up ends" if same else "at the peak of its learning rate"
        shock = facts.phases.shock("rec_loss")
        hit = f" rec_loss rose {shock.ratio:.1f} times there." if shock is not None and shock.seen else ""
        yield self.finding(
            "info",
            f"The discriminator starts untrained {why} (step {start:,}).{hit}",
            metrics=("disc_loss", "lr"),
            steps=(start, start),
            evidence=(Evidence("GAN start", float(start)),),
            phase="gan-start",
        )


class WeightStaysZero(Rule):
    """The GAN runs but its weight is zero.

    What it checks: d_weight (or disc_factor) at 0 in the GAN phase while disc_loss moves.

    Why it matters: the discriminator trains, the generator never hears of it.

    Evidence it needs: ``d_weight`` and ``disc_loss``.

    What to do: check disc_weight and disc_factor.

    References: lavinal712/AutoencoderKL#10; cause D18.
    """

    code = "ADV314"
    name = "gan-weight-zero"
    needs = ("gan-active", "d_weight", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        weight, disc = active(facts, "d_weight"), active(facts, "disc_loss")
        # below a hundred-thousandth a weight is printed as 0 most of the time
        none = level(weight.values) == 0 and len(weight) >= ENOUGH and bool(weight.high.max() < 1e-5)
        if not none or len(set(disc.values.tolist())) < 3:
            return
        yield self.finding(
            "critical",
            f"d_weight is 0 in all {len(weight)} rows since the GAN start while disc_loss moves: the generator gets no"
            " adversarial gradient.",
            metrics=("d_weight", "disc_loss"),
            steps=(int(weight.steps[0]), int(weight.steps[-1])),
            evidence=(facts.view.evidence("d_weight", int(weight.rows[-1])),),
            phase="gan",
        )


class OtherUnit(Rule):
    """disc_start is counted in another unit than the logged step.

    What it checks: the observed GAN start against the declared disc_start: a whole factor apart.

    Why it matters: Lightning's global_step counts every optimizer, so a GAN planned for 50,001 starts at batch 25,000.

    Evidence it needs: disc_start, declared, and the observed start.

    What to do: double disc_start, or read the plan in optimizer steps.

    References: Lightning global_step; TokenFlow#22, taming-transformers#129; cause G1.
    """

    code = "ADV315"
    name = "disc-start-in-other-unit"
    needs = ("gan-start-seen", "config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan = facts.phases.gan
        if gan.unit_ratio is None or gan.planned_step is None:
            return
        yield self.finding(
            "warn",
            f"disc_start is {gan.planned_step:,}, but the GAN starts at logged step {gan.start_step:,}: the counter that is"
            f" compared runs {gan.unit_ratio} times faster (it counts every optimizer's step).",
            metrics=("disc_loss",),
            steps=(gan.before_step, gan.start_step),
            evidence=(Evidence("declared", float(gan.planned_step)), Evidence("observed", float(gan.start_step or 0))),
        )


class BoundBroken(Rule):
    """disc_loss and the mean logits cannot be of one step.

    What it checks: the hinge loss is convex, so it cannot be below its value at the mean logits (Jensen).

    Why it matters: columns that break the bound are of different steps, smoothed apart, or of another loss; conclusions
    from their difference are void.

    Evidence it needs: unsmoothed ``disc_loss``, ``logits_real``, ``logits_fake``.

    What to do: log them from the same step.

    References: latent-diffusion#187 (0.878 against a bound of 0.913).
    """

    code = "ADV316"
    name = "hinge-bound-broken"
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.family != "hinge" or a.bound_broken < 0.2 or a.rows < 8:
            return
        yield self.finding(
            "info",
            f"disc_loss is below what the mean logits allow in {a.bound_broken:.0%} of the rows: these columns are not of"
            " the same step, or the loss is not the hinge.",
            metrics=("disc_loss", "logits_real", "logits_fake"),
            evidence=(Evidence("share of rows", a.bound_broken),),
            phase="gan",
        )


class LabelsSwapped(Rule):
    """The discriminator is good at the wrong thing.

    What it checks: real logits clearly below fake ones (gap below -0.3) while disc_loss is clearly below chance.

    Why it matters: the printed loss says skill, the logits say the opposite: real and fake are swapped in one of the two,
    and the generator is pushed away from real data.

    Evidence it needs: ``disc_loss``, ``logits_real``, ``logits_fake``, 15 rows with the GAN on.

    What to do: follow the two tensors from the data loader to the loss.

    References: SerezD/vqvae#3 ("ones_like"); cause D10.
    """

    code = "ADV317"
    name = "real-and-fake-swapped"
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.rows < 6 or not a.chance_known or a.chance is None or a.disc_loss is None or a.gap is None:
            return
        if a.gap > -0.3 or a.disc_loss > 0.9 * a.chance:
            return
        # the two contradict each other in every single row, so a few rows are enough if all of them do
        disc, real, fake = (active(facts, m).tail(1.0).values[-6:] for m in ("disc_loss", "logits_real", "logits_fake"))
        if a.rows < ENOUGH and not np.all((disc < 0.95 * a.chance) & (real < fake)):
            return
        yield self.finding(
            "critical",
            f"Real logits are below fake ones (gap {a.gap:.2f}) while disc_loss {a.disc_loss:.3g} is below chance"
            f" {a.chance:.3g}: real and fake are swapped in the loss or in the log.",
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(Evidence("gap", a.gap), Evidence("disc_loss", a.disc_loss)),
            phase="gan",
        )
