"""The KL divergence to the unit Gaussian, its reductions, the correlation of neighbouring latents, and statistics of the latent."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from vaelab.errors import ConfigError

# Burda et al. 2016 (importance weighted autoencoders): a unit is active if its mean varies over the data by more.
ACTIVE_VARIANCE = 0.01


def kl_per_element(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) in nats per latent element: the mean over all of them, a scalar in float32.

    mean, logvar: (B, C, T, H, W), or any other shape that they share. Never negative, up to rounding.
    """
    mean, logvar = mean.float(), logvar.float()
    # expm1 keeps the digits where the posterior is near the prior and exp(logvar) - 1 would cancel
    return 0.5 * (mean.square() + torch.expm1(logvar) - logvar).mean()


def kl_elements(shape: torch.Size | tuple[int, ...], reduction: str) -> int:
    """Latent elements over which ``reduction`` sums: KL = ``kl_elements`` x ``kl_per_element``.

    shape: of the latent, (B, C, T, H, W); images have T = 1. Raises ConfigError for an unknown reduction.
    """
    _, channels, frames, height, width = shape
    summed = {
        "mean": (),
        "sum": (channels, frames, height, width),
        "sum_per_frame": (channels, height, width),
        "channel_mean": (frames, height, width),
    }
    if reduction not in summed:
        raise ConfigError(f"loss.kl_reduction {reduction!r} is not known: use {', '.join(summed)}")
    return prod(summed[reduction])


def kl_divergence(mean: Tensor, logvar: Tensor, reduction: str) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)) as a scalar in float32, in nats per what ``reduction`` says.

    mean, logvar: (B, C, T, H, W). Every reduction is a multiple of the mean, so all have the same gradient direction:

    - ``mean``: per latent element
    - ``sum``: per sample; summed over C, T, H, W, mean over B (latent-diffusion, RadioDiff, VidTok)
    - ``sum_per_frame``: per latent frame; summed over C, H, W, mean over B and T (Open-Sora)
    - ``channel_mean``: per latent channel; summed over T, H, W, mean over B and C (Pyramid-Flow)
    """
    return kl_elements(mean.shape, reduction) * kl_per_element(mean, logvar)


def standardised(z: Tensor) -> Tensor:
    """(N, C, T, H, W) with mean 0 and standard deviation 1 in each channel, over all else."""
    std, mean = torch.std_mean(z, dim=(0, 2, 3, 4), keepdim=True, correction=0)
    return (z - mean.detach()) / (std.detach() + 1e-6)


def local_correlation(z: Tensor) -> Tensor:
    """Mean Pearson correlation, over channels, of two latents in one window of 2 x 2 places and, but for a first frame that
    stands alone, 2 frames. z: standardised (N, C, T, H, W). NaN with one channel or under 2 x 2 places."""
    height, width = (size // 2 * 2 for size in z.shape[3:])
    if z.shape[1] < 2 or not height or not width:
        return z.new_tensor(float("nan"))
    z = z - z.mean(1, keepdim=True)
    z = z / (z.norm(dim=1, keepdim=True) + 1e-8)
    first = z.shape[2] % 2
    parts = [part for part in (z[:, :, :first], z[:, :, first:]) if part.shape[2]]
    found = []
    for part in parts:
        frames = 2 if part.shape[2] > 1 else 1
        windows = part[..., :height, :width].unflatten(2, (-1, frames)).unflatten(4, (-1, 2)).unflatten(6, (-1, 2))
        # (N, C, T/2, 2, H/2, 2, W/2, 2): the sum over a window's pairs is the square of the sum of its unit vectors, less their own
        members = frames * 4
        total = windows.sum((3, 5, 7)).square().sum(1)
        found.append(((total - members) / (members * (members - 1))).mean())
    return torch.stack(found).mean()


@torch.no_grad()
def latent_stats(z: Tensor, mean: Tensor | None = None, logvar: Tensor | None = None) -> dict[str, Tensor]:
    """What the log says about the latent of one batch: scalars in float32 that stay on the device (no host sync).

    z: the latent that was decoded, (B, C, T, H, W). mean, logvar: parameters of its posterior, or None.

    - ``latents_std``, ``latent_abs_mean``: of z, over everything
    - ``latent_mean_std``: standard deviation of the posterior means (with a posterior)
    - ``latent_noise_std``: root of the mean posterior variance, the noise that sampling adds (with a posterior)
    - ``latent_active_share``: share of channels whose mean varies over batch, time and space by more than 0.01
      (variance; Burda et al. 2016); z stands in for the mean where there is no posterior
    """
    z = z.float()
    centre = z if mean is None else mean.float()
    by_channel = centre.transpose(0, 1).flatten(1)
    stats = {
        "latents_std": z.std(unbiased=False),
        "latent_abs_mean": z.abs().mean(),
        "latent_active_share": (by_channel.var(dim=1, unbiased=False) > ACTIVE_VARIANCE).float().mean(),
    }
    if mean is not None and logvar is not None:
        stats["latent_mean_std"] = centre.std(unbiased=False)
        stats["latent_noise_std"] = logvar.float().exp().mean().sqrt()
    return stats
