"""Statistics of the latent over clips: per channel, with the KL in its two parts, from sums that do not grow with clips."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vaelab.losses.latent import ACTIVE_VARIANCE
from vaelab.probing.statistics import Interval, interval

Array = npt.NDArray[np.float64]
LOGVAR_FLOOR, LOGVAR_CEILING = -29.0, 19.0  # diffusers and CompVis clamp to [-30, 20]
DEAD_SIGNAL = 0.1  # variance of the mean over the variance of its noise
DEAD_SHARE = 1e-3  # variance of the mean over that of the median channel


class LatentSums:
    """Sums over the latents of one group of frames (all, or the first frame, or the others), clip by clip in float64.

    ``add`` takes batches; all latents of one group must have one shape.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Array]] = []
        self._cells: tuple[Array, Array] | None = None
        self.extremes: tuple[Array, Array] | None = None
        self.has_posterior = False

    def add(self, mean: torch.Tensor, logvar: torch.Tensor | None, files: Array | None = None) -> None:
        """mean, logvar: (B, C, T, H, W); logvar None without a posterior. files: (B,), the number of each clip's file."""
        mean = mean.detach().double().cpu()
        cells = mean.numpy()
        first, second = cells.sum(0), np.square(cells).sum(0)
        low, high = cells.min((0, 2, 3, 4)), cells.max((0, 2, 3, 4))
        if self._cells is None or self.extremes is None:
            self._cells, self.extremes = (first, second), (low, high)
        else:
            self._cells = self._cells[0] + first, self._cells[1] + second
            self.extremes = np.minimum(self.extremes[0], low), np.maximum(self.extremes[1], high)

        def per_clip(values: torch.Tensor) -> Array:
            """(B, C): the mean over time and space."""
            return values.mean((2, 3, 4)).numpy()

        rows = {"mean": per_clip(mean), "square": per_clip(mean.square())}
        if files is not None:
            rows["file"] = files
        if logvar is not None:
            self.has_posterior = True
            logvar = logvar.detach().double().cpu()
            rows["noise"] = per_clip(logvar.exp())
            rows["kl_mean"] = 0.5 * rows["square"]
            rows["kl_logvar"] = 0.5 * per_clip(torch.expm1(logvar) - logvar)
            rows["floor"] = per_clip((logvar <= LOGVAR_FLOOR).double())
            rows["ceiling"] = per_clip((logvar >= LOGVAR_CEILING).double())
        self._rows.append(rows)

    def __len__(self) -> int:
        """Clips added so far."""
        return sum(len(rows["mean"]) for rows in self._rows)

    def summary(self) -> LatentSummary:
        """What the sums say. At least one clip must have been added."""
        rows = {name: np.concatenate([r[name] for r in self._rows]) for name in self._rows[0]}
        assert self._cells is not None and self.extremes is not None
        clips = len(self)
        of_data = np.maximum(self._cells[1] / clips - np.square(self._cells[0] / clips), 0.0)
        of_data = of_data * clips / max(1, clips - 1)
        return LatentSummary(rows, of_data.mean((1, 2, 3)), self.extremes, self.has_posterior)


