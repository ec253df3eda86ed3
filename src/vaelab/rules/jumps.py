"""What a lasting jump of the reconstruction was: other data, an output that died, training that began anew, state that a resume lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.facts.changes import Jump
from vaelab.rules.base import Finding, Rule
from vaelab.run import FloatArray
from vaelab.words import number

UNEXPLAINED = ("", "epoch-start")
"""What a jump coincides with where nothing in the schedule explains it."""
NOT_BACK = 1.25
"""Level now over the level before the jump from which what was lost is not made up for yet."""
AGAIN = 0.85
"""Level of a loss now over that of the first rows after a jump below which it falls again."""
AS_BEFORE, AS_AT_FIRST = (0.6, 1.6), (0.65, 1.5)
"""Highest of the first three rows after a jump over that of the run, and the level of the next five over theirs, between which training began anew: a
model that lost its optimizer's state comes back faster than the run began."""
EASIER, STOOD = 3.0, 1.5
"""Times that rec_loss fell since a jump, and times that it had gained in as many rows before, from which and up to which it was no learning."""
ALIKE = 2.5
"""Row-to-row noise before over after a jump from which the samples have become alike: a damaged model scatters as before or more."""


def unexplained_jump(facts: Facts) -> Jump | None:
    jump = facts.changes.jump
    return jump if jump is not None and jump.coincides in UNEXPLAINED else None


def began_again(facts: Facts) -> bool:
    """Whether rec_loss jumped to where the run began, and fell again as it did there: training began anew."""
    jump, rec = facts.changes.jump, facts.view.series("rec_loss")
    if jump is None or not len(rec) or jump.coincides not in (*UNEXPLAINED, "resume"):
        return False
    first, again = rec.values[:3], rec.between(jump.step, int(rec.steps[-1])).values
    if len(again) < 8 or not AS_BEFORE[0] < float(again[:3].max()) / float(first.max()) < AS_BEFORE[1]:
        return False
    latent = _latent_since(facts, jump)
    if latent == "began again":
        return jump.coincides == "resume" or rec.now < AGAIN * level(again[:8])
    early = rec.values[: len(again)]
    as_there = (
        rec.now < 0.5 * float(first.max()) and AS_AT_FIRST[0] < level(again[3:8]) / level(early[3:8]) < AS_AT_FIRST[1]
    )
    return as_there and latent != "went on" and facts.phases.origin == "scratch"


def _latent_since(facts: Facts, jump: Jump) -> Literal["went on", "began again", ""]:
    """What the KL did at the jump: "went on" where it stood; "began again" where the run began, as that of untrained weights, and left it again; else ""."""
    kl = facts.view.series("kl_loss")
    before = kl.between(int(kl.steps[0]), jump.before_step) if len(kl) else kl
    since = kl.between(jump.step, int(kl.steps[-1])).values if len(kl) else kl.values
    if jump.kl_ratio is None or len(before) < 8 or len(since) < 8 or min(before.values.min(), since.min()) <= 0:
        return ""
    start = level(np.log(before.values[:3]))
    way = abs(np.log(before.now) - start)
    if way < np.log(3):
        return ""
    if abs(np.log(jump.kl_ratio)) < way / 3:
        return "went on"
    back = min(abs(level(np.log(since[i : i + 2])) - start) for i in range(7))
    # other data may leave nothing to encode: then it stays there
    left = jump.coincides == "resume" or abs(np.log(kl.now) - start) > way / 2
    return "began again" if back < way / 3 and left else ""


def calmer(jump: Jump) -> float:
    """Row-to-row noise before the jump over the noise after it; 1 where one of them is not known."""
    before, after = jump.scatter_before, jump.scatter_after
    return 1.0 if before is None or after is None else before / max(after, 1e-9)


def samples_became_alike(facts: Facts) -> bool:
    """Whether all batches score alike since an unexplained jump: other data, that may hold nothing to encode."""
    jump = unexplained_jump(facts)
    return jump is not None and calmer(jump) >= ALIKE


def cannot_be_told(facts: Facts) -> bool:
    """Whether the log holds nothing that tells other data from weights thrown out of place at an unexplained jump: no KL, no gradient,
    no epoch that begins, the scatter as it was, and no learning rate, or few rows in which it had been calm."""
    jump = facts.changes.jump
    if (
        jump is None
        or jump.coincides
        or jump.kl_ratio is not None
        or facts.view.has("grad_norm")
        or calmer(jump) >= ALIKE
    ):
        return False
    return not facts.view.has("lr") or len(facts.view.series("rec_loss").between(0, jump.before_step)) < 60


