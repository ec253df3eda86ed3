"""Terms of the loss beside nll, KL and GAN: codebook, commitment and LeCam weights."""

from __future__ import annotations

import math

import numpy as np

from vaelab.facts.identities import Identity, Solved, check_identity, intersect, nice_in
from vaelab.facts.phases import Gan
from vaelab.facts.view import View


def solve_lecam(view: View, gan: Gan, solved: dict[str, Solved]) -> None:
    """Weight of the LeCam term from disc_loss = disc_factor x (non_saturated_d_loss + lecam_weight x lecam_loss)."""
    names = ("disc_loss", "non_saturated_d_loss", "lecam_loss")
    if gan.state != "active" or not view.has(*names):
        return
    values, rows, how = view.joint(names)
    keep = (rows >= (gan.start_row or 0)) & (values["lecam_loss"] > 0) & (values["disc_loss"] != 0)
    if how != "exact" or not keep.any():
        return
    disc, plain, lecam = (values[m][keep] for m in names)
    error = view.half_unit("disc_loss", disc) + view.half_unit("non_saturated_d_loss", plain)
    low, high, inside = intersect((disc - plain - error) / lecam, (disc - plain + error) / lecam)
    closes = inside >= 0.9 and high > 0
    nice = nice_in(max(low, 1e-9), high)
    value = nice if nice is not None else (low + high) / 2
    text = (
        f"lecam_weight is {value:.3g} ({low:.3g} to {high:.3g}): disc_loss contains it, non_saturated_d_loss is the plain loss."
        if closes
        else "disc_loss is not non_saturated_d_loss + one weight x lecam_loss."
    )
    solved["lecam_weight"] = Solved(
        "lecam_weight", value if closes else None, low, high, "closes" if closes else "does-not-close", how, len(disc),
        text, view.number("lecam_weight"),
    )  # fmt: skip


def solve_extra(view: View, gan: Gan, solved: dict[str, Solved], identities: list[Identity]) -> None:
    """Weights of the terms beside nll and GAN, by least squares; the early rows are left out if a weight is annealed."""
    terms = tuple(m for m in view.trainer.extra_terms if view.has(m))
    weighted = view.has("g_loss_weighted")
    adversarial = ("g_loss_weighted",) if weighted else ("d_weight", "g_loss") if view.has("d_weight", "g_loss") else ()
    if not view.has("total_loss", "nll_loss"):
        return
    values, rows, how = view.joint(("total_loss", "nll_loss", *adversarial, *terms))
    if how != "exact" or len(rows) < 4 * len(terms):
        return
    on = rows >= (gan.start_row or 0) if gan.state == "active" else np.zeros(len(rows), bool)
    total, nll = values["total_loss"], values["nll_loss"]
    error = view.half_unit("total_loss", total) + view.half_unit("nll_loss", nll)
    left, said = total - nll, "nll_loss"
    if weighted:
        left, said = left - values["g_loss_weighted"], "nll_loss + g_loss_weighted"
        error = error + view.half_unit("g_loss_weighted", values["g_loss_weighted"])
    elif adversarial:
        left = left - np.where(on, values["d_weight"] * values["g_loss"], 0.0)
        error = error + on * np.abs(values["g_loss"]) * view.half_unit("d_weight", values["d_weight"])
        error = error + on * np.abs(values["d_weight"]) * view.half_unit("g_loss", values["g_loss"])
        said = "nll_loss + d_weight x disc_factor x g_loss"
    design = np.stack([values[m] for m in terms], axis=1)
    keys = [view.trainer.extra_terms[m] for m in terms]
    formula = f"total_loss = {said}" + "".join(f" + {k} x {m}" for k, m in zip(keys, terms, strict=True))
    name = "total-with-gan" if on.any() else "total-before-gan"
    for part in (slice(0, None), slice(len(rows) // 2, None)):
        scaled = design[part] / error[part, None]
        try:
            covariance = np.linalg.inv(scaled.T @ scaled)
        except np.linalg.LinAlgError:
            return
        weights = covariance @ scaled.T @ (left[part] / error[part])
        identity = check_identity(name, formula, total[part], (total - left)[part] + design[part] @ weights, error[part],
                             rows[part], view, how)  # fmt: skip
        if identity.status == "closes":
            break
    identities.append(identity)
    if identity.status != "closes":
        return
    for i, key in enumerate(keys):
        spread = 3 * math.sqrt(max(float(covariance[i, i]), 0.0))
        low, high = float(weights[i]) - spread, float(weights[i]) + spread
        nice = nice_in(max(low, 1e-12), high) if low > 0 else None
        value = nice if nice is not None else float(weights[i])
        text = f"{key} is {value:.3g} (fit over {identity.rows} rows: {low:.4g} to {high:.4g})."
        solved[key] = Solved(key, value, low, high, "closes", how, identity.rows, text, view.number(key))
