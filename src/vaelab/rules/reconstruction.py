"""REC: what the reconstruction's value says by itself: the wrong scale, no better than a constant, flat."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.facts.rec_kinds import REC_KINDS
from vaelab.rules.base import Finding, Rule
from vaelab.rules.held_out import skill
from vaelab.words import number

STANDS = 40
"""Rows after which a loss that has hardly moved stands where it is."""
NOTHING, LEARNED = 0.05, 0.3
"""Share of the held-out variance explained by an output that is as good as constant, and by one that has learned something."""
SIMPLE = {"constant": "each sample's mean colour", "blurred": "the sample blurred over 8 x 8 pixels"}


class InputRange(Rule):
    """The reconstruction loss is too large for normalised data.

    What it checks: the first values of ``rec_loss`` against what a fresh network scores on data in [-1, 1] (an MSE of about
    1, at most some tens when it explodes). Of a loss that is a mean of an unknown kind, or is named a squared error while the inputs'
    range is declared, whether it also stays there: a sum falls.
    Why it matters: 0..255 pixels in place of -1..1 make the loss four orders of magnitude larger; every weight then has
    another meaning and the network learns almost nothing.
    Evidence it needs: ``rec_loss`` of a known kind and reduction: a sum over pixels is large by design. It is doubtful where the
    reduction is known from no trainer's code.
    What to do: print the minimum and maximum of one batch.
    References: magvit2-pytorch#7; PyTorch-VAE#48; cause A1.
    """

    code = "REC107"
    finds = ("reconstruction", "too-high")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        name, kind = facts.view.error
        rec, peak = facts.view.series(name), facts.scales.peak
        if not len(rec):
            return
        sure, limit = True, REC_KINDS[kind].most if kind in REC_KINDS else None
        if limit is None:
            if peak is None or not (_is_mean(facts) or _named_mean_square(facts, name)):
                return
            # a sum that neither the name nor the code tells falls while the network learns; an error of 0..255 pixels hardly does
            if len(rec) < 12 or rec.now < 0.5 * level(rec.early.values):
                return
            sure, kind = _is_mean(facts), "mse"
            limit = REC_KINDS[kind].most or 0.0
        limit *= ((peak or 2.0) / 2) ** 2
        # an epoch mean already holds what training did
        if facts.run.smoothing[name].kind == "epoch_mean":
            limit *= 5
        # what a start may explode to, a loss does not stand at: the largest possible mean of squares is the range's width, squared
        if kind == "mse" and peak is not None and facts.tracks[name].rows >= STANDS and rec.values.min() > peak**2:
            limit = peak**2 if 0.5 < rec.now / level(rec.early.values) < 1.5 else limit
        early = rec.early
        first, median = float(rec.values[0]), level(early.values)
        if first <= limit or median <= limit:
            return
        beside = level(rec.values)
        late = rec.now
        # a heavy LPIPS term inside rec_loss falls at once; wrongly scaled pixels do not
        if "lpips" in kind and len(rec) >= 12 and late < first / 6:
            return
        yield self.finding(
            f"{name} is {number(first)} on the first row and {number(median)} over the first rows; on inputs in"
            f" {'[0, 1]' if peak == 1 else '[-1, 1]'} no network {'stays' if peak is not None and limit == peak**2 else 'starts'} above {limit:.3g}. The inputs (or targets) are not normalised: {math.sqrt(median):.0f}"
            " is the size of the error, as pixels of 0..255 give.",
            sure=sure,
            metrics=("rec_loss", name) if name != "rec_loss" else ("rec_loss",),
            steps=rec.span,
            evidence=(
                facts.view.evidence(name, int(rec.rows[0])),
                Evidence("largest plausible", limit),
                Evidence("median of the run", beside),
            ),
        )


def _is_mean(facts: Facts) -> bool:
    """Whether the trainer's own code averages its reconstruction loss over all values, of whatever kind it is."""
    trainer = facts.view.trainer
    return trainer.nll_reduction == "mean" and not trainer.fork and facts.view.role("rec_loss").standing == "known"


def _named_mean_square(facts: Facts, name: str) -> bool:
    """Whether the log calls the column a squared error, the range of the inputs is declared, and no PSNR says that the error is small."""
    psnr = facts.view.series("psnr")
    return facts.view.role(name).kind == "mse" and "input_range" in facts.run.config and (not len(psnr) or psnr.now < 0)


class NoBetterThanMean(Rule):
    """On held-out samples the model is no better than a picture without detail.

    What it checks: ``val/explained_variance`` (1 - MSE / variance) at or below 0.05 in 3 validations and more, while it does not rise; or the
    latest ``val/psnr`` below that of each sample's mean colour, or of the sample blurred over blocks of 8 x 8 pixels, which ``vaelab train``
    scores once on the same samples: that is watched.
    Why it matters: 0 is what a constant output reaches; below 0 the output is wrong and not merely blurred. Held-out
    samples do not change when the training data do, so this speaks of the weights.
    What to do: early in a run, wait; late, look at the previews; if the value was good before, go back to that checkpoint.
    References: causes B8, C1, E1.
    """

    code = "REC117"
    finds = ("output", "collapsed")
    needs = ("val/explained_variance|val/psnr",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        series, now = facts.view.series("val/explained_variance"), skill(facts)
        warm_up = facts.phases.warm_up
        if warm_up is not None and warm_up.end_step is None:
            return
        if now is None or len(series) < 3 or now > NOTHING or series.values[-1] > NOTHING:
            yield from self._simple(facts)
            return
        best = float(series.values.max())
        lost = best > LEARNED
        since = int(series.steps[int(np.argmax(series.values))]) if lost else int(series.steps[0])
        was = f", after {best:.2f} at step {since:,}" if lost else ""
        yield self.finding(
            f"On held-out samples the output explains {now:.2f} of their variance{was}: a constant picture reaches 0.",
            sure=lost
            or len(series) >= 6
            or (facts.progress.share or 0.0) > 0.8
            or series.values[-1] <= series.values[:-1].max() + NOTHING,
            metrics=("val/explained_variance",),
            steps=(since, int(series.steps[-1])),
            evidence=(facts.view.evidence("val/explained_variance", int(series.rows[-1])),),
        )

    def _simple(self, facts: Facts) -> Iterable[Finding]:
        psnr = facts.view.series("val/psnr")
        scores = {n: facts.run.measured.get(f"baseline.{n}.psnr", -math.inf) for n in SIMPLE}
        name = next((n for n, score in scores.items() if len(psnr) and psnr.values[-1] < score), None)
        if name is None:
            return
        yield self.finding(
            f"val/psnr is {psnr.values[-1]:.1f} dB at step {int(psnr.steps[-1]):,}, where {SIMPLE[name]} reaches"
            f" {scores[name]:.1f} dB: worse than a picture without detail.",
            sure=False,
            metrics=("val/psnr",),
            steps=(int(psnr.steps[-1]), int(psnr.steps[-1])),
            evidence=(facts.view.evidence("val/psnr", int(psnr.rows[-1])), Evidence(name, scores[name], "dB")),
        )
