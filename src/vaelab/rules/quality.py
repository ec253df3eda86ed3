"""REC: is the model better than a constant output, and does what it learned hold on held-out samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.held_out import HELD_OUT, error_columns, skill
from vaelab.words import number


class GapWidens(Rule):
    """Training goes on improving, held-out samples do not follow.

    What it checks: the held-out error (of the averaged weights where they are better) over the training error: its growth since the first one, its
    size now, and that the training error still fell by a sixth while the gap opened.

    Why it matters: the gap opens long before the held-out error rises. Held-out samples are decoded from the mode and
    training ones from noisy samples, so in a run that generalises the ratio is near or below 1 and stays there.

    Evidence it needs: a validation ``rec_loss`` or ``rec_mse`` with at least 3 values, and the training one.

    What to do: more data or augmentation; check that both splits are processed in the same way.

    References: phenaki-pytorch#29; cause A7.
    """

    code = "REC115"
    name = "held-out-gap-widens"
    needs = ("rec_loss", HELD_OUT)

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = error_columns(facts)
        jump = facts.changes.jump
        if names is None or (jump is not None and jump.coincides != "gan-start"):
            return
        val, rec = facts.view.series(names[0]), facts.view.series(names[1])
        if len(val) < 3 or len(rec) < 12:
            return
        # the training level around each validation: the rows of half the way to the one before
        half = max(1, int(level(np.diff(val.steps))) // 2)
        train = np.array([level(rec.between(int(s) - half, int(s)).values) for s in val.steps])
        # raw weights that swing are not memory: the better of raw and averaged weights counts
        averaged = facts.view.series(f"val_ema/{names[1]}")
        held_out = np.minimum(val.values, averaged.values) if len(averaged) == len(val) else val.values
        if not np.all(np.isfinite(train)) or train.min() <= 0 or held_out.min() <= 0:
            return
        ratio = held_out / train
        if ratio[0] <= 0:  # less than a float holds
            return
        now = level(ratio[-2:]) if len(ratio) > 3 else float(ratio[-1])
        growth = now / float(ratio[0])
        if now < 1.6 or growth < 1.35 or train[-1] > 0.85 * train[0]:
            return
        yield self.finding(
            "critical" if now > 1.7 and growth > 1.5 else "warn",
            f"{names[0]} was {ratio[0]:.2f} times the training value at step {int(val.steps[0]):,} and is {now:.2f} times it"
            f" now: training fell from {number(float(train[0]))} to {number(float(train[-1]))}, held-out samples went from"
            f" {number(float(held_out[0]))} to {number(float(held_out[-1]))}. What it still learns holds for its training"
            " samples only.",
            metrics=names,
            steps=(int(val.steps[0]), int(val.steps[-1])),
            evidence=(Evidence("held-out / training, first", float(ratio[0]), "x"), Evidence("now", now, "x")),
        )


class BackAtTheStart(Rule):
    """The reconstruction loss has jumped back to the level of an untrained network, and stays.

    What it checks: a lasting jump of ``rec_loss`` away from any switch, to at least 0.6 times the level of the first rows of
    a model from scratch, whose row-to-row noise has not shrunk.

    Why it matters: a constant output scores the variance of the data, the level where training began. Other data make
    another loss, and alike ones a calmer one; weights that no longer act give just this level with the spread of the data.

    Evidence it needs: ``rec_loss`` from the first steps on.

    What to do: reconstruct one known sample: a grey or constant picture says that the decoder is dead. Go back to the
    checkpoint before the jump.

    References: causes B8, E1.
    """

    code = "REC116"
    name = "back-at-the-start"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump, rec = facts.changes.jump, facts.view.series("rec_loss")
        if jump is None or jump.coincides not in ("", "epoch-start") or facts.phases.origin != "scratch":
            return
        start = level(rec.head(0.05, 3).values)
        if not 0.6 * start <= jump.after <= 1.5 * start or jump.remaining < 0.7 * jump.ratio:
            return
        before, after = jump.scatter_before, jump.scatter_after
        if before is None or after is None or after < before / 2.5:
            return
        yield self.finding(
            "critical",
            f"rec_loss went from {number(jump.before)} back to {number(jump.after)} at step {jump.step:,}, the level of an"
            f" untrained network ({number(start)}), and stays there with the spread of changing samples: the output no"
            " longer depends on the input.",
            metrics=("rec_loss",),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(Evidence("first rows", start), Evidence("after the jump", jump.after)),
        )


class NoBetterThanMean(Rule):
    """On held-out samples the model is no better than their mean colour.

    What it checks: ``val/explained_variance`` (1 - MSE / variance) at or below 0.05, with at least 2 validations.

    Why it matters: 0 is what a constant output reaches; below 0 the output is wrong and not merely blurred. Held-out
    samples do not change when the training data do, so this speaks of the weights.

    Evidence it needs: ``val/explained_variance``.

    What to do: reconstruct one known sample; if the value was good before, go back to that checkpoint.

    References: causes B8, C1, E1.
    """

    code = "REC117"
    name = "no-better-than-mean"
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
            "critical",
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
    needs = ("val/psnr", "baseline.blurred.psnr|baseline.constant.psnr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        psnr = facts.view.series("val/psnr")
        scores = {n: facts.run.measured.get(f"baseline.{n}.psnr", -np.inf) for n in ("constant", "blurred")}
        beaten_by = next((n for n, score in scores.items() if psnr.values[-1] < score), None)
        if beaten_by is None:
            return
        what = {"constant": "each sample's mean colour", "blurred": "the sample blurred over 8 x 8 pixels"}[beaten_by]
        yield self.finding(
            "warn",
            f"val/psnr is {psnr.values[-1]:.1f} dB at step {int(psnr.steps[-1]):,}, where {what} reaches"
            f" {scores[beaten_by]:.1f} dB: worse than a picture without detail.",
            metrics=("val/psnr",),
            steps=(int(psnr.steps[-1]), int(psnr.steps[-1])),
            evidence=(facts.view.evidence("val/psnr", int(psnr.rows[-1])), Evidence(beaten_by, scores[beaten_by], "dB")),
        )


class AverageOfWeights(Rule):
    """The averaged weights (EMA) do not follow the raw ones, or are no average at all.

    What it checks: validation ``rec_loss`` (or ``rec_mse``) with the averaged weights against the one with the raw weights;
    critical where the average is 3 times worse and stands still over all validations while the raw weights improve.

    Why it matters: an average that lags by far is the model that will be published; one that equals the raw weights to
    the last digit is never updated apart, or is off.

    Evidence it needs: ``val/rec_loss`` and ``val_ema/rec_loss`` (or ``rec_mse``) on at least 4 common rows (2 where
    the average has not changed a digit).

    What to do: compare decay and update interval with the steps trained: 1 / (1 - decay) updates are its memory.

    References: RadioDiff (decay 0.995 every 10 steps), VidTok (val_ema logged with EMA off); cause E12.
    """

    code = "REC114"
    name = "ema-lags-or-is-off"
    needs = ("val/rec_loss|val/rec_mse", "val_ema/rec_loss|val_ema/rec_mse")

    def check(self, facts: Facts) -> Iterable[Finding]:
        name = next((m for m in ("rec_loss", "rec_mse") if facts.view.has(f"val/{m}", f"val_ema/{m}")), None)
        if name is None:
            return
        own, ema = f"val/{name}", f"val_ema/{name}"
        raw, averaged = facts.run[own], facts.run[ema]
        rows = np.flatnonzero(np.isfinite(raw) & np.isfinite(averaged))
        if len(rows) < 2:
            return
        steps = (int(facts.run.steps[rows[0]]), int(facts.run.steps[rows[-1]]))
        evidence = (
            facts.view.evidence(ema, int(rows[-1])),
            facts.view.evidence(own, int(rows[-1])),
        )
        frozen = np.ptp(averaged[rows]) <= 1e-5 * abs(averaged[rows[0]]) and np.ptp(raw[rows]) > 0.02 * abs(
            raw[rows[0]]
        )
        if len(rows) < 4 and not frozen:
            return
        late = rows[-max(3, len(rows) // 4) :]
        ratio = level(averaged[late] / np.maximum(raw[late], 1e-300))
        if np.array_equal(raw[rows], averaged[rows]):
            text = (
                f"Validation with averaged weights equals the one with raw weights in all {len(rows)} rows: EMA is off."
            )
            yield self.finding("info", text, metrics=(ema,), steps=steps, evidence=evidence)
        elif ratio > 1.5:
            text = f"Validation {name} with averaged weights is {ratio:.2g} times the one with raw weights: EMA lags behind."
            still = frozen or (
                averaged[rows[-1]] > 0.95 * averaged[rows[0]] and raw[rows[-1]] < 0.8 * raw[rows[0]] and ratio > 3
            )
            text += " It has not moved while the raw weights improved: the average is not updated." if still else ""
            yield self.finding("critical" if still else "warn", text, metrics=(ema,), steps=steps, evidence=evidence)
