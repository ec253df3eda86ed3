"""REC: what validations on held-out samples say beside the training curves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, level
from vaelab.facts import Evidence, Facts
from vaelab.facts.tracks import ENOUGH
from vaelab.rules.base import Finding, Rule
from vaelab.rules.evaluated import TRAINED, is_local_grid
from vaelab.run import FloatArray
from vaelab.words import number

TRAINING = "rec_loss|rec_mse|total_loss"
HELD_OUT = "val/rec_loss|val/rec_mse|val/total_loss|test/rec_loss|test/rec_mse|test/total_loss"
"""Needs of a rule that compares training with held-out samples."""
OTHER_SCALE = 3.0
"""Training error over held-out error that no augmentation and no epoch mean explains."""
SUDDEN = 0.6
"""Share of the held-out error's growth (in its logarithm) in one step from which it did not grow by memorising."""


def skill(facts: Facts) -> float | None:
    """Latest 1 - MSE / variance on held-out samples: 0 is a constant output, 1 is perfect; None where it is not logged."""
    series = facts.view.series("val/explained_variance")
    return series.now if len(series) else None


def error_columns(facts: Facts) -> tuple[str, str] | None:
    """``(held-out column, training column)`` of the same error; None where the log has no such pair.

    A total without an adversarial term stands in where no reconstruction was recognised: both hold the same terms.
    """
    view, metrics = facts.view, ["rec_loss", "rec_mse"]
    if view.role("total_loss").better == "down" and not view.of("reconstruction"):
        metrics.append("total_loss")
    pairs = ((f"{split}/{m}", m) for split in ("val", "test") for m in metrics)
    return next((pair for pair in pairs if view.has(*pair)), None)


def parted_at_once(facts: Facts, held_out: str, growth: float) -> bool:
    """Whether most of the held-out error's growth is one lasting jump: other data, not memory, which grows from epoch to epoch."""
    track = facts.tracks[held_out]
    shift = track.shift
    if shift is None or not shift.lasting or track.rows < ENOUGH:
        return False
    return bool(np.log(shift.ratio) >= SUDDEN * np.log(growth))


class EmaLagsOrIsOff(Rule):
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
    finds = ("output", "worse")
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
            yield self.finding(text, metrics=(ema,), steps=steps, evidence=evidence)
        elif ratio > 1.5:
            text = f"Validation {name} with averaged weights is {ratio:.2g} times the one with raw weights: EMA lags behind."
            still = frozen or (
                averaged[rows[-1]] > 0.95 * averaged[rows[0]] and raw[rows[-1]] < 0.8 * raw[rows[0]] and ratio > 3
            )
            text += " It has not moved while the raw weights improved: the average is not updated." if still else ""
            yield self.finding(text, size=ratio, costs=bool(still), metrics=(ema,), steps=steps, evidence=evidence)


class HeldOutGapWidens(Rule):
    """Training goes on improving, held-out samples do not follow.

    What it checks: the held-out error (of the averaged weights where they are better) over the training error: its growth since the first
    one, its size now, and that the training error still fell by a sixth while the gap opened; or fell at all since the held-out error's
    best, which has risen by a quarter. A rise that is one jump is no memory.
    Why it matters: the gap opens long before the held-out error rises. Held-out samples are decoded from the mode and
    training ones from noisy samples, so in a run that generalises the ratio is near or below 1 and stays there.
    Evidence it needs: a validation ``rec_loss``, ``rec_mse`` or ``total_loss`` with at least 3 values, and the training one. Of totals
    the gap has to be twice as large, and to have doubled, to be sure: their terms may trade.
    What to do: more data or augmentation; check that both splits are processed in the same way.
    References: phenaki-pytorch#29; cause A7.
    """

    code = "REC115"
    finds = ("reconstruction", "worse")
    needs = (TRAINING, HELD_OUT)

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = error_columns(facts)
        jump = facts.changes.jump
        # data that changed at once, for the worse or the better, part the two as well
        if names is None or facts.changes.drop is not None or (jump is not None and jump.coincides != "gan-start"):
            return
        val, rec = facts.view.series(names[0]), facts.view.series(names[1])
        if len(val) < 3 or len(rec) < 12:
            return
        train = _training_level(rec, val)
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
        best = int(np.argmin(held_out))
        risen = held_out[-1] > 1.25 * held_out[best] and train[-1] < train[best]
        if now < 1.6 or growth < 1.35 or not (risen or train[-1] <= 0.85 * train[0]):
            return
        rose = float(held_out[-1]) / float(held_out[0])
        if rose > 1.35 and parted_at_once(facts, names[0], rose):
            return
        sure = growth > 1.5 if names[1] != "total_loss" else growth > 2 and now > 2
        yield self.finding(
            f"{names[0]} was {ratio[0]:.2f} times the training value at step {int(val.steps[0]):,} and is {now:.2f} times it"
            f" now: training fell from {number(float(train[0]))} to {number(float(train[-1]))}, held-out samples went from"
            f" {number(float(held_out[0]))} to {number(float(held_out[-1]))}. What it still learns holds for its training"
            " samples only.",
            size=now,
            sure=sure,
            metrics=names,
            steps=val.span,
            evidence=(Evidence("held-out / training, first", float(ratio[0]), "x"), Evidence("now", now, "x")),
        )


