"""Numpy on one series: levels, trends, step changes, spikes, blocks. Nothing here knows what a metric means."""

from vaelab.analysis.series import (
    Series,
    StepChange,
    Trend,
    blocks,
    isolated_spikes,
    level,
    noise,
    robust_spikes,
    rolling_median,
    step_change,
    trend,
)

__all__ = [
    "Series",
    "StepChange",
    "Trend",
    "blocks",
    "isolated_spikes",
    "level",
    "noise",
    "robust_spikes",
    "rolling_median",
    "step_change",
    "trend",
]
