"""The reconstruction term of ``vaelab train``, whose weights stand outside rec_loss in every reduction.

nll_loss = n x ((pixelloss_weight x rec_loss + perceptual_weight x perceptual_loss) / exp(logvar) + logvar), with n = 1,
C*T*H*W or C*H*W by nll_reduction (``vaelab.losses.objective``). All columns are values of one step, so the sum closes to
float precision.
"""

from __future__ import annotations

import math

import numpy as np

from vaelab.facts.identities import Solved
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray
from vaelab.words import number


def learned(view: View) -> bool:
    """Whether logvar is declared as learned, or moves in the log."""
    return view.trainer.logvar_learned or bool(np.any(view.series("logvar").values))


def nll_elements(view: View) -> float | None:
    """n: the values of one sample that nll_loss sums over, from the declared shapes; None if they are not known, or not
    one number because clips and images take turns."""
    reduction = view.trainer.nll_reduction
    if reduction == "mean":
        return 1.0
    channels = view.number("input_channels")
    if channels is None or view.clip is None:
        return None
    frames, height, width = view.clip
    if reduction == "sum-per-sample" and not view.number("image_share"):
        return channels * frames * height * width
    return channels * height * width if reduction == "sum-per-frame" else None


def per_value(
    view: View, nll: FloatArray, error: FloatArray, rows: IntArray
) -> tuple[FloatArray, FloatArray, str] | None:
    """``(nll_loss with n and logvar taken off, its rounding error, what that is called)``; None where n or logvar is not known."""
    n = nll_elements(view)
    if n is None or (learned(view) and not view.has("logvar")):
        return None
    name = "nll_loss" if n == 1 else f"nll_loss / {number(n)}"
    left, error = nll / n, error / n
    if learned(view):
        logvar = view.run["logvar"][rows]
        spread = np.exp(np.minimum(logvar, 30.0))
        left = (left - logvar) * spread
        # of a difference: what rounding left of both, and of logvar itself
        error = (error + 2 * view.half_unit("logvar", logvar)) * spread
        name = f"({name} - logvar) x exp(logvar)"
    return left, error, name


def declare_pixels(view: View, solved: dict[str, Solved]) -> None:
    """n as a constant of the run, where nll_loss is summed and its sum closed with it."""
    n, weight = nll_elements(view), solved.get("pixelloss_weight")
    if n is None or n == 1 or weight is None:
        return
    what = "sample" if view.trainer.nll_reduction == "sum-per-sample" else "frame"
    text = f"nll_loss is summed over the {number(n)} values of one {what} (declared shapes)."
    if weight.status != "closes":
        text = f"nll_loss is not the sum over the {number(n)} values of one {what} that the declared shapes give."
    solved["n_pixels"] = Solved("n_pixels", n, n, n, weight.status, "declared", weight.rows, text, n)


def weighted_terms(view: View, weights: tuple[float | None, float | None]) -> dict[str, FloatArray]:
    """Value of the reconstruction and perceptual terms on every row. weights: of pixels and perceptual part.

    With a learned logvar, or where n or a weight is not known, the nll as a whole is the reconstruction term.
    """
    run, n = view.run, nll_elements(view)
    pixel, perceptual = weights
    if n is None or pixel is None or "rec_loss" not in run or learned(view):
        return {"reconstruction": run["nll_loss"]} if "nll_loss" in run else {}
    terms = {"reconstruction": n * pixel * run["rec_loss"]}
    if "perceptual_loss" in run and perceptual is not None:
        terms["perceptual"] = n * perceptual * run["perceptual_loss"]
    return terms


def lowest_logvar(view: View, weights: tuple[float | None, float | None]) -> float | None:
    """The logvar at which the present nll would be lowest: ln of the weighted loss of one value."""
    pixel, perceptual = weights
    rec, distance = view.series("rec_loss"), view.series("perceptual_loss")
    if pixel is None or not len(rec):
        return None
    loss = pixel * float(rec.values[-1])
    if len(distance):
        loss += (perceptual or 0.0) * float(distance.values[-1])
    return math.log(loss) if loss > 0 else None
