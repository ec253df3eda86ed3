"""Loss algebra: solve for the hidden constants (weights, pixel count) and say whether the identities close.

Printed values are rounded, so a constant comes out as an interval: the intersection over rows of what rounding allows.
Sums hold exactly for values of one step and for means over the same steps, and only roughly for windowed medians
(95% of ratios within 0.917 .. 1.169 for windows of 20).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from vaelab.analysis import level, quantile
from vaelab.facts.extra_terms import solve_extra, solve_lecam
from vaelab.facts.identities import (
    MEDIAN_RATIO,
    Identity,
    Solved,
    before_gan,
    check_identity,
    fit_two,
    in_force,
    intersect,
    nice_in,
    typical,
)
from vaelab.facts.own_terms import declare_pixels, learned, per_value, weighted_terms
from vaelab.facts.phases import Gan
from vaelab.facts.pixels import solve_pixels
from vaelab.facts.total import solve_disc_weight, solve_kl_weight, total_with_gan
from vaelab.facts.view import View
from vaelab.run import FloatArray
from vaelab.words import number


@dataclass(frozen=True)
class Algebra:
    """Hidden constants, identities, and each term's share of the loss by value (first and last rows).

    terms: weighted value of every term, float64 (n,), for shares over any stretch of rows.
    """

    solved: dict[str, Solved]
    identities: tuple[Identity, ...]
    shares_first: dict[str, float]
    shares_now: dict[str, float]
    terms: dict[str, FloatArray] = field(default_factory=dict)

    def shares(self, rows: slice) -> dict[str, float]:
        """Share of each term in the loss by absolute value (medians over ``rows``); empty if a term is unknown there."""
        sizes = {m: level(np.abs(v[rows][np.isfinite(v[rows])])) for m, v in self.terms.items()}
        sizes = {m: v for m, v in sizes.items() if math.isfinite(v)}
        total = sum(sizes.values())
        return {m: v / total for m, v in sizes.items()} if total > 0 and "reconstruction" in sizes else {}

    def value(self, name: str) -> float | None:
        found = self.solved.get(name)
        return found.value if found and found.status == "closes" else None


def solve(view: View, gan: Gan) -> Algebra:
    """Solve what the columns of ``view`` allow; unknown trainers get the mean form and the summed form tried in turn."""
    solved: dict[str, Solved] = {}
    identities: list[Identity] = []
    scale = 0.5 if view.run.format in view.trainer.half_total_in else 1.0
    summed = view.trainer.nll_reduction in ("sum-per-sample", "sum-per-frame")
    if view.trainer.nll_reduction == "unknown" and view.has("rec_loss"):
        summed = _looks_summed(view)
    if view.trainer.rec_kind == "weighted-nll-sum":
        summed = True  # rec_loss is the nll: there is nothing to solve for
    elif view.trainer.size_varies:
        summed = True  # no one number of pixels to solve for
    elif view.trainer.weights_apart:
        _solve_weights(view, gan, solved, identities)
        declare_pixels(view, solved)
    elif view.trainer.rec_kind == "l1-sum":
        summed = False
        _solve_weights(view, gan, solved, identities)
    elif summed:
        solve_pixels(view, gan, solved, identities, scale)
    elif view.has("rec_loss"):
        _solve_weights(view, gan, solved, identities)
    solve_kl_weight(view, gan, solved, identities, scale)
    solve_disc_weight(view, solved)
    solve_lecam(view, gan, solved)
    if any(view.has(m) for m in view.trainer.extra_terms):
        solve_extra(view, gan, solved, identities)
    else:
        identities.extend(total_with_gan(view, gan, solved, scale))
    terms = _terms(view, gan, solved, summed)
    algebra = Algebra(solved, tuple(identities), {}, {}, terms)
    finite = [np.isfinite(v) for m, v in terms.items() if m != "GAN"]
    rows = np.flatnonzero(np.all(finite, axis=0)) if finite else np.empty(0, np.int64)
    if len(rows):
        first = algebra.shares(slice(int(rows[0]), int(rows[0]) + 1))
        now = algebra.shares(slice(int(rows[-max(1, len(rows) // 10)]), int(rows[-1]) + 1))
        return replace(algebra, shares_first=first, shares_now=now)
    return algebra


def _looks_summed(view: View) -> bool:
    left = "nll_loss" if view.has("nll_loss") else "total_loss"
    if not view.has(left):
        return False
    values, _, _ = view.joint((left, "rec_loss"))
    ratio = np.abs(values[left]) / np.maximum(np.abs(values["rec_loss"]), 1e-300)
    return bool(len(ratio) and level(ratio) > 200)


# --- mean-reduced trainers: nll = pixel_weight * rec + perceptual_weight * p -----------------------------------------


def _solve_weights(view: View, gan: Gan, solved: dict[str, Solved], identities: list[Identity]) -> None:
    has_p = view.has("perceptual_loss") and "lpips" not in view.trainer.rec_kind  # else rec_loss contains it
    kl_weight = view.number("kl_weight")
    if view.has("nll_loss"):
        left_names: tuple[str, ...] = ("nll_loss",)
    elif view.has("total_loss", "kl_loss") and kl_weight is not None:
        left_names = ("total_loss", "kl_loss")
    else:
        return
    if not view.has("rec_loss"):
        return
    # only the constant of a learned variance makes an nll negative
    if not view.trainer.weights_apart and view.has("nll_loss") and view.series("nll_loss").values.min() < 0:
        return
    names = left_names + ("rec_loss",) + (("perceptual_loss",) if has_p else ())
    apart = view.trainer.weights_apart
    if apart and (learned(view) or len(left_names) == 2):
        names += ("logvar",) if view.has("logvar") else ()
    values, rows, how = view.joint(names, linear="logvar" not in names)
    keep = values["rec_loss"] > 0
    if len(left_names) == 2:
        keep &= before_gan(view, gan, rows)
    if not apart and view.has("logvar") and np.any(view.series("logvar").values):
        return
    if not keep.any():
        return
    values = {m: v[keep] for m, v in values.items()}
    rows = rows[keep]
    error = {m: view.half_unit(m, v) for m, v in values.items()}
    left = values[left_names[0]]
    left_error = error[left_names[0]]
    if len(left_names) == 2:
        left = left - (kl_weight or 0.0) * values["kl_loss"]
        left_error = left_error + abs(kl_weight or 0.0) * error["kl_loss"]
    relation = "nll_loss" if len(left_names) == 1 else "total_loss - kl_weight x kl_loss"
    if apart:
        alone = per_value(view, left, left_error, rows)
        if alone is None:
            return
        left, left_error, relation = alone[0], alone[1], relation.replace("nll_loss", alone[2])
    p = values.get("perceptual_loss", np.zeros(len(left)))
    p_error = error.get("perceptual_loss", np.zeros(len(left)))
    rec, rec_error = values["rec_loss"], error["rec_loss"]
    declared_w, declared_p = view.number("pixelloss_weight"), view.number("perceptual_weight")
    weight_p, unsure_p, from_fit = (1.0 if declared_p is None else declared_p), 0.0, False
    if has_p and how != "medians":
        fitted = fit_two(left, rec, p, left_error, rec_error, p_error)
        if fitted is not None:
            weight_p, spread = fitted
            from_fit = True
            agrees = declared_p is not None and abs(declared_p - weight_p) <= spread
            snapped = declared_p if agrees else nice_in(weight_p - spread, weight_p + spread)
            exact = snapped if snapped is not None else weight_p
            unsure_p = 0.0 if agrees else spread
            solved["perceptual_weight"] = Solved(
                "perceptual_weight", exact, weight_p - spread, weight_p + spread, "closes", how, len(left),
                f"perceptual_weight is {exact:g} (fit over {len(left)} rows: {weight_p:.3f} +- {spread:.3f}).", declared_p,
            )  # fmt: skip
            weight_p = exact
    rest = left - weight_p * p
    guess = max(level(rest / rec), 0.0)
    slack = left_error + weight_p * p_error + guess * rec_error + unsure_p * p
    if how == "medians":
        least, most = (left - left_error) * MEDIAN_RATIO[0], (left + left_error) * MEDIAN_RATIO[1]
        if len(left) == 1 and view.run.columns["rec_loss"].smoothing.kind != "window_median":
            least, most = left - left_error, left + left_error
        lows, highs = (least - weight_p * p - slack) / rec, (most - weight_p * p + slack) / rec
    else:
        lows, highs = (rest - slack) / rec, (rest + slack) / rec
    low, high, inside = typical(lows, highs) if how == "medians" else intersect(lows, highs)
    closes = inside >= 0.9 and high > 0
    nice = nice_in(max(low, 1e-9), high)
    value = nice if nice is not None else (low + high) / 2
    if declared_w is not None and low <= declared_w <= high:
        value = declared_w
    excluded = " 1 is excluded." if low > 1.02 or high < 0.98 else ""
    assumed = "" if from_fit or not has_p else f" with perceptual_weight {weight_p:g}"
    how_text = {"exact": "values of single steps", "means": "epoch means", "medians": "windowed medians, which add up"
                " only roughly"}[how]  # fmt: skip
    row = int(rows[-1])
    example = f"{value:g} x {number(rec[-1])}" + (f" + {weight_p:g} x {number(p[-1])}" if has_p else "")
    if closes:
        text = (
            f"pixelloss_weight is {number(value)} (interval {low:.2f} to {high:.2f}{assumed}): {relation} = {example} ="
            f" {number(value * rec[-1] + weight_p * p[-1])}, printed {number(left[-1])} at step {int(view.run.steps[row]):,}"
            f" ({how_text}).{excluded}"
        )
        if has_p and not (low <= 1 <= high) and weight_p == 1:
            text += f" It is not rec + perception ({number(rec[-1] + p[-1])})."
    else:
        text = (
            f"{relation} = w x rec_loss + {weight_p:g} x perceptual_loss does not close with one w: rows ask for"
            f" {quantile(rest / rec, 0.05):.3g} to {quantile(rest / rec, 0.95):.3g} ({how_text})."
        )
    solved["pixelloss_weight"] = Solved(
        "pixelloss_weight", value if closes else None, low, high, "closes" if closes else "does-not-close", how,
        len(left), text, declared_w,
    )  # fmt: skip
    if len(left_names) == 1:
        predicted = value * rec + weight_p * p
        identities.append(
            check_identity("nll", f"{relation} = {number(value)} x rec_loss" + (f" + {weight_p:g} x perceptual_loss" if has_p else ""),
                      left, predicted, slack, rows, view, how)
        )  # fmt: skip


# --- KL weight, disc_weight, total ------------------------------------------------------------------------------------


def _terms(view: View, gan: Gan, solved: dict[str, Solved], summed: bool) -> dict[str, FloatArray]:
    """Weighted value of each term of the loss on every row; empty if the reconstruction term is not known."""
    terms: dict[str, FloatArray] = {}
    run = view.run
    kl_weight = in_force(view, solved, "kl_weight")
    if view.trainer.weights_apart:
        terms |= weighted_terms(view, weights(view, solved))
    elif summed:
        n = solved["n_pixels"].value if "n_pixels" in solved else None
        if "nll_loss" in run:
            terms["reconstruction"] = run["nll_loss"]
        elif view.trainer.rec_kind == "weighted-nll-sum" and "rec_loss" in run:
            terms["reconstruction"] = run["rec_loss"]
        elif n is not None and "rec_loss" in run:
            terms["reconstruction"] = n * run["rec_loss"]
    else:
        weight, perceptual = in_force(view, solved, "pixelloss_weight"), solved.get("perceptual_weight")
        if weight is None and "nll_loss" not in run:
            weight = view.trainer.defaults.get("pixelloss_weight")
        if weight is not None and "rec_loss" in run:
            terms["reconstruction"] = weight * run["rec_loss"]
            if "perceptual_loss" in run and "lpips" not in view.trainer.rec_kind:
                terms["perceptual"] = (
                    perceptual.value if perceptual is not None and perceptual.value is not None else 1.0
                ) * run["perceptual_loss"]
        elif "nll_loss" in run:
            terms["reconstruction"] = run["nll_loss"]
    if view.trainer.kl_reduction == "weighted":
        kl_weight = 1.0
    if "kl_loss" in run and kl_weight is not None:
        terms["KL"] = kl_weight * view.kl_growth(slice(None)) * run["kl_loss"]
    for metric, key in view.trainer.extra_terms.items():
        found = solved.get(key)
        if metric in run and found is not None and found.value is not None:
            terms[metric] = found.value * run[metric]
    if gan.state == "active" and "g_loss_weighted" in run:
        terms["GAN"] = run["g_loss_weighted"]
    elif gan.state == "active" and {"d_weight", "g_loss"} <= set(run):
        terms["GAN"] = run["d_weight"] * view.disc_factor(slice(None)) * run["g_loss"]
    return terms if "reconstruction" in terms else {}


def weights(view: View, solved: dict[str, Solved]) -> tuple[float | None, float | None]:
    """Weights of pixels and of the perceptual part."""
    return in_force(view, solved, "pixelloss_weight"), in_force(view, solved, "perceptual_weight")
