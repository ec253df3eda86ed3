"""The KL divergence to the unit Gaussian, its reductions, and statistics of the latent."""

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