class DataChange(Rule):
    """Every term jumps on one row though nothing in the schedule changed: the data.

    What it checks: a lasting jump of ``rec_loss`` by 1.8 times that coincides with no learning-rate change, GAN start or resume, with a KL
    that does not explode; whether it falls on the first row of an epoch, and whether all batches score alike since.
    Why it matters: the optimiser cannot change the loss from one row to the next at an unchanged rate; other inputs can. A change at an
    epoch's start points at the sampler. Noise, constant or substituted samples have all the same error; a damaged model would scatter.
    Evidence it needs: ``rec_loss``; ``kl_loss``, ``lr`` and epochs sharpen it.
    What to do: look at the batches of that step: noise, black or wrongly scaled frames, another bucket.
    References: Pyramid-Flow resets its meters every epoch; causes A2, A4, A5.
    """

    code = "DAT701"
    finds = ("data", "jumped")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = unexplained_jump(facts)
        if jump is None or cannot_be_told(facts) or began_again(facts):
            return
        # without the learning rate in the log, a KL that jumps too speaks for the optimiser
        if jump.kl_ratio is not None and jump.kl_ratio > (20 if facts.view.has("lr") else 1.8):
            return
        kl = f" kl_loss went {jump.kl_ratio:.2g} times." if jump.kl_ratio is not None else ""
        where = " at the start of an epoch" if jump.coincides == "epoch-start" else ""
        alike = (
            f" All batches score alike since: the row-to-row noise went from {jump.scatter_before:.1%} to {jump.scatter_after:.1%}."
            if calmer(jump) >= ALIKE
            else ""
        )
        yield self.finding(
            f"The data changed at step {jump.step:,}{where}: rec_loss went {jump.ratio:.3g} times from one row to the next"
            f" with the schedule unchanged.{kl}{alike}",
            size=jump.remaining,
            sure=jump.ratio >= 2.5,
            metrics=("rec_loss", "kl_loss"),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", jump.row), Evidence("jump", jump.ratio, "x")),
        )


class JumpOfUnknownKind(Rule):
    """The reconstruction jumped, and the log does not tell whether the data or the weights did it.

    What it checks: a lasting jump of ``rec_loss`` with the schedule unchanged, in a log without a KL, a gradient norm or epochs beside it,
    and without a learning rate or with less than 60 rows before.
    Why it matters: other inputs change the loss from one row to the next; so does one update that throws the weights out of place. The two
    need opposite measures.
    What to do: score the checkpoint from before that step on batches from after it: a high loss says data, a low one says weights.
    References: causes A2, A5, E1.
    """

    code = "REC142"
    finds = ("reconstruction", "jumped")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or not cannot_be_told(facts) or began_again(facts):
            return
        yield self.finding(
            f"rec_loss went {jump.ratio:.3g} times at step {jump.step:,}: other data, or weights thrown out of place; this log cannot tell which."
            " Score the checkpoint from before on batches from after that step: a high loss says data.",
            size=jump.ratio,
            metrics=("rec_loss",),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", jump.row), Evidence("jump", jump.ratio, "x")),
        )


