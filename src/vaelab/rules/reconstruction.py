"""REC: how the reconstruction loss moves."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, rolling_median, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.data import began_again
from vaelab.words import number, rough


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
    finds = ("reconstruction", "as-expected")
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
        a, b = part.first, part.now
        word = {"flat": "shows no trend", "falling": "falls", "rising": "rises"}[found.direction]
        if found.direction == "flat" and (start := float(part.values[0])) > 2 * b:
            word, a = "fell early and is flat since", start
        db = ""
        error = facts.view.series(facts.scales.error).between(phase.first_step, phase.last_step)
        c, d = error.first, error.now
        if facts.scales.psnr_exact and c > 0 and d > 0:
            db = f" ({10 * math.log10(c / d):+.1f} dB)"
        text = f"rec_loss {word} in the {phase.title} phase: {number(a)} to {number(b)}{db}."
        # rising by itself is a symptom other rules weigh; here it only counts where it is large
        severe = found.direction == "rising" and b > 1.5 * a > 0
        yield self.finding(
            text,
            size=b / a if a > 0 else None,
            costs=severe,
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
    finds = ("reconstruction", "worse")
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
        late = rec.now
        first = float(rec.values[0])
        early = rec.first if len(rec) >= 30 else first
        reference = min(first, early) if facts.phases.origin != "pretrained" else first
        rough = facts.changes.roughness or 0.15
        if min(late, reference) <= 0 or math.log(late) - math.log(reference) < max(0.25, 3 * rough):
            return
        ratio = late / reference
        exact = facts.scales.psnr_exact and facts.scales.error == "rec_loss"
        db = f" ({-10 * math.log10(ratio):.1f} dB)" if exact else ""
        yield self.finding(
            f"rec_loss is {ratio:.3g} times its first level{db}: {number(reference)} at the start, {number(late)} by step"
            f" {int(rec.steps[-1]):,}, with no GAN involved.",
            size=ratio,
            metrics=("rec_loss",),
            steps=rec.span,
            evidence=(
                facts.view.evidence("rec_loss", int(rec.rows[0])),
                facts.view.evidence("rec_loss", int(rec.rows[-1])),
            ),
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
    finds = ("reconstruction", "jumped")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides in ("gan-start", "warm-up") or began_again(facts):
            return
        stays = jump.remaining > 0.5 * jump.ratio
        ratio = jump.remaining if not stays else jump.ratio
        where = {
            "lr-jump": "on the rows where the learning rate jumps",
            "weight-jump": "on the rows where a loss weight changes",
            "resume": "at the resume",
            "epoch-start": "at the start of an epoch, with the learning rate and the GAN unchanged",
        }.get(jump.coincides, "with the learning rate and the GAN unchanged")
        now = "and stays there" if stays else f"and now stands at {ratio:.2g} times the level before"
        yield self.finding(
            f"rec_loss jumped {jump.ratio:.3g} times ({number(jump.before)} to {number(jump.after)}) between step"
            f" {jump.before_step:,} and {jump.step:,}, {where}, {now}.",
            size=jump.remaining,
            sure=jump.ratio >= 2,
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
    Why it matters: a spike that is gone at the next row is a sample, or one bad update; one that does not return is something else.
    Evidence it needs: ``rec_loss`` with at least 20 rows.
    What to do: log the sample ids of those steps and look at the samples.
    References: cause A2.
    """

    code = "REC105"
    name = "isolated-spikes"
    finds = ("reconstruction", "unstable")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec, track = facts.view.series("rec_loss"), facts.changes.track
        if track is None or len(rec) < 20 or facts.phases.origin == "unknown":
            return
        spikes = track.spikes[track.spikes > rec.steps[min(5, len(rec) - 1)]]
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
            f"{len(spikes)} isolated spike{'s' if len(spikes) > 1 else ''} of rec_loss, up to {number(float(heights.max()))}"
            f" times its level and gone at the next row (first at step {int(spikes[0]):,}): single samples, or single bad updates.",
            size=share if len(spikes) >= 5 else None,
            costs=huge,
            metrics=("rec_loss",),
            steps=(int(spikes[0]), int(spikes[-1])),
            evidence=(Evidence("spikes", float(len(spikes))), Evidence("share of rows", share)),
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
    finds = ("reconstruction", "stuck")
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
            f"rec_loss is flat at {number(level(rec.values))} since step {int(rec.steps[0]):,}: {why}.",
            metrics=("rec_loss",),
            steps=rec.span,
            evidence=(Evidence("level", level(rec.values)),),
            phase=phase.kind,
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
    finds = ("reconstruction", "worse")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        track, drift = facts.changes.track, facts.changes.drift
        jump, shock = facts.changes.jump, facts.phases.shock("rec_loss")
        if track is None or drift is None:
            return
        ratio = track.now / track.best
        lasting = shock is not None and shock.recovered_step is None and shock.seen
        explained = jump is not None and jump.remaining > 1.3 and abs(np.log(ratio / jump.remaining)) < 0.7
        if lasting or explained or (facts.phases.origin == "pretrained" and track.best_step == facts.run.steps[0]):
            return
        moved = [
            f"{name} {value:.2g} times" for name, value in drift.items() if value >= 0.01 and not 0.95 < value < 1.05
        ]
        also = f" Since then: {', '.join(moved)}." if moved else ""
        broke = facts.breakdown is not None and not math.isfinite(facts.run["rec_loss"][-1])
        yield self.finding(
            f"rec_loss {'stood' if broke else 'stands'} at {number(track.now)}{' before it became NaN' if broke else ''},"
            f" {rough(ratio)} times its best level ({number(track.best)} at step"
            f" {track.best_step:,}); it left it at about step {track.onset:,} and has not come back.{also}",
            size=ratio,
            metrics=("rec_loss",),
            steps=(track.onset, int(facts.run.steps[-1])),
            evidence=(
                Evidence("best level", track.best, step=track.best_step),
                Evidence("now / best", ratio, "x"),
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
    finds = ("total", "rising")
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
        late = nll.now
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
            f"{name} rose {ratio:.1f} times ({nll.values[0]:.4g} to {late:.4g}) over"
            f" {int(nll.steps[-1] - nll.steps[0]):,} steps{still}{'' if facts.ended else ': stop and look'}. {which}",
            size=ratio,
            metrics=(name,),
            steps=nll.span,
            evidence=(facts.view.evidence(name, int(nll.rows[0])), facts.view.evidence(name, int(nll.rows[-1]))),
        )
