"""KL: does the latent carry information, does its KL term run the show, does it drift."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from vaelab.analysis import Series, level, rolling_median, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.numerics import breaks_off
from vaelab.rules.reconstruction import after_warm_up
from vaelab.run import FloatArray, IntArray
from vaelab.words import number, rough, share_text

COLLAPSED = 0.001
"""Nats per input value (or 0.01 per latent element): too little to describe an image, whatever the compression."""

EARLY_STEPS = 100

COLLAPSED_SAMPLE = 8.0
"""Nats per sample: at most e^8 = 3,000 different inputs can be told apart, whatever the shapes are."""


def input_nats(facts: Facts) -> float | None:
    """KL in nats per input value: needs no latent shape, only the trainer's reduction and the sample size."""
    total, size = facts.scales.kl_nats_total, facts.scales.clip_elements
    return total / size if total is not None and size and not facts.scales.clip_assumed else None


def rec_improvement(facts: Facts) -> float | None:
    """Early over late level of rec_loss (4 = four times better); None without rec_loss."""
    rec = facts.view.series("rec_loss")
    if len(rec) < 6:
        return None
    late = level(rec.tail(0.1, 3).values)
    if late <= 0:  # printed as 0: below half a unit of the last decimal
        late = 0.5 * 10.0 ** -(facts.run.decimals.get("rec_loss") or 6)
    return level(rec.head(0.1, 3).values) / late


class Collapsed(Rule):
    """The latent carries (almost) no information.

    What it checks: the KL in nats per latent element, or per input value where the latent shape is not known, late in
    the run, together with a reconstruction that has not become good.

    Why it matters: a posterior equal to the prior tells the decoder nothing; it then paints the same average picture
    for every input. The losses look calm and converged.

    Evidence it needs: ``kl_loss`` with a known reduction, ``rec_loss``, at least 20 rows with the warm-up over; within the
    first 100 steps a KL that has fallen to a third.

    What to do: lower the KL weight (see the effective beta), or start with it off; check mean against sum reduction.

    References: WorldModels#12, moses#45, vunet#5; cause C1.
    """

    code = "KL201"
    name = "posterior-collapse"
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl = facts.view.series("kl_loss")
        rec = facts.view.series("rec_loss")
        # a row that is a mean over an epoch stands for many steps
        epochs = facts.run.smoothing["kl_loss"].kind == "epoch_mean"
        if len(kl) < (5 if epochs else 20) or len(rec) < (5 if epochs else 20):
            return
        settled = kl.between(after_warm_up(facts), int(kl.steps[-1]))
        if len(settled) < (4 if epochs else 10):
            return
        late = level(settled.tail(0.25, 5).values)
        per_input = input_nats(facts)
        nats = facts.scales.nats_per_element(late)
        per_element = nats if facts.scales.latent is not None and facts.scales.latent.standing != "bounded" else None
        low = (per_element is not None and per_element < 0.01) or (per_input is not None and per_input < COLLAPSED)
        printed_zero = _printed_zero(facts, settled.tail(0.25, 5).values)
        total = facts.scales.kl_nats_total
        few = total is not None and total < COLLAPSED_SAMPLE
        if not (low or few or printed_zero):
            return
        better = rec_improvement(facts)
        if better is not None and better > 4:
            return
        rising = trend(settled.tail(0.5).values).direction == "rising" and level(settled.tail(0.1, 3).values) > 3 * late
        if rising and not printed_zero:
            return
        # every KL is small at first; before 100 steps only one that has fallen says something
        short = facts.run.step_unit == "step" and kl.steps[-1] - kl.steps[0] < EARLY_STEPS
        if short and float(kl.values[:5].max()) < 3 * late:
            return
        amount = f"{total:.2g} nats for a whole sample" if total is not None and not printed_zero else "printed as 0"
        if per_input is not None and not printed_zero:
            amount = f"{per_input:.2g} nats per input value"
        if per_element is not None:
            amount = f"{per_element:.2g} nats per latent element"
        yield self.finding(
            "critical",
            f"The latent carries almost no information: kl_loss {late:.3g} is {amount}, and rec_loss has not become good"
            f" ({number(level(rec.head(0.1, 3).values))} to {number(level(rec.tail(0.1, 3).values))}). The decoder paints an"
            " average.",
            metrics=("kl_loss", "rec_loss"),
            steps=(int(settled.steps[0]), int(settled.steps[-1])),
            evidence=(
                facts.view.evidence("kl_loss", int(kl.rows[-1])),
                Evidence("KL per input value", per_input if per_input is not None else 0.0, "nats"),
            ),
        )


