"""The objective of the autoencoder: ``total = nll + kl_weight * kl + d_weight * disc_factor * g_loss``."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.losses.latent import kl_divergence
from vaelab.losses.perceptual import Perceptual
from vaelab.losses.pixel import pixel_loss


class Terms(NamedTuple):
    """The reconstruction part of one batch: scalars in float32; only nll carries a gradient, the others are for the log.

    nll: what is minimised, in the unit of nll_reduction. rec: mean pixel loss, without weight. rec_mse: mean squared
    error, whatever the pixel loss is. perceptual: mean perceptual distance, without weight; 0 when it is off.
    """

    nll: Tensor
    rec: Tensor
    rec_mse: Tensor
    perceptual: Tensor


class Objective(nn.Module):
    """All losses of the autoencoder but the discriminator's own, as ``LossConfig`` sets them.

    Its ``parameters()`` are logvar when that is learned, else none, and its ``state_dict`` holds no more than that. With
    several processes logvar needs the mean of its gradient over them, as every parameter outside DistributedDataParallel.
    """

    logvar: Tensor

    def __init__(self, config: LossConfig, perceptual: Perceptual | None) -> None:
        """perceptual: from ``build_perceptual``; may be None when perceptual_weight is 0, and is not used then.

        Raises ConfigError for settings that contradict each other.
        """
        super().__init__()
        if config.perceptual_weight > 0 and perceptual is None:
            raise ConfigError(
                f"loss.perceptual_weight is {config.perceptual_weight:g} but no perceptual network was given:"
                " use build_perceptual, or loss.perceptual_weight=0"
            )
        if config.logvar == "off" and config.logvar_init != 0:
            raise ConfigError(
                f"loss.logvar_init {config.logvar_init:g} has no effect with loss.logvar=off: set loss.logvar=learned, or"
                " leave loss.logvar_init at 0"
            )
        self.config = config
        self.perceptual = perceptual if config.perceptual_weight > 0 else None
        if config.logvar == "learned":
            self.logvar = nn.Parameter(torch.tensor(config.logvar_init))
        else:
            self.register_buffer("logvar", torch.zeros(()), persistent=False)

    def reconstruction(self, x: Tensor, r: Tensor, generator: torch.Generator | None = None) -> Terms:
        """Reconstruction terms of data ``x`` and reconstruction ``r``, both (B, C, T, H, W) in [-1, 1].

        nll = n * ((pixelloss_weight * rec + perceptual_weight * perceptual) / exp(logvar) + logvar), with n = 1 for
        nll_reduction mean, C*T*H*W for sum, C*H*W for sum_per_frame: a frame's perceptual distance counts at each of its
        values, as in latent-diffusion. generator: draws perceptual_frames.
        """
        config = self.config
        rec = pixel_loss(config.pixel_loss, x, r).mean()
        perceptual = self._perceptual(x, r, generator)
        loss = config.pixelloss_weight * rec + config.perceptual_weight * perceptual
        if config.logvar == "learned":
            loss = loss / self.logvar.exp() + self.logvar
        # the mean first, then the factor: a running sum over millions of values would lose digits
        nll = nll_elements(x.shape, config.nll_reduction) * loss
        rec = rec.detach()
        rec_mse = rec if config.pixel_loss == "mse" else pixel_loss("mse", x, r.detach()).mean()
        return Terms(nll, rec, rec_mse, perceptual.detach())

    def _perceptual(self, x: Tensor, r: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.perceptual is None:
            return torch.zeros((), device=r.device)
        count = self.config.perceptual_frames
        if count is not None and count < x.shape[2]:
            x, r = _draw_frames(x, r, count, generator)
        return self.perceptual(x, r).mean()

    def kl(self, mean: Tensor | None, logvar: Tensor | None) -> Tensor:
        """KL of the posterior in the unit of kl_reduction, without weight; 0 for an autoencoder that has no posterior."""
        if mean is None or logvar is None:
            return torch.zeros_like(self.logvar.detach())
        return kl_divergence(mean, logvar, self.config.kl_reduction)

    def kl_weight(self, step: int) -> float:
        """Weight of the KL at ``step`` (generator updates done before it): grows over kl_warmup steps, then constant."""
        return self.config.kl_weight * _growth(step, 0, self.config.kl_warmup)

    def disc_factor(self, step: int) -> float:
        """Factor of g_loss at ``step``: 0 before disc_start, grows over disc_ramp steps, then the setting's value.

        The discriminator's own loss has the factor ``config.disc_factor`` whenever ``trains_disc``, without ramp.
        """
        if self.config.disc == "none":
            return 0.0
        return self.config.disc_factor * _growth(step, self.config.disc_start, self.config.disc_ramp)

    def trains_disc(self, step: int) -> bool:
        """Whether the discriminator is updated at ``step``: from disc_start - disc_warmup on."""
        return self.config.disc != "none" and step >= self.config.disc_start - self.config.disc_warmup

    def total(
        self, step: int, nll: Tensor, kl: Tensor, g_loss: Tensor | None = None, d_weight: Tensor | float = 0.0
    ) -> Tensor:
        """total_loss at ``step``: nll + kl_weight * kl + d_weight * disc_factor * g_loss.

        g_loss: from ``gen_loss``; None while the decoder does not see the discriminator. d_weight: with disc_weight
        already multiplied in, as it is logged.
        """
        total = nll + self.kl_weight(step) * kl
        factor = self.disc_factor(step)
        if g_loss is None or factor == 0:
            return total
        return total + d_weight * factor * g_loss


def nll_elements(shape: torch.Size | tuple[int, ...], reduction: str) -> int:
    """Values over which ``reduction`` sums, for clips (B, C, T, H, W): nll = ``nll_elements`` x the mean over values."""
    _, channels, frames, height, width = shape
    summed = {"mean": (), "sum": (channels, frames, height, width), "sum_per_frame": (channels, height, width)}
    if reduction not in summed:
        raise ConfigError(f"loss.nll_reduction {reduction!r} is not known: use {', '.join(summed)}")
    return prod(summed[reduction])


def _growth(step: int, start: int, length: int) -> float:
    """0 before ``start``, a straight line over the ``length`` steps from ``start`` on, then 1. No step after start has 0."""
    return 0.0 if step < start else min(1.0, (step - start + 1) / (length + 1))


def _draw_frames(x: Tensor, r: Tensor, count: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """``count`` different frames of each clip, the same of ``x`` and ``r``; every frame is as likely as any other."""
    clips, frames = x.shape[0], x.shape[2]
    device = x.device if generator is None else generator.device
    drawn = torch.rand(clips, frames, generator=generator, device=device).argsort(dim=1)[:, :count].to(x.device)
    clip = torch.arange(clips, device=x.device)[:, None]
    return x.transpose(1, 2)[clip, drawn].transpose(1, 2), r.transpose(1, 2)[clip, drawn].transpose(1, 2)
