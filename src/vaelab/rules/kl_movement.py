"""KL: does it fall away, grow, explode, or never move."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, level, rolling_median, trend
from vaelab.facts import Evidence, Facts, Track
from vaelab.rules.base import Finding, Rule
from vaelab.rules.jumps import samples_became_alike
from vaelab.rules.kl_level import COLLAPSED_SAMPLE, input_nats
from vaelab.rules.learned import begins_with_the_run
from vaelab.run import FloatArray
from vaelab.words import number

ROWS = 30
"""Rows below which no level of a KL has settled."""
UNSETTLED = 4.0
"""Growth within the middle sixths of the rows from which it has not."""
STILL_ROWS, STILL, STILL_ERRORS, STILL_GAIN = 40, {"kl": 0.35, "quantiser": 0.1}, 5.0, 1.25
"""Rows over which a KL stands still, its largest change (natural log) and that in standard errors of a level, while the reconstruction gained so many times.
The highest and the lowest of four levels are some 3 errors apart by chance. Of the bench's tune part no run whose encoder is trained does so."""
CODEBOOK_STEPS = 50
"""Step up to which five rows show how a quantiser's loss begins."""
UNTRAINED_SAMPLE = 25.0
"""Nats per sample below which an encoder that stands still has not been trained before: a trained one sends hundreds."""


class KlFallsWhileRecRises(Rule):
    """KL falls while the reconstruction gets worse.

    What it checks: before any GAN ``kl_loss`` at 0.6 times its first value and less, falling, and ``rec_loss`` at 1.3 times and more.
    Why it matters: rate against distortion: information is being removed. A learning rate that is too high does not make
    the KL fall smoothly.
    Evidence it needs: ``kl_loss`` and ``rec_loss`` on at least 3 common rows.
    What to do: lower the KL weight.
    References: users' analyses of real runs; causes C2, E1.
    """

    code = "KL205"
    finds = ("kl", "falling")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec, gan, jump = (
            facts.view.series("kl_loss"),
            facts.view.series("rec_loss"),
            facts.phases.gan,
            facts.changes.jump,
        )
        if gan.state == "active":
            kl, rec = (
                s.between(int(s.steps[0]), -1 if gan.before_step is None else gan.before_step) for s in (kl, rec)
            )
        if min(len(kl), len(rec)) < 3 or (jump is not None and jump.coincides != "warm-up"):
            return
        rises, falls = (s.now / max(float(s.values[0]), 1e-300) for s in (rec, kl))
        if rises < 1.3 or falls > 0.6 or (len(kl) >= 8 and trend(kl.values).direction != "falling"):
            return
        yield self.finding(
            f"kl_loss fell to {falls:.2g} of its first value while rec_loss rose {rises:.2g} times: information is being removed"
            " from the latent and the reconstruction pays.",
            size=rises,
            metrics=("kl_loss", "rec_loss"),
            steps=rec.span,
            evidence=(Evidence("kl_loss now / first", falls, "x"), Evidence("rec_loss now / first", rises, "x")),
        )


