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


class ConstantLoss(Rule):
    """A loss of the reconstruction is exactly constant.

    What it checks: ``rec_loss``, ``nll_loss`` or ``perceptual_loss`` with one single value in all rows (20 or more). A constant
    perceptual loss of 0 is a term that is switched off.
    Why it matters: a real loss of changing batches cannot repeat to the last digit: it is not computed (a network that is not loaded),
    or the weights never move and the batch never changes.
    What to do: feed two different batches by hand; check the weights file of the LPIPS network.
    References: vqgan-training's mse_loss, always 0; diffusers train_autoencoderkl.py (LPIPS under no_grad); causes B8, B2.
    """

    code = "NUM507"
    finds = ("reconstruction", "stuck")
    needs = ("rec_loss|nll_loss|perceptual_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        still = {m for m in ("rec_loss", "nll_loss", "perceptual_loss", "total_loss", "kl_loss") if _still(facts, m)}
        moving = {m for m in ("rec_loss", "total_loss", "kl_loss") if facts.view.has(m)} - still
        for metric in ("rec_loss", "nll_loss", "perceptual_loss"):
            perceptual = metric == "perceptual_loss"
            series = facts.view.series(metric)
            if metric not in still or (perceptual and (not moving or not series.values[0])):
                continue
            yield self.finding(
                f"{metric} is exactly {series.values[0]:g} in all {len(series)} rows{' while other losses move' if moving else ''}: it"
                " is not being computed, or nothing is trained.",
                subject="perceptual" if perceptual else "reconstruction",
                sure=not perceptual,
                metrics=(metric,),
                steps=series.span,
                evidence=(facts.view.evidence(metric, int(series.rows[0])),),
            )


def _still(facts: Facts, metric: str) -> bool:
    series = facts.view.series(metric)
    return len(series) >= 20 and bool(series.high.max() == series.low.min())