class DataBecameEasier(Rule):
    """The reconstruction loss falls as no learning does, and stays there: easier data.

    What it checks: a lasting fall of ``rec_loss`` by 1.8 times or more after the first sixth of the run that was not under
    way before, with no change of learning rate, GAN or resume on those rows; or one of 20 times that took some rows. Or a jump that nothing in the
    schedule explains, after which it falls to a third of its level before, where it had gained less than 1.5 times in as many rows before the jump.
    Why it matters: learning does not jump. Black, static or constant samples make every loss better at once, or as soon as they are learned.
    What to do: compute the variance of the batches on both sides of that step.
    References: VidTok replaces unreadable clips by black ones; causes A4, A5.
    """

    code = "DAT706"
    finds = ("data", "dropped")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        drop, now = facts.changes.drop, facts.view.series("rec_loss").now
        by_a_jump = drop is None and _easier_since(facts)
        drop = facts.changes.jump if by_a_jump else drop
        if drop is None:
            return
        after = now if by_a_jump else drop.after
        factor, slow = drop.before / after, drop.after > 2 * now
        sudden = "in a few rows from" if slow else "from one row to the next at"
        how = "after it had jumped at" if by_a_jump else sudden
        kl = f" kl_loss went {drop.kl_ratio:.2g} times." if drop.kl_ratio is not None else ""
        yield self.finding(
            f"rec_loss fell {factor:.2g} times ({drop.before:.4g} to {after:.4g}) {how} step {drop.step:,} with the schedule unchanged: the data"
            f" became easier, the model did not become better.{kl}",
            size=factor,
            metrics=("rec_loss",),
            steps=(drop.step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", drop.row), Evidence("fall", factor, "x")),
        )


def _easier_since(facts: Facts) -> bool:
    """Whether rec_loss fell far below its level before an unexplained jump, though it had stood there nearly still."""
    jump, rec = unexplained_jump(facts), facts.view.series("rec_loss")
    if jump is None or rec.now > jump.before / EASIER:
        return False
    i = int(np.searchsorted(rec.steps, jump.step))
    return level(rec.values[max(0, 2 * i - len(rec)) :][:8]) < STOOD * jump.before


class BackAtTheStart(Rule):
    """The reconstruction loss has jumped back to the level of an untrained network, and stays.

    What it checks: a lasting jump of ``rec_loss`` away from any switch, to at least 0.6 times the level of the first rows of
    a model from scratch, whose row-to-row noise has not shrunk.
    Why it matters: a constant output scores the variance of the data, the level where training began. Other data make
    another loss, and alike ones a calmer one; weights that no longer act give just this level with the spread of the data.
    What to do: reconstruct one known sample: a grey picture says that the decoder is dead. Go back to the checkpoint before the jump.
    References: causes B8, E1.
    """

    code = "REC116"
    finds = ("output", "collapsed")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump, start = unexplained_jump(facts), facts.view.series("rec_loss").first
        if jump is None or facts.phases.origin != "scratch" or jump.scatter_before is None or calmer(jump) >= ALIKE:
            return
        if not 0.6 * start <= jump.after <= 1.5 * start or jump.remaining < 0.7 * jump.ratio or began_again(facts):
            return
        yield self.finding(
            f"rec_loss went from {number(jump.before)} back to {number(jump.after)} at step {jump.step:,}, the level of an"
            f" untrained network ({number(start)}), and stays there with the spread of changing samples: the output no"
            " longer depends on the input.",
            metrics=("rec_loss",),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(Evidence("first rows", start), Evidence("after the jump", jump.after)),
        )


class TrainingBeganAgain(Rule):
    """Training began again from untrained weights in mid-run.

    What it checks: a jump of ``rec_loss`` to the level of the run's first rows, after which it falls again as it did there.
    Critical while it stands at 1.25 times its level before the jump.
    Why it matters: what had been learned is lost. A resume that did not load its checkpoint looks so; the step may go on.
    Evidence it needs: ``rec_loss`` from the first steps on, 8 rows after the jump.
    What to do: see whether the process was restarted at that step and which checkpoint it loaded; print a warning where keys are missing.
    References: cause H9.
    """

    code = "RES804"
    finds = ("run", "lost")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump, rec = facts.changes.jump, facts.view.series("rec_loss")
        if jump is None or not began_again(facts):
            return
        yield self.finding(
            f"At step {jump.step:,} rec_loss went back to where the run began ({number(float(rec.values[0]))}) and falls again as it did"
            " there: training began anew from untrained weights.",
            costs=jump.remaining > NOT_BACK,
            metrics=("rec_loss",),
            steps=(jump.step, int(rec.steps[-1])),
            evidence=(Evidence("first row", float(rec.values[0])), Evidence("after the jump", jump.after)),
        )


class ResumeLosesDiscriminator(Rule):
    """The discriminator starts anew at a resume.

    What it checks: ``disc_loss`` back at its chance level at a resume, from clearly below it.
    Why it matters: the generator then meets an untrained adversary again: the start shock repeats at every resume.
    What to do: save and restore the discriminator and its optimizer.
    References: encoder4editing#22, EDSR#245; causes H3, D15.
    """

    code = "RES802"
    finds = ("discriminator", "lost")
    needs = ("resume", "gan-active", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        chance, disc = facts.adversary.chance if facts.adversary else None, facts.view.series("disc_loss")
        for step in facts.phases.resumes[:5]:
            before, after = _around(disc.steps, disc.values, step)
            if chance is None or len(before) < 3 or len(after) < 2:
                continue
            if level(before) < 0.85 * chance and abs(float(after[0]) - chance) < 0.12 * chance:
                yield self.finding(
                    f"disc_loss went back from {level(before):.3g} to chance ({float(after[0]):.3g}) at the resume of step"
                    f" {step:,}: the discriminator was not restored.",
                    # a second start shock that is over has only cost time
                    sure=disc.now >= 1.1 * level(before),
                    metrics=("disc_loss",),
                    steps=(step, step),
                    evidence=(Evidence("before", level(before)), Evidence("after", float(after[0]))),
                )


def _around(steps: np.ndarray, values: FloatArray, step: int) -> tuple[FloatArray, FloatArray]:
    """Up to 5 values before and from ``step`` on."""
    i = int(np.searchsorted(steps, step))
    return values[max(0, i - 5) : i], values[i : i + 5]
