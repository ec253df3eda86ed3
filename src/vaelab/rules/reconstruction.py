"""REC: is the reconstruction good, does it get better, did something break it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, rolling_median, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.held_out import HELD_OUT, error_columns, psnr_is_still_rising, skill
from vaelab.words import number

REC_LIMIT = {
    "mse": 200.0,
    "l1": 20.0,
    "l1+mse": 220.0,
    "charbonnier": 20.0,
    "l1+lpips": 30.0,
    "l1+mse+lpips": 500.0,
    "mse+lpips": 200.0,
}
"""rec_loss on the first rows that no network fed with inputs in [-1, 1] starts at: errors of 0..255 pixels give 1e4 (MSE)
or 60 and more (L1); an exploding start stays below."""


NO_CONSTANT = ("unknown", "bce-sum", "cross-entropy", "spectral")
"""Kinds of rec_loss whose level says nothing of a constant output: they may hold a part that no model can remove."""


def after_warm_up(facts: Facts) -> int:
    """First step at which the learning rate has done its work: the end of the warm-up, or the first step."""
    run, warm_up = facts.run, facts.phases.warm_up
    if warm_up is None:
        return int(run.steps[0])
    return warm_up.end_step if warm_up.end_step is not None else int(run.steps[-1])


class ReconstructionTrend(Rule):
    """How the reconstruction loss moves in the present phase.

    What it checks: the trend of ``rec_loss`` in the last phase (Mann-Kendall test at 1%, corrected for autocorrelation).

    Why it matters: it is the one loss that should fall; its level is only comparable inside one phase.

    Evidence it needs: ``rec_loss`` with at least 8 rows in the phase.

    What to do: nothing when it falls. When it is flat, look at the learning rate and at the compression limit first.

    References: Hamed and Rao 1998 for the autocorrelation correction.
    """

    code = "REC101"
    name = "reconstruction-trend"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        phase = facts.phases.last
        rec = facts.view.series("rec_loss")
        if phase is None:
            return
        part = rec.between(phase.first_step, phase.last_step)
        if len(part) < 8:
            return
        found = trend(part.values)
        a, b = level(part.head(0.15, 3).values), level(part.tail(0.15, 3).values)
        word = {"flat": "shows no trend", "falling": "falls", "rising": "rises"}[found.direction]
        if found.direction == "flat" and (start := float(part.values[0])) > 2 * b:
            word, a = "fell early and is flat since", start
        db = ""
        error = facts.view.series(facts.scales.error).between(phase.first_step, phase.last_step)
        c, d = level(error.head(0.15, 3).values), level(error.tail(0.15, 3).values)
        if facts.scales.psnr_exact and c > 0 and d > 0:
            db = f" ({10 * math.log10(c / d):+.1f} dB)"
        text = f"rec_loss {word} in the {phase.title} phase: {number(a)} to {number(b)}{db}."
        # rising by itself is a symptom other rules weigh; here it only counts where it is large
        severe = found.direction == "rising" and b > 1.5 * a
        yield self.finding(
            "warn" if severe else "info",
            text,
            metrics=("rec_loss",),
            steps=(phase.first_step, phase.last_step),
            evidence=(Evidence("start of the phase", a), Evidence("end", b), Evidence("p", found.p)),
            phase=phase.kind,
        )


class WorseThanStart(Rule):
    """The reconstruction has become worse than it was, before any GAN.

    What it checks: the level of ``rec_loss`` at the end of the VAE-only part against its first value and its best level.

    Why it matters: without an adversary nothing should trade reconstruction away for long. A fine-tune that loses more
    than 0.5 dB against its own step 0 for longer than the warm-up needs a reason.

    Evidence it needs: ``rec_loss`` with at least 4 rows before the GAN start.

    What to do: look at what else moved. KL falling smoothly: the KL weight. Learning rate rising or jumping: the
    learning rate. Everything at once on one row: the data.

    References: users' analyses of real runs; causes C2, E1.
    """

    code = "REC102"
    name = "reconstruction-worse-than-start"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec = facts.view.series("rec_loss")
        gan = facts.phases.gan
        if gan.state == "active":
            if gan.before_step is None:
                return
            rec = rec.between(int(rec.steps[0]), gan.before_step)
        if len(rec) < 3 or rec.values[0] <= 0:
            return
        jump = facts.changes.jump
        if jump is not None and jump.coincides not in ("warm-up",) and jump.step <= rec.steps[-1]:
            return
        late = level(rec.tail(0.2, 1 if len(rec) < 6 else 5).values)
        first = float(rec.values[0])
        early = level(rec.head(0.1, 3).values) if len(rec) >= 30 else first
        reference = min(first, early) if facts.phases.origin != "pretrained" else first
        rough = facts.changes.roughness or 0.15
        if min(late, reference) <= 0 or math.log(late) - math.log(reference) < max(0.25, 3 * rough):
            return
        ratio = late / reference
        severity = "critical" if ratio >= 2.5 else "warn"
        exact = facts.scales.psnr_exact and facts.scales.error == "rec_loss"
        db = f" ({-10 * math.log10(ratio):.1f} dB)" if exact else ""
        yield self.finding(
            severity,  # type: ignore[arg-type]
            f"rec_loss is {ratio:.3g} times its first level{db}: {number(reference)} at the start, {number(late)} by step"
            f" {int(rec.steps[-1]):,}, with no GAN involved.",
            metrics=("rec_loss",),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(
                facts.view.evidence("rec_loss", int(rec.rows[0])),
                facts.view.evidence("rec_loss", int(rec.rows[-1])),
            ),
        )


class NllRises(Rule):
    """The nll (or total) rises and the log does not say which of its terms does.

    What it checks: ``nll_loss``, or ``total_loss`` before any GAN, against its first value, where ``rec_loss`` is missing.

    Why it matters: the sum alone shows that something is wrong, not what.

    Evidence it needs: ``nll_loss`` or ``total_loss`` with at least 3 rows, and no ``rec_loss``.

    What to do: stop and look; log rec_loss, perceptual_loss and kl_loss apart.

    References: users' analyses of real runs.
    """

    code = "REC111"
    name = "nll-rises"
    needs = ("nll_loss|total_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        if facts.view.has("rec_loss"):
            return
        name = "nll_loss" if facts.view.has("nll_loss") else "total_loss"
        nll = facts.view.series(name)
        if facts.phases.gan.state == "active" and name == "total_loss":
            return
        if len(nll) < 3 or nll.values[0] <= 0:
            return
        late = level(nll.tail(0.15, 1 if len(nll) < 8 else 3).values)
        ratio = late / float(nll.values[0])
        if ratio < 1.5 or (len(nll) >= 8 and trend(nll.values).direction != "rising"):
            return
        still = " and is still rising" if nll.values[-1] >= 0.98 * nll.values.max() else ""
        # the part of the loss that grew most, where the log has its parts
        terms = facts.view.of("reconstruction", "perceptual", "kl", "quantiser", "alignment", "regulariser")
        rose = {m: t.now / t.first for m in terms if m != name and (t := facts.tracks[m]).first > 0}
        most = max(rose, key=lambda m: rose[m], default=None)
        which = (
            f"Which component rose cannot be told from {name} alone."
            if most is None
            else f"Of its parts {most} changed most: {rose[most]:.3g} times its first level."
        )
        yield self.finding(
            "critical" if ratio > 2.5 else "warn",
            f"{name} rose {ratio:.1f} times ({nll.values[0]:.4g} to {late:.4g}) over"
            f" {int(nll.steps[-1] - nll.steps[0]):,} steps{still}{'' if facts.ended else ': stop and look'}. {which}",
            metrics=(name,),
            steps=(int(nll.steps[0]), int(nll.steps[-1])),
            evidence=(facts.view.evidence(name, int(nll.rows[0])), facts.view.evidence(name, int(nll.rows[-1]))),
        )


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
        early = level(rec.between(int(rec.steps[2]), int(rec.steps[-1])).head(0.12, 4).values)
        late = level(rec.tail(0.25, 8).values)
        best = float(rolling_median(rec.values, max(9, len(rec) // 10)).min())
        if early <= 0 or late > 1.8 * early or min(late, best) < 0.7 * early:
            return  # what was learned and lost again is damage (REC110), not a lack of learning
        if (skill(facts) or 0.0) > 0.3:
            return
        share = 1 - late / early
        gain = f"improved by only {share:.0%}" if share >= 0.005 else "not improved"
        still = trend(rec.tail(0.5).values).direction
        slow = " and still falls slowly" if still == "falling" else ""
        yield self.finding(
            "critical" if late > 0.8 * early else "warn",
            f"rec_loss has {gain} since its first rows ({number(early)} to {number(late)} over"
            f" {len(rec) if rec.per_block == 1 else int(rec.rows[-1]) + 1} rows){slow}: this model has learned"
            f" {'almost nothing' if late > 0.8 * early else 'little'} beyond a constant output.",
            metrics=("rec_loss",),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(Evidence("early level", early), Evidence("late level", late)),
        )


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
        a = level(rec.tail(0.2, 5).values) / float(rec.values[:5].max())
        b = level(kl.tail(0.2, 5).values) / float(kl.values[:5].max())
        low, high = (0.85, 1.6) if early else (0.7, 2.0)
        best = float(rolling_median(rec.values, max(5, len(rec) // 10)).min()) / float(rec.values[:5].max())
        if not (low < min(a, best) and a < 1.3 and 1 / high < b < high):
            return  # what was learned and lost again has moved
        psnr = facts.view.series("val/psnr")
        if len(psnr) > 1 and psnr.values[-1] > psnr.values[0] + 1:
            return
        yield self.finding(
            "critical",
            f"Nothing moves: rec_loss stands at {a:.2f} times and kl_loss at {b:.2f} times their first values after {len(rec)}"
            " rows. The weights hardly change.",
            metrics=("rec_loss", "kl_loss"),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(Evidence("rec_loss late / first", a, "x"), Evidence("kl_loss late / first", b, "x")),
        )


class StillFallingSlowly(Rule):
    """The reconstruction still falls, slowly and steadily, at the end of the log.

    What it checks: a model from scratch that has improved by less than half since its first rows, with a falling trend
    over the last half of the rows and the learning rate not yet decayed.

    Why it matters: slow and smooth is what a learning rate far too low looks like. A plateau does not fall any more.

    Evidence it needs: ``rec_loss`` with at least 30 rows.

    What to do: raise the learning rate 3 times for some hundred steps: at too low a rate the slope triples.

    References: lavinal712/AutoencoderKL (4.5e-6 is 1.08e-4 after scaling); causes E2, B11.
    """

    code = "REC112"
    name = "still-falling-slowly"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec = facts.view.series("rec_loss")
        if facts.phases.origin != "scratch" or len(rec) < 30 or facts.changes.jump is not None:
            return
        if facts.phases.gan.state == "active":
            return
        # where a row is an epoch, or the level says nothing by itself, what the first rows gained counts as well
        plain = facts.view.error[1] not in NO_CONSTANT and facts.run.step_unit == "step"
        if not plain and level(rec.tail(0.15, 5).values) < 0.5 * float(rec.values[0]):
            return
        early, late = level(rec.values[2:].copy()[: max(4, len(rec) // 8)]), level(rec.tail(0.15, 5).values)
        half = rec.tail(0.5)
        found = trend(half.values)
        # the last eighth must still be lower than the eighth before it by as much as the run's average pace
        if found.direction != "falling" or not 0.5 * early < late < 0.97 * early:
            return
        if psnr_is_still_rising(facts) and (skill(facts) or 0.0) > 0.8:
            return  # good held-out quality that still gains: a long run, not a rate that is too low
        pace = (early - late) / len(rec)
        if -found.difference < 0.5 * pace * len(half):
            return
        yield self.finding(
            "warn",
            f"rec_loss still falls at the pace it had from the start: {early:.4g} to {late:.4g} ({1 - late / early:.0%} better)"
            f" over {len(rec)} rows, with no sign of levelling off.",
            metrics=("rec_loss",),
            steps=(int(half.steps[0]), int(half.steps[-1])),
            evidence=(Evidence("early level", early), Evidence("late level", late), Evidence("p", found.p)),
        )


class SuddenJump(Rule):
    """The reconstruction loss jumped from one row to the next and stayed there.

    What it checks: a lasting step of ``rec_loss`` by a factor of 1.8 or more and three times its noise, and what changed
    on the same rows: GAN start, learning rate, resume, epoch.

    Why it matters: optimisation drifts, data and switches jump. What coincides with the jump names the suspect.

    Evidence it needs: ``rec_loss``; ``lr`` and epochs sharpen it.

    What to do: if nothing in the schedule changed there, look at the batches around that step.

    References: causes A2, A5, E1, H4.
    """

    code = "REC104"
    name = "reconstruction-jump"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides in ("gan-start", "warm-up"):
            return
        stays = jump.remaining > 0.5 * jump.ratio
        ratio = jump.remaining if not stays else jump.ratio
        severity = "critical" if jump.remaining >= 1.5 and jump.ratio >= 2 else "warn"
        where = {
            "lr-jump": "on the rows where the learning rate jumps",
            "resume": "at the resume",
            "epoch-start": "at the start of an epoch, with the learning rate and the GAN unchanged",
        }.get(jump.coincides, "with the learning rate and the GAN unchanged")
        now = "and stays there" if stays else f"and now stands at {ratio:.2g} times the level before"
        yield self.finding(
            severity,  # type: ignore[arg-type]
            f"rec_loss jumped {jump.ratio:.3g} times ({number(jump.before)} to {number(jump.after)}) between step"
            f" {jump.before_step:,} and {jump.step:,}, {where}, {now}.",
            metrics=("rec_loss",),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(
                Evidence("level before", jump.before),
                facts.view.evidence("rec_loss", jump.row),
                Evidence("level now / before", jump.remaining, "x"),
            ),
        )


class IsolatedSpikes(Rule):
    """Isolated spikes that return at once.

    What it checks: single rows of ``rec_loss`` far above the rolling median (8 robust sigmas and 1.5 times) with the old
    level right after them. Critical where three and more of them are ten times that level.

    Why it matters: a spike that returns is a sample, not the optimiser; one that does not return is something else.

    Evidence it needs: ``rec_loss`` with at least 20 rows.

    What to do: log the sample ids of those steps and look at the samples.

    References: cause A2.
    """

    code = "REC105"
    name = "isolated-spikes"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        spikes, rec = facts.changes.spikes, facts.view.series("rec_loss")
        if not len(spikes) or len(rec) < 20 or facts.phases.origin == "unknown":
            return
        spikes = spikes[spikes > rec.steps[min(5, len(rec) - 1)]]
        shock = facts.phases.shock("rec_loss")
        if shock is not None and shock.seen and facts.phases.gan.start_step is not None:
            spikes = spikes[spikes < facts.phases.gan.start_step]
        if not len(spikes) or facts.changes.jump is not None:
            return
        share = len(spikes) / len(rec)
        usual = rolling_median(rec.values, 21)[np.searchsorted(rec.steps, spikes)]
        heights = rec.high[np.searchsorted(rec.steps, spikes)] / np.maximum(usual, 1e-300)
        huge = int(np.sum(heights >= 10)) >= 3
        yield self.finding(
            "critical" if huge else "warn" if share > 0.02 and len(spikes) >= 5 else "info",
            f"{len(spikes)} isolated spike{'s' if len(spikes) > 1 else ''} of rec_loss, up to {number(float(heights.max()))}"
            f" times its level and gone at the next row (first at step {int(spikes[0]):,}): single samples, not the optimiser.",
            metrics=("rec_loss",),
            steps=(int(spikes[0]), int(spikes[-1])),
            evidence=(Evidence("spikes", float(len(spikes))), Evidence("share of rows", share)),
        )


class PerceptualDisagrees(Rule):
    """Reconstruction and perceptual loss move in opposite directions.

    What it checks: late against early levels of ``rec_loss`` and ``perceptual_loss`` in the present phase.

    Why it matters: both better is progress, both worse is a fault. Perceptual better and rec slightly worse is the trade
    a GAN or a heavy LPIPS weight makes. Perceptual worse with rec better means blur.

    Evidence it needs: ``rec_loss``, ``perceptual_loss``, 12 rows in the phase.

    What to do: compare held-out PSNR and LPIPS of two checkpoints before changing a weight.

    References: Turbo-VAED#7; WF-VAE stage III.
    """

    code = "REC106"
    name = "perceptual-against-reconstruction"
    needs = ("rec_loss", "perceptual_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        phase = facts.phases.last
        if phase is None:
            return
        rec = facts.view.series("rec_loss").between(phase.first_step, phase.last_step)
        per = facts.view.series("perceptual_loss").between(phase.first_step, phase.last_step)
        if len(rec) < 12 or len(per) < 12:
            return
        a, b = (level(s.tail(0.25).values) / max(level(s.head(0.25).values), 1e-300) for s in (rec, per))
        rough = max(facts.changes.roughness or 0.1, 0.05)
        limit = math.exp(2 * rough)
        if a < 1 / limit and b > limit:
            text = "rec_loss falls while perceptual_loss rises: the output becomes smoother, not better."
        elif a > limit and b < 1 / limit:
            text = "perceptual_loss falls while rec_loss rises: texture is bought with pixel accuracy."
        else:
            return
        yield self.finding(
            "warn",
            f"{text} In the {phase.title} phase rec_loss changed {a:.2f} times, perceptual_loss {b:.2f} times.",
            metrics=("rec_loss", "perceptual_loss"),
            steps=(phase.first_step, phase.last_step),
            evidence=(Evidence("rec_loss late / early", a, "x"), Evidence("perceptual_loss late / early", b, "x")),
            phase=phase.kind,
        )


class ScaleOutOfRange(Rule):
    """The reconstruction loss is too large for normalised data.

    What it checks: the first values of ``rec_loss`` against what a fresh network scores on data in [-1, 1] (an MSE of about
    1, at most some tens when it explodes).

    Why it matters: 0..255 pixels in place of -1..1 make the loss four orders of magnitude larger; every weight then has
    another meaning and the network learns almost nothing.

    Evidence it needs: ``rec_loss`` of a known kind and reduction: a sum over pixels is large by design.

    What to do: print the minimum and maximum of one batch.

    References: magvit2-pytorch#7; PyTorch-VAE#48; cause A1.
    """

    code = "REC107"
    name = "input-range"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        name, kind = facts.view.error
        rec, peak = facts.view.series(name), facts.scales.peak
        if not len(rec) or kind not in REC_LIMIT:
            return
        limit = REC_LIMIT[kind] * ((peak or 2.0) / 2) ** 2
        # an epoch mean already holds what training did
        if facts.run.smoothing[name].kind == "epoch_mean":
            limit *= 5
        early = rec.head(0.1, min(3, len(rec)))
        first, median = float(rec.values[0]), level(early.values)
        if first <= limit or median <= limit:
            return
        beside = level(rec.values)
        late = level(rec.tail(0.2, 3).values)
        # a heavy LPIPS term inside rec_loss falls at once; wrongly scaled pixels do not
        if "lpips" in kind and len(rec) >= 12 and late < first / 6:
            return
        yield self.finding(
            "critical",
            f"{name} is {number(first)} on the first row and {number(median)} over the first rows; on inputs in [-1, 1] no"
            f" network starts above {limit:.3g}. The inputs (or targets) are not normalised: {math.sqrt(median):.0f}"
            " is the size of the error, as pixels of 0..255 give.",
            metrics=("rec_loss", name) if name != "rec_loss" else ("rec_loss",),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(
                facts.view.evidence(name, int(rec.rows[0])),
                Evidence("largest plausible", limit),
                Evidence("median of the run", beside),
            ),
        )


class Plateau(Rule):
    """The reconstruction loss has stopped improving.

    What it checks: no trend in the last third of the present phase, and what the learning rate does there.

    Why it matters: flat at a high learning rate can be the compression limit; flat where the rate has decayed below a
    tenth of its peak says nothing about convergence.

    Evidence it needs: ``rec_loss`` with at least 24 rows in the phase; ``lr`` tells the two apart.

    What to do: raise the learning rate 3 times for some hundred steps from a checkpoint: if rec_loss moves, it was the
    learning rate; if not, compare with published values of the same compression.

    References: VidTok's table by channel count; latent-diffusion#270; causes B11, E13.
    """

    code = "REC108"
    name = "plateau"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        phase = facts.phases.last
        if phase is None:
            return
        rec = facts.view.series("rec_loss").between(phase.first_step, phase.last_step).tail(0.34)
        if len(rec) < 24 or trend(rec.values).direction != "flat":
            return
        share = facts.phases.lr_now_share
        decayed = share is not None and share < 0.1
        why = (
            f"the learning rate is down to {facts.view.lr_share[1]} of its peak there, so this says nothing about convergence"
            if decayed and facts.view.lr_share is not None
            else "the learning rate has not decayed there, so it may be the compression limit or a rate that is too low"
        )
        if share is None:
            why = "without a learning rate that can be read the reason cannot be told"
        yield self.finding(
            "info",
            f"rec_loss is flat at {number(level(rec.values))} since step {int(rec.steps[0]):,}: {why}.",
            metrics=("rec_loss",),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(Evidence("level", level(rec.values)),),
            phase=phase.kind,
        )


class ValidationGap(Rule):
    """Validation gets worse while training gets better.

    What it checks: the late validation ``rec_loss`` (or ``rec_mse``) against its own best and against the training level.
    Where the averaged weights (EMA) are validated too and hold their best, the raw weights swing: nothing is memorised.

    Why it matters: overfitting is a gap between held-out and training data. A low training value alone never shows it.

    Evidence it needs: a validation ``rec_loss`` or ``rec_mse`` with at least 4 values, and the training one.

    What to do: more data or augmentation; check that both splits are processed in the same way.

    References: phenaki-pytorch#29; cause A7.
    """

    code = "REC109"
    name = "validation-gap"
    needs = ("rec_loss", HELD_OUT)

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = error_columns(facts)
        if names is None:
            return
        val, rec = facts.view.series(names[0]), facts.view.series(names[1])
        if len(val) < 4:
            return
        best = float(val.values.min())
        late = level(val.tail(0.25, 2).values)
        train = level(rec.tail(0.1, 3).values)
        before = level(rec.between(int(rec.steps[0]), int(val.steps[int(np.argmin(val.values))])).tail(0.1, 3).values)
        if not (best > 0 and train > 0 and late > 1.25 * best and late > 1.5 * train and train < before):
            return
        averaged = facts.view.series(f"val_ema/{names[1]}")
        if len(averaged) >= 4 and level(averaged.tail(0.25, 2).values) <= 1.25 * float(averaged.values.min()):
            return
        yield self.finding(
            "critical" if late > 1.5 * best and late > 2 * train else "warn",
            f"Validation {names[1]} has risen to {number(late)} from its best {number(best)} while the training value fell to"
            f" {number(train)}: the model fits its training data and not the held-out data.",
            metrics=names,
            steps=(int(val.steps[int(np.argmin(val.values))]), int(val.steps[-1])),
            evidence=(Evidence("validation / training", late / train, "x"),),
        )


class DriftsUp(Rule):
    """The reconstruction loss has left its best level and does not come back.

    What it checks: the late level of ``rec_loss`` against its best smoothed level anywhere before, and the step after
    which it never returned. Jumps, and damage at the GAN start, are other rules'.

    Why it matters: divergence starts slowly; the best checkpoint lies behind.

    Evidence it needs: ``rec_loss`` with at least 16 rows.

    What to do: keep the checkpoint of the best level; see what moved at the onset (learning rate, KL, gradient norm).

    References: causes E1, D6, D7.
    """

    code = "REC110"
    name = "reconstruction-drifts-up"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        drift, jump, shock = facts.changes.drift, facts.changes.jump, facts.phases.shock("rec_loss")
        if drift is None:
            return
        lasting = shock is not None and shock.recovered_step is None and shock.seen
        explained = jump is not None and jump.remaining > 1.3 and abs(math.log(drift.ratio / jump.remaining)) < 0.7
        if lasting or explained or (facts.phases.origin == "pretrained" and drift.best_step == facts.run.steps[0]):
            return
        moved = [
            f"{name} {value:.2g} times"
            for name, value in (("kl_loss", drift.kl_ratio), ("grad_norm", drift.grad_ratio), ("lr", drift.lr_ratio))
            if value is not None and value >= 0.01 and not 0.95 < value < 1.05
        ]
        also = f" Since then: {', '.join(moved)}." if moved else ""
        yield self.finding(
            "critical" if drift.ratio >= 1.8 else "warn",
            f"rec_loss stands at {number(drift.late)}, {drift.ratio:.2g} times its best level ({number(drift.best)} at step"
            f" {drift.best_step:,}); it left it at about step {drift.onset:,} and has not come back.{also}",
            metrics=("rec_loss",),
            steps=(drift.onset, int(facts.run.steps[-1])),
            evidence=(
                Evidence("best level", drift.best, step=drift.best_step),
                Evidence("now / best", drift.ratio, "x"),
            ),
        )
