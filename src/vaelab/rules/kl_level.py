"""KL: does the latent carry information."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.learned import after_warm_up
from vaelab.run import FloatArray
from vaelab.words import number

COLLAPSED = 0.001
"""Nats per input value (or 0.01 per latent element): too little to describe an image, whatever the compression."""
EARLY_STEPS = 100
COLLAPSED_SAMPLE = 8.0
"""Nats per sample: at most e^8 = 3,000 different inputs can be told apart, whatever the shapes are."""


def input_nats(facts: Facts) -> float | None:
    """KL in nats per input value: needs no latent shape, only the trainer's reduction and the sample size."""
    total, size = facts.scales.kl_nats_total, facts.scales.clip_elements
    return total / size if total is not None and size and not facts.scales.clip_assumed else None


def rec_improvement(facts: Facts) -> float | None:
    """Early over late level of rec_loss (4 = four times better); None without rec_loss."""
    rec = facts.view.series("rec_loss")
    if len(rec) < 6:
        return None
    late = rec.now
    if late <= 0:  # printed as 0: below half a unit of the last decimal
        late = 0.5 * 10.0 ** -(facts.run.decimals.get("rec_loss") or 6)
    return rec.first / late


def information_bound_broken(facts: Facts) -> float | None:
    """Total KL in nats if it is too small to code different images at the quality reached, else None.

    The KL bounds the information between image and latent. To lower the squared error of n independent components by a
    factor f takes n/2 ln f nats (rate-distortion bound of a Gaussian source): so K nats allow at most 2 K / ln f
    components. Fewer than 25 do not describe changing images of a thousand values or more.
    """
    total, better = facts.scales.kl_nats_total, rec_improvement(facts)
    if total is None or better is None or not math.isfinite(total):
        return None
    size = facts.scales.clip_elements or 0
    return total if better > 8 and 2 * total / math.log(better) < 25 and size > 1000 else None


class Collapsed(Rule):
    """The latent carries (almost) no information.

    What it checks: the KL in nats per latent element, or per input value where the latent shape is not known, late in
    the run, together with a reconstruction that has not become good.
    Why it matters: a posterior equal to the prior tells the decoder nothing; it then paints the same average picture
    for every input. The losses look calm and converged.
    Evidence it needs: ``kl_loss`` with a known reduction, ``rec_loss``, at least 20 rows with the warm-up over; within the
    first 100 steps a KL that has fallen to a third.
    What to do: lower the KL weight (see the effective beta), or start with it off; check mean against sum reduction.
    References: WorldModels#12, moses#45, vunet#5; cause C1.
    """

    code = "KL201"
    name = "posterior-collapse"
    finds = ("kl", "collapsed")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl = facts.view.series("kl_loss")
        rec = facts.view.series("rec_loss")
        # a row that is a mean over an epoch stands for many steps
        epochs = facts.run.smoothing["kl_loss"].kind == "epoch_mean"
        if len(kl) < (5 if epochs else 20) or len(rec) < (5 if epochs else 20):
            return
        settled = kl.between(after_warm_up(facts), int(kl.steps[-1]))
        if len(settled) < (4 if epochs else 10):
            return
        late = settled.now
        per_input = input_nats(facts)
        nats = facts.scales.nats_per_element(late)
        per_element = nats if facts.scales.latent is not None and facts.scales.latent.standing != "bounded" else None
        low = (per_element is not None and per_element < 0.01) or (per_input is not None and per_input < COLLAPSED)
        printed_zero = _printed_zero(facts, settled.late.values)
        total = facts.scales.kl_nats_total
        few = total is not None and total < COLLAPSED_SAMPLE
        if not (low or few or printed_zero):
            return
        better = rec_improvement(facts)
        if better is not None and better > 4:
            return
        rising = trend(settled.later.values).direction == "rising" and late > 3 * settled.later.first
        if rising and not printed_zero:
            return
        # every KL is small at first; before 100 steps only one that has fallen says something
        short = facts.run.step_unit == "step" and kl.steps[-1] - kl.steps[0] < EARLY_STEPS
        if short and float(kl.values[:5].max()) < 3 * late:
            return
        amount = f"{total:.2g} nats for a whole sample" if total is not None and not printed_zero else "printed as 0"
        if per_input is not None and not printed_zero:
            amount = f"{per_input:.2g} nats per input value"
        if per_element is not None:
            amount = f"{per_element:.2g} nats per latent element"
        yield self.finding(
            f"The latent carries almost no information: kl_loss {late:.3g} is {amount}, and rec_loss has not become good"
            f" ({number(rec.first)} to {number(rec.now)}). The decoder paints an"
            " average.",
            metrics=("kl_loss", "rec_loss"),
            steps=settled.span,
            evidence=(
                facts.view.evidence("kl_loss", int(kl.rows[-1])),
                Evidence("KL per input value", per_input if per_input is not None else 0.0, "nats"),
            ),
        )


