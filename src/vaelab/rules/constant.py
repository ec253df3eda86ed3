"""NUM: columns that cannot be read, or never change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Facts
from vaelab.rules.base import Finding, Rule


class PrintPrecision(Rule):
    """A metric is printed with too few digits to be judged.

    What it checks: the late level of a loss below 30 units of its last printed decimal.
    Why it matters: 0.0031 at 4 decimals has two digits; -0.00 and 0.000 are rounding, not zeros.
    Evidence it needs: the printed decimals.
    What to do: log in scientific notation, or read the TensorBoard file.
    References: cause F7.
    """

    code = "NUM506"
    name = "print-precision"
    finds = ("reconstruction", "unreadable")
    needs = ("rec_loss|perceptual_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in ("rec_loss", "perceptual_loss"):
            series, decimals = facts.view.series(metric), facts.run.decimals.get(metric)
            if decimals is None or len(series) < 5:
                continue
            last = series.late.values
            late = level(last)
            if np.any(np.abs(last - np.round(last, decimals)) > 1e-9):
                continue  # printed with varying decimals (%.3g): the fewest say nothing here
            if 0 <= late < 30 * 10.0**-decimals:
                yield self.finding(
                    f"{metric} {late:g} is printed with {decimals} decimals: one unit of the last digit is"
                    f" {10.0**-decimals / late:.0%} of it." if late > 0 else f"{metric} prints as 0 with {decimals} decimals.",
                    metrics=(metric,),
                )  # fmt: skip


def _constant(facts: Facts, metric: str) -> tuple[bool, bool]:
    """``(metric has one single value, other losses move)``."""

    def still(name: str) -> bool:
        series = facts.view.series(name)
        return len(series) >= 20 and bool(series.high.max() == series.low.min())

    others = [m for m in ("rec_loss", "total_loss", "kl_loss") if m != metric and facts.view.has(m)]
    return still(metric), any(not still(m) for m in others)


class ConstantLoss(Rule):
    """The reconstruction loss is exactly constant.

    What it checks: ``rec_loss`` or ``nll_loss`` with one single value in all rows (20 or more).
    Why it matters: a real loss of changing batches cannot repeat to the last digit: it is not computed, or the weights
    never move and the batch never changes.
    What to do: feed two different batches by hand.
    References: vqgan-training's mse_loss, always 0; cause B8.
    """

    code = "NUM507"
    name = "constant-loss"
    finds = ("reconstruction", "stuck")
    needs = ("rec_loss|nll_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for metric in ("rec_loss", "nll_loss"):
            same, alive = _constant(facts, metric)
            if same:
                series = facts.view.series(metric)
                yield self.finding(
                    f"{metric} is exactly {series.values[0]:g} in all {len(series)} rows"
                    f"{' while other losses move' if alive else ''}: it is not being computed, or nothing is trained.",
                    metrics=(metric,),
                    steps=series.span,
                    evidence=(facts.view.evidence(metric, int(series.rows[0])),),
                )


class ConstantPerceptual(Rule):
    """The perceptual loss is exactly constant while other losses move.

    What it checks: ``perceptual_loss`` with one single value in all rows (20 or more). A constant 0 is a term that is switched off:
    said, and no alarm.
    Why it matters: its network is not loaded or not called; the total contains a constant that trains nothing.
    Evidence it needs: ``perceptual_loss`` and another loss.
    What to do: feed two different batches by hand; check the weights file of the LPIPS network.
    References: diffusers train_autoencoderkl.py (LPIPS under no_grad); cause B2.
    """

    code = "NUM508"
    name = "constant-perceptual-loss"
    finds = ("perceptual", "stuck")
    needs = ("perceptual_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        same, alive = _constant(facts, "perceptual_loss")
        if same and alive:
            series = facts.view.series("perceptual_loss")
            off = not series.values[0]
            yield self.finding(
                f"perceptual_loss is exactly {series.values[0]:g} in all {len(series)} rows while other losses move: it is"
                f" {'switched off' if off else 'not being computed'}.",
                costs=not off,
                metrics=("perceptual_loss",),
                steps=series.span,
                evidence=(facts.view.evidence("perceptual_loss", int(series.rows[0])),),
            )
