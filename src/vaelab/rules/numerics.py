"""NUM: NaN, inf, crashes, loss scale."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level, rolling_median
from vaelab.facts import Evidence, Facts
from vaelab.facts.breakdown import lost_from
from vaelab.rules.base import Finding, Rule
from vaelab.run import IntArray

LOSSES = (
    "reconstruction", "perceptual", "kl", "quantiser", "entropy", "generator_adversarial", "discriminator", "discriminator_real",
    "discriminator_fake", "logits_real", "logits_fake", "feature_matching", "alignment", "regulariser", "total", "adaptive_weight",
    "unknown",
)  # fmt: skip
"""Roles whose NaN says that the run is lost; a rate, a timing or a score may be NaN for other reasons."""
MAIN = ("rec_loss", "nll_loss", "total_loss")
NOT_OF_TRAINING = ("val/", "val_ema/", "test/", "epoch/")


class NonFinite(Rule):
    """NaN or inf in a logged metric.

    What it checks: non-finite values in every training column: first step, how many, whether they end. Held-out losses whose last
    three values are none after they were numbers. Held-out samples whose reconstruction held NaN or inf, where the trainer
    counts them (``val/non_finite``).
    Why it matters: once weights are NaN nothing recovers; a single non-finite row that passes is a skipped step.
    Evidence it needs: any column.
    What to do: look at the rows before it: a rise is a learning rate that is too high, a calm run a damaged sample (or half
    precision, where it is used). Resume from the last good checkpoint.
    References: latent-diffusion#176, Open-Sora-Plan#265, kohya_ss#1103; causes E1, A2, F1, F5.
    """

    code = "NUM501"
    name = "non-finite-values"
    finds = ("", "non-finite")

    @staticmethod
    def _model_fails(facts: Facts, name: str, rows: IntArray) -> bool:
        """Whether a held-out loss was a number and is none in its last three values: a score that is never one is not computed."""
        logged = np.flatnonzero(facts.run.columns[name].logged)
        lost = len(rows) >= 3 and np.array_equal(rows[-3:], logged[-3:])
        return lost and len(rows) < len(logged) and facts.view.role(name).name in LOSSES

    def check(self, facts: Facts) -> Iterable[Finding]:
        run = facts.run
        worst: list[tuple[int, str, int, bool]] = []
        for name, column in run.columns.items():
            rows = np.flatnonzero(column.logged & ~np.isfinite(column.values))
            if name.startswith(NOT_OF_TRAINING) and not self._model_fails(facts, name, rows):
                continue
            if len(rows):
                logged = np.flatnonzero(column.logged)
                worst.append((int(rows[0]), name, len(rows), bool(rows[-1] == logged[-1])))
        # inf gradients alone are what a loss scaler skips
        losses = [w for w in worst if "grad_norm" not in w[1] and "scale" not in w[1]]
        for first, name, count, at_end in sorted(losses, key=lambda w: (w[0], w[1] not in MAIN, w[1]))[:4]:
            before = np.flatnonzero(np.isfinite(run.columns[name].values[:first]))
            # a rate or a timing is no loss; nor is a term that never was a number while the others are
            role = facts.view.role(name).name
            grave = role in LOSSES and (len(before) > 0 or name in MAIN or not _any_finite(facts))
            last = (
                f" Its last finite value before that is of step {int(run.steps[before[-1]]):,}." if len(before) else ""
            )
            yield self.finding(
                f"{name} is NaN or inf in {count} row{'s' if count > 1 else ''} from step {int(run.steps[first]):,}"
                f"{' to the end' if at_end else ', then finite again'}.{last}",
                subject=role,
                size=float(count),
                costs=grave and (at_end or count > 3),
                metrics=(name,),
                steps=(int(run.steps[first]), int(run.steps[-1]) if at_end else int(run.steps[first])),
                evidence=(facts.view.evidence(name, first),),
            )
        for name in ("val/non_finite", "val_ema/non_finite"):
            count_of = facts.view.series(name)
            if len(count_of) and count_of.values[-1] > 0:
                step = int(count_of.steps[-1])
                yield self.finding(
                    f"The reconstruction of {int(count_of.values[-1])} held-out samples holds NaN or inf at step {step:,} ({name}).",
                    costs=True,
                    subject="output",
                    metrics=(name,),
                    steps=(step, step),
                    evidence=(facts.view.evidence(name, int(count_of.rows[-1])),),
                )


def breaks_off(facts: Facts) -> int | None:
    """Step at which a loss stops being a number for good, or the log says that the run broke off; None if neither."""
    run = facts.run
    lost = (lost_from(run.columns[metric]) for metric in facts.view.of("reconstruction", "kl", "total"))
    ends = [int(run.steps[row]) for row in lost if row is not None]
    if not ends and len(run) and any(e.kind in ("crash", "non_finite_stop") for e in run.events[-1:]):
        ends.append(int(run.steps[-1]))
    return min(ends, default=None)


def _any_finite(facts: Facts) -> bool:
    """Whether one of the losses that the run is about holds a number."""
    return any(facts.view.has(m) for m in facts.view.of("reconstruction", "total"))


class StoppedItself(Rule):
    """The trainer stopped itself on a non-finite loss.

    What it checks: the trainer's own message ("Loss is nan, stopping training").
    Why it matters: the NaN itself is never printed as a row; the rows before it look normal unless the run was already
    diverging.
    Evidence it needs: the console log.
    What to do: if the rows before are calm, look at the batch, and at precision where the run is in fp16; if they are not, the
    cause lies before. Skip and count non-finite steps rather than stopping.
    References: Pyramid-Flow's sys.exit; MAR#69; cause F6.
    """

    code = "NUM502"
    name = "stopped-on-non-finite-loss"
    finds = ("run", "broken-off")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.run.events:
            if event.kind != "non_finite_stop":
                continue
            series = facts.view.series("rec_loss" if facts.view.has("rec_loss") else "total_loss")
            lead = ""
            if len(series) > 6:
                late, best = series.late.values, float(rolling_median(series.values, 5).min())
                calm = late.max() < 2.5 * level(series.later.values) and level(late) < 1.8 * best
                lead = (
                    ": the rows before it are calm, it came from one step to the next"
                    if calm
                    else ": the losses were already out of range"
                )
            yield self.finding(
                f"The trainer stopped on a non-finite loss after step {event.step if event.step is not None else '?'}"
                f"{f' (line {event.line:,})' if event.line else ''}{lead}.",
                steps=(event.step, event.step),
                evidence=(Evidence("message", event.text.strip()[:120], step=event.step, line=event.line),),
            )


class CalmBeforeNonFinite(Rule):
    """The rows before the non-finite loss are calm.

    What it checks: the level and noise of ``rec_loss``, and the size of every other term and gradient, in the last rows before a
    non-finite value or stop.
    Why it matters: divergence announces itself, in some term; a bad sample or an overflow does not.
    Evidence it needs: a non-finite value or stop, and 6 finite rows of ``rec_loss`` before it.
    What to do: check the input batch of that step for NaN, then LPIPS on flat images; precision where the run is in fp16.
    References: causes F1, F3, A2, E1.
    """

    code = "NUM503"
    name = "calm-before-non-finite"
    finds = ("run", "as-expected")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        stopped = any(e.kind == "non_finite_stop" for e in facts.run.events)
        column = facts.run.columns.get("rec_loss")
        broken = column is not None and bool(np.any(column.logged & ~np.isfinite(column.values)))
        rec, track = facts.view.series("rec_loss"), facts.changes.track
        if not (stopped or broken) or len(rec) < 6 or track is None:
            return
        if track.now > 1.8 * track.best or rec.values[-1] > 3 * track.now or rec.values[0] < 0.6 * track.now:
            return
        if facts.breakdown is not None and facts.breakdown.kind != "calm":
            return
        yield self.finding(
            f"The rows before the non-finite loss are calm (rec_loss {track.now:.4g}, best {track.best:.4g}): a damaged sample or one"
            " overflow, not a divergence that was under way.",
            metrics=("rec_loss",),
            steps=(int(rec.steps[-1]), int(rec.steps[-1])),
            evidence=(facts.view.evidence("rec_loss", int(rec.rows[-1])),),
        )


class LossScaleFalls(Rule):
    """The AMP loss scale keeps halving.

    What it checks: ``loss_scale`` falling by 8 times or more; critical where it ends below 1: that is no overflow of a scaled
    gradient any more, the gradients themselves are inf or NaN.
    Why it matters: every halving is a skipped step with inf or NaN gradients; a model that produces them for ever
    "trains" without any change.
    What to do: bf16 or fp32 for the VAE; skip the scaler outside fp16.
    References: WF-VAE's GradScaler for bf16; causes F1, F8.
    """

    code = "NUM504"
    name = "loss-scale-falls"
    finds = ("run", "falling")
    needs = ("loss_scale",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        scale = facts.view.series("loss_scale")
        if len(scale) < 4 or scale.values.max() <= 1:
            return
        peak = int(np.argmax(scale.values))
        after = float(scale.values[peak:].min())
        if scale.values[peak] < 8 * after:
            return
        yield self.finding(
            f"loss_scale fell from {scale.values[peak]:,.0f} to {after:,.4g}: each halving is a step skipped for inf or NaN"
            " gradients.",
            size=float(scale.values[peak]) / max(after, 1e-300),
            costs=bool(after < 1 and scale.values[-1] < 1 and scale.values[peak] > 64),
            metrics=("loss_scale",),
            steps=(int(scale.steps[peak]), int(scale.steps[-1])),
            evidence=(Evidence("highest", float(scale.values[peak])), Evidence("lowest after", after)),
        )


class Crashed(Rule):
    """The log ends in an error of the program.

    What it checks: a traceback, an out-of-memory message or a kill at the end of the log.
    Why it matters: the run has stopped; the curves before it cannot say so.
    Evidence it needs: the console log.
    What to do: as the message says.
    References: causes D2, H5.
    """

    code = "NUM505"
    name = "crashed"
    finds = ("run", "broken-off")

    def check(self, facts: Facts) -> Iterable[Finding]:
        crash = next((e for e in facts.run.events if e.kind == "crash"), None)
        if crash is not None:
            yield self.finding(
                f"The program ended with an error{f' at line {crash.line:,}' if crash.line else ''}: {crash.text.strip()[:160]}",
                steps=(crash.step, crash.step),
                evidence=(Evidence("message", crash.text.strip()[:160], step=crash.step, line=crash.line),),
            )


class NoFiniteGradient(Rule):
    """Every late gradient is inf or NaN.

    What it checks: ``grad_norm`` logged and non-finite in all of the last 8 rows and more, while the losses are finite.
    Why it matters: a loss scaler, or a guard of the trainer, skips such a step: nothing is trained any more, while the losses
    look calm.  Single non-finite norms are what a scaler is for.
    Evidence it needs: ``grad_norm`` with 8 rows.
    What to do: run one step in fp32 with torch.autograd.set_detect_anomaly; use bf16 in place of fp16.
    References: torch.amp.GradScaler; causes F1, F8.
    """

    code = "NUM509"
    name = "no-finite-gradient"
    finds = ("gradient_norm", "non-finite")
    needs = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        for name in ("grad_norm", "disc_grad_norm"):
            column = facts.run.columns.get(name)
            if column is None:
                continue
            first = lost_from(column)
            rows = int(column.logged[first:].sum()) if first is not None else 0
            if first is None or rows < 8:
                continue
            step = int(facts.run.steps[first])
            if facts.breakdown is not None and facts.breakdown.step <= step:
                continue  # losses that are not finite have no finite gradient
            yield self.finding(
                f"{name} is inf or NaN in all {rows} rows from step {step:,} to the end: no update is finite, so"
                " the steps are skipped or the weights are lost.",
                metrics=(name,),
                steps=(step, int(facts.run.steps[-1])),
                evidence=(Evidence("rows", float(rows)),),
            )
