"""Loss algebra: solve for the hidden constants (weights, pixel count) and say whether the identities close.

Printed values are rounded, so a constant comes out as an interval: the intersection over rows of what rounding allows.
Sums hold exactly for values of one step and for means over the same steps, and only roughly for windowed medians
(95% of ratios within 0.917 .. 1.169 for windows of 20).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from vaelab.analysis import level
from vaelab.facts.extra_terms import solve_extra, solve_lecam
from vaelab.facts.identities import (
    MEDIAN_RATIO,
    Identity,
    Solved,
    before_gan,
    check_identity,
    fit_two,
    intersect,
    nice_in,
    typical,
)
from vaelab.facts.own_terms import declare_pixels, learned, per_value, weighted_terms
from vaelab.facts.phases import Gan
from vaelab.facts.pixels import solve_pixels
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray
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
    total_scale: float
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
    _solve_kl_weight(view, gan, solved, identities, scale)
    _solve_disc_weight(view, solved)
    solve_lecam(view, gan, solved)
    if any(view.has(m) for m in view.trainer.extra_terms):
        solve_extra(view, gan, solved, identities)
    else:
        identities.extend(_total_with_gan(view, gan, solved, scale))
    terms = _terms(view, gan, solved, summed)
    algebra = Algebra(solved, tuple(identities), {}, {}, scale, terms)
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
            f" {float(np.quantile(rest / rec, 0.05)):.3g} to {float(np.quantile(rest / rec, 0.95)):.3g} ({how_text})."
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


def _solve_kl_weight(view: View, gan: Gan, solved: dict[str, Solved], identities: list[Identity], scale: float) -> None:
    declared = view.number("kl_weight")
    if (
        view.trainer.kl_reduction == "weighted"
        or view.trainer.rec_kind == "weighted-nll-sum"
        or not view.has("kl_loss")
    ):
        return
    if not view.has("nll_loss", "total_loss"):
        if declared is not None and "kl_weight" not in solved:
            solved["kl_weight"] = Solved(
                "kl_weight", declared, declared, declared, "closes", "declared", 0,
                f"kl_weight is {declared:g} (declared; the log lacks the columns to check it with).", declared,
            )  # fmt: skip
        return
    values, rows, how = view.joint(("total_loss", "nll_loss", "kl_loss"))
    grown = view.kl_growth(rows)
    before = before_gan(view, gan, rows)
    gan_part = np.zeros(len(rows))
    if view.trainer.weights_apart and not before.any() and view.has("g_loss_weighted"):
        gan_part = np.nan_to_num(view.run["g_loss_weighted"][rows])
        before = np.ones(len(rows), bool)
    keep = before & (values["kl_loss"] > 0)
    if not keep.any():
        if declared is not None:
            text = f"kl_weight is {declared:g} (declared; no row without the GAN term to check it with)."
            solved["kl_weight"] = Solved(
                "kl_weight", declared, declared, declared, "closes", "declared", 0, text, declared
            )
        return
    total, nll, kl = (values[m][keep] for m in ("total_loss", "nll_loss", "kl_loss"))
    rows = rows[keep]
    error = view.half_unit("total_loss", total) / scale + view.half_unit("nll_loss", nll)
    if how == "medians":
        error = error + 0.05 * np.abs(nll)
    others, others_error, also = _row_weighted(view, rows)
    less = also.replace(" + ", " - ")
    total = total / scale - others
    error = error + others_error
    if gan_part.any():
        error = error + view.half_unit("g_loss_weighted", gan_part[keep])
        total = total - gan_part[keep]
    # the KL is rounded too; where it is no larger than its own rounding it bounds nothing
    kl_error = view.half_unit("kl_loss", kl) * grown[keep]
    kl = kl * grown[keep]
    part = total - nll
    least, most = kl + kl_error, np.maximum(kl - kl_error, 1e-300)
    lows = np.where(part - error >= 0, (part - error) / least, (part - error) / most)
    highs = np.where(part + error >= 0, (part + error) / most, (part + error) / least)
    low, high, inside = intersect(lows, highs)
    row = int(rows[int(np.argmax(kl))])
    where = f"step {int(view.run.steps[row]):,}"
    largest = int(np.argmax(kl))
    if high <= 0 or inside < 0.9:
        text = (
            f"total_loss{less} - nll_loss is not kl_weight x kl_loss with one weight ({low:.3g} to {high:.3g} over"
            f" {len(kl)} rows)."
        )
        solved["kl_weight"] = Solved("kl_weight", declared, low, high, "does-not-close", how, len(kl), text, declared)
        return
    if low <= 0:
        value = declared if declared is not None and declared <= high else None
        said = (
            f"kl_weight {declared:g} gives {declared * kl[largest]:.2g}"
            if declared is not None
            else f"its weight is below {high:.2g}"
        )
        text = (
            f"total_loss{less} equals nll_loss within print precision ({where}: {number(total[largest])} and {number(nll[largest])})"
            f" because the KL term is too small to show: {said}. It has no visible effect on the loss."
        )
        solved["kl_weight"] = Solved("kl_weight", value, max(low, 0.0), high, "closes", how, len(kl), text, declared)
        return
    nice = nice_in(low, high)
    value = (
        declared if declared is not None and low <= declared <= high else nice if nice is not None else (low + high) / 2
    )
    text = (
        f"kl_weight is {value:.3g} (interval {low:.3g} to {high:.3g}, {len(kl)} rows): total_loss{less} = nll_loss +"
        f" kl_weight x kl_loss closes at {where}: {number(nll[largest])} + {number(value * kl[largest])} = {number(nll[largest] + value * kl[largest])},"
        f" printed {number(total[largest])}."
    )
    solved["kl_weight"] = Solved("kl_weight", value, low, high, "closes", how, len(kl), text, declared)
    identities.append(
        check_identity("total-before-gan", "total_loss = nll_loss + kl_weight x kl_loss" + also, total + others,
                  nll + value * kl + others, error + value * kl_error, rows, view, how)
    )  # fmt: skip


def _solve_disc_weight(view: View, solved: dict[str, Solved]) -> None:
    """disc_weight from the clamp: d_weight at its maximum is disc_weight x 1e4, and stands there again and again."""
    if not view.has("d_weight"):
        return
    declared = view.number("disc_weight")
    column = view.run.columns["d_weight"]
    values = view.run["d_weight"]
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if len(finite) else 0.0
    repeats = 0 if view.trainer.fixed_d_weight else int(np.sum(finite == top))
    low = top / view.trainer.clamp
    # three significant digits (tqdm) repeat by chance: there only a round disc_weight is believed
    coarse = column.decimals is not None and column.decimals <= 0
    believed = not coarse or nice_in(0.999 * low, 1.001 * low) is not None
    if column.smoothing.kind == "none" and top >= 10 and repeats >= 3 and believed:
        text = (
            f"disc_weight is {low:g}: d_weight stops at exactly {top:,.6g} in {repeats} rows, which is its clamp"
            f" disc_weight x {number(view.trainer.clamp)}."
        )
        solved["disc_weight"] = Solved("disc_weight", low, low, low, "closes", "clamp", repeats, text, declared)
    elif declared is not None:
        text = f"disc_weight is {declared:g} (declared)."
        solved["disc_weight"] = Solved(
            "disc_weight", declared, declared, declared, "closes", "declared", 0, text, declared
        )


def _total_with_gan(view: View, gan: Gan, solved: dict[str, Solved], scale: float) -> list[Identity]:
    if view.trainer.rec_kind == "weighted-nll-sum":
        text = (
            "cannot tell: rec_loss is the nll, and this trainer does not log kl_loss, d_weight and g_loss beside it; log them"
            " to close the sum."
        )
        formula = "total_loss = rec_loss + kl_weight x kl_loss + d_weight x disc_factor x g_loss"
        return [Identity("total-with-gan", formula, "cannot-tell", None, 0, text)]
    weighted = view.has("g_loss_weighted")
    gan_columns = ("g_loss_weighted",) if weighted else ("d_weight", "g_loss")
    if gan.state != "active" or not view.has("total_loss", *gan_columns):
        return []
    formula = "total_loss = nll_loss + kl_weight x kl_loss + d_weight x disc_factor x g_loss"
    if weighted:
        formula = "total_loss = nll_loss + kl_weight x kl_loss + g_loss_weighted"
    kl_weight = solved["kl_weight"].value if "kl_weight" in solved else view.number("kl_weight")
    if view.trainer.kl_reduction == "weighted":
        kl_weight, formula = 1.0, formula.replace("kl_weight x ", "")
    base: tuple[str, ...] = ("total_loss", *gan_columns)
    start = gan.start_row or 0
    for more in (("nll_loss", "kl_loss"), ("nll_loss",), ("kl_loss",), ()):
        if not view.has(*more):
            continue
        values, rows, how = view.joint(base + more, linear=weighted)
        keep = rows >= start
        if keep.any():
            break
    else:
        return []
    values = {m: v[keep] for m, v in values.items()}
    rows = rows[keep]
    if weighted:
        term, unsure = values["g_loss_weighted"], view.half_unit("g_loss_weighted", values["g_loss_weighted"])
    else:
        term = values["d_weight"] * view.disc_factor(rows) * values["g_loss"]
        unsure = np.abs(values["g_loss"]) * view.half_unit("d_weight", values["d_weight"])
        unsure = unsure + np.abs(values["d_weight"]) * view.half_unit("g_loss", values["g_loss"])
    kl_part = (kl_weight or 0.0) * view.kl_growth(rows) * values.get("kl_loss", np.zeros(len(rows)))
    total = values["total_loss"] / scale
    if "nll_loss" in values:
        if how == "medians" and not weighted:
            text = "cannot tell: d_weight x g_loss is a product, and the log prints medians of 20 steps."
            return [Identity("total-with-gan", formula, "cannot-tell", None, len(rows), text)]
        others, others_error, also = _row_weighted(view, rows)
        predicted = values["nll_loss"] + kl_part + term + others
        slack = view.half_unit("total_loss", values["total_loss"]) / scale + view.half_unit("nll_loss", predicted)
        slack = slack + unsure + others_error
        return [check_identity("total-with-gan", formula + also, total, predicted, slack, rows, view, how)]
    if weighted:
        return []
    return _implied_nll(view, solved, formula, values, rows, total - kl_part - term, term)


def _row_weighted(view: View, rows: IntArray) -> tuple[FloatArray, FloatArray, str]:
    """Sum of the terms whose weight is logged beside them, what rounding may have done to it, and its part of a formula.

    The sum is over ``weighted_terms`` of the trainer, (len(rows),); NaN where a term or its weight is not logged.
    """
    part, error, said = np.zeros(len(rows)), np.zeros(len(rows)), ""
    for term, weight in view.trainer.weighted_terms.items():
        if view.has(term, weight):
            value, times = view.run[term][rows], view.run[weight][rows]
            part = part + times * value
            error = error + np.abs(times) * view.half_unit(term, value) + np.abs(value) * view.half_unit(weight, times)
            said += f" + {weight} x {term}"
    return part, error, said


def _implied_nll(
    view: View,
    solved: dict[str, Solved],
    formula: str,
    values: dict[str, FloatArray],
    rows: IntArray,
    implied: FloatArray,
    term: FloatArray,
) -> list[Identity]:
    """Without an nll column: is the nll that the total asks for possible given rec_loss?"""
    weight = solved["pixelloss_weight"].value if "pixelloss_weight" in solved else view.number("pixelloss_weight")
    if weight is None or not view.has("rec_loss") or view.trainer.nll_reduction != "mean":
        return []
    rec = view.run["rec_loss"][rows]
    ok = np.isfinite(rec) & np.isfinite(implied)
    if not ok.any():
        return []
    i = int(np.flatnonzero(ok)[-1])
    perceptual = view.series("perceptual_loss")
    top = float(perceptual.values.max()) if len(perceptual) else 0.1
    ceiling = weight * float(rec[i]) + top
    status = "does-not-close" if implied[i] > 1.5 * ceiling or implied[i] < 0.5 * weight * rec[i] else "cannot-tell"
    step = int(view.run.steps[rows[i]])
    text = (
        f"{'does not close' if status == 'does-not-close' else 'cannot tell'} at step {step:,}: d_weight x g_loss ="
        f" {values['d_weight'][i]:.4f} x {values['g_loss'][i]:.4f} = {term[i]:.3f} would need nll {implied[i]:.3f}, but"
        f" {weight:g} x rec_loss is {weight * rec[i]:.3g} and perceptual_loss stays below {top:.3g}. The figures are"
        " medians, or of different steps."
    )
    return [Identity("total-with-gan", formula, status, None, 1, text, step if status == "does-not-close" else None)]


def _terms(view: View, gan: Gan, solved: dict[str, Solved], summed: bool) -> dict[str, FloatArray]:
    """Weighted value of each term of the loss on every row; empty if the reconstruction term is not known."""

    def constant(name: str, default: float | None) -> float | None:
        found = solved.get(name)
        return found.value if found and found.value is not None else default

    terms: dict[str, FloatArray] = {}
    run = view.run
    kl_weight = constant("kl_weight", view.number("kl_weight"))
    if view.trainer.weights_apart:
        terms |= weighted_terms(view, weights(view, solved))
    elif summed:
        n = constant("n_pixels", None)
        if "nll_loss" in run:
            terms["reconstruction"] = run["nll_loss"]
        elif view.trainer.rec_kind == "weighted-nll-sum" and "rec_loss" in run:
            terms["reconstruction"] = run["rec_loss"]
        elif n is not None and "rec_loss" in run:
            terms["reconstruction"] = n * run["rec_loss"]
    else:
        weight = constant("pixelloss_weight", view.number("pixelloss_weight"))
        if weight is None and "nll_loss" not in run:
            weight = view.trainer.defaults.get("pixelloss_weight")
        if weight is not None and "rec_loss" in run:
            terms["reconstruction"] = weight * run["rec_loss"]
            if "perceptual_loss" in run and "lpips" not in view.trainer.rec_kind:
                terms["perceptual"] = (constant("perceptual_weight", 1.0) or 0.0) * run["perceptual_loss"]
        elif "nll_loss" in run:
            terms["reconstruction"] = run["nll_loss"]
    if view.trainer.kl_reduction == "weighted":
        kl_weight = 1.0
    if "kl_loss" in run and kl_weight is not None:
        terms["KL"] = kl_weight * view.kl_growth(slice(None)) * run["kl_loss"]
    for metric, key in view.trainer.extra_terms.items():
        if metric in run and (weight := constant(key, None)) is not None:
            terms[metric] = weight * run[metric]
    if gan.state == "active" and "g_loss_weighted" in run:
        terms["GAN"] = run["g_loss_weighted"]
    elif gan.state == "active" and {"d_weight", "g_loss"} <= set(run):
        terms["GAN"] = run["d_weight"] * view.disc_factor(slice(None)) * run["g_loss"]
    return terms if "reconstruction" in terms else {}


def weights(view: View, solved: dict[str, Solved]) -> tuple[float | None, float | None]:
    """Weights of pixels and of the perceptual part: solved, else declared."""
    found = (solved.get(name) for name in ("pixelloss_weight", "perceptual_weight"))
    pixel, perceptual = (s.value if s is not None else None for s in found)
    return (
        view.number("pixelloss_weight") if pixel is None else pixel,
        view.number("perceptual_weight") if perceptual is None else perceptual,
    )
