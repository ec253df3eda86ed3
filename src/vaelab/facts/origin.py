"""Where a run begins: from scratch, from a trained model, or in the middle of an earlier run."""

from __future__ import annotations

import numpy as np

from vaelab.analysis import level
from vaelab.facts.rec_kinds import REC_KINDS, RecKind
from vaelab.facts.view import View


def find_origin(view: View) -> str:
    """``pretrained`` if the first value already stands near the run's best level, else ``scratch`` or ``unknown``."""
    metric, error = view.error
    rec = view.series(metric)
    if len(rec) < 2:
        return "unknown"
    first = float(rec.values[0])
    kind = REC_KINDS.get(error, RecKind(error))
    spacing = int(level(np.diff(rec.steps)))
    begins_at_zero = view.run.steps[0] <= max(1, spacing) or view.run.step_unit != "step"
    if view.trainer.own and "pixel_loss" in view.run.config and begins_at_zero:
        return "pretrained" if view.run.config.get("pretrained_vae_weight") else "scratch"
    if kind.trained is not None and 0 < first <= kind.trained and begins_at_zero:
        return "pretrained"
    late_start = len(rec) >= 10 and view.run.steps[0] > 3 * spacing
    if late_start and 0 < first < 1.5 * rec.now:
        return "resumed"
    improved = first > 2 * rec.now
    return "scratch" if begins_at_zero and (improved or (kind.fresh is not None and first >= kind.fresh)) else "unknown"
