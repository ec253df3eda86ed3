"""The total loss: the KL weight and the disc_weight that it shows, and whether it closes once the GAN is on."""

from __future__ import annotations

import numpy as np

from vaelab.facts.identities import (
    Identity,
    Solved,
    before_gan,
    check_identity,
    intersect,
    nice_in,
)
from vaelab.facts.phases import Gan
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray
from vaelab.words import number


def solve_kl_weight(view: View, gan: Gan, solved: dict[str, Solved], identities: list[Identity], scale: float) -> None:
    declared = view.number("kl_weight")
    if (
        view.trainer.kl_reduction == "weighted"
        or view.trainer.rec_kind == "weighted-nll-sum"
        or not view.has("kl_loss")
    ):
        return
    if not view.has("nll_loss", "total_loss"):
        if declared is not None and "kl_weight" not in solved:
            text = "; the log lacks the columns to check it with"
            solved["kl_weight"] = Solved.as_declared("kl_weight", declared, text)
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
            text = "; no row without the GAN term to check it with"
            solved["kl_weight"] = Solved.as_declared("kl_weight", declared, text)
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


def solve_disc_weight(view: View, solved: dict[str, Solved]) -> None:
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
        solved["disc_weight"] = Solved.as_declared("disc_weight", declared, "")


def total_with_gan(view: View, gan: Gan, solved: dict[str, Solved], scale: float) -> list[Identity]:
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
