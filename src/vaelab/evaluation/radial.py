"""Radial power spectra: how much of each spatial frequency a reconstruction keeps.

The curve that shows blur (it falls off early), noise (it stays high at fine detail) and a grid (a peak at the period of the
decoder's strides) at one look; Durall et al. 2020, arXiv 2003.01826, use it to tell generated pictures.
"""

from __future__ import annotations

import numpy as np
import torch

from vaelab.run import FloatArray

BINS = 32  # as many as the smallest usual frames, of 64 pixels, can tell apart
FREQUENCIES: FloatArray = (np.arange(BINS) + 0.5) * 0.5 / BINS
"""Middle of each bin, in cycles a pixel; 0.5 is a pattern of two pixels."""


class RadialSpectrum:
    """Mean power of frames by frequency, of originals and reconstructions, gathered frame by frame."""

    def __init__(self) -> None:
        self._power = np.zeros((2, BINS))
        self._count = np.zeros(BINS)

    def add(self, x: torch.Tensor, r: torch.Tensor) -> None:
        """Original and reconstruction of one frame, (C, H, W) in [-1, 1], both finite."""
        height, width = x.shape[-2:]
        window = torch.hann_window(height).outer(torch.hann_window(width)).to(x)
        power = torch.stack([x, r]).sub(torch.stack([x, r]).mean((-2, -1), keepdim=True)).mul(window)
        power = torch.fft.rfft2(power).abs().square().mean(1) / window.square().sum()
        radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
        bins = (radius / 0.5 * BINS).long().flatten().numpy()
        inside = bins < BINS  # the corners beyond half a cycle a pixel hold diagonals only
        for total, part in zip(self._power, power.flatten(1).cpu().numpy(), strict=True):
            total += np.bincount(bins[inside], part[inside], BINS)
        self._count += np.bincount(bins[inside], minlength=BINS)

    def merge(self, other: RadialSpectrum) -> None:
        """Take over what another one has gathered, whatever the size of its frames."""
        self._power += other._power
        self._count += other._count

    def curves(self) -> FloatArray:
        """(2, 32): power of the originals and of the reconstructions; NaN in bins that frames of this size do not have."""
        with np.errstate(invalid="ignore"):
            return self._power / self._count
