"""Where a run begins: from scratch, from a trained model, or in the middle of an earlier run."""

from __future__ import annotations

import numpy as np

from vaelab.analysis import level
from vaelab.facts.view import View

PRETRAINED = {
    "mse": 0.02,
    "l1+lpips": 0.15,
    "l1+mse+lpips": 0.12,
    "l1": 0.06,
    "l1+mse": 0.08,
    "charbonnier": 0.06,
    "mse+lpips": 0.08,
}
"""First rec_loss at or below this is the level of a trained model, not of a fresh one (23 dB for an MSE)."""

FRESH = {
    "mse": 0.08,
    "l1+lpips": 0.4,
    "l1+mse+lpips": 0.4,
    "l1": 0.2,
    "l1+mse": 0.28,
    "charbonnier": 0.2,
    "mse+lpips": 0.25,
}
"""First rec_loss at or above this is the level of an untrained network; between the two it cannot be told."""


def find_origin(view: View) -> str:
    """``pretrained`` if the first value already stands near the run's best level, else ``scratch`` or ``unknown``."""
    metric, error = view.error
    rec = view.series(metric)
    if len(rec) < 2:
        return "unknown"
    first = float(rec.values[0])
    limit = PRETRAINED.get(error)
    spacing = int(level(np.diff(rec.steps)))
    begins_at_zero = view.run.steps[0] <= max(1, spacing) or view.run.step_unit != "step"
    if view.trainer.own and "pixel_loss" in view.run.config and begins_at_zero:
        return "pretrained" if view.run.config.get("pretrained_vae_weight") else "scratch"
    if limit is not None and 0 < first <= limit and begins_at_zero:
        return "pretrained"
    late_start = len(rec) >= 10 and view.run.steps[0] > 3 * spacing
    if late_start and 0 < first < 1.5 * rec.now:
        return "resumed"
    fresh = FRESH.get(error)
    improved = first > 2 * rec.now
    return "scratch" if begins_at_zero and (improved or (fresh is not None and first >= fresh)) else "unknown"
