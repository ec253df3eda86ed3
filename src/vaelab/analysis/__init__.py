"""Numpy on one series: levels, trends, step changes, spikes, blocks. Nothing here knows what a metric means."""

from vaelab.analysis.change_points import Change, ChangePoints, change_points, largest_shift
from vaelab.analysis.series import (
    Series,
    Trend,
    blocks,
    early_rows,
    isolated_spikes,
    late_rows,
    level,
    median,
    noise,
    quantile,
    robust_spikes,
    rolling_median,
    trend,
)

__all__ = [
    "Change",
    "ChangePoints",
    "Series",
    "Trend",
    "blocks",
    "change_points",
    "early_rows",
    "isolated_spikes",
    "largest_shift",
    "late_rows",
    "level",
    "median",
    "noise",
    "quantile",
    "robust_spikes",
    "rolling_median",
    "trend",
]
