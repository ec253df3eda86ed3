"""RES: what a resume changed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, noise
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.data import began_again
from vaelab.run import FloatArray
from vaelab.words import number


def _around(facts: Facts, metric: str, step: int) -> tuple[FloatArray, FloatArray]:
    """Up to 5 values of ``metric`` before and from ``step`` on."""
    series = facts.view.series(metric)
    i = int(np.searchsorted(series.steps, step))
    return series.values[max(0, i - 5) : i], series.values[i : i + 5]


class ResumeSpike(Rule):
    """Every loss jumps at a resume.

    What it checks: the level of ``rec_loss`` (of the total, of the perceptual loss where there is none) on both sides of every
    resume in the log.
    Why it matters: a resume that restores everything is invisible. Without the optimizer state the first steps move
    every weight by about the learning rate; with other weights the level is another one.
    Evidence it needs: a resume with at least 3 rows on both sides.
    What to do: save and restore both optimizers and the schedulers, or warm the learning rate up again.
    References: stylegan2-ada#108, Halton-MaskGIT#15; cause H4.
    """

    code = "RES801"
    name = "resume-raises-loss"
    finds = ("reconstruction", "jumped")
    needs = ("resume", "rec_loss|total_loss|perceptual_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        metric = next(m for m in ("rec_loss", "total_loss", "perceptual_loss") if facts.view.has(m))
        for step in facts.phases.resumes[:5]:
            before, after = _around(facts, metric, step)
            if len(before) < 3 or len(after) < 3 or min(before.min(), after.min()) <= 0:
                continue
            # of two levels of 5 rows that are as noisy as the rows before
            chance = 3 * noise(np.log(before)) / np.sqrt(2.5)
            if np.log(level(after) / level(before)) <= max(np.log(1.4), chance):
                continue
            end = facts.view.series(metric).now
            stays = end > 1.4 * level(before)
            yield self.finding(
                f"{metric} rose {level(after) / level(before):.2g} times at the resume of step {step:,}"
                f"{' and has not come back' if stays else ''}: the optimizer state (or other weights) was probably not"
                " restored.",
                size=level(after) / level(before),
                sure=stays,
                metrics=(metric,),
                steps=(step, step),
                evidence=(Evidence("before", level(before)), Evidence("after", level(after))),
            )


class ResumeLosesDiscriminator(Rule):
    """The discriminator starts anew at a resume.

    What it checks: ``disc_loss`` back at its chance level at a resume, from clearly below it.
    Why it matters: the generator then meets an untrained adversary again: the start shock repeats at every resume.
    Evidence it needs: a resume with 3 rows of ``disc_loss`` before it, the GAN on.
    What to do: save and restore the discriminator and its optimizer.
    References: encoder4editing#22, EDSR#245; causes H3, D15.
    """

    code = "RES802"
    name = "resume-loses-discriminator"
    finds = ("discriminator", "lost")
    needs = ("resume", "gan-active", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        chance = facts.adversary.chance if facts.adversary else None
        for step in facts.phases.resumes[:5]:
            before, after = _around(facts, "disc_loss", step)
            if chance is None or len(before) < 3 or len(after) < 2:
                continue
            if level(before) < 0.85 * chance and abs(float(after[0]) - chance) < 0.12 * chance:
                # a second start shock that is over has only cost time
                over = facts.view.series("disc_loss").now < 1.1 * level(before)
                yield self.finding(
                    f"disc_loss went back from {level(before):.3g} to chance ({float(after[0]):.3g}) at the resume of step"
                    f" {step:,}: the discriminator was not restored.",
                    sure=not over,
                    metrics=("disc_loss",),
                    steps=(step, step),
                    evidence=(Evidence("before", level(before)), Evidence("after", float(after[0]))),
                )


class BeganAgain(Rule):
    """Training began again from untrained weights in mid-run.

    What it checks: a jump of ``rec_loss`` to the level of the run's first rows, after which it falls again as it did there.
    Why it matters: what had been learned is lost. A resume that did not load its checkpoint looks so, and the step may go on as if nothing had been.
    Evidence it needs: ``rec_loss`` from the first steps on, 8 rows after the jump.
    What to do: see whether the process was restarted at that step and which checkpoint it loaded; print a warning where keys are missing.
    References: cause H9.
    """

    code = "RES804"
    name = "training-began-again"
    finds = ("run", "lost")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump, rec = facts.changes.jump, facts.view.series("rec_loss")
        if jump is None or not began_again(facts):
            return
        yield self.finding(
            f"At step {jump.step:,} rec_loss went back to where the run began ({number(float(rec.values[0]))}) and falls again as it did"
            " there: training began anew from untrained weights.",
            metrics=("rec_loss",),
            steps=(jump.step, int(rec.steps[-1])),
            evidence=(Evidence("first row", float(rec.values[0])), Evidence("after the jump", jump.after)),
        )


class EpochGoesBack(Rule):
    """The epoch counter begins again while the step goes on.

    What it checks: epochs of the log in the order of the steps: a fall that lasts.
    Why it matters: the run was resumed there and its epoch was not restored. Samplers and schedules that are seeded by
    the epoch repeat what has been seen.
    Evidence it needs: epochs and steps in the log.
    What to do: save the epoch with the step, and derive it from the step at a resume.
    References: WF-VAE's resume; cause H7.
    """

    code = "RES803"
    name = "epoch-counter-goes-back"
    finds = ("run", "contradicts")

    def check(self, facts: Facts) -> Iterable[Finding]:
        epochs = facts.run.epochs
        if epochs is None:
            return
        rows = np.flatnonzero(epochs >= 0)
        known = epochs[rows]
        for i in np.flatnonzero(np.diff(known) < 0)[:3].tolist():
            after = known[i + 1 : i + 4]
            if len(after) < 3 or after.max() >= known[i]:
                continue
            step = int(facts.run.steps[rows[i + 1]])
            yield self.finding(
                f"The epoch goes back from {known[i]} to {known[i + 1]} at step {step:,} while the step goes on: a resume that"
                " did not restore the epoch.",
                steps=(step, step),
                evidence=(Evidence("epoch before", float(known[i])), Evidence("epoch after", float(known[i + 1]))),
            )
