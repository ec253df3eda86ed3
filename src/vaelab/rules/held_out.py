"""What validations on held-out samples say beside the training curves, where the trainer logs them."""

from __future__ import annotations

from vaelab.analysis import level, trend
from vaelab.facts import Facts

HELD_OUT = "val/rec_loss|val/rec_mse|test/rec_loss|test/rec_mse"
"""Need of a rule that compares training with held-out samples."""


def skill(facts: Facts) -> float | None:
    """Latest 1 - MSE / variance on held-out samples: 0 is a constant output, 1 is perfect; None where it is not logged."""
    series = facts.view.series("val/explained_variance")
    return level(series.tail(0.25, 1).values) if len(series) else None


def psnr_is_still_rising(facts: Facts) -> bool:
    """Whether the held-out PSNR rose over the last half of at least four validations."""
    late = facts.view.series("val/psnr").tail(0.5, 4)
    return len(late) >= 4 and trend(late.values).direction == "rising"


def error_columns(facts: Facts) -> tuple[str, str] | None:
    """``(held-out column, training column)`` of the same pixel error; None where the log has no such pair."""
    pairs = ((f"{split}/{m}", m) for split in ("val", "test") for m in ("rec_loss", "rec_mse"))
    return next((pair for pair in pairs if facts.view.has(*pair)), None)