def _printed_zero(facts: Facts, late: FloatArray) -> bool:
    """Whether the KL's values ``late`` (n,) are at most one unit of the last decimal that it is printed with."""
    decimals = facts.run.decimals.get("kl_loss")
    unit = 10.0 ** -(decimals or 6)
    # where the decimals differ from row to row (0.0018 after 2.93) the fewest of them say nothing of small values
    whole = decimals is None or bool(np.all(np.abs(late - unit * np.round(late / unit)) < 0.01 * unit))
    return whole and abs(level(late)) <= unit


class Starved(Rule):
    """The latent carries little information and the reconstruction pays for it.

    What it checks: KL between collapsed and usual (0.001 to 0.05 nats per input value, or 0.02 to 0.3 per latent
    element) while the KL weight is out of family.
    Why it matters: 0.16 nats per element looks tidy and cost one user 6.6 dB.
    Evidence it needs: ``kl_loss`` with a known reduction, the effective beta.
    What to do: lower the KL weight and watch rec_loss; the latent's own statistics are what diffusion needs.
    References: users' analyses of real runs.
    """

    code = "KL204"
    name = "latent-starved"
    finds = ("kl", "too-low")
    needs = ("kl_loss", "effective-beta")

    def check(self, facts: Facts) -> Iterable[Finding]:
        beta, per_input = facts.scales.effective_beta, input_nats(facts)
        kl = facts.view.series("kl_loss")
        if beta is None or beta <= 1e-2 or not len(kl):
            return
        nats = facts.scales.nats_per_element(kl.now)
        starved = nats is not None and 0.02 <= nats < 0.3
        if not starved and not (per_input is not None and COLLAPSED <= per_input < 0.05):
            return
        amount = f"{nats:.3f} nats per latent element" if starved else f"{per_input:.2g} nats per input value"
        yield self.finding(
            f"The latent is over-regularised for a tokenizer: {amount} at an effective beta of {beta:.2g}. Detail is"
            " being traded for a tidy latent.",
            metrics=("kl_loss",),
            steps=kl.span,
            evidence=(facts.view.evidence("kl_loss", int(kl.rows[-1])), Evidence("effective beta", beta)),
        )


class SmallAtSmallWeight(Rule):
    """The latent is empty although the KL weight is small.

    What it checks: almost no KL (fewer than 8 nats a sample) at an effective beta of 0.01 or less, late in the run.
    Why it matters: such a weight cannot collapse a latent. An encoder that has not moved from its start (learning rate far
    too low, no gradient), or data with nothing to encode, look the same in the KL column.
    Evidence it needs: ``kl_loss`` with a known reduction and the effective beta.
    What to do: check the learning rate and that the encoder's weights move, then the data.
    References: causes C1, E2, A4, B8.
    """

    code = "KL211"
    name = "kl-small-at-small-weight"
    finds = ("kl", "too-low")
    needs = ("kl_loss", "effective-beta")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, total, beta = facts.view.series("kl_loss"), facts.scales.kl_nats_total, facts.scales.effective_beta
        if total is None or beta is None or beta > 1e-2 or total > COLLAPSED_SAMPLE or len(kl) < 20:
            return
        if facts.phases.warm_up is not None and facts.phases.warm_up.end_step is None:
            return
        yield self.finding(
            f"The KL is only {total:.2g} nats a sample, at an effective beta of {beta:.2g}: too small a weight to collapse the"
            " latent. The encoder has hardly moved, or there is nothing to encode.",
            metrics=("kl_loss",),
            steps=kl.span,
            evidence=(Evidence("KL per sample", total, "nats"), Evidence("effective beta", beta)),
        )


class DeadChannels(Rule):
    """Some latent channels do not vary with the input.

    What it checks: ``latent_active_share`` (channels whose posterior mean varies over the batch), after the warm-up and in
    the last half of the rows.
    Why it matters: a channel at the prior carries nothing; the total KL hides it, and PSNR stops at the level of fewer
    channels. A dead channel gets almost no gradient, so it rarely comes back by itself.
    Evidence it needs: ``latent_active_share`` on 8 rows and 40 steps after the warm-up.
    What to do: print the KL of each channel on a few batches; start again with a lower KL weight, or use fewer channels.
    References: active units (Burda et al. 2016); Open-Sora-Plan's report 1.1.0; causes C5, C1.
    """

    code = "KL214"
    name = "dead-channels"
    finds = ("latent", "collapsed")
    needs = ("latent_active_share",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        series = facts.view.series("latent_active_share")
        last = int(series.steps[-1])
        settled = series.between(after_warm_up(facts), last)
        if len(settled) < 8 or last - int(settled.steps[0]) < 40:
            return
        late = settled.later
        share = level(late.values)
        if share > 0.85 or late.values[-3:].max() > 0.9:
            return
        yield self.finding(
            f"Only {share:.0%} of the latent channels vary with the input since step {int(late.steps[0]):,}: the others stay at"
            " the prior and carry nothing.",
            size=1 - share,
            metrics=("latent_active_share", "kl_loss"),
            steps=(int(settled.steps[0]), last),
            evidence=(Evidence("active share", share),),
        )
