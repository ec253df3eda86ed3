"""Scores and pictures of reconstructions of held-out samples. I3D is in ``vaelab.evaluation.i3d``."""

from __future__ import annotations

from vaelab.evaluation.preview import write_preview
from vaelab.evaluation.table import validation_table
from vaelab.evaluation.validation import SCORES, baselines, in_eval_mode, validate

__all__ = ["SCORES", "baselines", "in_eval_mode", "validate", "validation_table", "write_preview"]
