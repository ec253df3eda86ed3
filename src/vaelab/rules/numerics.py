"""NUM: NaN, inf, crashes, loss scale."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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


class NonFiniteValues(Rule):
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


def _any_finite(facts: Facts) -> bool:
    """Whether one of the losses that the run is about holds a number."""
    return any(facts.view.has(m) for m in facts.view.of("reconstruction", "total"))


class StoppedOnNonFiniteLoss(Rule):
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
    finds = ("run", "broken-off")

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.run.events:
            if event.kind == "non_finite_stop":
                before = f" {facts.breakdown.text}" if facts.breakdown is not None else ""
                yield self.finding(
                    f"The trainer stopped on a non-finite loss after step {event.step if event.step is not None else '?'}"
                    f"{f' (line {event.line:,})' if event.line else ''}.{before}",
                    steps=(event.step, event.step),
                    evidence=(Evidence("message", event.text.strip()[:120], step=event.step, line=event.line),),
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