@dataclass(frozen=True)
class LatentSummary:
    """Statistics of one group of latents, per channel (C,) unless said otherwise.

    rows: name -> (clips, C), means over the positions of each clip. data_variance: variance over clips of the posterior
    mean at one position, averaged over positions. extremes: lowest and highest value of the mean.
    """

    rows: dict[str, Array] = field(repr=False)
    data_variance: Array
    extremes: tuple[Array, Array]
    has_posterior: bool

    @property
    def clips(self) -> int:
        return len(self.rows["mean"])

    @cached_property
    def mean(self) -> Array:
        return self.rows["mean"].mean(0)

    @cached_property
    def noise(self) -> Array:
        """Variance that sampling adds: the mean of exp(logvar); zeros without a posterior."""
        return self.rows["noise"].mean(0) if self.has_posterior else np.zeros_like(self.mean)

    @cached_property
    def std(self) -> Array:
        """Standard deviation of sampled latents over clips, time and space: what a diffusion model is trained on."""
        return np.sqrt(np.maximum(self.rows["square"].mean(0) - self.mean**2, 0.0) + self.noise)

    @cached_property
    def active(self) -> npt.NDArray[np.bool_]:
        """Active units (Burda et al. 2016): the mean varies over the data by more than 0.01."""
        return self.data_variance > ACTIVE_VARIANCE

    @cached_property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Not active, and drowned in its own noise or still beside the median channel: a small latent without noise
        carries information, so the absolute limit alone does not decide."""
        variance = self.data_variance
        drowned = variance <= DEAD_SIGNAL * self.noise
        still = variance <= np.maximum(DEAD_SHARE * np.median(variance), 1e-10)
        return ~self.active & (drowned | still)

    @cached_property
    def std_ratio(self) -> Array:
        """Standard deviation over that of the median living channel; 1 where nothing lives."""
        living = self.std[~self.dead]
        middle = float(np.median(living)) if len(living) else 0.0
        return self.std / middle if middle > 0 else np.ones_like(self.std)

    @cached_property
    def farthest(self) -> Array:
        """Largest distance of a mean from its channel's mean, in standard deviations."""
        low, high = self.extremes
        return np.maximum(high - self.mean, self.mean - low) / np.maximum(self.std, 1e-12)

    def kl(self, part: str) -> Array:
        """Nats per element of ``kl_mean`` (mu squared) or ``kl_logvar`` (the rest)."""
        return self.rows[part].mean(0)

    def share(self, name: str) -> float:
        """Share of log-variances at the ``floor`` or the ``ceiling`` of the clamp."""
        return float(self.rows[name].mean()) if self.has_posterior else 0.0

    @cached_property
    def whole_std(self) -> Interval:
        """Standard deviation over everything, channels included, around the overall mean."""

        def value(rows: dict[str, Array]) -> float:
            noise = rows["noise"].mean() if "noise" in rows else 0.0
            return float(np.sqrt(max(rows["square"].mean() - rows["mean"].mean() ** 2, 0.0) + noise))

        return interval(self.rows, value)

    @cached_property
    def whole_mean(self) -> Interval:
        """The mean over everything."""
        return interval(self.rows, lambda rows: float(rows["mean"].mean()))

    @cached_property
    def whole_kl(self) -> Interval:
        """Nats per latent element."""
        return interval(self.rows, lambda rows: float(rows["kl_mean"].mean() + rows["kl_logvar"].mean()))


def declared_scale(module: Any) -> tuple[Array, Array, bool] | None:
    """(shift, factor, whether it is only the default of the class) that the checkpoint's config.json declares: latents
    are used as ``(z - shift) * factor``. Scalars or per channel. None where it declares nothing.

    diffusers writes ``scaling_factor`` and ``shift_factor``, or lists ``latents_mean`` and ``latents_std``, also where
    nobody ever computed them for these weights.
    """
    import inspect

    config = getattr(module, "config", None) or {}
    parameters = inspect.signature(type(module).__init__).parameters

    def is_default(name: str) -> bool:
        default = parameters[name].default if name in parameters else None
        value = config.get(name)
        return value == default or (isinstance(value, list | tuple) and list(value) == list(default or ()))

    spread = config.get("latents_std")
    if isinstance(spread, list | tuple) and spread:
        shift = np.asarray(config.get("latents_mean") or [0.0] * len(spread), np.float64).ravel()
        return shift, 1 / np.asarray(spread, np.float64).ravel(), is_default("latents_std")
    factor = config.get("scaling_factor")
    if isinstance(factor, int | float) and not isinstance(factor, bool) and factor > 0:
        return np.array([config.get("shift_factor") or 0.0]), np.array([float(factor)]), is_default("scaling_factor")
    return None


def scaled_std(summary: LatentSummary, shift: Array, factor: Array) -> float:
    """Standard deviation of scaled latents: near 1 if the scale is right.

    Per-channel scales: the channel that is farthest from 1 on a logarithmic scale.
    """
    if len(factor) == 1:
        return summary.whole_std.value * float(factor[0])
    scaled = summary.std * factor if len(factor) == len(summary.std) else np.array([np.nan])
    return float(scaled[np.argmax(np.abs(np.log(np.maximum(scaled, 1e-12))))])
