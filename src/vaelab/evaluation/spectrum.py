"""A grid in the output: the lines that a pattern with the period of the decoder's strides leaves in the spectrum.

A pattern that repeats every p pixels has its power at the frequencies k / p. Odena et al. 2016, "Deconvolution and
checkerboard artifacts", say where it comes from; taming-transformers#41 and criteria B5 ask for this measurement.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from vaelab.evaluation.pictures import RANGE

LEVELS = 255 / RANGE  # 8-bit levels in one unit of the range -1 to 1
_LOBE = 2  # bins to each side of a line that the Hann window fills
FEWEST_LATENTS = 2 * _LOBE + 2  # along a side, so that there is a background between two lines


class Grid(NamedTuple):
    """The strongest line of the error. peak: its power over that of its neighbourhood, 1: no line. period: in pixels.

    level: amplitude of the pattern in 8-bit levels. input_level: the same line's in the originals (JPEG blocks have
    period 8): what is there already was not made by the decoder.
    """

    peak: float
    period: float
    level: float
    input_level: float


NO_GRID = Grid(math.nan, math.nan, math.nan, math.nan)


class LineSpectrum:
    """Mean power spectra along one direction of frames, of the error and of the originals, gathered frame by frame.

    factor: pixels for one latent along this direction.
    """

    def __init__(self, factor: int) -> None:
        self.factor, self.count = factor, 0
        self.error = self.original = torch.zeros(0, dtype=torch.float64)

    def add(self, x: torch.Tensor, error: torch.Tensor) -> None:
        """Rows of frames: original and error, (..., n), all of one length n."""
        n = x.shape[-1] // self.factor * self.factor
        if self.factor < 2 or n < FEWEST_LATENTS * self.factor:
            return
        window = torch.hann_window(n, dtype=torch.float64)
        spectra = []
        for values in (error, x):
            rows = values[..., :n].double().flatten(0, -2)
            rows = (rows - rows.mean(1, keepdim=True)) * window
            spectra.append(torch.fft.rfft(rows).abs().square().mean(0) / window.sum().square() * 4)
        self._sum(spectra[0], spectra[1], 1)

    def merge(self, other: LineSpectrum) -> None:
        """Take over what another one has gathered on frames of the same length."""
        self._sum(other.error * other.count, other.original * other.count, other.count)

    def _sum(self, error: torch.Tensor, original: torch.Tensor, count: int) -> None:
        if not count:
            return
        if not self.count:
            self.error, self.original = torch.zeros_like(error), torch.zeros_like(original)
        self.count += count
        share = 1 / self.count
        self.error = self.error * (1 - count * share) + error * share
        self.original = self.original * (1 - count * share) + original * share

    def strongest(self) -> Grid:
        """The strongest line at a multiple of 1 / factor; NaN where frames are too small, or there are none."""
        if not self.count:
            return NO_GRID
        return max((self._line(k) for k in range(1, self.factor // 2 + 1)), key=lambda line: line.peak, default=NO_GRID)

    def _line(self, k: int) -> Grid:
        spacing = 2 * (len(self.error) - 1) // self.factor
        power, around = _over_background(self.error, k * spacing, spacing)
        input_power, input_around = _over_background(self.original, k * spacing, spacing)
        # a wave of period 2 has all its power in one bin, others have half of it at the negative frequency
        unit = LEVELS / 2 if 2 * k == self.factor else LEVELS
        return Grid(
            power / max(around, 1e-30),
            self.factor / k,
            unit * math.sqrt(max(power - around, 0.0)),
            unit * math.sqrt(max(input_power - input_around, 0.0)),
        )


def _over_background(spectrum: torch.Tensor, line: int, spacing: int) -> tuple[float, float]:
    """Power at a line, and of its neighbourhood: the geometric mean of the medians to its left and right."""
    sides = []
    for begin, end in ((line - spacing, line), (line, line + spacing)):
        side = spectrum[begin + _LOBE + 1 : end - _LOBE]
        if len(side):
            sides.append(float(side.median()))
    around = math.exp(sum(math.log(max(s, 1e-30)) for s in sides) / len(sides))
    return float(spectrum[line]), around
