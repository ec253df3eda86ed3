"""The reconstruction term of the loss: the weights of its pixel and perceptual part, or the N by which a summed one is multiplied.

It is one of three: nll = pixelloss_weight x rec + perceptual_weight x perceptual; N x rec, N the summed pixels; or
n x ((weights as in the first) / exp(logvar) + logvar), that of ``vaelab train`` (``weights_apart``).
"""

from __future__ import annotations

import numpy as np

from vaelab.analysis import level
from vaelab.facts.identities import (
    Identity,
    Printed,
    Rows,
    Solved,
    best_value,
    check_identity,
    factor,
    fit,
    in_force,
    nice_in,
)
from vaelab.facts.phases import Gan
from vaelab.facts.pixels import pixel_count, sizes_vary
from vaelab.facts.view import View
from vaelab.words import number

HOW = {
    "exact": "values of single steps",
    "means": "epoch means",
    "medians": "windowed medians, which add up only roughly",
}


class Sums:
    """The sums of one run, solved one after the other: what one gives, the next may use."""

    def __init__(self, view: View, gan: Gan) -> None:
        self.view, self.trainer = view, view.trainer
        self.solved: dict[str, Solved] = {}
        self.identities: list[Identity] = []
        self.start = (gan.start_row or 0) if gan.state == "active" else len(view.run)
        """First row with the GAN term in the loss."""
        self.active = gan.state == "active"
        self.halves = 2.0 if view.run.format in view.trainer.half_total_in else 1.0
        self.logvar_moves = view.has("logvar") and bool(np.any(view.series("logvar").values))
        self.learned = view.trainer.logvar_learned or self.logvar_moves
        self.summed = self._is_summed()

    def _is_summed(self) -> bool:
        trainer, view = self.trainer, self.view
        if trainer.weights_apart or trainer.rec_kind == "l1-sum":
            return False
        if trainer.rec_kind == "weighted-nll-sum" or trainer.size_varies:
            return True
        left = "nll_loss" if view.has("nll_loss") else "total_loss"
        if trainer.nll_reduction != "unknown" or not view.has(left, "rec_loss"):
            return trainer.nll_reduction in ("sum-per-sample", "sum-per-frame")
        on = Rows(view, (left, "rec_loss"))
        ratio = np.abs(on[left].value) / np.maximum(np.abs(on["rec_loss"].value), 1e-300)
        return bool(len(ratio) and level(ratio) > 200)

    def add(
        self, name: str, value: float | None, found: tuple[float, float], on: Rows, text: str, status: str = ""
    ) -> None:
        """Keep a constant with its interval; ``value`` None says that no one number closes the sum."""
        status = status or ("does-not-close" if value is None else "closes")
        declared = self._declared_pixels() if name == "n_pixels" else self.view.number(name)
        self.solved[name] = Solved(name, value, *found, status, on.how, text, declared)

    def check(self, name: str, formula: str, left: Printed, right: Printed, on: Rows) -> None:
        self.identities.append(check_identity(name, formula, left, right, on, self.view))

    @property
    def nll_elements(self) -> float | None:
        """n: the values of one sample that nll_loss sums over, from the declared shapes; None if they are not known, or not
        one number because clips and images take turns."""
        view, reduction = self.view, self.trainer.nll_reduction
        if reduction == "mean":
            return 1.0
        channels = view.number("input_channels")
        if channels is None or view.clip is None:
            return None
        frames, height, width = view.clip
        if reduction == "sum-per-sample" and not view.number("image_share"):
            return channels * frames * height * width
        return channels * height * width if reduction == "sum-per-frame" else None

    def _declared_pixels(self) -> float | None:
        """C*H*W of the declared resolution; of ``vaelab train`` what its shapes give."""
        if self.trainer.weights_apart:
            return self.nll_elements
        size = self.view.number("resolution")
        channels = self.view.number("input_channels") or self.trainer.input_channels or 3
        return channels * size * size if size else None

    # --- the reconstruction term ---

    def reconstruction(self) -> None:
        """N of a summed loss, or the weights of the pixel and the perceptual part of a mean one."""
        view, trainer, apart = self.view, self.trainer, self.trainer.weights_apart
        left_name = "nll_loss" if view.has("nll_loss") else "total_loss"
        # a rec_loss that is the nll leaves nothing to solve for, nor is there one N for pictures of several sizes
        if not view.has(left_name, "rec_loss") or trainer.rec_kind == "weighted-nll-sum" or trainer.size_varies:
            return
        with_kl = left_name == "total_loss" and view.has("kl_loss")
        kl_weight = view.number("kl_weight")
        # only the constant of a learned variance makes an nll negative
        if not (self.summed or apart) and (self.logvar_moves or view.series("nll_loss").values.min(initial=0) < 0):
            return
        if not self.summed and left_name == "total_loss" and not (with_kl and kl_weight is not None):
            return
        perceptual = not self.summed and view.has("perceptual_loss") and "lpips" not in trainer.rec_kind
        names = [left_name, "rec_loss"] + ["kl_loss"] * with_kl + ["perceptual_loss"] * perceptual
        with_logvar = self.logvar_moves or (apart and view.has("logvar"))
        on = Rows(view, names + ["logvar"] * with_logvar, linear=not with_logvar)
        keep = on["rec_loss"].value > 0
        if left_name == "total_loss":
            keep &= on.rows < self.start
        if not keep.any():
            return
        on = on.where(keep)
        left, rec, said = on[left_name], on["rec_loss"], left_name
        if left_name == "total_loss":
            left = left * self.halves
        if with_kl:
            if kl_weight is None and on.how == "exact":
                self._kl_weight_beside(on, left, rec)
            part = on["kl_loss"] * (1e-6 if (weight := in_force(view, self.solved, "kl_weight")) is None else weight)
            visible = float(np.max(part.value)) > 1e-3 * float(np.min(left.value - part.value))
            left = left - part
            said = (
                f"{said}{' (the KL part is taken off)' if visible else ''}"
                if self.summed
                else f"{said} - kl_weight x kl_loss"
            )
        if self.summed:
            self._pixels(on, left, rec, said)
        elif not apart:
            self._weights(on, left, rec, perceptual, said)
        elif (n := self.nll_elements) is not None and not (self.learned and not view.has("logvar")):
            if n != 1:
                left, said = left * (1 / n), said.replace("nll_loss", f"nll_loss / {number(n)}")
            if self.learned:
                logvar = on["logvar"]
                # of a difference: what rounding left of both, and of logvar itself
                left = (left - logvar - Printed(0 * logvar.value, logvar.error)) * np.exp(
                    np.minimum(logvar.value, 30.0)
                )
                said = f"({said} - logvar) x exp(logvar)"
            self._weights(on, left, rec, perceptual, said)
            self._declare_pixels(on, n)

    def _kl_weight_beside(self, on: Rows, left: Printed, rec: Printed) -> None:
        """kl_weight from total = N rec + kl_weight KL, where neither is declared and the KL part is large enough to show."""
        kl = on["kl_loss"]
        found = fit(left, (rec, kl)) if len(on) >= 6 else None
        if found is None:
            return
        weight, spread = found[1][0], 4 * found[1][1]
        if weight <= 3 * spread or weight * float(np.max(kl.value)) < 0.01 * float(np.max(left.value)):
            return
        text = (
            f"kl_weight is {best_value(weight - spread, weight + spread):.3g} (fit of total_loss = N x rec_loss + kl_weight x kl_loss over"
            f" {len(on)} rows: {number(weight)} +- {spread:.2g})."
        )
        self.add(
            "kl_weight", best_value(weight - spread, weight + spread), (weight - spread, weight + spread), on, text
        )

    def _pixels(self, on: Rows, left: Printed, rec: Printed, said: str) -> None:
        """N from left = N x rec, or N x (rec / exp(logvar) + logvar)."""
        unit, left_name = rec, said.partition(" ")[0]
        if self.logvar_moves:
            logvar = on["logvar"]
            unit = rec * np.exp(-logvar.value) + logvar
        keep = np.abs(unit.value) > 3 * unit.error
        if not keep.any():
            return
        on, left, unit = on.where(keep), left[keep], unit[keep]
        medians = on.how == "medians"
        low, high, inside = factor(left.as_medians if medians else left, unit, medians=medians)
        if left_name == "nll_loss" and (inside < 0.9 or low <= 0) and (sizes := sizes_vary(left, unit)):
            text = (
                f"nll_loss / rec_loss is the C x H x W of a picture in every row, of another one from row to row ({sizes[0]:,} to"
                f" {sizes[1]:,}): nll_loss is summed over pictures of several sizes. Judge by rec_loss, which is a mean."
            )
            return self.add("n_pixels", None, sizes, on, text, "cannot-tell")
        value, shape = (low + high) / 2, ""
        if inside < 0.9 or low <= 0:
            text = f"{left_name} / rec_loss is not one constant: {low:,.0f} to {high:,.0f}; the sum over pixels does not close."
            self.add("n_pixels", None, (low, high), on, text)
        else:
            value, shape = pixel_count(low, high, self.view.number("input_channels"), self.trainer.input_channels)
            over = "frame" if self.trainer.nll_reduction == "sum-per-frame" else "sample"
            text = (
                f"{said} = {value:,.0f} x rec_loss: the reconstruction term is summed over the pixels of one {over} ({value:,.0f}{shape};"
                f" interval {low:,.0f} to {high:,.0f} from {len(on)} rows; step {on.step():,}: {number(left.value[-1])} /"
                f" {number(unit.value[-1])})."
            )
            self.add("n_pixels", value, (low, high), on, text)
        if left_name == "nll_loss":
            self.check("nll", f"nll_loss = {value:,.0f} x rec_loss", left, unit * value, on)

    def _weights(self, on: Rows, left: Printed, rec: Printed, has_p: bool, said: str) -> None:
        """pixelloss_weight and, where the rows can tell the two apart, perceptual_weight from left = w x rec + b x perceptual."""
        declared_p = self.view.number("perceptual_weight")
        weight_p, rest, others = (
            (1.0 if declared_p is None else declared_p),
            left,
            Printed(0 * rec.value, 0 * rec.value),
        )
        medians, assumed = on.how == "medians", f" with perceptual_weight {weight_p:g}" if has_p else ""
        single = len(on) == 1 and self.view.run.columns["rec_loss"].smoothing.kind != "window_median"
        if medians and not single:
            rest = left.as_medians
        if has_p:
            p = on["perceptual_loss"]
            found = fit(left, (rec, p)) if len(on) >= 6 and not medians else None
            if found is not None:
                fitted, spread = found[1][0], 4 * found[1][1]
                if spread <= 0.2 * max(abs(fitted), 0.1) and fitted >= -spread:
                    low, high = fitted - spread, fitted + spread
                    nice = declared_p if declared_p is not None and low <= declared_p <= high else nice_in(low, high)
                    weight_p, assumed = fitted if nice is None else nice, ""
                    others = (
                        others if nice is not None and nice == declared_p else Printed(others.value, spread * p.value)
                    )
                    text = f"perceptual_weight is {weight_p:g} (fit over {len(on)} rows: {fitted:.3f} +- {spread:.3f})."
                    self.add("perceptual_weight", weight_p, (low, high), on, text)
            others = others + p * weight_p
        low, high, inside = factor(rest - others, rec, medians=medians)
        closes = inside >= 0.9 and high > 0
        value = best_value(max(low, 1e-9), high, self.view.number("pixelloss_weight"))
        if closes:
            terms = f"{value:g} x {number(rec.value[-1])}" + (
                f" + {weight_p:g} x {number(p.value[-1])}" if has_p else ""
            )
            text = (
                f"pixelloss_weight is {number(value)} (interval {low:.2f} to {high:.2f}{assumed}): {said} = {terms} ="
                f" {number(value * rec.value[-1] + others.value[-1])}, printed {number(left.value[-1])} at step {on.step():,}"
                f" ({HOW[on.how]}).{' 1 is excluded.' if low > 1.02 or high < 0.98 else ''}"
            )
            if has_p and weight_p == 1 and not low <= 1 <= high:
                text += f" It is not rec + perception ({number(rec.value[-1] + p.value[-1])})."
        else:
            text = f"{said} = w x rec_loss + {weight_p:g} x perceptual_loss does not close with one w: rows ask for {low:.3g} to {high:.3g} ({HOW[on.how]})."
        self.add("pixelloss_weight", value if closes else None, (low, high), on, text)
        if said.endswith("kl_loss"):
            return
        formula = f"{said} = {number(value)} x rec_loss" + (f" + {weight_p:g} x perceptual_loss" if has_p else "")
        self.check("nll", formula, left, rec * value + others, on)

    def _declare_pixels(self, on: Rows, n: float) -> None:
        """n as a constant of the run, where nll_loss is summed and its sum closed with it."""
        if n == 1:
            return
        closes = self.solved["pixelloss_weight"].status == "closes"
        what = "sample" if self.trainer.nll_reduction == "sum-per-sample" else "frame"
        text = f"nll_loss is {'' if closes else 'not '}the sum over the {number(n)} values of one {what} that the declared shapes give."
        self.add("n_pixels", n, (n, n), on, text, "closes" if closes else "does-not-close")
