"""Numpy on one series: levels, trends, step changes, spikes, blocks. Nothing here knows what a metric means."""

from vaelab.analysis.change_points import Change, ChangePoints, change_points
from vaelab.analysis.series import (
    Series,
    StepChange,
    Trend,
    blocks,
    early_rows,
    isolated_spikes,
    late_rows,
    level,
    noise,
    robust_spikes,
    rolling_median,
    step_change,
    trend,
)

__all__ = [
    "Change",
    "ChangePoints",
    "Series",
    "StepChange",
    "Trend",
    "blocks",
    "change_points",
    "early_rows",
    "isolated_spikes",
    "late_rows",
    "level",
    "noise",
    "robust_spikes",
    "rolling_median",
    "step_change",
    "trend",
]
