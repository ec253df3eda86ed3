"""Pixel count: the N by which a trainer that sums over pixels multiplies its reconstruction loss."""

from __future__ import annotations

import math

import numpy as np

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
from vaelab.facts.phases import Gan
from vaelab.facts.view import View
from vaelab.run import FloatArray, IntArray
from vaelab.words import number

IMAGE_SIZES = (16, 24, 28, 32, 40, 48, 56, 64, 72, 80, 96, 112, 120, 128, 144, 160, 176, 192, 224, 240, 256, 272, 288,
               320, 352, 384, 400, 416, 448, 480, 512, 576, 640, 704, 720, 768, 832, 896, 960, 1024)  # fmt: skip


def solve_pixels(view: View, gan: Gan, solved: dict[str, Solved], identities: list[Identity], scale: float) -> None:
    learned = view.has("logvar") and bool(np.any(np.abs(view.series("logvar").values) > 1e-9))
    if view.has("nll_loss"):
        left_name = "nll_loss"
    elif view.has("total_loss"):
        left_name = "total_loss"
    else:
        return
    if not view.has("rec_loss"):
        return
    names = (left_name, "rec_loss") + (("logvar",) if learned else ())
    if left_name == "total_loss" and view.has("kl_loss"):
        names += ("kl_loss",)
    values, rows, how = view.joint(names, linear=not learned)
    keep = values["rec_loss"] > 0
    if left_name == "total_loss":
        keep &= before_gan(view, gan, rows)
    if not keep.any():
        return
    values = {m: v[keep] for m, v in values.items()}
    rows = rows[keep]
    left, rec = values[left_name] / (scale if left_name == "total_loss" else 1.0), values["rec_loss"]
    left_error = view.half_unit(left_name, values[left_name]) / (scale if left_name == "total_loss" else 1.0)
    rec_error = view.half_unit("rec_loss", rec)
    kl_weight, unsure = view.number("kl_weight"), 0.0
    kl_text = ""
    if left_name == "total_loss" and "kl_loss" in values and kl_weight is None and how == "exact":
        # no nll column and no declared weight: both constants at once
        kl_weight = _solve_total(view, left, values, rows, left_error, solved)
        together = solved.get("kl_weight")
        if together is not None and together.low is not None and together.high is not None:
            unsure = (together.high - together.low) / 2
    if left_name == "total_loss" and "kl_loss" in values:
        part = (1e-6 if kl_weight is None else kl_weight) * values["kl_loss"]
        left = left - part
        left_error = left_error + unsure * values["kl_loss"]
        kl_text = " (the KL part is taken off)" if float(np.max(part)) > 1e-3 * float(np.min(left)) else ""
    unit = rec
    if learned:
        unit = rec / np.exp(values["logvar"]) + values["logvar"]
        rec_error = rec_error / np.exp(values["logvar"]) + view.half_unit("logvar", values["logvar"])
    good = np.abs(unit) > 3 * rec_error
    if not good.any():
        return
    left, unit, left_error, rec_error, rows = left[good], unit[good], left_error[good], rec_error[good], rows[good]
    sign = np.sign(unit)
    a, b = (left - left_error) / (unit + sign * rec_error), (left + left_error) / (unit - sign * rec_error)
    c, d = (left - left_error) / (unit - sign * rec_error), (left + left_error) / (unit + sign * rec_error)
    if how == "medians":
        a, b, c, d = (v * r for v, r in zip((a, b, c, d), (*MEDIAN_RATIO, *MEDIAN_RATIO), strict=True))
    table = np.stack([a, b, c, d])
    settle = typical if how == "medians" else intersect
    low, high, inside = settle(table.min(axis=0), table.max(axis=0))
    closes = inside >= 0.9 and low > 0
    candidates = _pixel_candidates(low, high) if closes else []
    channels = view.number("input_channels")
    if channels is not None and any(c[1] == channels for c in candidates):
        candidates = [c for c in candidates if c[1] == channels]
    value, shape = (low + high) / 2, ""
    if candidates:
        wanted = view.trainer.input_channels
        candidates.sort(key=lambda c: (c[1] != wanted, c[2] & (c[2] - 1) != 0, abs(math.log(c[0] / value))))
        n, ch, size = candidates[0]
        if high / low < 1.02 or len(candidates) == 1 or candidates[0][1] == wanted:
            value, shape = float(n), f" = {size}x{size}" + (f"x{ch}" if ch > 1 else "")
    elif closes and high / low < 1.02:
        value = float(round(value))
    declared = _declared_pixels(view)
    row = int(rows[-1])
    what = "the reconstruction term is summed over the pixels of one sample"
    if view.trainer.nll_reduction == "sum-per-frame":
        what = "the reconstruction term is summed over the pixels of one frame"
    text = (
        f"{left_name}{kl_text} = {value:,.0f} x rec_loss: {what} ({value:,.0f}{shape}; interval {low:,.0f} to {high:,.0f}"
        f" from {len(left)} rows; step {int(view.run.steps[row]):,}: {number(left[-1])} / {number(unit[-1])})."
    )
    if not closes:
        text = f"{left_name} / rec_loss is not one constant: {low:,.0f} to {high:,.0f}; the sum over pixels does not close."
    solved["n_pixels"] = Solved(
        "n_pixels", value if closes else None, low, high, "closes" if closes else "does-not-close", how, len(left), text,
        declared,
    )  # fmt: skip
    if not closes and left_name == "nll_loss" and (sizes := _sizes_vary(table.min(axis=0), table.max(axis=0))):
        text = (
            f"nll_loss / rec_loss is the C x H x W of a picture in every row, of another one from row to row ({sizes[0]:,} to"
            f" {sizes[1]:,}): nll_loss is summed over pictures of several sizes. Judge by rec_loss, which is a mean."
        )
        solved["n_pixels"] = Solved("n_pixels", None, *sizes, "cannot-tell", how, len(left), text, declared)
    elif left_name == "nll_loss":
        identities.append(
            check_identity("nll", f"nll_loss = {value:,.0f} x rec_loss", left, value * unit, left_error + value * rec_error,
                      rows, view, how)
        )  # fmt: skip


