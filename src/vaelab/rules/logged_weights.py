"""SCH: loss weights that the log holds, and what came of their changes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series
from vaelab.catalog import METRICS
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number


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
