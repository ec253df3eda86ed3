"""Scores of a set of clips from the means of each clip, with intervals over files and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vaelab.evaluation.pictures import ROUNDING_NOISE
from vaelab.evaluation.spectrum import LEVELS, NO_GRID, Grid

Array = npt.NDArray[np.float64]
Components = Mapping[str, Array]

RESAMPLES = 2000
COVERAGE = 0.95
FEWEST_FILES = 5  # for an interval: fewer can hardly be drawn in different ways


class Score(NamedTuple):
    """unit: of the table. better: ``higher``, ``lower``, ``near 1`` or ``near 0``. factor: value -> unit of the table."""

    title: str
    unit: str
    better: str
    decimals: int
    meaning: str
    factor: float = 1.0


SCORES: dict[str, Score] = {
    "psnr": Score("PSNR", "dB", "higher", 2, "of values in -1 to 1 (range 2), clamped, MSE over a clip, mean over clips"),
    "ssim": Score("SSIM", "", "higher", 4, "Gaussian window 11 x 11, values moved to 0 to 1, mean over frames, then clips"),
    "lpips": Score("LPIPS", "", "lower", 4, ""),
    "rec_mse": Score("MSE", "", "lower", 5, "of values in -1 to 1, not clamped"),
    "explained_variance": Score("1 - MSE / Var", "", "higher", 4, "0 is no better than each clip's mean colour"),
    "hf_ratio": Score("fine detail", "", "near 1", 3, "energy above 0.25 cycles a pixel against the original's: under 1 is"
                      " blur, over 1 noise or texture"),
    "motion_ratio": Score("motion", "", "near 1", 3, "mean change from frame to frame against the original's: 0 is frozen,"
                          " over 1 flickers"),
    "flickering": Score("flicker", "levels", "lower", 2, "mean change of the error from frame to frame, 8-bit levels", LEVELS),
    "colour_shift": Score("colour shift", "levels", "lower", 2, "shift of a channel's mean within a clip, 8-bit levels", LEVELS),
    "colour_bias": Score("colour bias", "levels", "near 0", 2, "the same shift in all clips: largest mean of a channel, 8-bit"
                         " levels", LEVELS),
    "first_frame": Score("first frame", "dB", "near 0", 2, "PSNR of the first frame minus that of the rest"),
}  # fmt: skip


@dataclass(frozen=True)
class ClipTable:
    """What was measured on each clip by one checkpoint. components: name -> (clips,), see ``ClipScores.components``.

    grid, local_grid: over all clips. chunked: components of the same clips, or the first of them, reconstructed in chunks, empty where
    the model does not compress time. fvd: of the originals and their reconstructions: ``fvd`` and ``paired_i3d``.
    non_finite: clips whose output holds NaN or infinity. spectrum: ``RadialSpectrum.curves`` of all clips.
    """

    title: str
    names: tuple[str, ...]
    components: Components
    grid: Grid = NO_GRID
    local_grid: Grid = NO_GRID
    chunked: Components = field(default_factory=dict)
    fvd: Mapping[str, float] = field(default_factory=dict)
    non_finite: int = 0
    spectrum: Array | None = None

    def __len__(self) -> int:
        return len(self.names)

    def scores(self) -> dict[str, float]:
        """Score -> value over all clips; NaN where the clips do not define it (motion of images), and everywhere if one
        clip's output is not finite: a mean over the others would make a broken model look good."""
        values = derive(_means(self.components))
        return {name: math.nan if self.non_finite else float(value) for name, value in values.items()}

    def per_clip(self) -> dict[str, Array]:
        """Score -> (clips,)."""
        return derive(self.components)

    @property
    def files(self) -> list[str]:
        """The file of each clip: clips of one video, ``clip.mp4@3.20s``, are alike and no independent evidence."""
        return [name.split("@")[0] for name in self.names]

    def intervals(self, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Score -> 95% interval by resampling files with all their clips (percentile bootstrap); empty under 5 files."""
        if len(set(self.files)) < FEWEST_FILES or self.non_finite:
            return {}
        return _quantiles(derive(self._resampled(seed)))

    def differences(self, base: ClipTable, seed: int = 0) -> dict[str, tuple[float, float, float]]:
        """Score -> (this minus base, low, high) on the same clips; the interval resamples pairs, NaN under 5 files.

        Raises ValueError if the clips are not the same.
        """
        if self.names != base.names:
            raise ValueError("a paired difference needs the same clips")
        ours, theirs = self.scores(), base.scores()
        draws, others = derive(self._resampled(seed)), derive(base._resampled(seed))
        found = {}
        enough = len(set(self.files)) >= FEWEST_FILES
        between = _quantiles({name: draws[name] - others[name] for name in draws}) if enough else {}
        for name, value in ours.items():
            low, high = between.get(name, (math.nan, math.nan))
            found[name] = (value - theirs[name], low, high)
        return found

    def _resampled(self, seed: int) -> dict[str, Array]:
        """Component -> (draws,): means over the clips of files drawn with replacement, the same draws for the same clips."""
        names, file_of = np.unique(self.files, return_inverse=True)
        drawn = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names), RESAMPLES)
        weights = drawn[:, file_of].astype(np.float64)
        return {name: _weighted(values, weights) for name, values in self.components.items()}


def derive(m: Components) -> dict[str, Array]:
    """Scores of means over clips, or of single clips: ratios are ratios of means, one nearly flat clip does not count most."""
    biases = np.stack([np.abs(value) for name, value in m.items() if name.startswith("bias_")])
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = {name: m[name] for name in ("psnr", "ssim", "lpips", "rec_mse") if name in m}
        scores["explained_variance"] = _ratio(m["variance"] - m["rec_mse"], m["variance"])
        scores["hf_ratio"] = _ratio(m["energy_r"], m["energy"])
        scores["motion_ratio"] = _ratio(m["motion_r"], m["motion"], 0.1 / LEVELS)
        scores["flickering"], scores["colour_shift"] = m["flickering"], m["colour_shift"]
        scores["colour_bias"] = biases.max(0)
        scores["first_frame"] = 10 * np.log10(m["rest_mse"] / m["first_mse"])
    return scores


def measured(table: ClipTable) -> dict[str, float]:
    """The numbers that rules read, ``evaluation.NAME``; what is not defined is left out."""
    m = _means(table.components)
    numbers: dict[str, float] = {**table.scores(), "clips": len(table), "non_finite": table.non_finite, **table.fvd}
    for kind, grid in (("grid", table.grid), ("local_grid", table.local_grid)):
        numbers |= {f"{kind}_{name}": value for name, value in grid._asdict().items()}
    for name, value in m.items():
        if name.startswith(("range_", "order_")) and m["rec_mse"] > 0:
            numbers[f"{name}_error"] = float(value / m["rec_mse"])
        if name.startswith("bias_"):
            numbers[name] = float(value)
    numbers |= chunk_scores(table)
    low, high = table.intervals().get("explained_variance", (math.nan, math.nan))
    numbers |= {"explained_variance_low": low, "explained_variance_high": high}
    return {f"evaluation.{name}": float(value) for name, value in numbers.items() if math.isfinite(value)}


def chunk_scores(table: ClipTable) -> dict[str, float]:
    """chunk_loss: dB lost by cutting the clips into chunks. seam: change of the error at borders over that elsewhere."""
    chunked = table.chunked
    if not chunked:
        return {}
    count = len(chunked["psnr"])
    loss = _nanmean(table.components["psnr"][:count] - chunked["psnr"])
    seam, other = _means(chunked)["seam_change"], _means(chunked)["other_change"]
    return {"chunk_loss": float(loss), "seam": float(_ratio(seam, other))}


def stack(clips: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Components of single clips -> name -> (clips,)."""
    return {name: np.array([clip.get(name, math.nan) for clip in clips]) for name in clips[0]} if clips else {}


def _means(components: Components) -> dict[str, Array]:
    return {name: _nanmean(values[None])[0] for name, values in components.items()}


def _nanmean(values: Array) -> Array:
    """Over the last axis; NaN where nothing is defined, without numpy's warning."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(there, values, 0).sum(-1) / there.sum(-1)


def _weighted(values: Array, weights: Array) -> Array:
    """Means of (clips,) for each row of weights (draws, clips), over what is defined."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ np.where(there, values, 0) / (weights @ there)


def _ratio(above: Array, below: Array, least: float = ROUNDING_NOISE) -> Array:
    return np.where(np.asarray(below) > least, above / below, math.nan)


def _quantiles(draws: Components) -> dict[str, tuple[float, float]]:
    tail = 50 * (1 - COVERAGE)
    found = {}
    for name, values in draws.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = np.percentile(finite, [tail, 100 - tail])
            found[name] = (float(low), float(high))
    return found
