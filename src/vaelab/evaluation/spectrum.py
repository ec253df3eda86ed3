"""A grid in the output: the power that a pattern with the period of the decoder's strides leaves in the spectrum.

A pattern that repeats every p pixels has its power at the frequencies k / p. Odena et al. 2016, "Deconvolution and
checkerboard artifacts", say where it comes from; taming-transformers#41 and criteria B5 ask for this measurement.

A pattern that is the same everywhere is one line in the spectrum of the whole frame. One that follows the content, stronger
at edges and with another phase in each place, is no line there: short windows show it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from vaelab.evaluation.pictures import RANGE

LEVELS = 255 / RANGE  # 8-bit levels in one unit of the range -1 to 1
_LOBE = 2  # bins to each side of a line that the Hann window fills
FEWEST_LATENTS = 2 * _LOBE + 2  # along a side, so that there is a background between two lines
_WINDOW = (
    4  # latents along a local window: two of its bins, the width of a line in it, are half the distance of two lines
)
_FEWEST_PIXELS = 16  # of a local window


class Grid(NamedTuple):
    """The strongest pattern. peak: its power over that of its neighbourhood, 1: none. period: in pixels.

    level: amplitude of the pattern in 8-bit levels. input_level: the same one's in the originals (JPEG blocks have
    period 8): what is there already was not made by the decoder.
    """

    peak: float
    period: float
    level: float
    input_level: float


NO_GRID = Grid(math.nan, math.nan, math.nan, math.nan)


class _Spectra:
    """Mean power spectra along one direction of frames, of the output (or its error) and of the originals, gathered frame by
    frame. factor: pixels for one latent along this direction."""

    def __init__(self, factor: int) -> None:
        self.factor, self.count = factor, 0
        self.output = self.original = torch.zeros(0, dtype=torch.float64)

    def merge(self, other: _Spectra) -> None:
        """Take over what another one has gathered on frames of the same length."""
        self._sum(other.output * other.count, other.original * other.count, other.count)

    def _add(self, original: torch.Tensor, output: torch.Tensor) -> None:
        """Pieces (..., n), all of one length n."""
        window = torch.hann_window(output.shape[-1], dtype=torch.float64)
        spectra = []
        for values in (output, original):
            pieces = values.double().flatten(0, -2)
            pieces = (pieces - pieces.mean(1, keepdim=True)) * window
            spectra.append(torch.fft.rfft(pieces).abs().square().mean(0) / window.sum().square() * 4)
        self._sum(spectra[0], spectra[1], 1)

    def _sum(self, output: torch.Tensor, original: torch.Tensor, count: int) -> None:
        if not count:
            return
        if not self.count:
            self.output, self.original = torch.zeros_like(output), torch.zeros_like(original)
        self.count += count
        share = 1 / self.count
        self.output = self.output * (1 - count * share) + output * share
        self.original = self.original * (1 - count * share) + original * share

    def strongest(self) -> Grid:
        """The strongest pattern at a multiple of 1 / factor; NaN where frames are too small, or there are none."""
        if not self.count:
            return NO_GRID
        return max((self._line(k) for k in range(1, self.factor // 2 + 1)), key=lambda line: line.peak, default=NO_GRID)

    def _line(self, k: int) -> Grid:
        spacing = 2 * (len(self.output) - 1) // self.factor
        power, around = self._over_background(self.output, k * spacing, spacing)
        input_power, input_around = self._over_background(self.original, k * spacing, spacing)
        # a wave of period 2 has all its power in one bin, others have half of it at the negative frequency
        unit = LEVELS / 2 if 2 * k == self.factor else LEVELS
        return Grid(
            self._peak(power / max(around, 1e-30), input_power / max(input_around, 1e-30)),
            self.factor / k,
            unit * math.sqrt(max(power - around, 0.0)),
            unit * math.sqrt(max(input_power - input_around, 0.0)),
        )

    def _peak(self, peak: float, input_peak: float) -> float:
        return peak

    def _over_background(self, spectrum: torch.Tensor, line: int, spacing: int) -> tuple[float, float]:
        """Power at a line, and of its neighbourhood."""
        raise NotImplementedError


class LineSpectrum(_Spectra):
    """Spectra of whole rows: of the error and of the originals."""

    def add(self, x: torch.Tensor, error: torch.Tensor) -> None:
        """Rows of frames: original and error, (..., n), all of one length n."""
        step = math.lcm(2, self.factor)  # of an odd length no line would lie in the middle of a bin
        n = x.shape[-1] // step * step
        if self.factor >= 2 and n >= FEWEST_LATENTS * self.factor:
            self._add(x[..., :n], error[..., :n])

    def _over_background(self, spectrum: torch.Tensor, line: int, spacing: int) -> tuple[float, float]:
        """The neighbourhood is the geometric mean of the medians to the left and right."""
        sides = []
        for begin, end in ((line - spacing, line), (line, line + spacing)):
            side = spectrum[begin + _LOBE + 1 : end - _LOBE]
            if len(side):
                sides.append(float(side.median()))
        around = math.exp(sum(math.log(max(s, 1e-30)) for s in sides) / len(sides))
        return float(spectrum[line]), around


class LocalSpectrum(_Spectra):
    """Spectra of short windows, half overlapping: of the output itself and of the originals.

    The error is not used: in a blurred output it holds the fine detail of the originals, which hides the pattern. ``peak`` is
    over the larger of the two neighbours that no wave of the line's frequency reaches, so that no falling spectrum, however blur has bent it,
    has one, nor has white noise; and over that of the originals, if they have one there.
    """

    def add(self, x: torch.Tensor, r: torch.Tensor) -> None:
        """Rows of frames: original and output, (..., n). Nothing where they are shorter than a window."""
        n = max(_WINDOW, -(-_FEWEST_PIXELS // self.factor)) * self.factor
        if self.factor >= 2 and x.shape[-1] >= n:
            self._add(x.unfold(-1, n, n // 2), r.unfold(-1, n, n // 2))

    def _peak(self, peak: float, input_peak: float) -> float:
        return peak / max(input_peak, 1.0)

    def _over_background(self, spectrum: torch.Tensor, line: int, spacing: int) -> tuple[float, float]:
        power, below = float(spectrum[line]), float(spectrum[line - _LOBE])
        if line + _LOBE >= len(spectrum):
            return power, below
        # half of the slope of pictures, 1 / f^2 in power, is taken out: no blur or noise makes a peak of 1.5 of what is left
        sides = below * (line - _LOBE) / line, float(spectrum[line + _LOBE]) * (line + _LOBE) / line
        return power, max(sides)


class LocalGrid:
    """The local pattern of frames along both directions. factors: pixels for one latent along (height, width)."""

    def __init__(self, factors: tuple[int, int]) -> None:
        self.columns, self.rows = (LocalSpectrum(factor) for factor in factors)

    def add(self, x: torch.Tensor, r: torch.Tensor) -> None:
        """Originals and outputs (..., H, W), in [-1, 1], on any device."""
        x, r = x.cpu(), r.cpu()
        self.rows.add(x, r)
        self.columns.add(x.transpose(-1, -2), r.transpose(-1, -2))

    def merge(self, other: LocalGrid) -> None:
        """Take over what another one has gathered on frames of the same size."""
        self.rows.merge(other.rows)
        self.columns.merge(other.columns)

    def strongest(self) -> Grid:
        """The stronger one of both directions; NaN where frames are too small."""
        return stronger(self.rows.strongest(), self.columns.strongest())


def stronger(*grids: Grid) -> Grid:
    """The one with the highest peak, of those that were measured."""
    return max((one for one in grids if not math.isnan(one.peak)), key=lambda one: one.peak, default=NO_GRID)
