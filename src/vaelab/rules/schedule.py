"""ALG, SCH, DAT, RES: identities, declared against observed, data and resumes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.latent import information_bound_broken, rec_improvement
from vaelab.run import FloatArray
from vaelab.words import number


class IdentityOpen(Rule):
    """A loss identity does not close.

    What it checks: nll, total before the GAN and total with the GAN, rebuilt from their terms.

    Why it matters: a term is missing from the log, a weight is not constant, or the columns are of different steps.
    Numbers derived from an open identity are void.

    Evidence it needs: the columns of one identity.

    What to do: log every term of the loss, unsmoothed, at the same step.

    References: domain criteria 1.2, wish 3.
    """

    code = "ALG901"
    name = "identity-does-not-close"
    needs = ("total_loss|nll_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for identity in facts.algebra.identities:
            if identity.status == "does-not-close":
                yield self.finding(
                    "warn" if identity.rows > 1 else "info",
                    identity.text,
                    metrics=("total_loss", "nll_loss"),
                    steps=(identity.first_bad_step, int(facts.run.steps[-1])),
                    evidence=(Evidence("residual", identity.residual or 0.0),),
                )


class DeclaredMismatch(Rule):
    """The columns contradict the declared config.

    What it checks: every solved constant (weights, disc_weight) against the declared value.

    Why it matters: the option is ignored, overridden, or the log is of another run. What the columns say is what trained.

    Evidence it needs: a declared config and an identity that closes.

    What to do: find which of the two the code reads.

    References: RadioDiff's resolution 320 on 256 data; domain criteria E7, G3.
    """

    code = "SCH601"
    name = "config-contradicted"
    needs = ("config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        # a trainer known to ignore an option does so in every run
        ignored = any(f.cause == "G3" for f in facts.view.trainer.known_faults)
        for solved in facts.algebra.solved.values():
            if solved.contradicts_declared and solved.value is not None:
                pixels = solved.name == "n_pixels"
                text = f"The config declares {solved.name} {solved.declared:g}, but the columns say {solved.value:.4g}"
                if pixels:
                    size = facts.run.config.get("resolution")
                    text = f"The config declares resolution {size} ({solved.declared:,.0f} values), but the columns say"
                    text += f" {solved.value:,.0f} values"
                yield self.finding(
                    "info" if pixels and ignored else "warn",
                    f"{text} ({number(solved.low or 0.0)} to {number(solved.high or 0.0)}).",
                    evidence=(Evidence("declared", solved.declared or 0.0), Evidence("solved", solved.value)),
                )


class OptionIgnored(Rule):
    """A declared optimizer option is not among those the optimizer got.

    What it checks: ``opt_betas`` of the command line against the ``Optimizer config`` that Pyramid-Flow prints.

    Why it matters: the run uses AdamW's default betas (0.9, 0.999), whatever the command line says; two runs that differ
    in it only do not differ.

    Evidence it needs: a console log with the command line and ``Optimizer config: {...}``.

    What to do: pass the betas where the optimizer is built, or drop the option.

    References: Pyramid-Flow's optimizer factory (domain trainers PF-4); domain criteria E7.
    """

    code = "SCH605"
    name = "option-not-passed-on"
    needs = ("config",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        betas = facts.run.config.get("opt_betas")
        used = [k.removeprefix("optimizer_config.") for k in facts.run.raw_config if k.startswith("optimizer_config.")]
        if betas is None or not used or any("beta" in name for name in used):
            return
        yield self.finding(
            "info",
            f"opt_betas {betas} is declared, but the optimizer was built with {', '.join(used)} only: it runs with AdamW's"
            " (0.9, 0.999).",
            evidence=(Evidence("opt_betas", str(betas)), Evidence("passed on", ", ".join(used))),
        )


class WeightsChange(Rule):
    """A loss weight changes inside the run.

    What it checks: nll (or total) over its rebuilt value from one set of weights: a lasting step in the ratio.

    Why it matters: nll, total and grad_norm change by a constant and the model does not; only the unweighted terms can be
    compared across the step.

    Evidence it needs: an nll identity with exact or mean columns and 16 rows.

    What to do: compare rec_loss and perceptual_loss only.

    References: domain criteria E6, G4.
    """

    code = "SCH602"
    name = "loss-weights-change"
    needs = ("nll_loss", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        names = ("nll_loss", "rec_loss") + (("perceptual_loss",) if facts.view.has("perceptual_loss") else ())
        if facts.view.has("logvar") and np.any(facts.view.series("logvar").values):
            return
        nll = next((i for i in facts.algebra.identities if i.name == "nll"), None)
        values, rows, how = facts.view.joint(names)
        if nll is None or nll.status == "closes" or len(rows) < 16 or how == "medians":
            return
        ratio = values["nll_loss"] / np.maximum(values["rec_loss"], 1e-12)
        a, b = level(ratio[: len(ratio) // 4]), level(ratio[-len(ratio) // 4 :])
        if max(a, b) < 1.5 * min(a, b):
            return
        yield self.finding(
            "warn",
            f"nll_loss / rec_loss goes from {a:.3g} to {b:.3g}: a loss weight has changed inside this log. Compare"
            " rec_loss and perceptual_loss only.",
            metrics=("nll_loss",),
            steps=(nll.first_bad_step, int(facts.run.steps[-1])),
            evidence=(Evidence("early ratio", a), Evidence("late ratio", b)),
        )


class WeightsOutOfFamily(Rule):
    """A pixel or perceptual weight is far from what recipes use.

    What it checks: the solved or declared pixelloss_weight and perceptual_weight: one term more than 30 times heavier than
    in any public recipe, or switched off.

    Why it matters: with LPIPS alone colours drift and grids appear; without it the output blurs.

    Evidence it needs: a weight, solved from the columns or declared.

    What to do: perceptual_weight 0.1 to 1 with a mean L1 or MSE; Pyramid-Flow uses 10 for the pixel term.

    References: WF-VAE stage III; domain criteria 2.7, B4.
    """

    code = "SCH604"
    name = "loss-weight-out-of-family"
    needs = ("rec_loss", "nll_loss|config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for name, low, high in (("perceptual_weight", 0.005, 20.0), ("pixelloss_weight", 0.02, 1000.0)):
            solved = facts.algebra.solved.get(name)
            value = solved.value if solved is not None and solved.status == "closes" else facts.view.number(name)
            if value is None or low <= value <= high:
                continue
            what = "switched off" if value < low else f"{value:.4g}"
            yield self.finding(
                "warn",
                f"{name} is {what}; public recipes use 0.1 to 1 for the perceptual term and 1 to 10 for the pixel term.",
                metrics=("perceptual_loss" if name.startswith("perc") else "rec_loss",),
                evidence=(Evidence(name, value),),
            )


class LogEndsEarly(Rule):
    """The log ends before the plan does.

    What it checks: the last step against the planned steps.

    Why it matters: a run that still goes on and one that died look the same; verdicts are of the part that is there.

    Evidence it needs: planned steps, declared.

    What to do: if it should have gone on, look at the end of the console log.

    References: domain criteria H5.
    """

    code = "SCH603"
    name = "log-ends-before-plan"
    needs = ("total_steps",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        p = facts.progress
        if p.planned is None or p.share is None or p.share > 0.97 or not len(facts.run):
            return
        yield self.finding(
            "info",
            f"The log ends at step {p.step:,} of {p.planned:,} planned ({p.step / p.planned:.1%}).",
            evidence=(Evidence("last step", float(p.step)), Evidence("planned", float(p.planned))),
        )


class AllTermsJump(Rule):
    """Every term jumps on one row though nothing in the schedule changed: the data.

    What it checks: a lasting jump of ``rec_loss`` that coincides with no learning-rate change, GAN start or resume, and
    what ``kl_loss`` and ``perceptual_loss`` did on the same rows.

    Why it matters: the optimiser cannot change the loss tenfold from one row to the next at an unchanged rate; other
    inputs can. A KL that does not explode with it says the encoder did not run away.

    Evidence it needs: ``rec_loss``; ``kl_loss``, ``lr`` and epochs sharpen it.

    What to do: look at the batches of that step: noise, black or wrongly scaled frames, another bucket.

    References: domain criteria A2, A4, A5.
    """

    code = "DAT701"
    name = "data-change"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides not in ("", "epoch-start") or jump.ratio < 1.8:
            return
        # without the learning rate in the log, a KL that jumps too speaks for the optimiser (KL212)
        if jump.kl_ratio is not None and jump.kl_ratio > (20 if facts.view.has("lr") else 1.8):
            return
        # an optimiser that lost its way keeps moving; other data give another steady level at once
        kl = f" kl_loss went {jump.kl_ratio:.2g} times." if jump.kl_ratio is not None else ""
        where = " at the start of an epoch" if jump.coincides == "epoch-start" else ""
        yield self.finding(
            "critical" if jump.remaining >= 1.8 and jump.ratio >= 2.5 else "warn",
            f"The data changed at step {jump.step:,}{where}: rec_loss went {jump.ratio:.3g} times from one row to the next"
            f" with the schedule unchanged.{kl}",
            metrics=("rec_loss", "kl_loss"),
            steps=(jump.step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", jump.row), Evidence("jump", jump.ratio, "x")),
        )


class SuddenDrop(Rule):
    """The reconstruction loss falls from one row to the next, and stays there: easier data.

    What it checks: a lasting fall of ``rec_loss`` by 1.8 times or more after the first sixth of the run that was not under
    way before, with no change of learning rate, GAN or resume on those rows.

    Why it matters: learning does not jump. Black, static or constant samples make every loss better at once.

    Evidence it needs: ``rec_loss`` with at least 24 rows.

    What to do: compute the variance of the batches on both sides of that step.

    References: VidTok replaces unreadable clips by black ones; domain criteria A4, A5.
    """

    code = "DAT706"
    name = "data-became-easier"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        drop = facts.changes.drop
        if drop is None:
            return
        factor = drop.before / drop.after
        kl = f" kl_loss went {drop.kl_ratio:.2g} times." if drop.kl_ratio is not None else ""
        yield self.finding(
            "critical" if factor > 3 else "warn",
            f"rec_loss fell {factor:.2g} times ({drop.before:.4g} to {drop.after:.4g}) from one row to the next at step"
            f" {drop.step:,} with the schedule unchanged: the data became easier, the model did not become better.{kl}",
            metrics=("rec_loss",),
            steps=(drop.step, int(facts.run.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", drop.row), Evidence("fall", factor, "x")),
        )


class ChangeAtEpochStart(Rule):
    """The data change on the first row of an epoch.

    What it checks: whether the jump of ``rec_loss`` that nothing in the schedule explains falls on the first row of an
    epoch.

    Why it matters: a change exactly there points at the sampler (order, bucket, another shard), not at single samples.

    Evidence it needs: ``rec_loss`` and epochs in the log, with at least two epochs.

    What to do: shuffle across epochs and log the bucket.

    References: domain criteria A5; Pyramid-Flow resets its meters every epoch.
    """

    code = "DAT705"
    name = "data-change-at-epoch-start"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        jump = facts.changes.jump
        if jump is None or jump.coincides != "epoch-start":
            return
        yield self.finding(
            "warn",
            f"The jump of rec_loss at step {jump.step:,} falls on the first row of an epoch.",
            metrics=("rec_loss",),
            steps=(jump.step, jump.step),
            evidence=(facts.view.evidence("rec_loss", jump.row),),
        )


class DataErrors(Rule):
    """Files could not be read.

    What it checks: the trainer's own messages about unreadable files and black substitutes.

    Why it matters: trainers replace unreadable videos by others or by black frames and go on; one dead disk teaches the
    model black.

    Evidence it needs: the console log.

    What to do: list the files, remove them, and count again.

    References: VidTok (black clips), Pyramid-Flow's loader; domain criteria A2, A4.
    """

    code = "DAT702"
    name = "data-errors"

    def check(self, facts: Facts) -> Iterable[Finding]:
        event = next((e for e in facts.run.events if e.kind == "data_error"), None)
        if event is None:
            return
        count = sum(n.count for n in facts.run.notes if n.kind == "data_errors") or 1
        rows = max(1, len(facts.run))
        yield self.finding(
            "warn" if count > 0.02 * rows or count > 20 else "info",
            f"{count} message{'s' if count > 1 else ''} about files that could not be read (first at line {event.line}):"
            f" {event.text.strip()[:100]}",
            evidence=(Evidence("messages", float(count), line=event.line),),
        )


class DataStall(Rule):
    """Training waits for data.

    What it checks: ``data_time`` as a share of ``step_time``.

    Why it matters: it costs time, not quality; rising waits come before a hang.

    Evidence it needs: ``step_time`` and ``data_time``.

    What to do: more workers, decode only the needed frames.

    References: domain trainers 5.2 lever 16.
    """

    code = "DAT703"
    name = "waits-for-data"
    needs = ("step_time", "data_time")

    def check(self, facts: Facts) -> Iterable[Finding]:
        step, data = facts.view.series("step_time"), facts.view.series("data_time")
        a, b = level(step.values), level(data.values)
        if a > 0 and b > 0.3 * a and len(step) > 5:
            yield self.finding(
                "info",
                f"{b / a:.0%} of the step time is waiting for data ({b:.3g} of {a:.3g} s).",
                metrics=("data_time",),
                evidence=(Evidence("share", b / a),),
            )


class SameSamples(Rule):
    """The run sees the same few samples again and again.

    What it checks: three signs, each by itself enough: (1) the KL is too small to tell samples apart at the quality reached: it bounds
    the information between image and latent, so K nats allow at most e^K different images; (2) the mean logit of an
    untrained discriminator on real data does not vary, though its input should; (3) the row-to-row noise of ``rec_loss``
    is far below what different batches give.

    Why it matters: a model that has memorised one batch shows the most beautiful curves of all.

    Evidence it needs: ``rec_loss`` with ``kl_loss``, or ``logits_real`` before the GAN start, or 12 unsmoothed rows.

    What to do: print the sample ids of two batches; score a held-out clip.

    References: phenaki-pytorch#29, MaskGIT#3; KL as a bound of mutual information (Alemi et al. 2018); domain criteria A7.
    """

    code = "DAT704"
    name = "same-samples"
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        c, rec = facts.changes, facts.view.series("rec_loss")
        if len(rec) < 20:
            return
        reasons: list[str] = []
        evidence: list[Evidence] = []
        nats = information_bound_broken(facts)
        if nats is not None:
            reasons.append(
                f"the KL is {nats:.3g} nats for a whole sample, too little to tell different images apart at the quality"
                f" reached (rec_loss {level(rec.tail(0.1, 3).values):.3g})"
            )
            evidence.append(Evidence("KL per sample", nats, "nats"))
        spread, rough = c.real_logit_spread, c.roughness
        # the same to the last digits, or to 0.2% with a curve that is calm as well
        constant = spread is not None and (spread < 5e-5 or (spread < 2e-3 and rough is not None and rough < 0.06))
        if constant and spread is not None:
            reasons.append(
                f"logits_real of the untrained discriminator vary by only {spread:.1g} of their mean from row to row"
            )
            evidence.append(Evidence("logits_real, standard deviation / mean before the GAN", spread))
        # medians of 20 steps are smoother than single steps
        plain = facts.run.columns["rec_loss"].smoothing.kind == "none"
        smooth = c.roughness is not None and c.roughness < (0.02 if plain else 0.012)
        if smooth and c.roughness is not None:
            reasons.append(f"rec_loss varies by only {c.roughness:.1%} from row to row")
            evidence.append(Evidence("row-to-row noise of rec_loss", c.roughness))
        if not reasons:
            return
        # smooth alone can be a large batch; smooth and fifty times better is not
        better = rec_improvement(facts)
        decisive = nats is not None or constant or (smooth and better is not None and better > 50)
        yield self.finding(
            "critical" if decisive else "info",
            f"The run seems to see the same samples again and again: {'; '.join(reasons)}.",
            metrics=("rec_loss", "kl_loss"),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=evidence,
        )


class BetterThanPublished(Rule):
    """The reconstruction is better than any published model's.

    What it checks: a PSNR above 38 dB in training for a model that started from scratch (published video and image VAEs
    reach 23 to 37 dB on real data).

    Why it matters: easy data (black, static, sparse), memorised samples or very light compression give such values. The
    value alone cannot tell which, and is no proof of a fault.

    Evidence it needs: ``rec_loss`` that is an MSE of known range.

    What to do: compute skill = 1 - MSE / variance of the data, and score held-out samples.

    References: domain criteria 2.6; field note S0 l.27 and its correction; A4, A7.
    """

    code = "DAT707"
    name = "better-than-published"
    needs = ("rec_loss", "psnr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        rec = facts.view.series("rec_loss")
        if facts.phases.origin != "scratch" or len(rec) < 12:
            return
        late = max(level(rec.tail(0.1, 3).values), 0.5 * 10.0 ** -(facts.run.decimals.get("rec_loss") or 6))
        psnr = facts.scales.psnr(late)
        if psnr is None or psnr < 38:
            return
        yield self.finding(
            "warn",
            f"rec_loss {late:.2g} is {psnr:.0f} dB PSNR in training, above what published VAEs reach on real data (37 dB): easy"
            " data, samples seen too often, or very light compression. The log cannot tell which.",
            metrics=("rec_loss",),
            steps=(int(rec.steps[0]), int(rec.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", int(rec.rows[-1])), Evidence("PSNR", psnr, "dB")),
        )


def _around(facts: Facts, metric: str, step: int) -> tuple[FloatArray, FloatArray]:
    """Up to 5 values of ``metric`` before and from ``step`` on."""
    series = facts.view.series(metric)
    i = int(np.searchsorted(series.steps, step))
    return series.values[max(0, i - 5) : i], series.values[i : i + 5]


class ResumeSpike(Rule):
    """Every loss jumps at a resume.

    What it checks: the level of ``rec_loss`` on both sides of every resume in the log.

    Why it matters: a resume that restores everything is invisible. Without the optimizer state the first steps move
    every weight by about the learning rate; with other weights the level is another one.

    Evidence it needs: a resume with at least 3 rows on both sides.

    What to do: save and restore both optimizers and the schedulers, or warm the learning rate up again.

    References: stylegan2-ada#108, Halton-MaskGIT#15; domain criteria H4.
    """

    code = "RES801"
    name = "resume-raises-loss"
    needs = ("resume", "rec_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for step in facts.phases.resumes[:5]:
            before, after = _around(facts, "rec_loss", step)
            if len(before) < 3 or len(after) < 3 or level(before) <= 0 or level(after) <= 1.5 * level(before):
                continue
            end = level(facts.view.series("rec_loss").tail(0.1, 3).values)
            stays = end > 1.5 * level(before)
            yield self.finding(
                "critical" if stays and level(after) > 2 * level(before) else "warn",
                f"rec_loss rose {level(after) / level(before):.2g} times at the resume of step {step:,}"
                f"{' and has not come back' if stays else ''}: the optimizer state (or other weights) was probably not"
                " restored.",
                metrics=("rec_loss",),
                steps=(step, step),
                evidence=(Evidence("before", level(before)), Evidence("after", level(after))),
            )


class ResumeLosesDiscriminator(Rule):
    """The discriminator starts anew at a resume.

    What it checks: ``disc_loss`` back at its chance level at a resume, from clearly below it.

    Why it matters: the generator then meets an untrained adversary again: the start shock repeats at every resume.

    Evidence it needs: a resume with 3 rows of ``disc_loss`` before it, the GAN on.

    What to do: save and restore the discriminator and its optimizer.

    References: encoder4editing#22, EDSR#245; domain criteria H3, D15.
    """

    code = "RES802"
    name = "resume-loses-discriminator"
    needs = ("resume", "gan-active", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        chance = facts.adversary.chance if facts.adversary else None
        for step in facts.phases.resumes[:5]:
            before, after = _around(facts, "disc_loss", step)
            if chance is None or len(before) < 3 or len(after) < 2:
                continue
            if level(before) < 0.85 * chance and abs(float(after[0]) - chance) < 0.12 * chance:
                yield self.finding(
                    "critical",
                    f"disc_loss went back from {level(before):.3g} to chance ({float(after[0]):.3g}) at the resume of step"
                    f" {step:,}: the discriminator was not restored.",
                    metrics=("disc_loss",),
                    steps=(step, step),
                    evidence=(Evidence("before", level(before)), Evidence("after", float(after[0]))),
                )


class EpochGoesBack(Rule):
    """The epoch counter begins again while the step goes on.

    What it checks: epochs of the log in the order of the steps: a fall that lasts.

    Why it matters: the run was resumed there and its epoch was not restored. Samplers and schedules that are seeded by
    the epoch repeat what has been seen.

    Evidence it needs: epochs and steps in the log.

    What to do: save the epoch with the step, and derive it from the step at a resume.

    References: WF-VAE's resume (domain trainers WF-4); domain criteria H7.
    """

    code = "RES803"
    name = "epoch-counter-goes-back"

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
                "info",
                f"The epoch goes back from {known[i]} to {known[i + 1]} at step {step:,} while the step goes on: a resume that"
                " did not restore the epoch.",
                steps=(step, step),
                evidence=(Evidence("epoch before", float(known[i])), Evidence("epoch after", float(known[i + 1]))),
            )
