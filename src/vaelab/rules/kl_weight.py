"""KL, SCH: how much the KL term weighs in the loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import largest_shift
from vaelab.facts import Evidence, Facts
from vaelab.facts.identities import in_force
from vaelab.rules.base import Finding, Rule
from vaelab.run import FloatArray, IntArray
from vaelab.words import number, rough, share_text


class Dominates(Rule):
    """The weighted KL term is most of the loss.

    What it checks: ``kl_weight * kl_loss`` as a share of the loss by value, at the first rows and now.
    Why it matters: above one half at the start of a fine-tune the optimizer is told to rewrite the latent and gives up
    detail for it. This is a share of the value; shares of the gradient must be measured.
    Evidence it needs: ``kl_loss`` and a kl_weight, declared or solved from the columns.
    What to do: convert the weight to an effective beta and compare with latent-diffusion's 1e-6.
    References: users' analyses of real runs; cause C2.
    """

    code = "KL202"
    name = "kl-dominates-loss"
    finds = ("kl", "too-high")
    needs = ("kl_loss", "rec_loss|nll_loss|total_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        first, now = facts.algebra.shares_first.get("KL"), facts.algebra.shares_now.get("KL")
        weight = facts.algebra.solved.get("kl_weight")
        kl = facts.view.series("kl_loss")
        if first is None and weight is not None and weight.value is not None and facts.view.has("total_loss"):
            total = float(facts.view.series("total_loss").values[0])
            first = now = weight.value * float(kl.values[0]) / total if total > 0 else None
        if first is None or now is None or max(first, now) < 0.5 or not len(kl):
            return
        gone = now < 0.2 <= first
        text = f"The weighted KL term is {share_text(first)} of the loss by value at the first row and {share_text(now)} now."
        text += " The optimizer was told to rewrite the latent." if gone else " The loss is mostly KL."
        yield self.finding(
            text + " The KL weight is the first suspect for any loss of detail.",
            size=max(first, now),
            metrics=("kl_loss",),
            steps=kl.span,
            evidence=(Evidence("share first", first), Evidence("share now", now)),
        )


class WeightOutOfFamily(Rule):
    """The KL weight is far above what tokenizers use.

    What it checks: the effective beta, that is the KL weight in sum/sum units (latent-diffusion: 1e-6).
    Why it matters: the same number means another thing under every reduction: 1e-4 in Pyramid-Flow's is 2.1 in
    latent-diffusion's. Above 1e-2 a unit-variance decoder loses detail.
    Evidence it needs: kl_weight (declared or solved), the trainer's reductions and the clip size.
    What to do: divide the weight by the ratio of the two betas, or raise it step by step from 1e-6.
    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "KL203"
    name = "kl-weight-out-of-family"
    finds = ("kl_weight", "too-high")
    needs = ("effective-beta",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        beta = facts.scales.effective_beta
        # with an assumed clip size only a large excess counts
        if beta is None or beta <= (1.0 if facts.scales.clip_assumed else 1e-2):
            return
        weight = in_force(facts.view, facts.algebra.solved, "kl_weight")
        logvar = facts.view.series("logvar")
        learned = len(logvar) > 0 and bool(np.any(logvar.values))
        # a learned log-variance lets the weight be 1 by design; elsewhere this weight rewrites the latent
        heavy = beta > (1.0 if facts.scales.clip_assumed else 0.3) and not learned
        yield self.finding(
            f"With kl_weight {weight:g} one nat of KL weighs {rough(beta)} against the summed pixel loss (effective beta)"
            f"{' (if the clips are 17 frames at 256x256)' if facts.scales.clip_assumed else ''},"
            f" {rough(beta / 1e-6)} times latent-diffusion's 1e-6; above 0.01 it costs detail.",
            size=beta,
            sure=heavy,
            metrics=("kl_loss",),
            evidence=(Evidence("effective beta", beta), Evidence("kl_weight", float(weight or 0.0))),
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
    finds = ("kl_weight", "jumped")
    needs = ("total_loss", "nll_loss", "kl_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        weights, rows = _weights(facts)
        if len(weights) < 12:
            return
        logs = np.log(weights)
        found = largest_shift(logs)
        if found is None or abs(found.after - found.before) < np.log(10):
            return
        # steady on both sides: a ramp moves all the time
        sides = logs[max(0, found.index - 6) : found.index - 1], logs[found.index + 1 : found.index + 7]
        if any(len(s) < 2 or float(np.ptp(s)) > 0.5 for s in sides):
            return
        row = int(rows[found.index])
        step = int(facts.run.steps[row])
        kl = facts.view.series("kl_loss")
        before = kl.between(0, step - 1).now
        after = kl.between(step, int(facts.run.steps[-1])).now
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
