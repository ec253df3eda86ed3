"""OPT: gradient norms and clipping."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, rolling_median
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number

TINY = 1e-6


class GradientNormGrows(Rule):
    """The gradient norm has grown many times.

    What it checks: the largest smoothed level of ``grad_norm`` 8 times its first and more; watched where it is still 4 times as high.
    Why it matters: a growing norm with a worsening loss is divergence; with a constant loss it may be a change of weights
    or the GAN's part.
    Evidence it needs: ``grad_norm`` with at least 12 rows.
    What to do: see at which step it left its level and what changed there.
    References: cause E1.
    """

    code = "OPT402"
    finds = ("gradient_norm", "rising")
    needs = ("grad_norm",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        norm = facts.view.series("grad_norm")
        if len(norm) < 12 or norm.values.min() <= 0:
            return
        smooth = rolling_median(norm.values, 5)
        few = max(3, len(smooth) // 8)
        early, late, peak = level(smooth[:few]), level(smooth[-few:]), int(np.argmax(smooth))
        if smooth[peak] < 8 * early:
            return
        settled = late < 4 * early
        yield self.finding(
            f"grad_norm rose from {number(early)} to {number(smooth[peak])} by step {int(norm.steps[peak]):,}"
            f"{' and came back' if settled else f' and stands at {number(late)}'}.",
            size=float(smooth[peak]) / early,
            costs=not settled,
            metrics=("grad_norm",),
            steps=(int(norm.steps[0]), int(norm.steps[peak])),
            evidence=(Evidence("early", early), Evidence("peak", float(smooth[peak])), Evidence("now", late)),
        )


class GradientsTiny(Rule):
    """The gradients are tiny.

    What it checks: the median of every logged gradient norm over the last half of the rows: below 1e-6, with at least 8 rows.
    Why it matters: Adam divides by the root of the second moment plus an epsilon of 1e-8: gradients of that order move nothing,
    and what is behind them (a detached tensor, a loss scale that is divided out twice, a saturated layer) does not mend itself.
    Evidence it needs: a gradient norm, of the whole network or of its parts.
    What to do: print the norm by layer, before and after unscaling; look for the first layer from the output where it vanishes.
    References: bytedance/1d-tokenizer#76; torch.optim.Adam; causes B8, H1, E2.
    """

    code = "OPT410"
    finds = ("gradient_norm", "too-low")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = [m for m in facts.view.of("gradient_norm") if len(facts.view.series(m)) >= 8 and "disc" not in m]
        norms = {m: level(facts.view.series(m).later.values) for m in names}
        largest = max(norms, key=lambda m: norms[m], default=None)
        if largest is None or not 0 <= norms[largest] < TINY:
            return
        decimals = facts.run.decimals[largest]
        if decimals is not None and norms[largest] < 10.0**-decimals:
            return  # rounded away by the print: it cannot be read
        series = facts.view.series(largest)
        many = f" The largest of {len(norms)} logged norms." if len(norms) > 1 else ""
        yield self.finding(
            f"Gradients are tiny: {largest} stands at {norms[largest]:.2g}, of the order of Adam's epsilon (1e-8): next to nothing is"
            f" learned from them.{many}",
            metrics=(largest,),
            steps=series.span,
            evidence=(Evidence("gradient norm", norms[largest]), Evidence("logged norms", float(len(norms)))),
        )