def _printed_zero(facts: Facts, late: FloatArray) -> bool:
    """Whether the KL's values ``late`` (n,) are at most one unit of the last decimal that it is printed with."""
    decimals = facts.run.decimals.get("kl_loss")
    unit = 10.0 ** -(decimals or 6)
    # where the decimals differ from row to row (0.0018 after 2.93) the fewest of them say nothing of small values
    whole = decimals is None or bool(np.all(np.abs(late - unit * np.round(late / unit)) < 0.01 * unit))
    return whole and abs(level(late)) <= unit


class Dominates(Rule):
    """The weighted KL term is most of the loss.

    What it checks: ``kl_weight * kl_loss`` as a share of the loss by value, at the first rows and now.

    Why it matters: above one half at the start of a fine-tune the optimizer is told to rewrite the latent and gives up
    detail for it. This is a share of the value; shares of the gradient must be measured.

    Evidence it needs: ``kl_loss`` and a kl_weight, declared or solved from the columns.

    What to do: convert the weight to an effective beta and compare with latent-diffusion's 1e-6.

    References: users' analyses of real runs; cause C2.
    """

    code = "KL202"
    name = "kl-dominates-loss"
    needs = ("kl_loss", "rec_loss|nll_loss|total_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        first, now = facts.algebra.shares_first.get("KL"), facts.algebra.shares_now.get("KL")
        weight = facts.algebra.solved.get("kl_weight")
        kl = facts.view.series("kl_loss")
        if first is None and weight is not None and weight.value is not None and facts.view.has("total_loss"):
            total = float(facts.view.series("total_loss").values[0])
            first = now = weight.value * float(kl.values[0]) / total if total > 0 else None
        if first is None or now is None or max(first, now) < 0.5 or not len(kl):
            return
        gone = now < 0.2 <= first
        text = f"The weighted KL term is {share_text(first)} of the loss by value at the first row and {share_text(now)} now."
        text += " The optimizer was told to rewrite the latent." if gone else " The loss is mostly KL."
        yield self.finding(
            "warn",
            text + " The KL weight is the first suspect for any loss of detail.",
            metrics=("kl_loss",),
            steps=(int(kl.steps[0]), int(kl.steps[-1])),
            evidence=(Evidence("share first", first), Evidence("share now", now)),
        )


class WeightOutOfFamily(Rule):
    """The KL weight is far above what tokenizers use.

    What it checks: the effective beta, that is the KL weight in sum/sum units (latent-diffusion: 1e-6).

    Why it matters: the same number means another thing under every reduction: 1e-4 in Pyramid-Flow's is 2.1 in
    latent-diffusion's. Above 1e-2 a unit-variance decoder loses detail.

    Evidence it needs: kl_weight (declared or solved), the trainer's reductions and the clip size.

    What to do: divide the weight by the ratio of the two betas, or raise it step by step from 1e-6.

    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "KL203"
    name = "kl-weight-out-of-family"
    needs = ("effective-beta",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        beta = facts.scales.effective_beta
        # with an assumed clip size only a large excess counts
        if beta is None or beta <= (1.0 if facts.scales.clip_assumed else 1e-2):
            return
        solved = facts.algebra.solved.get("kl_weight")
        weight = solved.value if solved and solved.value is not None else facts.view.number("kl_weight")
        logvar = facts.view.series("logvar")
        learned = len(logvar) > 0 and bool(np.any(logvar.values))
        # a learned log-variance lets the weight be 1 by design; elsewhere this weight rewrites the latent
        heavy = beta > (1.0 if facts.scales.clip_assumed else 0.3) and not learned
        yield self.finding(
            "critical" if heavy else "warn",
            f"kl_weight {weight:g} is an effective beta of {rough(beta)} in sum/sum units"
            f"{' (if the clips are 17 frames at 256x256)' if facts.scales.clip_assumed else ''},"
            f" {rough(beta / 1e-6)} times latent-diffusion's 1e-6; above 0.01 it costs detail.",
            metrics=("kl_loss",),
            evidence=(Evidence("effective beta", beta), Evidence("kl_weight", float(weight or 0.0))),
        )


class Starved(Rule):
    """The latent carries little information and the reconstruction pays for it.

    What it checks: KL between collapsed and usual (0.001 to 0.05 nats per input value, or 0.02 to 0.3 per latent
    element) while the KL weight is out of family.

    Why it matters: 0.16 nats per element looks tidy and cost one user 6.6 dB.

    Evidence it needs: ``kl_loss`` with a known reduction, the effective beta.

    What to do: lower the KL weight and watch rec_loss; the latent's own statistics are what diffusion needs.

    References: users' analyses of real runs.
    """

    code = "KL204"
    name = "latent-starved"
    needs = ("kl_loss", "effective-beta")

    def check(self, facts: Facts) -> Iterable[Finding]:
        beta, per_input = facts.scales.effective_beta, input_nats(facts)
        kl = facts.view.series("kl_loss")
        if beta is None or beta <= 1e-2 or not len(kl):
            return
        nats = facts.scales.nats_per_element(level(kl.tail(0.1, 3 if len(kl) > 4 else 1).values))
        starved = nats is not None and 0.02 <= nats < 0.3
        if not starved and not (per_input is not None and COLLAPSED <= per_input < 0.05):
            return
        amount = f"{nats:.3f} nats per latent element" if starved else f"{per_input:.2g} nats per input value"
        yield self.finding(
            "warn",
            f"The latent is over-regularised for a tokenizer: {amount} at an effective beta of {beta:.2g}. Detail is"
            " being traded for a tidy latent.",
            metrics=("kl_loss",),
            steps=(int(kl.steps[0]), int(kl.steps[-1])),
            evidence=(facts.view.evidence("kl_loss", int(kl.rows[-1])), Evidence("effective beta", beta)),
        )


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
        a = level(rec.tail(0.2, 1 if len(rec) < 8 else 3).values) / max(float(rec.values[0]), 1e-300)
        b = level(kl.tail(0.2, 1 if len(kl) < 8 else 3).values) / max(float(kl.values[0]), 1e-300)
        if a < 1.3 or b > 0.6:
            return
        if len(kl) >= 8 and trend(kl.values).direction != "falling":
            return
        yield self.finding(
            "critical" if a >= 2.5 else "warn",
            f"kl_loss fell to {b:.2g} of its first value while rec_loss rose {a:.2g} times: information is being removed"
            " from the latent and the reconstruction pays.",
            metrics=("kl_loss", "rec_loss"),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
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
    needs = ("kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl = facts.view.series("kl_loss")
        per_input, end = input_nats(facts), breaks_off(facts)
        unusual = per_input is None or per_input > 50
        if unusual and end is not None and (rise := _rise_up_to(kl, end)) >= 30:
            yield self.finding(
                "critical",
                f"kl_loss rose {number(rise)} times, from {number(float(kl.values[0]))} to {number(float(kl.values[-1]))}, up to"
                f" step {end:,}, where the run breaks: the posterior grew until it overflowed.",
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
        late = level(kl.tail(0.2, 3).values)
        size, total = facts.scales.clip_elements, facts.scales.kl_nats_total
        peak_per_input = peak * (total / late) / size if size and total and late > 0 else None
        jump = facts.changes.jump
        jumped = jump is not None and jump.kl_ratio is not None and jump.kl_ratio > 50
        if not jumped and (per_input is None or per_input < 50) and (peak_per_input is None or peak_per_input < 1000):
            return
        worse = facts.changes.late is not None and facts.changes.best is not None
        bad = worse and facts.changes.late > 1.25 * facts.changes.best  # type: ignore[operator]
        amount = f" ({number(per_input)} nats per input value)" if per_input is not None else ""
        text = f"kl_loss stands at {number(late)}{amount}, its smoothed peak is {number(peak)}: the posterior has left any useful range."
        if jumped and jump is not None:
            text += f" It rose {jump.kl_ratio:,.3g} times on the rows of the rec_loss jump at step {jump.step:,}."
        yield self.finding(
            "critical" if (per_input or 0) > 50 or (bad and jumped) else "warn",
            text,
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
        a, b = level(kl.head(0.1, 3).values), level(kl.tail(0.1, 3).values)
        if b < 1.3 * a:
            return
        late = trend(kl.tail(0.4).values).direction
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
            "info",
            f"kl_loss rose from {number(a)} to {number(b)} ({b / max(a, 1e-300):.2g}x) and {more}: {why}.",
            metrics=("kl_loss",),
            steps=(int(kl.steps[0]), int(kl.steps[-1])),
            evidence=(Evidence("early", a), Evidence("now", b)),
        )


class NoEffect(Rule):
    """The KL term has no effect on the loss.

    What it checks: the weighted KL as a share of the loss by value stays below 0.1%.

    Why it matters: it is how latent-diffusion-type tokenizers are built, and no fault; but then the KL value tells how
    certain the encoder is, not how good.

    Evidence it needs: ``kl_loss`` and a kl_weight, declared or solved.

    What to do: judge the latent by its statistics (std, dead channels, logvar floor), not by this number.

    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "KL208"
    name = "kl-without-effect"
    needs = ("kl_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        now, first = facts.algebra.shares_now.get("KL"), facts.algebra.shares_first.get("KL")
        if now is None or first is None or max(now, first) >= 1e-3:
            return
        yield self.finding(
            "info",
            f"The KL term is {share_text(now)} of the loss by value: it does not drive training. That is the design of"
            " latent-diffusion tokenizers.",
            metrics=("kl_loss",),
            evidence=(Evidence("share of the loss", now),),
        )


class FallsAway(Rule):
    """KL falls to a small part of its own earlier level.

    What it checks: the late smoothed ``kl_loss`` below 5% of the highest level that it held for a tenth of the run, with
    ``rec_loss`` not better since; or below 2% of it while ``rec_loss`` has gained less than 40% in all and stands still over the
    last half. Needs no units: the run is its own reference.

    Why it matters: a latent that loses its information late collapses just as one that never had any.

    Evidence it needs: ``kl_loss`` and ``rec_loss`` with at least 30 rows and the warm-up over.

    What to do: see what changed at the step where the fall begins: KL weight schedule, learning rate, data.

    References: cause C1.
    """

    code = "KL209"
    name = "kl-falls-away"
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, rec = facts.view.series("kl_loss"), facts.view.series("rec_loss")
        if len(kl) < 30 or len(rec) < 30 or kl.values.min() < 0:
            return
        smooth = rolling_median(kl.values, max(5, len(kl) // 50))
        # the highest level it held for a tenth of the rows, wherever the fall came
        held = float(rolling_median(kl.values[len(kl) // 12 :], max(5, len(kl) // 10)).max())
        early = max(held, level(kl.head(0.03, 5).values))
        late, now = level(kl.tail(0.1, 3).values), level(rec.tail(0.1, 3).values)
        if held <= 0 or late > 0.05 * early:
            return
        start = _last_step_above(kl.steps, smooth, 0.5 * held)
        before = level(rec.between(int(rec.steps[0]), start).tail(0.1, 5).values)
        first, half = level(rec.head(0.03, 3).values), level(rec.tail(0.5).head(0.2, 3).values)
        lost = late <= 0.05 * held and late <= 0.3 * float(smooth[len(smooth) // 12]) and now > 0.95 * before
        stalls = late <= 0.02 * early and now > 0.6 * first and now > 0.95 * half
        if not lost and not stalls:
            return
        high = held if lost else early
        start = _last_step_above(kl.steps, smooth, 0.5 * high)
        yield self.finding(
            "critical" if now > 1.1 * before or late <= 0.003 * early else "warn",
            f"kl_loss fell from {number(high)} to {late:,.3g} ({late / high:.2%}), to half of it by step {start:,}, and rec_loss"
            f" {'went' if lost else 'stands still,'} from {number(before if lost else half)} to {number(now)}: the latent loses its"
            " information.",
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
        late = math.log(level(kl.tail(0.1, 3).values))
        if late - settled < math.log(10):
            return
        a = level(rec.values[len(rec) // 3 : len(rec) // 2])
        b = level(rec.tail(0.1, 3).values)
        above = np.flatnonzero(smooth > settled + math.log(2))
        if b < 0.6 * a or not len(above):
            return
        start = int(kl.steps[above[0]])
        yield self.finding(
            "critical" if late - settled > math.log(40) else "warn",
            f"kl_loss has grown {math.exp(late - settled):.3g} times over its settled level ({number(math.exp(settled))} to"
            f" {number(math.exp(late))}, from about step {start:,}) while rec_loss went from {number(a)} to {number(b)}.",
            metrics=("kl_loss",),
            steps=(start, int(kl.steps[-1])),
            evidence=(Evidence("settled level", math.exp(settled)), facts.view.evidence("kl_loss", int(kl.rows[-1]))),
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
    needs = ("kl_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides not in ("", "epoch-start") or facts.view.has("lr"):
            return
        if jump.kl_ratio is None or jump.kl_ratio < 1.8:
            return
        yield self.finding(
            "warn",
            f"kl_loss rose {jump.kl_ratio:.2g} times where rec_loss jumped (step {jump.step:,}), and the learning rate is not"
            " in the log: the weights were thrown out of place rather than the data changed.",
            metrics=("kl_loss", "rec_loss"),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(Evidence("kl_loss after / before", jump.kl_ratio, "x"),),
        )


class SmallAtSmallWeight(Rule):
    """The latent is empty although the KL weight is small.

    What it checks: almost no KL (fewer than 8 nats a sample) at an effective beta of 0.01 or less, late in the run.

    Why it matters: such a weight cannot collapse a latent. An encoder that has not moved from its start (learning rate far
    too low, no gradient), or data with nothing to encode, look the same in the KL column.

    Evidence it needs: ``kl_loss`` with a known reduction and the effective beta.

    What to do: check the learning rate and that the encoder's weights move, then the data.

    References: causes C1, E2, A4, B8.
    """

    code = "KL211"
    name = "kl-small-at-small-weight"
    needs = ("kl_loss", "effective-beta")

    def check(self, facts: Facts) -> Iterable[Finding]:
        kl, total, beta = facts.view.series("kl_loss"), facts.scales.kl_nats_total, facts.scales.effective_beta
        if total is None or beta is None or beta > 1e-2 or total > COLLAPSED_SAMPLE or len(kl) < 20:
            return
        if facts.phases.warm_up is not None and facts.phases.warm_up.end_step is None:
            return
        yield self.finding(
            "warn",
            f"The KL is only {total:.2g} nats a sample, at an effective beta of {beta:.2g}: too small a weight to collapse the"
            " latent. The encoder has hardly moved, or there is nothing to encode.",
            metrics=("kl_loss",),
            steps=(int(kl.steps[0]), int(kl.steps[-1])),
            evidence=(Evidence("KL per sample", total, "nats"), Evidence("effective beta", beta)),
        )


def information_bound_broken(facts: Facts) -> float | None:
    """Total KL in nats if it is too small to code different images at the quality reached, else None.

    The KL bounds the information between image and latent. To lower the squared error of n independent components by a
    factor f takes n/2 ln f nats (rate-distortion bound of a Gaussian source): so K nats allow at most 2 K / ln f
    components. Fewer than 25 do not describe changing images of a thousand values or more.
    """
    total, better = facts.scales.kl_nats_total, rec_improvement(facts)
    if total is None or better is None or not math.isfinite(total):
        return None
    size = facts.scales.clip_elements or 0
    return total if better > 8 and 2 * total / math.log(better) < 25 and size > 1000 else None
