"""KL, SCH: the KL weight in force, read off the columns row by row, and channels that stay at the prior."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, step_change
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.reconstruction import after_warm_up
from vaelab.run import FloatArray, IntArray
from vaelab.words import number


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
    subject = "latent"
    direction = "collapsed"
    needs = ("latent_active_share",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        series = facts.view.series("latent_active_share")
        last = int(series.steps[-1])
        settled = series.between(after_warm_up(facts), last)
        if len(settled) < 8 or last - int(settled.steps[0]) < 40:
            return
        late = settled.tail(0.5, 8)
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


class WeightSwitches(Rule):
    """The KL weight in force has changed from one row to the next.

    What it checks: (total_loss - nll_loss) / kl_loss before the GAN, row by row: a lasting step by 10 times or more between
    two steady levels, and what the KL did after it.

    Why it matters: a total that no longer fits the declared weight is the only trace of a weight changed in the code or at
    a resume. A ramp (annealing) has no step.

    Evidence it needs: unsmoothed ``total_loss``, ``nll_loss``, ``kl_loss`` with 12 rows before the GAN.

    What to do: find what sets the weight at that step; go back to the checkpoint before it.

    References: causes C2, E6.
    """

    code = "SCH606"
    name = "kl-weight-switches"
    subject = "kl_weight"
    direction = "jumped"
    needs = ("total_loss", "nll_loss", "kl_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        weights, rows = _weights(facts)
        if len(weights) < 12:
            return
        logs = np.log(weights)
        found = step_change(logs, side=8, least=3)
        if found is None or abs(found.after - found.before) < np.log(10) or found.score < 8:
            return
        # steady on both sides: a ramp moves all the time
        sides = logs[max(0, found.index - 6) : found.index - 1], logs[found.index + 1 : found.index + 7]
        if any(len(s) < 2 or float(np.ptp(s)) > 0.5 for s in sides):
            return
        row = int(rows[found.index])
        step = int(facts.run.steps[row])
        kl = facts.view.series("kl_loss")
        before = level(kl.between(0, step - 1).tail(0.3, 3).values)
        after = level(kl.between(step, int(facts.run.steps[-1])).tail(0.5, 2).values)
        ratio = after / before if before > 0 else float("nan")
        up = found.after > found.before
        shows = (up and ratio < 0.4) or (not up and ratio > 2.5)
        yield self.finding(
            f"The KL weight in force went from {np.exp(found.before):.3g} to {np.exp(found.after):.3g} at step {step:,}, as"
            f" total_loss, nll_loss and kl_loss say together; kl_loss went {ratio:.2g} times since.",
            size=float(np.exp(abs(found.after - found.before))),
            costs=shows,
            metrics=("total_loss", "kl_loss"),
            steps=(step, int(facts.run.steps[-1])),
            evidence=(
                Evidence("weight before", float(np.exp(found.before))),
                Evidence("weight after", float(np.exp(found.after))),
                Evidence("kl_loss after / before", number(ratio)),
            ),
        )


def _weights(facts: Facts) -> tuple[FloatArray, IntArray]:
    """(total - nll) / KL on the rows before the GAN where the difference stands out of the rounding."""
    values, rows, how = facts.view.joint(("total_loss", "nll_loss", "kl_loss"))
    gan = facts.phases.gan
    if how != "exact" or facts.view.number("kl_warmup"):
        return np.empty(0), np.empty(0, np.int64)
    difference = values["total_loss"] - values["nll_loss"]
    error = facts.view.half_unit("total_loss", values["total_loss"]) + facts.view.half_unit(
        "nll_loss", values["nll_loss"]
    )
    keep = (difference > 5 * error) & (values["kl_loss"] > 0)
    if gan.state == "active":
        keep &= rows < (gan.start_row or 0)
    return difference[keep] / values["kl_loss"][keep], rows[keep]
