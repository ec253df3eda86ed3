"""KL: does the latent carry information, and does the KL term weigh too much."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, trend
from vaelab.facts import Evidence, Facts
from vaelab.facts.identities import in_force
from vaelab.rules.base import Finding, Rule
from vaelab.rules.jumps import samples_became_alike
from vaelab.rules.learned import after_warm_up
from vaelab.run import FloatArray
from vaelab.words import number, rough, share_text

COLLAPSED, COLLAPSED_ELEMENT = 0.001, 0.01
"""Nats per input value, and per latent element: too little to describe an image, whatever the compression."""
COLLAPSED_SAMPLE = 3.0
"""Nats per sample: at most e^3 = 20 different inputs can be told apart, whatever the shapes are."""
STARVED, STARVED_ELEMENT = 0.05, 0.3
"""Nats per input value, and per latent element, below which a latent carries less than those of tokenizers."""
SMALL_BETA = 1e-2
"""Effective beta up to which a weight cannot collapse a latent, and above which a unit-variance decoder loses detail."""
EARLY_STEPS = 100
MOST = 0.5


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


class PosteriorCollapse(Rule):
    """The latent carries (almost) no information.

    What it checks: the KL in nats per latent element, per input value where the latent shape is not known, or per sample, late in
    the run, together with a reconstruction that has not become good.
    Why it matters: a posterior equal to the prior tells the decoder nothing; it then paints the same average picture for every
    input. The losses look calm and converged. A weight with an effective beta of 0.01 or less cannot do that: the encoder has
    hardly moved then, or there is nothing to encode.
    Evidence it needs: ``kl_loss`` with a known reduction, ``rec_loss``, at least 20 rows with the warm-up over; within the
    first 100 steps a KL that has fallen to a third. Noise, or samples that are all alike since some step, leave nothing to encode: DAT701 says so.
    What to do: lower the KL weight (see the effective beta), or start with it off; check mean against sum reduction.
    References: WorldModels#12, moses#45, vunet#5; cause C1.
    """

    code = "KL201"
    finds = ("kl", "collapsed")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec = facts.view.series("kl_loss"), facts.view.series("rec_loss")
        # a row that is a mean over an epoch stands for many steps
        enough = 5 if facts.run.smoothing["kl_loss"].kind == "epoch_mean" else 20
        settled = kl.between(after_warm_up(facts), int(kl.steps[-1]))
        if min(len(kl), len(rec)) < enough or len(settled) < min(10, enough - 1) or (rec_improvement(facts) or 0) > 4:
            return
        if samples_became_alike(facts):
            return
        late = settled.now
        printed_zero = _printed_zero(facts, settled.late.values)
        amount = "printed as 0" if printed_zero else _too_little(facts, late)
        if not amount:
            return
        if not printed_zero and trend(settled.later.values).direction == "rising" and late > 3 * settled.later.first:
            return
        # every KL is small at first; before 100 steps only one that has fallen says something
        short = facts.run.step_unit == "step" and kl.steps[-1] - kl.steps[0] < EARLY_STEPS
        if short and float(kl.values[:5].max()) < 3 * late:
            return
        beta, per_input = facts.scales.effective_beta, input_nats(facts)
        small = beta is not None and beta <= SMALL_BETA
        yield self.finding(
            f"The latent carries almost no information: kl_loss {late:.3g} is {amount}, and rec_loss has not become good"
            f" ({number(rec.first)} to {number(rec.now)}). The decoder paints an average."
            + (
                f" An effective beta of {beta:.2g} is too small to do that: the encoder has hardly moved."
                if small
                else ""
            ),
            metrics=("kl_loss", "rec_loss"),
            steps=settled.span,
            evidence=(
                facts.view.evidence("kl_loss", int(kl.rows[-1])),
                Evidence("KL per input value", per_input if per_input is not None else 0.0, "nats"),
            ),
        )


def _too_little(facts: Facts, late: float) -> str:
    """How many nats a KL of ``late`` is, in the finest unit known, if that is next to nothing in any; else empty."""
    scales, per_input, total = facts.scales, input_nats(facts), facts.scales.kl_nats_total
    known = scales.latent is not None and scales.latent.standing != "bounded"
    amounts = (
        (scales.nats_per_element(late) if known else None, COLLAPSED_ELEMENT, "nats per latent element"),
        (per_input, COLLAPSED, "nats per input value"),
        (total, COLLAPSED_SAMPLE, "nats for a whole sample"),
    )
    said = [f"{value:.2g} {unit}" for value, _, unit in amounts if value is not None]
    return said[0] if any(value is not None and value < least for value, least, _ in amounts) else ""


def _printed_zero(facts: Facts, late: FloatArray) -> bool:
    """Whether the KL's values ``late`` (n,) are at most one unit of the last decimal that it is printed with."""
    decimals = facts.run.decimals.get("kl_loss")
    unit = 10.0 ** -(decimals or 6)
    # where the decimals differ from row to row (0.0018 after 2.93) the fewest of them say nothing of small values
    whole = decimals is None or bool(np.all(np.abs(late - unit * np.round(late / unit)) < 0.01 * unit))
    return whole and abs(level(late)) <= unit