def _sizes_vary(low: FloatArray, high: FloatArray) -> tuple[int, int] | None:
    """Smallest and largest C*H*W, where each row's interval holds one of pictures with sides that are multiples of 8, and the
    size goes up and down.

    Only where the intervals are so narrow that chance would leave most of them without one. A weight or a size that is switched
    changes about once for every value it takes, a size drawn for each batch more often.
    """
    for unit in (3 * 8 * 8, 8 * 8):
        narrow = high - low < 0.2 * unit
        if len(low) < 8 or np.mean(narrow) < 0.9:
            continue
        near = np.round((low + high)[narrow] / 2 / unit) * unit
        inside = (low[narrow] <= near) & (near <= high[narrow])
        changes = int(np.count_nonzero(np.diff(near)))
        if np.mean(inside) >= 0.95 and near.min() >= unit and changes > len(set(near.tolist())):
            return int(near.min()), int(near.max())
    return None


def _solve_total(
    view: View,
    left: FloatArray,
    values: dict[str, FloatArray],
    rows: IntArray,
    error: FloatArray,
    solved: dict[str, Solved],
) -> float | None:
    """kl_weight from total = N rec + kl_weight KL over the rows, or None if the KL part is too small to show."""
    rec, kl = values["rec_loss"], values["kl_loss"]
    fitted = fit_two(left, rec, kl, error, view.half_unit("rec_loss", rec), view.half_unit("kl_loss", kl))
    if fitted is None or fitted[0] <= 3 * fitted[1] or fitted[0] * float(np.max(kl)) < 0.01 * float(np.max(left)):
        return None
    weight, spread = fitted
    nice = nice_in(weight - spread, weight + spread)
    weight = nice if nice is not None else weight
    text = (
        f"kl_weight is {weight:.3g} (fit of total_loss = N x rec_loss + kl_weight x kl_loss over {len(left)} rows:"
        f" {number(fitted[0])} +- {spread:.2g})."
    )
    solved["kl_weight"] = Solved(
        "kl_weight", weight, weight - spread, weight + spread, "closes", "exact", len(left), text
    )
    return weight


def _declared_pixels(view: View) -> float | None:
    """C*H*W of the declared resolution."""
    size = view.number("resolution")
    channels = view.number("input_channels") or view.trainer.input_channels or 3
    return channels * size * size if size else None


def _pixel_candidates(low: float, high: float) -> list[tuple[int, int, int]]:
    """``(N, channels, size)`` of square images whose element count lies in the interval."""
    return [
        (channels * s * s, channels, s) for channels in (1, 3) for s in IMAGE_SIZES if low <= channels * s * s <= high
    ]
