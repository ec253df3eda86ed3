"""KL, SCH: how much the KL term weighs in the loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, largest_shift
from vaelab.catalog import METRICS
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


class LoggedWeightChanges(Rule):
    """A loss weight that the log holds has changed, and what came of it.

    What it checks: columns of weights (``kl_weight``, ``disc_weight``, ``perceptual_weight``, any other): a change by 2.5 times and more
    from one row to the next, or a growth by 10 times since its first value. Critical where a reconstruction or a score is clearly worse
    since, or the KL fell to a twentieth under a larger KL weight; a growth without either is a schedule, and is not said.

    Why it matters: a term that weighs more takes from the others. The weight is then the cause, not the data or the rate.

    Evidence it needs: the weight's column, 12 rows.

    What to do: go back to the checkpoint before the change; set the weight back, or end the schedule at the value that it had there.

    References: causes C2, D19, E6, H8.
    """

    code = "SCH607"
    name = "logged-weight-changes"
    finds = ("", "jumped")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.view.of("weight"):
            weight = facts.view.series(metric)
            changed = _change(facts, metric, weight)
            if changed is None or metric == "disc_factor":
                continue
            step, before, after, at_once = changed
            worse = _worse_since(facts, step, metric == "kl_weight" and after > before)
            if not worse and not at_once:
                continue
            how = (
                f"went from {number(before)} to {number(after)}{' at' if at_once else ', growing since'} step {step:,}"
            )
            yield self.finding(
                f"The loss weight {metric} {how}{f', and since then {worse}' if worse else ''}.",
                subject=metric if metric in METRICS else "weight",
                size=max(after, before) / min(after, before) if min(after, before) > 0 else None,
                costs=bool(worse),
                metrics=(metric,),
                steps=(step, int(weight.steps[-1])),
                evidence=(Evidence("weight before", before), Evidence("weight after", after)),
            )


def _change(facts: Facts, metric: str, weight: Series) -> tuple[int, float, float, bool] | None:
    """``(step, before, after, at once)`` of the largest change of a weight; None where it holds."""
    jumps = [(step, a, b, True) for m, step, a, b in facts.optimiser.weight_jumps if m == metric]
    if jumps:
        return max(jumps, key=lambda j: max(j[1:3]) / max(min(j[1:3]), 1e-300))
    positive = np.flatnonzero(weight.values > 0)
    if len(weight) < 12 or not len(positive):
        return None
    first, now = float(weight.values[positive[0]]), weight.now
    grown = np.flatnonzero(weight.values > 3 * first)
    return (int(weight.steps[grown[0]]), first, now, False) if now >= 10 * first else None


def _worse_since(facts: Facts, step: int, heavier_kl: bool) -> str:
    """What became worse since ``step``, in words; empty if nothing did."""
    for metric in facts.view.of("reconstruction", "quality"):
        track = facts.tracks[metric]
        last = int(track.series.steps[max(0, int(np.searchsorted(track.series.steps, step)) - 1)])
        if track.certain and (track.worse or 1.0) >= 1.3 and track.onset >= last:
            return f"{metric} has become {number(track.worse or 1.0)} times worse"
    kl = facts.view.series("kl_loss")
    before = kl.between(int(kl.steps[0]), step - 1) if len(kl) else kl
    if heavier_kl and len(before) >= 3 and 0 <= kl.now < 0.05 * before.now:
        return f"kl_loss fell to {kl.now / before.now:.1%} of its level"
    return ""