class KlWeightOutOfFamily(Rule):
    """The KL term weighs far more than in tokenizers.

    What it checks: the effective beta, that is the KL weight in sum/sum units (latent-diffusion: 1e-6), above 0.01; where it is
    not known, the weighted KL as a share of the loss by value, at the first rows or now one half and more. Up to 0.3 information where
    the latent carries as much as those of tokenizers (0.3 nats an element and more): the weight has not cost it anything.
    Why it matters: the same number means another thing under every reduction: 1e-4 in Pyramid-Flow's is 2.1 in
    latent-diffusion's. Above 1e-2 a unit-variance decoder loses detail: 0.16 nats per element look tidy and cost one user 6.6 dB.
    Evidence it needs: kl_weight (declared or solved from the columns), the trainer's reductions and the clip size; or ``kl_loss``
    beside the terms of the loss.
    What to do: divide the weight by the ratio of the two betas, or raise it step by step from 1e-6.
    References: users' analyses of real runs, checked against the trainers' code; cause C2.
    """

    code = "KL203"
    finds = ("kl_weight", "too-high")
    needs = ("effective-beta|kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        scales = facts.scales
        beta, shares = scales.effective_beta, _shares(facts)
        # with an assumed clip size only a large excess counts
        high = beta is not None and beta > (1.0 if scales.clip_assumed else SMALL_BETA)
        if not high and (shares is None or max(shares) < MOST):
            return
        said, evidence = [], []
        if beta is not None and high:
            weight = in_force(facts.view, facts.algebra.solved, "kl_weight")
            said.append(
                f"With kl_weight {weight:g} one nat of KL weighs {rough(beta)} against the summed pixel loss (effective beta)"
                f"{' (if the clips are 17 frames at 256x256)' if scales.clip_assumed else ''},"
                f" {rough(beta / 1e-6)} times latent-diffusion's 1e-6; above 0.01 it costs detail."
            )
            evidence += [Evidence("effective beta", beta), Evidence("kl_weight", float(weight or 0.0))]
        if shares is not None and max(shares) >= MOST:
            first, now = shares
            said.append(
                f"The weighted KL term is {share_text(first)} of the loss by value at the first row and {share_text(now)} now."
                " The KL weight is the first suspect for any loss of detail."
            )
            evidence += [Evidence("share first", first), Evidence("share now", now)]
        logvar = facts.view.series("logvar")
        learned = len(logvar) > 0 and bool(np.any(logvar.values))
        yield self.finding(
            " ".join(said),
            size=beta if high else None,
            costs=not high or not _carries(facts),
            # a learned log-variance lets the weight be 1 by design; elsewhere this weight rewrites the latent
            sure=not learned,
            metrics=("kl_loss",),
            evidence=evidence,
        )


def _carries(facts: Facts) -> bool:
    """Whether the latent is known to carry as much as those of tokenizers."""
    kl, per_input = facts.view.series("kl_loss"), input_nats(facts)
    nats = facts.scales.nats_per_element(kl.now) if len(kl) else None
    return nats >= STARVED_ELEMENT if nats is not None else per_input is not None and per_input >= STARVED


def _shares(facts: Facts) -> tuple[float, float] | None:
    """Share of the weighted KL in the loss by value, in the first rows and now; None where it is not known."""
    first, now = facts.algebra.shares_first.get("KL"), facts.algebra.shares_now.get("KL")
    if first is not None and now is not None:
        return first, now
    weight, kl, total = (
        facts.algebra.solved.get("kl_weight"),
        facts.view.series("kl_loss"),
        facts.view.series("total_loss"),
    )
    if weight is None or weight.value is None or not len(kl) or not len(total) or total.values[0] <= 0:
        return None
    share = weight.value * float(kl.values[0]) / float(total.values[0])
    return share, share


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
