"""REC: has the model learned anything."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, rolling_median, trend
from vaelab.facts import Evidence, Facts
from vaelab.facts.rec_kinds import REC_KINDS
from vaelab.rules.base import Finding, Rule
from vaelab.rules.held_out import skill
from vaelab.words import number

STANDS = 40
"""Rows after which a loss that has hardly moved stands where it is."""
NO_CONSTANT = ("unknown", "bce-sum", "cross-entropy", "spectral")
"""Kinds of rec_loss whose level says nothing of a constant output: they may hold a part that no model can remove."""


def after_warm_up(facts: Facts) -> int:
    """First step at which the learning rate has done its work: the end of the warm-up, or the first step."""
    run, warm_up = facts.run, facts.phases.warm_up
    if warm_up is None:
        return int(run.steps[0])
    return warm_up.end_step if warm_up.end_step is not None else int(run.steps[-1])


class NoLearning(Rule):
    """A model that starts from scratch has hardly improved.

    What it checks: the late and the best level of ``rec_loss`` against its level just after the first rows, for runs that
    are not fine-tunes or continuations.
    Why it matters: a constant output scores the data's variance and stays there; so does a network that gets no
    gradient. Loss values alone look calm.
    Evidence it needs: ``rec_loss`` of a known kind with at least 30 rows and the warm-up over; rows that are steps, since a row
    that is an epoch's mean holds what the first epoch learned. Where ``val/explained_variance`` is logged and above 0.3, the model has learned, however flat the training curve is.
    What to do: check that the latent carries information (KL), the learning rate, and that inputs and targets match.
    References: magvit2-pytorch#12, taming-transformers#44; causes B8, C1, E2.
    """

    code = "REC103"
    name = "no-learning"
    finds = ("reconstruction", "stuck")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec = facts.view.series("rec_loss")
        jump = facts.changes.jump
        if facts.phases.origin != "scratch" or len(rec) < 30 or (jump is not None and jump.coincides != "warm-up"):
            return
        settled = rec.between(after_warm_up(facts), int(rec.steps[-1]))
        if len(settled) < 20 or facts.view.error[1] in NO_CONSTANT or facts.run.step_unit != "step":
            return
        # the first rows fall in every run (the output layer finds the mean): compare with what follows them
        early = rec.between(int(rec.steps[max(2, len(rec) // 20)]), int(rec.steps[-1])).first
        late = rec.now
        best = float(rolling_median(rec.values, max(9, len(rec) // 10)).min())
        if early <= 0 or late > 1.8 * early or min(late, best) < 0.7 * early:
            return  # what was learned and lost again is damage (MET1001), not a lack of learning
        if (skill(facts) or 0.0) > 0.3:
            return
        share = 1 - late / early
        gain = f"improved by only {share:.0%}" if share >= 0.005 else "not improved"
        still = trend(rec.later.values).direction
        slow = " and still falls slowly" if still == "falling" else ""
        yield self.finding(
            f"rec_loss has {gain} since its first rows ({number(early)} to {number(late)} over"
            f" {len(rec) if rec.per_block == 1 else int(rec.rows[-1]) + 1} rows){slow}: this model has learned"
            f" {'almost nothing' if late > 0.8 * early else 'little'} beyond a constant output.",
            size=late / early,
            metrics=("rec_loss",),
            steps=rec.span,
            evidence=(Evidence("early level", early), Evidence("late level", late)),
        )


class ScaleOutOfRange(Rule):
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
    name = "input-range"
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


class NothingMoves(Rule):
    """Neither the reconstruction nor the latent moves.

    What it checks: a model from scratch whose ``rec_loss`` and ``kl_loss`` both stand near their first values late in the
    run.
    Why it matters: a collapse lowers the KL, learning lowers rec_loss. When neither changes the weights hardly move: the
    learning rate is far too low, or gradients do not arrive.
    Evidence it needs: ``rec_loss`` and ``kl_loss`` with at least 30 rows and the warm-up over, or 12 rows and 60 steps after
    a warm-up that is in the log. A ``val/psnr`` that rose by 1 dB
    or more says that the weights move.
    What to do: print the change of one weight tensor over 100 steps against its norm.
    References: 2.5 (update / weight about 1e-3); causes E2, H1.
    """

    code = "REC113"
    name = "nothing-moves"
    finds = ("reconstruction", "stuck")
    needs = ("rec_loss", "kl_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec, kl = facts.view.series("rec_loss"), facts.view.series("kl_loss")
        if facts.phases.origin != "scratch" or len(rec) < 12 or len(kl) < 12 or kl.values[0] <= 0:
            return
        settled = rec.between(after_warm_up(facts), int(rec.steps[-1]))
        # with the end of the warm-up in the log, 60 steps at the full rate that change next to nothing are enough
        early = len(rec) < 30 or len(settled) < 20
        if early and (facts.phases.warm_up is None or len(settled) < 6 or settled.steps[-1] - settled.steps[0] < 60):
            return
        # the first rows fall in every run that learns at all: compare with the highest of them
        a = rec.now / float(rec.values[:5].max())
        b = kl.now / float(kl.values[:5].max())
        low, high = (0.85, 1.6) if early else (0.7, 2.0)
        best = float(rolling_median(rec.values, max(5, len(rec) // 10)).min()) / float(rec.values[:5].max())
        if not (low < min(a, best) and a < 1.3 and 1 / high < b < high):
            return  # what was learned and lost again has moved
        psnr = facts.view.series("val/psnr")
        if len(psnr) > 1 and psnr.values[-1] > psnr.values[0] + 1:
            return
        yield self.finding(
            f"Nothing moves: rec_loss stands at {a:.2f} times and kl_loss at {b:.2f} times their first values after {len(rec)}"
            " rows. The weights hardly change.",
            metrics=("rec_loss", "kl_loss"),
            steps=rec.span,
            evidence=(Evidence("rec_loss late / first", a, "x"), Evidence("kl_loss late / first", b, "x")),
        )


class NoBetterThanMean(Rule):
    """On held-out samples the model is no better than their mean colour.

    What it checks: ``val/explained_variance`` (1 - MSE / variance) at or below 0.05, with at least 2 validations.
    Why it matters: 0 is what a constant output reaches; below 0 the output is wrong and not merely blurred. Held-out
    samples do not change when the training data do, so this speaks of the weights.
    What to do: reconstruct one known sample; if the value was good before, go back to that checkpoint.
    References: causes B8, C1, E1.
    """

    code = "REC117"
    name = "no-better-than-mean"
    finds = ("output", "collapsed")
    needs = ("val/explained_variance",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        series, now = facts.view.series("val/explained_variance"), skill(facts)
        warm_up = facts.phases.warm_up
        if now is None or len(series) < 2 or now > 0.05 or series.values[-1] > 0.05:
            return
        if warm_up is not None and warm_up.end_step is None:
            return
        best = float(series.values.max())
        lost = best > 0.3
        since = int(series.steps[int(np.argmax(series.values))]) if lost else int(series.steps[0])
        was = f", after {best:.2f} at step {since:,}" if lost else ""
        yield self.finding(
            f"On held-out samples the output explains {now:.2f} of their variance{was}: a constant picture reaches 0.",
            metrics=("val/explained_variance",),
            steps=(since, int(series.steps[-1])),
            evidence=(facts.view.evidence("val/explained_variance", int(series.rows[-1])),),
        )


class WorseThanSimplePredictor(Rule):
    """On held-out samples the model is worse than a picture without detail.

    What it checks: the latest ``val/psnr`` against that of each sample's mean colour and of the sample blurred over blocks of 8 x 8
    pixels, which ``vaelab train`` scores once on the same samples.
    Why it matters: a falling loss says that it learns, not that it has learned anything worth keeping yet.
    Evidence it needs: ``val/psnr`` and the predictors' scores in events.jsonl.
    What to do: early in a run, wait; late, look at the previews beside the blurred pictures.
    References: causes B8, C1, E2.
    """

    code = "REC138"
    name = "worse-than-simple-predictor"
    finds = ("quality", "too-low")
    needs = ("val/psnr", "baseline.blurred.psnr|baseline.constant.psnr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        psnr = facts.view.series("val/psnr")
        scores = {n: facts.run.measured.get(f"baseline.{n}.psnr", -np.inf) for n in ("constant", "blurred")}
        beaten_by = next((n for n, score in scores.items() if psnr.values[-1] < score), None)
        if beaten_by is None:
            return
        what = {"constant": "each sample's mean colour", "blurred": "the sample blurred over 8 x 8 pixels"}[beaten_by]
        yield self.finding(
            f"val/psnr is {psnr.values[-1]:.1f} dB at step {int(psnr.steps[-1]):,}, where {what} reaches"
            f" {scores[beaten_by]:.1f} dB: worse than a picture without detail.",
            metrics=("val/psnr",),
            steps=(int(psnr.steps[-1]), int(psnr.steps[-1])),
            evidence=(
                facts.view.evidence("val/psnr", int(psnr.rows[-1])),
                Evidence(beaten_by, scores[beaten_by], "dB"),
            ),
        )
