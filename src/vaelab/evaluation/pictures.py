"""Scores of a reconstruction, one value a clip.

Every function takes the original ``x`` and the reconstruction ``r``, float (B, C, T, H, W) in [-1, 1] (images: T = 1),
and gives float32 (B,). A value that the original does not define (a flat clip has no fine detail, one frame has no
flicker) is NaN. ``docs/evaluation.md`` has the formulas and what each score cannot show.
"""

from __future__ import annotations

import math

import torch

RANGE = 2.0  # of the values, -1 to 1
PSNR_MAX = 100.0  # dB, given for identical clips, whose PSNR is infinite; float32 rounding alone is about 150 dB
_GAUSS = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
SSIM_WINDOW = [value / sum(_GAUSS) for value in _GAUSS]  # of one direction
ROUNDING_NOISE = (RANGE / 255) ** 2 / 12  # variance of the error of rounding to 8 bits


def from_uint8(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 0 to 255 -> float32 -1 to 1."""
    return pixels.float() / 127.5 - 1


def to_uint8(x: torch.Tensor) -> torch.Tensor:
    """Float -1 to 1 -> uint8 0 to 255; values outside are clamped."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def in_range(r: torch.Tensor) -> torch.Tensor:
    """Float32, clamped to [-1, 1] as a screen shows it; infinities become NaN, so that they are not taken for white."""
    return torch.where(r.isfinite(), r.float().clamp(-1, 1), torch.nan)


def mse(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Mean squared error. ``r`` is not clamped: this is what a loss sees. Unit: squares of the range -1 to 1."""
    return (r.float() - x).square().flatten(1).mean(1)


def psnr(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """10 log10(4 / MSE) in dB, with the MSE over all values of the clip and ``r`` clamped to [-1, 1].

    At most 100 dB (identical clips). The mean of the PSNRs of single frames, which some papers give, is never lower.
    """
    return (10 * torch.log10(RANGE**2 / mse(x, in_range(r)))).clamp(max=PSNR_MAX)


def ssim(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Structural similarity, mean over frames, ``r`` clamped to [-1, 1]. 1: identical; NaN under 11 pixels.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", with the usual Gaussian
    window of 11 x 11, sigma 1.5, inside the picture only. The values are moved to [0, 1] first, as for published numbers:
    the luminance term is meant for values that are not negative, and around grey = 0 it changes sign.
    """
    if min(x.shape[-2:]) < len(SSIM_WINDOW):
        return x.new_full((len(x),), torch.nan, dtype=torch.float32)
    pairs = zip(_frames(in_range(x)), _frames(in_range(r)), strict=True)  # frame by frame: float64 is large
    return torch.stack([_ssim(*pair) for pair in pairs]).view(len(x), -1).mean(1)


def _ssim(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """One frame, (C, H, W)."""
    # float64: the variances are differences of nearly equal numbers, in float32 plain areas are wrong by up to 0.002
    x, r = (x.double() + 1) / 2, (r.double() + 1) / 2
    down, across = (_window_matrix(size, x.device) for size in x.shape[-2:])
    mean_x, mean_r, mean_xx, mean_rr, mean_xr = down @ torch.stack([x, r, x * x, r * r, x * r]) @ across.T
    squares, product = mean_x.square() + mean_r.square(), mean_x * mean_r
    luminance = (2 * product + 0.01**2) / (squares + 0.01**2)
    contrast_structure = (2 * (mean_xr - product) + 0.03**2) / (mean_xx + mean_rr - squares + 0.03**2)
    return (luminance * contrast_structure).mean().float()


def _window_matrix(size: int, device: torch.device) -> torch.Tensor:
    """(size - 10, size): row i weights the values i to i + 10. Much faster than a float64 convolution."""
    offset = torch.arange(size, device=device) - torch.arange(size - len(SSIM_WINDOW) + 1, device=device)[:, None]
    weights = torch.tensor(SSIM_WINDOW, dtype=torch.float64, device=device)
    inside = (offset >= 0) & (offset < len(weights))
    return torch.where(inside, weights[offset.clamp(0, len(weights) - 1)], 0.0)


def variance(x: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of the clip's values from its mean colour: the MSE of the best constant colour."""
    return mse(x, x.float().mean((2, 3, 4), keepdim=True).expand_as(x))


def explained_variance(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """1 - MSE / variance. 1: identical; 0: as good as the clip's mean colour; NaN for a clip of one colour."""
    spread = variance(x)
    return torch.where(is_flat(spread), torch.nan, 1 - mse(x, r) / spread)


def high_frequency_energy(x: torch.Tensor) -> torch.Tensor:
    """Mean power of the frequencies above half the Nyquist frequency, scaled so that white noise gives its variance.

    Frequencies are radial, in the plane of a frame: above 0.25 cycles a pixel. A Hann window keeps the borders of the
    frame from looking like edges.
    """
    frames = _frames(x.float())
    height, width = frames.shape[-2:]
    rows, columns = (torch.hann_window(n, periodic=False, device=x.device) for n in (height, width))
    window = rows[:, None] * columns
    frames = (frames - frames.mean((-2, -1), keepdim=True)) * window
    power = torch.fft.fft2(frames).abs().square() / window.square().sum()
    rows, columns = (torch.fft.fftfreq(n, device=x.device) for n in (height, width))
    fine = torch.hypot(*torch.meshgrid(rows, columns, indexing="ij")) > 0.25
    return power[..., fine].mean((-2, -1)).view(x.shape[0], x.shape[2]).mean(1)


def is_flat(variance: torch.Tensor) -> torch.Tensor:
    """Whether a variance, or an energy in its unit, is no more than the rounding to 8 bits makes: bool."""
    return ~(variance > ROUNDING_NOISE)


def high_frequency_ratio(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """High-frequency energy of ``r`` over that of ``x``. Under 1: blur; over 1: noise or texture; NaN if x is flat."""
    energy = high_frequency_energy(x)
    return torch.where(is_flat(energy), torch.nan, high_frequency_energy(in_range(r)) / energy)


def flickering(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Mean of |(r_t - r_t-1) - (x_t - x_t-1)|: how much the error changes between frames. NaN for one frame.

    ``r`` clamped. 0: an error that stands still, or none. Unit: the range -1 to 1; times 127.5 in 8-bit levels.
    """
    return (in_range(r) - x).diff(dim=2).abs().flatten(1).mean(1)


def colour_shift(x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Largest |mean of r - mean of x| of a channel. Unit: the range -1 to 1. ``r`` clamped."""
    return (in_range(r) - x).mean((2, 3, 4)).abs().amax(1)


def _frames(x: torch.Tensor) -> torch.Tensor:
    """(B, C, T, H, W) -> (B T, C, H, W)."""
    return x.transpose(1, 2).flatten(0, 1)
