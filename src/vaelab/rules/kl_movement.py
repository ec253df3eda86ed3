"""KL: does it fall away, drift or explode."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, level, rolling_median, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.kl_level import COLLAPSED_SAMPLE, input_nats
from vaelab.rules.numerics import breaks_off
from vaelab.run import FloatArray, IntArray
from vaelab.words import number


class FallsWhileRecRises(Rule):
    """KL falls while the reconstruction gets worse.

    What it checks: opposite trends of ``kl_loss`` and ``rec_loss`` before any GAN.
    Why it matters: rate against distortion: information is being removed. A learning rate that is too high does not make
    the KL fall smoothly.
    Evidence it needs: ``kl_loss`` and ``rec_loss`` on at least 8 common rows (or 3 rows with a large change).
    What to do: lower the KL weight.
    References: users' analyses of real runs; causes C2, E1.
    """

    code = "KL205"
    name = "kl-falls-while-rec-rises"
    finds = ("kl", "falling")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec, gan = facts.view.series("kl_loss"), facts.view.series("rec_loss"), facts.phases.gan
        if gan.state == "active":
            if gan.before_step is None:
                return
            kl, rec = (s.between(int(s.steps[0]), gan.before_step) for s in (kl, rec))
        if len(kl) < 3 or len(rec) < 3:
            return
        jump = facts.changes.jump
        if jump is not None and jump.coincides != "warm-up":
            return
        a = rec.now / max(float(rec.values[0]), 1e-300)
        b = kl.now / max(float(kl.values[0]), 1e-300)
        if a < 1.3 or b > 0.6:
            return
        if len(kl) >= 8 and trend(kl.values).direction != "falling":
            return
        yield self.finding(
            f"kl_loss fell to {b:.2g} of its first value while rec_loss rose {a:.2g} times: information is being removed"
            " from the latent and the reconstruction pays.",
            size=a,
            metrics=("kl_loss", "rec_loss"),
            steps=rec.span,
            evidence=(Evidence("kl_loss now / first", b, "x"), Evidence("rec_loss now / first", a, "x")),
        )


class Explodes(Rule):
    """The posterior has left any useful range.

    What it checks: KL above 50 nats per input value late in the run; a jump of kl_loss by 50 times or more; where its units are
    not known, a rise by 30 times, 10 of them in the second half, up to the row where a loss is no longer a number or the run
    breaks off.
    Why it matters: a nearly deterministic encoder needs a few nats per element; hundreds per input value mean huge means
    or variances, and NaN is near (exp(logvar) overflows).
    Evidence it needs: ``kl_loss``; a known reduction and sample size for the level.
    What to do: look at the learning rate first, then at the clamp of logvar.
    References: synthcity#331, benchmark_VAE#102; causes C3, E1, F4.
    """

    code = "KL206"
    name = "kl-explodes"
    finds = ("kl", "too-high")
    needs = ("kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl = facts.view.series("kl_loss")
        per_input, end = input_nats(facts), breaks_off(facts)
        unusual = per_input is None or per_input > 50
        if unusual and end is not None and (rise := _rise_up_to(kl, end)) >= 30:
            yield self.finding(
                f"kl_loss rose {number(rise)} times, from {number(float(kl.values[0]))} to {number(float(kl.values[-1]))}, up to"
                f" step {end:,}, where the run breaks: the posterior grew until it overflowed.",
                costs=True,
                size=rise,
                metrics=("kl_loss",),
                steps=(int(kl.steps[0]), end),
                evidence=(
                    facts.view.evidence("kl_loss", int(kl.rows[0])),
                    facts.view.evidence("kl_loss", int(kl.rows[-1])),
                ),
            )
            return
        if len(kl) < 6 or kl.values.max() <= 0:
            return
        smooth = rolling_median(kl.values, 5)
        peak = float(smooth.max())
        late = kl.now
        size, total = facts.scales.clip_elements, facts.scales.kl_nats_total
        peak_per_input = peak * (total / late) / size if size and total and late > 0 else None
        jump = facts.changes.jump
        jumped = jump is not None and jump.kl_ratio is not None and jump.kl_ratio > 50
        if not jumped and (per_input is None or per_input < 50) and (peak_per_input is None or peak_per_input < 1000):
            return
        track = facts.changes.track
        bad = track is not None and track.now > 1.25 * track.best
        amount = f" ({number(per_input)} nats per input value)" if per_input is not None else ""
        text = f"kl_loss stands at {number(late)}{amount}, its smoothed peak is {number(peak)}: the posterior has left any useful range."
        if jumped and jump is not None:
            text += f" It rose {jump.kl_ratio:,.3g} times on the rows of the rec_loss jump at step {jump.step:,}."
        yield self.finding(
            text,
            size=per_input,
            costs=bool(bad and jumped),
            metrics=("kl_loss",),
            steps=(int(kl.steps[int(smooth.argmax())]), int(kl.steps[-1])),
            evidence=(facts.view.evidence("kl_loss", int(kl.rows[-1])), Evidence("peak", peak)),
        )


def _rise_up_to(kl: Series, end: int) -> float:
    """How many times ``kl`` rose, first to last rows; 1 where it stood near its last level in the first half already."""
    kl = kl.between(int(kl.steps[0]), end)
    if len(kl) < 4 or kl.values.min() <= 0:
        return 1.0
    few = max(1, len(kl) // 20)
    first, half, last = level(kl.values[:few]), float(kl.values[: len(kl) // 2].max()), level(kl.values[-few:])
    return last / first if last >= 10 * half else 1.0


class Grows(Rule):
    """KL rises.

    What it checks: the trend of ``kl_loss`` with the effective KL weight and the reconstruction beside it.
    Why it matters: at a tiny weight rising KL is ordinary: the encoder becomes deterministic. It matters only if the
    latent's scale drifts, which the log does not show.
    Evidence it needs: ``kl_loss`` with at least 8 rows.
    What to do: nothing while rec_loss improves; before diffusion check latent std and max and recompute the scale factor.
    References: latent-diffusion#187, #270, #309; LION#17; cause C3.
    """

    code = "KL207"
    name = "kl-grows"
    finds = ("kl", "rising")
    needs = ("kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl = facts.view.series("kl_loss")
        if len(kl) < 8 or kl.values.min() < 0:
            return
        found = trend(kl.values)
        per_input, jump = input_nats(facts), facts.changes.jump
        exploded = (per_input or 0) > 50 or (jump is not None and (jump.kl_ratio or 0) > 50)
        if found.direction != "rising" or exploded:
            return
        a, b = kl.first, kl.now
        if b < 1.3 * a:
            return
        late = trend(kl.later.values).direction
        beta = facts.scales.effective_beta
        more = "it still rises" if late == "rising" else "it has settled"
        why = "ordinary where the KL weight is small (the encoder becomes more certain); this log does not say how large it is"
        if beta is not None:
            small = beta <= 1e-2
            why = (
                "ordinary at this small weight: the encoder becomes more certain"
                if small
                else "the weight is not small"
            )
        yield self.finding(
            f"kl_loss rose from {number(a)} to {number(b)} ({b / max(a, 1e-300):.2g}x) and {more}: {why}.",
            size=b / max(a, 1e-300),
            metrics=("kl_loss",),
            steps=kl.span,
            evidence=(Evidence("early", a), Evidence("now", b)),
        )


class FallsAway(Rule):
    """KL falls to a small part of its own earlier level.

    What it checks: the late smoothed ``kl_loss`` below 5% of the highest level that it held for a tenth of the run, with
    ``rec_loss`` not better since; or below 2% of it while ``rec_loss`` has gained less than 40% in all and stands still over the
    last half (or the KL is below a thousandth of it, whatever rec_loss does). Needs no units: the run is its own reference.
    Why it matters: a latent that loses its information late collapses just as one that never had any.
    Evidence it needs: ``kl_loss`` and ``rec_loss`` with at least 30 rows and the warm-up over.
    What to do: see what changed at the step where the fall begins: KL weight schedule, learning rate, data.
    References: cause C1.
    """

    code = "KL209"
    name = "kl-falls-away"
    finds = ("kl", "falling")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec = facts.view.series("kl_loss"), facts.view.series("rec_loss")
        if len(kl) < 30 or len(rec) < 30 or kl.values.min() < 0:
            return
        smooth = rolling_median(kl.values, max(5, len(kl) // 50))
        # the highest level it held for a tenth of the rows, wherever the fall came
        held = float(rolling_median(kl.values[len(kl) // 12 :], max(5, len(kl) // 10)).max())
        early = max(held, kl.first)
        late, now = kl.now, rec.now
        if held <= 0 or late > 0.05 * early:
            return
        start = _last_step_above(kl.steps, smooth, 0.5 * held)
        before = rec.between(int(rec.steps[0]), start).now
        first, half = rec.first, rec.later.first
        lost = late <= 0.05 * held and late <= 0.3 * float(smooth[len(smooth) // 12]) and now > 0.95 * before
        still = now > 0.95 * half
        stalls = late <= 0.02 * early and now > 0.6 * first and (still or late <= 0.001 * early)
        if not lost and not stalls:
            return
        high = held if lost else early
        since = before if lost else half if still else first
        start = _last_step_above(kl.steps, smooth, 0.5 * high)
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


def _last_step_above(steps: IntArray, values: FloatArray, limit: float) -> int:
    above = np.flatnonzero(values > limit)
    return int(steps[above[-1]]) if len(above) else int(steps[0])


class GrowsManyTimes(Rule):
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
    name = "kl-grows-many-times"
    finds = ("kl", "rising")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec = facts.view.series("kl_loss"), facts.view.series("rec_loss")
        if len(kl) < 30 or len(rec) < 30 or kl.values.min() <= 0:
            return
        total = facts.scales.kl_nats_total
        if total is not None and total < COLLAPSED_SAMPLE:  # a collapsed latent has no settled level
            return
        smooth = np.log(rolling_median(kl.values, max(5, len(kl) // 50)))
        third = len(smooth) // 3
        settled = level(smooth[third // 2 : third + third // 2])
        late = float(np.log(kl.now))
        if late - settled < math.log(10):
            return
        a = level(rec.values[len(rec) // 3 : len(rec) // 2])
        b = rec.now
        above = np.flatnonzero(smooth > settled + math.log(2))
        if b < 0.6 * a or not len(above):
            return
        start = int(kl.steps[above[0]])
        yield self.finding(
            f"kl_loss has grown {float(np.exp(late - settled)):.3g} times over its settled level ({number(float(np.exp(settled)))} to"
            f" {number(float(np.exp(late)))}, from about step {start:,}) while rec_loss went from {number(a)} to {number(b)}.",
            size=float(np.exp(late - settled)),
            metrics=("kl_loss",),
            steps=(start, int(kl.steps[-1])),
            evidence=(
                Evidence("settled level", float(np.exp(settled))),
                facts.view.evidence("kl_loss", int(kl.rows[-1])),
            ),
        )


class JumpsWithRec(Rule):
    """KL jumps up on the rows where the reconstruction loss jumps, and the learning rate is not logged.

    What it checks: the level of ``kl_loss`` on both sides of a lasting jump of ``rec_loss``: 1.8 times higher or more.
    Why it matters: weights thrown out of place raise both; other data rarely raise the KL. With the learning rate in the log
    the two are told apart directly, without it this is the best hint.
    Evidence it needs: a jump of ``rec_loss``, ``kl_loss``, and no ``lr`` column.
    What to do: log the learning rate; look at the batches of that step.
    References: causes E1, A2, A5.
    """

    code = "KL212"
    name = "kl-jumps-with-reconstruction"
    finds = ("kl", "jumped")
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides not in ("", "epoch-start") or facts.view.has("lr"):
            return
        if jump.kl_ratio is None or jump.kl_ratio < 1.8:
            return
        yield self.finding(
            f"kl_loss rose {jump.kl_ratio:.2g} times where rec_loss jumped (step {jump.step:,}), and the learning rate is not"
            " in the log: the weights were thrown out of place rather than the data changed.",
            size=jump.kl_ratio,
            metrics=("kl_loss", "rec_loss"),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(Evidence("kl_loss after / before", jump.kl_ratio, "x"),),
        )
