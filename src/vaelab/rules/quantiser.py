"""KL: the codebook in place of a posterior. Are its codes used, and does the encoder stay near them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import rolling_median
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number


class CodebookLosesCodes(Rule):
    """The codebook loses its codes.

    What it checks: every column of codebook use (perplexity, usage, share of unique codes): the late smoothed level below 0.4
    times its highest after the first tenth of the rows, or 0.1 times its highest in all (the codes of an untrained encoder are
    drawn at random: most runs have more of them at first); critical below 5%. A perplexity that never was above 2 codes is one that
    lost them before the first row. With 20 rows.
    Why it matters: codes that are no longer chosen get no gradient and do not come back; the reconstruction stops at the
    quality of the codes that are left.
    Evidence it needs: a column of codebook use with at least 20 rows.
    What to do: count the codes used over a whole epoch (a small batch cannot show more codes than it has vectors); reset
    dead codes, lower the code dimension, or use FSQ.
    References: vector-quantize-pytorch#154, #170, VectorQuantizedVAE#3; cause C12.
    """

    code = "KL213"
    finds = ("codebook_usage", "collapsed")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.view.of("codebook_usage"):
            series = facts.view.series(metric)
            if facts.breakdown is not None:  # of numbers that are none all have the same code
                series = series.between(int(series.steps[0]), facts.breakdown.step - 1)
            if len(series) < 20:
                continue
            smooth = rolling_median(series.values, 5)
            peak, late, start = int(np.argmax(smooth)), series.now, len(smooth) // 10
            if late >= 0.1 * smooth[peak]:
                peak = start + int(np.argmax(smooth[start:]))
            high = float(smooth[peak])
            if metric.rpartition("/")[2] == "perplexity" and late > 0 and smooth.max() < 2:
                yield self.finding(
                    f"{metric} stands at {number(late)} and never was above {number(high)}: fewer than two codes are used.",
                    metrics=(metric,),
                    steps=series.span,
                    evidence=(Evidence("highest", high), facts.view.evidence(metric, int(series.rows[-1]))),
                )
                continue
            if not late < 0.4 * high:
                continue
            yield self.finding(
                f"{metric} fell from {number(high)} (step {int(series.steps[peak]):,}) to {number(late)}, {late / high:.1%} of it:"
                " the codebook loses its codes.",
                size=high / late if late > 0 else math.inf,
                metrics=(metric,),
                steps=(int(series.steps[peak]), int(series.steps[-1])),
                evidence=(Evidence("highest", high), facts.view.evidence(metric, int(series.rows[-1]))),
            )


class QuantiserLossExplodes(Rule):
    """The quantiser's loss grows out of all proportion.

    What it checks: a codebook or commitment loss that is more than half of the total, or has grown 1,000 times: 8 times above the level
    it had settled at, or 100 times above its first (it begins near 0 and rises while codes are learned); where the reconstruction is
    worse than at its best, 8 times above either, and critical. Critical also from 100 times on.
    Why it matters: the encoder runs away from its codes. The commitment term then drives the gradient, and the decoder sees
    codes that have nothing to do with the input.
    Evidence it needs: a codebook or commitment loss with 20 rows.
    What to do: normalise the encoder's output or its codes (cosine codes, layer norm), EMA codebook updates, a commitment weight
    of 0.25, a lower learning rate.
    References: viper_rl#9, Diverse-Structure-Inpainting#15; causes C12, E1.
    """

    code = "KL215"
    finds = ("quantiser", "rising")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in facts.view.of("quantiser"):
            track = facts.tracks[metric]
            start, now = min(track.first, track.settled), max(track.now, float(track.series.values[-3:].min()))
            if track.rows < 20 or start <= 0 or now < 8 * start:
                continue
            share, ratio, rec = _share_of_the_rest(facts, metric), now / start, facts.tracks.get("rec_loss")
            worse = rec is None or (rec.worse or 1.0) > 1.3
            grown = worse or ratio >= 100 or now >= 8 * track.settled
            if not grown or (ratio < 1000 and not share > 0.5):
                continue
            heavy = f" and makes up {share:.0%} of the loss" if share > 0.5 else ""
            yield self.finding(
                f"{metric} rose to {number(ratio)} times its early level ({number(start)} to {number(now)}){heavy}: the encoder"
                " runs away from its codes, and this term drives the gradient.",
                size=ratio,
                costs=worse,
                metrics=(metric,),
                steps=track.steps,
                evidence=(
                    Evidence("early level", start),
                    Evidence("now", now),
                    Evidence("now / early", ratio, "x"),
                ),
            )


def _share_of_the_rest(facts: Facts, metric: str) -> float:
    """Share of the late total that no other logged term accounts for; of the logged terms where there is no total."""
    others = facts.view.of("reconstruction", "perceptual", "generator_adversarial", "feature_matching")
    known = sum(abs(facts.tracks[m].now) for m in others[:6])
    totals = facts.view.of("total")
    whole = facts.tracks[totals[0]].now if totals else known + facts.tracks[metric].now
    return 1 - known / whole if whole > 0 else 0.0
