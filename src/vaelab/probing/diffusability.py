"""How easy a latent is for a diffusion model, without training one: four numbers on the posterior's means.

They rank checkpoints whose latents have one shape, on the same clips. They say nothing across shapes, and no value of them is
good or bad by itself. Sources: "Diffusing in the Right Space" (arXiv 2606.03578) for SEC and VIV and their correlation with
the quality of generated images; "Delving into Latent Spectral Biasing of Video VAEs" (SSVAE, arXiv 2512.05394) for local correlation and the
spectrum over channels; Skorokhodov et al. 2025 (arXiv 2502.14831) for high frequencies in the latent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from vaelab.losses.latent import local_correlation, standardised

HIGH = 0.25  # of the largest Manhattan frequency, from which SEC counts
ROUNDS = 5  # of the flip-flop
MOST_PLACES = 1024  # of a latent frame, for the covariance over places


class Diffusability(NamedTuple):
    """sec: share of the energy at high frequencies (spectral energy concentration). effective_rank: of the covariance of
    channels, 1 to C. viv: velocity irreducible variance; NaN where frames are too few for its covariances.
    local_correlation: of neighbouring latents, -1 to 1."""

    sec: float
    effective_rank: float
    viv: float
    local_correlation: float


def diffusability(latents: torch.Tensor) -> Diffusability:
    """latents: means (N, C, T, H, W). Errors: none; NaN for what the shape does not define."""
    z = standardised(latents.double())
    frames = z.transpose(1, 2).flatten(0, 1)
    return Diffusability(
        sec=high_frequency_share(latents.double().transpose(1, 2).flatten(0, 1)),
        effective_rank=effective_rank(latents.double()),
        viv=velocity_irreducible_variance(frames),
        local_correlation=float(local_correlation(z)),
    )


def high_frequency_share(frames: torch.Tensor) -> float:
    """SEC: energy of the two-dimensional DCT at u + v > 0.25 (H - 1 + W - 1), over all energy, the constant part included.

    frames: (N, C, H, W).
    """
    height, width = frames.shape[-2:]
    spectrum = _dct(height).to(frames) @ frames @ _dct(width).to(frames).T
    energy = spectrum.square().mean((0, 1))
    place = torch.arange(height)[:, None] + torch.arange(width)
    high = (place > HIGH * (height + width - 2)).to(energy.device)
    return float((energy * high).sum() / energy.sum().clamp(min=1e-30))


def _dct(n: int) -> torch.Tensor:
    """Orthonormal DCT-II as a matrix (n, n)."""
    k, place = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    matrix = torch.cos(math.pi * k * (place + 0.5) / n) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix


def effective_rank(z: torch.Tensor) -> float:
    """(sum of eigenvalues)^2 / sum of their squares, of the covariance of channels over clips, time and places."""
    covariance = torch.cov(z.transpose(0, 1).flatten(1)).reshape(z.shape[1], z.shape[1])
    return float(covariance.trace().square() / covariance.square().sum().clamp(min=1e-30))


def velocity_irreducible_variance(frames: torch.Tensor) -> float:
    """VIV: mean of pi / 2 sqrt(eigenvalue) of the covariance of whole frames, of standardised latents.

    For Gaussian latents this is the part of the velocity's variance, over t of (1 - t) noise + t z, that no model can predict. The
    covariance is taken as a product of one over channels and one over places, each whitened by the other in turn (flip-flop),
    and scaled to the whole variance. The paper averages over classes; here all frames are one class.

    frames: (N, C, H, W). NaN where N C is under twice the places, or these are more than 1,024.
    """
    count, channels = frames.shape[:2]
    z = frames.flatten(2)
    z = z - z.mean(0, keepdim=True)
    places = z.shape[2]
    if places > MOST_PLACES or count * channels < 2 * places or count * places < 2 * channels:
        return math.nan
    of_places = torch.eye(places).to(z)
    for _ in range(ROUNDS):
        of_channels = torch.einsum("nis,st,njt->ij", z, _inverse(of_places), z) / (count * places)
        of_places = torch.einsum("nis,ij,njt->st", z, _inverse(of_channels), z) / (count * channels)
    one, other = (torch.linalg.eigvalsh(m).clamp(min=0) for m in (of_channels, of_places))
    values = one[:, None] * other
    scale = z.square().mean(0).sum() / values.sum().clamp(min=1e-30)
    return float((math.pi / 2 * (scale * values).sqrt()).mean())


def _inverse(covariance: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors / values.clamp(min=1e-9 * float(values.max()) + 1e-30)) @ vectors.T
