"""OPT: the learning rate."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number

HIGH_RATE = 0.003
"""Above what public recipes use even for tiny models."""


class LearningRateJumps(Rule):
    """The learning rate jumps up after the warm-up.

    What it checks: a rise of ``lr`` by 2.5 times or more from one row to the next, outside the warm-up. Critical where
    rec_loss jumps with it, and at once where it is 5 times the highest rate before and above 0.003. Two rises and more that only
    go back to the old peak are the restarts of a schedule, and said only where rec_loss jumps with one.
    Why it matters: a restart of the schedule or a changed config; what the losses do on the same rows tells whether it
    was too much. A schedule's own restart goes back to its old peak, not above it.
    Evidence it needs: ``lr`` with readable decimals.
    What to do: if rec_loss jumps on the same rows, go back to the checkpoint before it with the old rate.
    References: cause E1.
    """

    code = "OPT404"
    finds = ("learning_rate", "jumped")
    needs = ("lr",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rates = facts.view.series("lr")
        jumps = facts.optimiser.lr_jumps
        rows = np.minimum(np.searchsorted(rates.steps, [step for step, _ in jumps]), len(rates) - 1)
        peaks = [float(rates.high[:at].max(initial=0.0)) for at in rows]
        restarts = len(jumps) > 1 and all(rates.high[at] <= 1.1 * peak for at, peak in zip(rows, peaks, strict=True))
        said = 0
        for (step, ratio), at, peak in zip(jumps, rows, peaks, strict=True):
            jump = facts.changes.jump
            now = float(rates.high[at])
            beyond = now > max(5 * peak, HIGH_RATE)
            linked = jump is not None and jump.coincides == "lr-jump" and abs(jump.step - step) <= 3 * (
                jump.step - jump.before_step
            ) + 1  # fmt: skip
            if said == 3 or (restarts and not linked):
                continue
            said += 1
            yield self.finding(
                f"The learning rate jumps {ratio:.3g} times at step {step:,}"
                + (f", to {now:.2g}, {now / peak:.3g} times the highest before" if beyond and peak > 0 else "")
                + (f", and rec_loss jumps {jump.ratio:.3g} times with it." if linked and jump is not None else "."),
                size=ratio,
                costs=bool(beyond or (linked and jump is not None and jump.ratio > 2)),
                metrics=("lr",),
                steps=(step, step),
                evidence=(Evidence("lr now / before", ratio, "x", step),),
            )


class LearningRateOutOfFamily(Rule):
    """The learning rate is far above what Adam takes.

    What it checks: the peak of ``lr`` above 0.02, and what came of it. Critical where the reconstruction has improved by less than 2
    times; from 0.05 on also where it has improved by less than 10 times, or the log's PSNR stays below 20 dB.
    Why it matters: with Adam every weight moves by about the learning rate at each step, whatever the gradient; public
    VAE recipes use 1e-5 to 1e-4, tiny models up to 3e-3.
    Evidence it needs: ``lr`` or a declared learning rate.
    What to do: start at 1e-4.
    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "OPT405"
    finds = ("learning_rate", "too-high")
    needs = ("lr|config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rate = facts.optimiser.lr_peak or facts.view.number("lr")
        if rate is None or rate <= 0.02:
            return
        rec = facts.view.series("rec_loss")
        better = None
        if len(rec) >= 30:
            better = min(rec.first, float(rec.values[0])) / max(rec.now, 1e-300)  # the first rows may explode
        scores = [t for t in facts.tracks.values() if "psnr" in (t.role.kind, t.metric.rpartition("/")[2])]
        psnr = max((t.now for t in scores), default=None)
        far = rate >= 0.05
        poor = better is not None and better < (10 if far else 2)
        gain = f"improved by a factor of only {better:.2g}" if better is not None and better > 1.05 else "not improved"
        outcome = f", and rec_loss has {gain}" if poor else ""
        if far and psnr is not None and psnr < 20:
            poor, outcome = True, f"{outcome}, and the PSNR is {psnr:.1f} dB"
        yield self.finding(
            f"The learning rate reaches {rate:.3g}; public VAE recipes use 1e-5 to 1e-4 (tiny models up to 3e-3){outcome}.",
            size=rate,
            costs=poor,
            metrics=("lr",),
            evidence=(Evidence("peak lr", rate),),
        )


class LearningRateCannotTrain(Rule):
    """At this learning rate nothing can be learned in the steps that were done.

    What it checks: a learning rate below zero; or one whose sum over the steps of the log is below 0.001, over 40 rows in which the
    reconstruction (or a held-out score, or the total) has improved by less than 1.15 times.
    Why it matters: with Adam a weight moves by at most about the learning rate at each step, so their sum bounds the whole way that it can go;
    weights have a size of about 0.02 to 0.1. Below zero every step goes uphill.
    Evidence it needs: ``lr`` with readable decimals and rows that are steps.
    What to do: 1e-4 is the usual order; print what the optimizer holds, not what the configuration says.
    References: Kingma and Ba 2015 (bound of Adam's step); cause E2.
    """

    code = "OPT411"
    finds = ("learning_rate", "too-low")
    needs = ("lr",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        lr = facts.view.series("lr")
        evidence = (facts.view.evidence("lr", int(lr.rows[-1])),)
        steps = (int(lr.steps[0]), int(lr.steps[-1]))
        if lr.values.max() < 0:
            yield self.finding(
                f"The learning rate is below zero ({lr.values[-1]:.3g}): every step makes the loss worse, or the column is no rate.",
                metrics=("lr",), steps=steps, evidence=evidence,
            )  # fmt: skip
            return
        unknown = facts.view.lr_unreadable or facts.run.step_unit != "step" or not lr.values.any()
        tracks = [t for t in facts.tracks.values() if t.improved is not None and t.role.name in OUTCOME]
        if unknown or not tracks or max(t.rows for t in tracks) < 40 or max(t.improved or 0.0 for t in tracks) > 1.15:
            return
        way = float(np.mean(np.maximum(lr.high, facts.view.lr_least))) * (steps[1] - steps[0])
        if way >= SHORT_WAY:
            return
        yield self.finding(
            f"The learning rate is at most {lr.values.max():.2g}: in {steps[1] - steps[0]:,} steps no weight can move by more than about"
            f" {way:.1g} with Adam, and {tracks[0].metric} stands at {number(tracks[0].now)} after {number(tracks[0].first)}.",
            metrics=("lr", tracks[0].metric), steps=steps, evidence=(*evidence, Evidence("sum of lr over the steps", way)),
        )  # fmt: skip


OUTCOME = ("reconstruction", "quality", "total")
SHORT_WAY = 1e-3


class LearningRateZero(Rule):
    """The learning rate is zero.

    What it checks: ``lr`` exactly 0 (or below a millionth of its peak) at readable precision on all rows, or from some step
    to the end of a log that goes on for a fifth of its rows or more.
    Why it matters: a scheduler that is never stepped (manual optimisation in Lightning) keeps the warm-up's first factor,
    0, for ever; one that ends too early trains nothing from there on.
    What to do: step the scheduler; compare its length with the planned steps.
    References: SEED-Voken lfqgan.py; RadioDiff's min_lr.
    """

    code = "OPT407"
    finds = ("learning_rate", "zero")
    needs = ("lr",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        lr, least = facts.view.series("lr"), facts.view.lr_least
        # what is printed with too few decimals may be any rate
        if len(lr) < 8 or lr.values.max() < 60 * least:
            return
        # a millionth of the peak moves nothing either; no schedule is meant to stay there
        nonzero = np.flatnonzero(lr.high > max(1e-6 * lr.values.max(), 0.5 * least))
        first = int(nonzero[-1]) + 1 if len(nonzero) else 0
        share = 1 - first / len(lr)
        if share < 0.2:
            return
        peak = float(lr.values.max())
        rounded = least > 1e-3 * peak
        low = f"printed as 0, below {least / peak:.2g} of its peak," if least else "below a millionth of its peak"
        if not least and lr.values[-1] == 0:
            low = "0"
        text = (
            f"The learning rate is 0 on all {len(lr)} rows: nothing is being trained. Schedulers are probably never stepped."
            if not len(nonzero)
            else f"The learning rate is {low} from step {int(lr.steps[first]):,} to the end ({share:.0%} of the rows):"
            f" {'next to ' if rounded else ''}nothing is trained there."
        )
        yield self.finding(
            text,
            sure=not rounded,
            metrics=("lr",),
            steps=(int(lr.steps[min(first, len(lr) - 1)]), int(lr.steps[-1])),
            evidence=(facts.view.evidence("lr", int(lr.rows[-1])),),
        )


class ShockWithoutWarmUp(Rule):
    """The first steps at the full learning rate threw a trained model out of place.

    What it checks: a fine-tune (declared, or with a first ``rec_loss`` at the run's own later level) whose learning rate stands at half its peak or
    more on the first row, and whose ``rec_loss`` rises 2.5 times or more within the first tenth of the rows.
    Why it matters: Adam's first updates have the size of the learning rate in every weight, whatever the gradient, for its
    second moment is one batch old. What the pretraining had learned is partly lost before the first row that looks calm.
    Evidence it needs: ``rec_loss`` from the first step on, and ``lr``.
    What to do: start again from the pretrained weights with a warm-up of some hundred steps, or a tenth of the rate.
    References: Ma and Yarats 2021 (warm-up of Adam); causes E3, E1.
    """

    code = "OPT409"
    finds = ("learning_rate", "too-high")
    needs = ("rec_loss", "lr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec, lr = facts.view.series("rec_loss"), facts.view.series("lr")
        if len(rec) < 4 or facts.phases.warm_up is not None or lr.values[0] < 0.5 * lr.values.max():
            return
        # a trained model starts where the run stands later; before that is known, the settings have to say it
        later = level(rec.values[len(rec) // 5 :]) if len(rec) >= 10 else 0.0
        if rec.values[0] <= 0 or (facts.phases.origin != "pretrained" and rec.values[0] > 1.3 * later):
            return
        early = rec.early
        peak = int(np.argmax(early.high))
        ratio = float(early.high[peak] / rec.values[0])
        if peak == 0 or ratio < 2.5:
            return
        yield self.finding(
            f"rec_loss rose {ratio:.2g} times ({number(float(rec.values[0]))} to {number(float(early.high[peak]))}) by step"
            f" {int(early.steps[peak]):,} of a fine-tune that starts at its full learning rate {lr.values[0]:g}: the first"
            " steps threw the trained weights out of place.",
            size=ratio,
            metrics=("rec_loss", "lr"),
            steps=(int(rec.steps[0]), int(early.steps[peak])),
            evidence=(Evidence("rec_loss peak / first", ratio, "x"), Evidence("first lr", float(lr.values[0]))),
        )


class WarmUpTooLong(Rule):
    """The warm-up of the learning rate takes much of the run.

    What it checks: where the warm-up of a model from scratch ends, or where it still stands, as a share of the planned steps (of the log's, where a run
    has ended): above 0.42. Doubtful where the rate falls at once after its peak and no warm-up is declared: a schedule of one cycle looks so.
    Why it matters: recipes warm up over 1% to 10% of the steps. Every step below the rate that was chosen learns less, and a GAN often starts
    meanwhile: such runs ended 1 dB below their twins.
    Evidence it needs: ``lr`` with readable decimals, and the planned steps or the end of the run.
    What to do: a warm-up of a tenth of the planned steps; count it in the unit of the scheduler (epochs, batches or updates).
    References: users' analyses of real runs; cause E2.
    """

    code = "OPT412"
    finds = ("learning_rate", "late")
    needs = ("lr",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        warm_up, lr = facts.phases.warm_up, facts.view.series("lr")
        last = int(facts.run.steps[-1])
        planned = facts.progress.planned or (last if facts.ended else None)
        if warm_up is None or not planned or facts.phases.origin in ("pretrained", "resumed"):
            return
        share = (last if warm_up.end_step is None else warm_up.end_step) / planned
        if share <= LONGEST:
            return
        how = "ends at" if warm_up.end_step is not None else "still goes on at"
        yield self.finding(
            f"The warm-up of the learning rate {how} step {warm_up.end_step or last:,} of {planned:,}: {share:.0%} of the run is trained at"
            " less than its highest rate.",
            size=share,
            sure=warm_up.end_step is None or warm_up.planned is not None or float(lr.values[-1]) > 0.9 * warm_up.peak,
            metrics=("lr",),
            steps=(int(lr.steps[0]), warm_up.end_step or last),
            evidence=(Evidence("end of the warm-up / planned steps", share), Evidence("peak lr", warm_up.peak)),
        )


LONGEST = 0.42
"""No healthy run of the bench warms up for longer."""
