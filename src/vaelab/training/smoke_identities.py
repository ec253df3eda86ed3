"""The sums in the rows of a log, computed again from the settings and the logged terms, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, isfinite

from vaelab.config import TrainConfig
from vaelab.losses.objective import nll_elements
from vaelab.losses.regularisers import REGULARISERS


def largest_difference(rows: Sequence[Mapping[str, float]], config: TrainConfig) -> tuple[float, str]:
    """The largest relative difference between a logged sum and its terms over all rows, and where; inf for NaN."""
    worst, where = 0.0, "no row"
    for row in rows:
        for name, logged, expected in sums(row, config):
            difference = abs(logged - expected) / max(abs(expected), 1e-8)
            difference = difference if isfinite(difference) else inf
            if difference > worst:
                worst, where = (
                    difference,
                    f"{name} at step {row['step']}: logged {logged:.6g}, the terms give {expected:.6g}",
                )
    return worst, where


def sums(row: Mapping[str, float], config: TrainConfig) -> list[tuple[str, float, float]]:
    """(name, logged, computed) of nll_loss, total_loss and g_loss_weighted in a row, where they can be computed."""
    loss, data = config.loss, config.data
    terms = loss.pixelloss_weight * row["rec_loss"] + loss.perceptual_weight * row.get("perceptual_loss", 0.0)
    if loss.logvar == "learned":
        terms = terms / exp(row["logvar"]) + row["logvar"]
    found = []
    # a batch of single images among clips has another number of values: only the mean is the same for both
    if loss.nll_reduction == "mean" or data.image_share == 0:
        n = nll_elements((1, data.channels, data.frames, *data.resolution), loss.nll_reduction)
        found.append(("nll_loss", row["nll_loss"], n * terms))
    kl_weight = loss.kl_weight * min(1.0, (row["step"] + 1) / (loss.kl_warmup + 1))
    total = row["nll_loss"] + kl_weight * row.get("kl_loss", 0.0) + row.get("g_loss_weighted", 0.0)
    total += sum(row.get(f"{name}_weight", 0.0) * row.get(f"{name}_loss", 0.0) for name in REGULARISERS)
    found.append(("total_loss", row["total_loss"], total))
    if "g_loss" in row and config.optim.accumulate == 1:  # a mean of products is no product of means
        found.append(("g_loss_weighted", row["g_loss_weighted"], row["d_weight"] * row["disc_factor"] * row["g_loss"]))
    return found