class TrainingOnAnotherScale(Rule):
    """The training error is several times the held-out error, which does not fall with it.

    What it checks: the same reconstruction error on training and held-out samples: training at 3 times the held-out one and more at each of
    at least 3 validations, and the held-out one within a tenth of its first value while training fell by a third.
    Why it matters: held-out samples are harder, if anything. Where they cost a fraction of the training samples, the two are not
    given in the same scale (0..255 beside -1..1), and what is learned does not serve the held-out ones.
    Evidence it needs: a validation ``rec_loss`` or ``rec_mse`` with at least 3 values, and the training one. Two reductions (a sum beside a
    mean) part the levels too, but then both fall.
    What to do: print the minimum and maximum of one batch of each.
    References: PyTorch-VAE#48; cause A1.
    """

    code = "REC144"
    finds = ("data", "contradicts")
    needs = ("rec_loss|rec_mse", "val/rec_loss|val/rec_mse|test/rec_loss|test/rec_mse")

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = error_columns(facts)
        if names is None or names[1] == "total_loss":
            return
        val, rec = facts.view.series(names[0]), facts.view.series(names[1])
        train = _training_level(rec, val)
        if len(val) < 3 or not np.all(np.isfinite(train)) or val.values.min() <= 0:
            return
        ratio = train / val.values
        if ratio.min() < OTHER_SCALE or val.now < 0.9 * val.values[0] or train[-1] > train[0] / 1.5:
            return
        yield self.finding(
            f"{names[1]} on training samples is {ratio[0]:.2g} times {names[0]} at step {int(val.steps[0]):,} and {ratio[-1]:.2g} times it now; training fell from"
            f" {number(float(train[0]))} to {number(float(train[-1]))}, held-out samples stay at {number(val.now)}: the two are not given in the same scale.",
            size=float(ratio[-1]),
            metrics=names,
            steps=val.span,
            evidence=(
                Evidence("training / held-out, least", float(ratio.min()), "x"),
                Evidence("now", float(ratio[-1]), "x"),
            ),
        )


def _training_level(rec: Series, val: Series) -> FloatArray:
    """Level of the training error around each validation (n,): over the rows of half the way to the validations before and after."""
    half = max(1, int(level(np.diff(val.steps))) // 2) if len(val) > 1 else 1
    return np.array([level(rec.between(int(s) - half, int(s) + half).values) for s in val.steps])


class GridInValidation(Rule):
    """A grid lies over the held-out reconstructions of the run.

    What it checks: the latest ``val/grid_peak`` at 1.5 or more with half an 8-bit level of ``val/grid_level``, of the averaged
    weights where those are validated, in a model that explains more than half of the variance.
    Why it matters: no loss shows it and the eye does; a diffusion model learns to make it too.
    What to do: look at the previews; resize and convolve in place of transposed convolutions and pixel shuffles; a lower weight
    of the GAN if the grid came with it.
    References: Odena et al. 2016; CompVis/taming-transformers#41; cause B5; REC121 finds it in a checkpoint.
    """

    code = "REC139"
    finds = ("output", "unstable")
    needs = ("val/grid_peak|val_ema/grid_peak",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        part = "val_ema" if facts.view.has("val_ema/grid_peak") else "val"
        peak, level = (facts.view.series(f"{part}/{name}") for name in ("grid_peak", "grid_level"))
        explained = skill(facts)
        if not len(level) or not is_local_grid(peak.now, level.now) or explained is None or explained <= TRAINED:
            return
        yield self.finding(
            f"A pattern at the decoder's strides lies over held-out reconstructions: {peak.now:.1f} times the power of its"
            f" neighbourhood in the spectrum, an amplitude of {level.now:.1f} 8-bit levels.",
            size=level.now,
            metrics=(f"{part}/grid_peak",),
            steps=(int(peak.steps[-1]), int(peak.steps[-1])),
            evidence=(facts.view.evidence(f"{part}/grid_peak", int(peak.rows[-1])),),
        )
