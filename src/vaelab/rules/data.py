"""DAT: did the data change, are they readable, are they always the same."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.kl_level import information_bound_broken, rec_improvement


class DataErrors(Rule):
    """Files could not be read.

    What it checks: the trainer's own messages about unreadable files and black substitutes.
    Why it matters: trainers replace unreadable videos by others or by black frames and go on; one dead disk teaches the
    model black.
    Evidence it needs: the console log.
    What to do: list the files, remove them, and count again.
    References: VidTok (black clips), Pyramid-Flow's loader; causes A2, A4.
    """

    code = "DAT702"
    name = "data-errors"
    finds = ("data", "lost")

    def check(self, facts: Facts) -> Iterable[Finding]:
        event = next((e for e in facts.run.events if e.kind == "data_error"), None)
        if event is None:
            return
        count = sum(n.count for n in facts.run.notes if n.kind == "data_errors") or 1
        rows = max(1, len(facts.run))
        where = f"step {event.step:,}" if event.line is None and event.step is not None else f"line {event.line}"
        yield self.finding(
            f"{count} message{'s' if count > 1 else ''} about files that could not be read (first at {where}):"
            f" {event.text.strip()[:100]}",
            size=float(count),
            costs=count > 0.02 * rows,
            evidence=(Evidence("messages", float(count), line=event.line),),
        )


class DataStall(Rule):
    """Training waits for data.

    What it checks: ``data_time`` as a share of ``step_time``.
    Why it matters: it costs time, not quality; rising waits come before a hang.
    What to do: more workers, decode only the needed frames.
    References: users' analyses of real runs, checked against the trainers' code.
    """

    code = "DAT703"
    name = "waits-for-data"
    finds = ("data", "late")
    needs = ("step_time", "data_time")

    def check(self, facts: Facts) -> Iterable[Finding]:
        step, data = facts.view.series("step_time"), facts.view.series("data_time")
        a, b = level(step.values), level(data.values)
        if a > 0 and b > 0.3 * a and len(step) > 5:
            yield self.finding(
                f"{b / a:.0%} of the step time is waiting for data ({b:.3g} of {a:.3g} s).",
                metrics=("data_time",),
                evidence=(Evidence("share", b / a),),
            )


class SameSamples(Rule):
    """The run sees the same few samples again and again.

    What it checks: three signs, each by itself enough: (1) the KL is too small to tell samples apart at the quality reached: it bounds
    the information between image and latent, so K nats allow at most e^K different images; (2) the mean logit of an
    untrained discriminator on real data does not vary, though its input should; (3) the row-to-row noise of ``rec_loss``
    is far below what different batches give, with a loss fifty times lower than at first.
    Why it matters: a model that has memorised one batch shows the most beautiful curves of all.
    Evidence it needs: ``rec_loss`` with ``kl_loss``, or ``logits_real`` before the GAN start, or 12 rows of a
    known trainer.
    What to do: print the sample ids of two batches; score a held-out clip.
    References: phenaki-pytorch#29, MaskGIT#3; KL as a bound of mutual information (Alemi et al. 2018); cause A7.
    """

    code = "DAT704"
    name = "same-samples"
    finds = ("data", "stuck")
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
                f" reached (rec_loss {rec.now:.3g})"
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
        # medians of 20 steps are smoother than single steps; a calm curve alone may be a large batch, or a mean over many
        # steps: it counts where the rows are single steps of a trainer that is known, and fifty times better than at first
        plain = facts.run.columns["rec_loss"].smoothing.kind == "none"
        smooth = c.roughness is not None and c.roughness < (0.02 if plain else 0.012)
        known = facts.run.trainer != "unknown" and facts.run.step_unit == "step"
        better = rec_improvement(facts)
        if smooth and known and c.roughness is not None and better is not None and better > 50:
            reasons.append(
                f"rec_loss varies by only {c.roughness:.1%} from row to row and is {better:.3g} times better than at first"
            )
            evidence.append(Evidence("row-to-row noise of rec_loss", c.roughness))
        if not reasons:
            return
        yield self.finding(
            f"The run seems to see the same samples again and again: {'; '.join(reasons)}.",
            metrics=("rec_loss", "kl_loss"),
            steps=rec.span,
            evidence=evidence,
        )


class BetterThanPublished(Rule):
    """The reconstruction is better than any published model's.

    What it checks: a PSNR above 38 dB in training for a model that started from scratch (published video and image VAEs
    reach 23 to 37 dB on real data).
    Why it matters: easy data (black, static, sparse), memorised samples or very light compression give such values. The
    value alone cannot tell which, and is no proof of a fault.
    Evidence it needs: ``rec_loss`` that is an MSE of known range, or ``rec_mse``.
    What to do: compute skill = 1 - MSE / variance of the data, and score held-out samples.
    References: users' analyses of real runs; causes A4, A7.
    """

    code = "DAT707"
    name = "better-than-published"
    finds = ("reconstruction", "too-low")
    needs = ("rec_loss", "psnr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        name = facts.scales.error
        rec = facts.view.series(name)
        if facts.phases.origin != "scratch" or len(rec) < 12:
            return
        late = max(rec.now, 0.5 * 10.0 ** -(facts.run.decimals.get(name) or 6))
        psnr = facts.scales.psnr(late)
        if psnr is None or psnr < 38:
            return
        yield self.finding(
            f"{name} {late:.2g} is {psnr:.0f} dB PSNR in training, above what published VAEs reach on real data (37 dB): easy"
            " data, samples seen too often, or very light compression. The log cannot tell which.",
            metrics=(name,),
            steps=rec.span,
            evidence=(facts.view.evidence(name, int(rec.rows[-1])), Evidence("PSNR", psnr, "dB")),
        )