class KlFallsAway(Rule):
    """KL falls to a small part of its own earlier level.

    What it checks: the late smoothed ``kl_loss`` below 5% of the highest level that it held for a tenth of the run, with
    ``rec_loss`` not better since; or below 2% of it while ``rec_loss`` has gained less than 40% in all and stands still over the
    last half (or the KL is below a thousandth of it, whatever rec_loss does). Needs no units: the run is its own reference.
    Why it matters: a latent that loses its information late collapses just as one that never had any.
    Evidence it needs: ``kl_loss`` and ``rec_loss`` with at least 30 rows and the warm-up over, and samples that have not become alike (DAT701).
    What to do: see what changed at the step where the fall begins: KL weight schedule, learning rate, data.
    References: cause C1.
    """

    code = "KL209"
    finds = ("kl", "falling")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec = facts.view.series("kl_loss"), facts.view.series("rec_loss")
        if min(len(kl), len(rec)) < ROWS or kl.values.min() < 0 or samples_became_alike(facts):
            return
        smooth = rolling_median(kl.values, max(5, len(kl) // 50))
        # the highest level it held for a tenth of the rows, wherever the fall came
        held = float(rolling_median(kl.values[len(kl) // 12 :], max(5, len(kl) // 10)).max())
        early, late, now = max(held, kl.first), kl.now, rec.now
        if held <= 0 or late > 0.05 * early:
            return
        half = rec.later.first
        before = rec.between(int(rec.steps[0]), _last_above(kl, smooth, 0.5 * held)).now
        lost = late <= 0.05 * held and late <= 0.3 * float(smooth[len(smooth) // 12]) and now > 0.95 * before
        still = now > 0.95 * half
        if not lost and not (late <= 0.02 * early and now > 0.6 * rec.first and (still or late <= 0.001 * early)):
            return
        high, since = (held, before) if lost else (early, half if still else rec.first)
        start = _last_above(kl, smooth, 0.5 * high)
        yield self.finding(
            f"kl_loss fell from {number(high)} to {late:,.3g} ({late / high:.2%}), to half of it by step {start:,}, and rec_loss"
            f" {'stands still,' if still and not lost else 'went'} from {number(since)} to {number(now)}: the latent loses its"
            " information.",
            size=early / late if late > 0 else math.inf,
            costs=now > 1.1 * before,
            metrics=("kl_loss", "rec_loss"),
            steps=(start, int(kl.steps[-1])),
            evidence=(Evidence("held level", high), facts.view.evidence("kl_loss", int(kl.rows[-1]))),
        )


def _last_above(kl: Series, smooth: FloatArray, limit: float) -> int:
    return int(kl.steps[np.max(np.flatnonzero(smooth > limit), initial=0)])


class KlExplodes(Rule):
    """The posterior has left any useful range.

    What it checks: KL above 50 nats per input value late in the run, or 1,000 at its peak; a rise by 50 times where ``rec_loss`` jumps;
    where its units are not known, a rise by 30 times, 10 of them in the second half, up to the row where a loss is no longer a number
    or the run breaks off.
    Why it matters: a nearly deterministic encoder needs a few nats per element; hundreds per input value mean huge means
    or variances, and NaN is near (exp(logvar) overflows).
    Evidence it needs: ``kl_loss``; a known reduction and sample size for the level.
    What to do: look at the learning rate first, then at the clamp of logvar.
    References: synthcity#331, benchmark_VAE#102; causes C3, E1, F4.
    """

    code = "KL206"
    finds = ("kl", "too-high")
    needs = ("kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, per_input = facts.view.series("kl_loss"), input_nats(facts)
        end = facts.breakdown.step if facts.breakdown is not None else None
        now = facts.view.evidence("kl_loss", int(kl.rows[-1]))
        if (per_input is None or per_input > 50) and end is not None and (rise := _rise_up_to(kl, end)) >= 30:
            yield self.finding(
                f"kl_loss rose {number(rise)} times, from {number(float(kl.values[0]))} to {number(float(kl.values[-1]))}, up to"
                f" step {end:,}, where the run breaks: the posterior grew until it overflowed.",
                costs=True,
                size=rise,
                metrics=("kl_loss",),
                steps=(int(kl.steps[0]), end),
                evidence=(facts.view.evidence("kl_loss", int(kl.rows[0])), now),
            )
            return
        if len(kl) < 6 or kl.now <= 0:
            return
        smooth, jump = rolling_median(kl.values, 5), facts.changes.jump
        peak = float(smooth.max())
        jumped = jump is not None and (jump.kl_ratio or 0) > 50
        if not jumped and (per_input is None or (per_input < 50 and peak * per_input / kl.now < 1000)):
            return
        amount = f" ({number(per_input)} nats per input value)" if per_input is not None else ""
        yield self.finding(
            f"kl_loss stands at {number(kl.now)}{amount}, its smoothed peak is {number(peak)}: the posterior has left any useful range."
            + (
                f" It rose {jump.kl_ratio:,.3g} times where rec_loss jumped (step {jump.step:,})."
                if jumped and jump
                else ""
            ),
            costs=jumped and jump is not None and jump.remaining > 1.25,
            size=per_input,
            metrics=("kl_loss",),
            steps=(int(kl.steps[int(smooth.argmax())]), int(kl.steps[-1])),
            evidence=(now, Evidence("peak", peak)),
        )


def _rise_up_to(kl: Series, end: int) -> float:
    """How many times ``kl`` rose, first to last rows; 1 where it stood near its last level in the first half already."""
    kl = kl.between(int(kl.steps[0]), end)
    if len(kl) < 4 or kl.values.min() <= 0:
        return 1.0
    few = max(1, len(kl) // 20)
    first, half, last = level(kl.values[:few]), float(kl.values[: len(kl) // 2].max()), level(kl.values[-few:])
    return last / first if last >= 10 * half else 1.0


class KlGrowsManyTimes(Rule):
    """KL has grown many times late in the run.

    What it checks: the late ``kl_loss`` against the level it had settled at: 10 times or more, without a better
    reconstruction to show for it.
    Why it matters: at a tiny weight the total hides it. Latent scale and outliers drift; a scale factor taken before is
    void, and exp(logvar) may overflow.
    Evidence it needs: ``kl_loss`` and ``rec_loss`` with at least 30 rows.
    What to do: look at latent std and max; raise the KL weight 10 to 100 times or decay the encoder's weights.
    References: latent-diffusion#187, #309; cause C3.
    """

    code = "KL210"
    finds = ("kl", "rising")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec, total = facts.view.series("kl_loss"), facts.view.series("rec_loss"), facts.scales.kl_nats_total
        # a collapsed latent has no settled level
        if min(len(kl), len(rec)) < ROWS or kl.values.min() <= 0 or (total is not None and total < COLLAPSED_SAMPLE):
            return
        smooth = rolling_median(kl.values, max(5, len(kl) // 50))
        third = len(smooth) // 3
        settled = float(np.exp(level(np.log(smooth[third // 2 : third + third // 2]))))
        before, late = level(rec.values[len(rec) // 3 : len(rec) // 2]), rec.now
        above = np.flatnonzero(smooth > 2 * settled)
        if kl.now < 10 * settled or late < 0.6 * before or not len(above):
            return
        if level(smooth[third : third + third // 2]) > UNSETTLED * level(smooth[third // 2 : third]):
            return  # it grows from the start, as in any run that begins to learn
        start = int(kl.steps[above[0]])
        yield self.finding(
            f"kl_loss has grown {kl.now / settled:.3g} times over its settled level ({number(settled)} to {number(kl.now)}, from about"
            f" step {start:,}) while rec_loss went from {number(before)} to {number(late)}.",
            size=kl.now / settled,
            metrics=("kl_loss",),
            steps=(start, int(kl.steps[-1])),
            evidence=(Evidence("settled level", settled), facts.view.evidence("kl_loss", int(kl.rows[-1]))),
        )


class LatentStandsStill(Rule):
    """The latent's term has not moved since the first row, while the reconstruction improves: the decoder alone is trained.

    What it checks: the level of ``kl_loss``, or of a codebook or commitment loss, in each quarter of the run and in its first rows, which may differ by no
    more than its own noise allows (and 40%, of a quantiser 10%), beside a reconstruction that gained 1.25 times and more.
    Why it matters: an encoder that is trained moves these terms from the first rows on. One that is not (missing in the optimizer, detached, frozen)
    sends what random weights send, and the decoder paints the average of what may have been meant.
    Evidence it needs: at least 40 rows from the first steps on of an encoder that was not trained before, and so may not be frozen on purpose: ``kl_loss``
    below 25 nats a sample, or of a quantiser a reconstruction that begins where untrained networks do, with five rows of the first 50 steps.
    What to do: print the sum of one encoder weight now and 100 steps later; see whether the optimizer holds the encoder's parameters.
    References: cause E14.
    """

    code = "KL233"
    finds = ("", "stuck")
    needs = ("tracks", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec, total = facts.tracks["rec_loss"], facts.scales.kl_nats_total
        if facts.phases.resumes or (rec.improved or 0) < STILL_GAIN or rec.now > 1 / STILL_GAIN * rec.first:
            return
        untrained = {"kl": total is not None and total < UNTRAINED_SAMPLE and facts.phases.origin != "pretrained"}
        # a codebook finds its level within some dozen steps: rows that lie further apart show it from the first on
        untrained["quantiser"] = facts.phases.origin == "scratch" and rec.series.steps[:5][-1] <= CODEBOOK_STEPS
        for metric in facts.view.of("kl")[:1] + facts.view.of("quantiser")[:1]:
            track = facts.tracks[metric]
            if not untrained[track.role.name] or track.rows < STILL_ROWS or not begins_with_the_run(facts, track):
                continue
            if track.constant or (apart := _apart(track)) is None:
                continue
            yield self.finding(
                f"{metric} stands at {number(track.now)} since the first rows ({number(track.first)}): over {track.rows} rows its level changed by {np.expm1(apart):.1%},"
                f" no more than its noise, while rec_loss went from {number(rec.first)} to {number(rec.now)}. The decoder is trained and the encoder is not.",
                sure=track.role.name == "kl",  # a codebook may find its level before the first row
                subject=track.role.name,
                metrics=(metric, "rec_loss"),
                steps=track.steps,
                evidence=(Evidence(f"{metric}, first rows", track.first), Evidence("now", track.now)),
            )


def _apart(track: Track) -> float | None:
    """How far (natural log) the levels of four quarters of the run lie apart, where no more than noise explains, its first rows included; else None."""
    logs = track.logs
    if logs is None:
        return None
    few, early = len(logs) // 4, len(track.series.early)
    levels = [level(logs[i : i + few]) for i in range(0, len(logs) - few + 1, few)]
    apart, began = max(levels) - min(levels), abs(level(logs[:early]) - level(logs))
    for change, rows in ((apart, few), (began, early)):
        if change > min(STILL[track.role.name], STILL_ERRORS * track.noise / np.sqrt(rows)):
            return None
    return apart
