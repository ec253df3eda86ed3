"""What one clip's reconstruction adds to the scores of an evaluation, gathered frame by frame in bounded memory.

All numbers are means over the clip, so that means over clips, ratios of such means and intervals follow from them.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from vaelab.evaluation import pictures
from vaelab.evaluation.radial import RadialSpectrum
from vaelab.evaluation.spectrum import LineSpectrum, LocalGrid

# How r would have to be changed to be in the range -1 to 1, if it is in another one: r -> scale * r + shift
WRONG_RANGES: dict[str, tuple[float, float]] = {
    "0_1": (2.0, -1.0),
    "0_255": (1 / 127.5, -1.0),
    "half": (2.0, 0.0),
    "inverted": (-1.0, 0.0),
}
COLOURS = "rgb"


class ClipScores:
    """The sums of one clip of one frame or more. factors: pixels for one latent along (height, width). perceptual: as in ``validate``, or None."""

    def __init__(self, factors: tuple[int, int], perceptual: nn.Module | None = None) -> None:
        self.perceptual = perceptual
        self.frames = self.non_finite = 0
        self.rows, self.columns = LineSpectrum(factors[1]), LineSpectrum(factors[0])
        self.local_grid = LocalGrid(factors)
        self.spectrum = RadialSpectrum()
        self._sums: dict[str, tuple[float, int]] = {}
        self._moments: dict[str, torch.Tensor] = {}
        self._values = 0
        self._before: tuple[torch.Tensor, torch.Tensor] | None = None

    def add(self, x: torch.Tensor, r: torch.Tensor, seam: bool = False) -> None:
        """The next frame: original in [-1, 1] and reconstruction, float (C, H, W). seam: a chunk begins with it."""
        self.frames += 1
        finite = bool(r.isfinite().all())
        self.non_finite += not finite
        shown = pictures.in_range(r)
        clips = x[None, :, None], shown[None, :, None]
        self._mean("shown_mse", pictures.mse(*clips))
        self._mean("ssim", pictures.ssim(*clips))
        energy = pictures.high_frequency_energy(clips[0])
        textured = not bool(pictures.is_flat(energy))
        self._mean("energy", energy * textured)
        self._mean("energy_r", pictures.high_frequency_energy(clips[1]) * textured)
        if self.perceptual is not None:
            self._mean("lpips", self.perceptual(*clips))
        self._add_moments(x, r)
        error = shown - x
        if finite:
            self.rows.add(x, error)
            self.columns.add(x.transpose(-1, -2), error.transpose(-1, -2))
            self.local_grid.add(x, shown)
            self.spectrum.add(x, shown)
        first = self._before is None
        self._mean("first_mse" if first else "rest_mse", (r - x).square())
        if self._before is not None:
            self._add_motion(x, shown, seam, *self._before)
        self._before = x, shown

    def components(self) -> dict[str, float]:
        """Name -> mean over the clip; NaN where the clip does not define it or the output is not finite."""
        names = ["shown_mse", "ssim", "energy", "energy_r", "first_mse", "rest_mse", "flickering", "motion", "motion_r"]
        names += ["seam_change", "other_change"] + (["lpips"] if self.perceptual is not None else [])
        sums = {name: self._sums.get(name, (0.0, 0)) for name in names}
        found = {name: total / count if count else math.nan for name, (total, count) in sums.items()}
        mse = found.pop("shown_mse")
        found["psnr"] = (
            min(pictures.PSNR_MAX, 10 * math.log10(pictures.RANGE**2 / mse)) if mse > 0 else pictures.PSNR_MAX
        )
        found |= self._from_moments()
        return {name: math.nan if self.non_finite else value for name, value in found.items()}

    def _mean(self, name: str, values: torch.Tensor) -> None:
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + float(values.double().mean()), count + 1

    def _add_motion(
        self, x: torch.Tensor, r: torch.Tensor, seam: bool, x_before: torch.Tensor, r_before: torch.Tensor
    ) -> None:
        motion, motion_r = x - x_before, r - r_before
        change = (motion_r - motion).abs()
        self._mean("motion", motion.abs())
        self._mean("motion_r", motion_r.abs())
        self._mean("flickering", change)
        self._mean("seam_change" if seam else "other_change", change)

    def _add_moments(self, x: torch.Tensor, r: torch.Tensor) -> None:
        """Sums and sums of products over pixels, from which the errors after any change of range or order follow."""
        a, b = x.double().flatten(1), r.double().flatten(1)
        sums = {"x": a.sum(1), "r": b.sum(1), "xx": a.square().sum(1), "rr": b.square().sum(1), "xr": a @ b.T}
        self._moments = {name: self._moments.get(name, 0) + value for name, value in sums.items()}
        self._values += a.shape[1]

    def _from_moments(self) -> dict[str, float]:
        m = {name: value / self._values for name, value in self._moments.items()}
        channels = len(m["x"])

        def error(order: tuple[int, ...], scale: float = 1.0, shift: float = 0.0) -> float:
            kept = list(order)
            r, rr = m["r"][kept], m["rr"][kept]
            xr = m["xr"][range(channels), kept]
            squares = scale**2 * rr + 2 * scale * shift * r + shift**2
            return float((m["xx"] + squares - 2 * (scale * xr + shift * m["x"])).mean().clamp(min=0))

        same = tuple(range(channels))
        found = {"rec_mse": error(same), "variance": float((m["xx"] - m["x"].square()).mean())}
        found |= {f"range_{name}": error(same, *change) for name, change in WRONG_RANGES.items()}
        for order in itertools.permutations(same):
            if order != same:
                found["order_" + "".join(COLOURS[i] for i in order)] = error(order)
        bias = m["r"] - m["x"]
        found |= {f"bias_{COLOURS[i] if channels == 3 else 'grey'}": float(bias[i]) for i in same}
        found["colour_shift"] = float(bias.abs().max())
        return found
