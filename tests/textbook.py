"""The textbook training step of a VAE-GAN (taming-transformers, latent-diffusion), written again in plain PyTorch.

Every term is in one graph: the adaptive weight goes back through the loss networks once for each gradient, and
``total.backward()`` goes back through them again. No code of vaelab's losses or training is used; its settings are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vaelab.config import TrainConfig
from vaelab.models import Autoencoder


class Update(NamedTuple):
    """d_weight: of the last micro-batch, None without adversarial term. Gradients: before clipping."""

    d_weight: float | None
    generator: list[Tensor]
    discriminator: list[Tensor] | None
    nll: float


class Textbook:
    """Two networks, two AdamW, and one update after the other."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        discriminator: nn.Module | None,
        perceptual: nn.Module,
        config: TrainConfig,
        eps: float = 1e-8,
    ) -> None:
        self.autoencoder, self.discriminator, self.perceptual = autoencoder, discriminator, perceptual
        self.config, self.loss, self.optim = config, config.loss, config.optim
        self.logvar = torch.tensor(self.loss.logvar_init, requires_grad=self.loss.logvar == "learned")
        self.generator_parameters = [p for p in autoencoder.parameters() if p.requires_grad]
        if self.loss.logvar == "learned":
            self.generator_parameters.append(self.logvar)
        self.generator_optimizer = adamw(self.generator_parameters, self.optim.betas, self.optim.weight_decay, eps)
        self.disc_parameters = [] if discriminator is None else list(discriminator.parameters())
        self.disc_optimizer = adamw(self.disc_parameters, self.optim.disc_betas, 0.0, eps) if discriminator else None
        self.lecam_real = self.lecam_fake = 0.0 if self.loss.lecam_init == "zero" else None
        self.ratio_mean: Tensor | None = None

    def update(self, micro_batches: list[Tensor], step: int) -> Update:
        """One update of both networks."""
        loss, n = self.loss, len(micro_batches)
        trains_disc = self.discriminator is not None and step >= loss.disc_start - loss.disc_warmup
        sees_disc = self.discriminator is not None and step >= loss.disc_start
        self.zero_grad()
        d_weight = None
        disc_gradients = [torch.zeros_like(p) for p in self.disc_parameters]
        nll_value = 0.0
        for x in micro_batches:
            out = self.autoencoder(x, sample=not self.config.model.deterministic)
            r = out.x
            nll = self.nll(x, r)
            kl_weight = loss.kl_weight * ramp(step, 0, loss.kl_warmup)
            total = nll + kl_weight * self.kl(out.mean, out.logvar)
            if sees_disc:
                fake = self.discriminator(r)
                g_loss = F.softplus(-fake).mean() if loss.disc_loss == "non-saturating" else -fake.mean()
                d_weight = self.d_weight(nll, g_loss)
                total = total + d_weight * loss.disc_factor * ramp(step, loss.disc_start, loss.disc_ramp) * g_loss
            (total / n).backward()
            nll_value += nll.item() / n
            if trains_disc:
                # the generator's pass has left gradients in the discriminator: they are not for this update
                self.zero_disc_grad()
                (self.disc_loss(self.discriminator(x), self.discriminator(r.detach())) / n).backward()
                for kept, parameter in zip(disc_gradients, self.disc_parameters, strict=True):
                    kept += parameter.grad
        generator_gradients = [p.grad.clone() for p in self.generator_parameters]
        self.apply(
            self.generator_optimizer, self.generator_parameters, self.optim.clip_grad, self.rate(step, disc=False)
        )
        if trains_disc:
            for parameter, gradient in zip(self.disc_parameters, disc_gradients, strict=True):
                parameter.grad = gradient.clone()
            self.apply(self.disc_optimizer, self.disc_parameters, self.optim.disc_clip_grad, self.rate(step, disc=True))
        return Update(
            None if d_weight is None else float(d_weight),
            generator_gradients,
            disc_gradients if trains_disc else None,
            nll_value,
        )

    def nll(self, x: Tensor, r: Tensor) -> Tensor:
        """A map of one value a pixel, as in latent-diffusion, and then its reduction."""
        loss, d = self.loss, x - r
        pixel = {
            "mse": lambda: d**2,
            "l1": lambda: d.abs(),
            "l1+mse": lambda: d.abs() + d**2,
            "charbonnier": lambda: (d**2 + 1e-6).sqrt(),
        }[loss.pixel_loss]()
        values = loss.pixelloss_weight * pixel
        if loss.perceptual_weight > 0:
            batch, frames = x.shape[0], x.shape[2]
            values = values + loss.perceptual_weight * self.perceptual(x, r).view(batch, 1, frames, 1, 1)
        if loss.logvar == "learned":
            values = values / torch.exp(self.logvar) + self.logvar
        samples = {"mean": values.numel(), "sum": len(x), "sum_per_frame": len(x) * x.shape[2]}
        return values.sum() / samples[loss.nll_reduction]

    def kl(self, mean: Tensor, logvar: Tensor) -> Tensor:
        values = 0.5 * (mean**2 + logvar.exp() - 1 - logvar)
        batch, channels, frames = mean.shape[:3]
        samples = {
            "mean": values.numel(),
            "sum": batch,
            "sum_per_frame": batch * frames,
            "channel_mean": batch * channels,
        }
        return values.sum() / samples[self.loss.kl_reduction]

    def d_weight(self, nll: Tensor, g_loss: Tensor) -> Tensor:
        loss = self.loss
        if loss.disc_weight_mode == "fixed":
            return torch.tensor(loss.disc_weight)
        last = self.autoencoder.last_layer
        (nll_gradient,) = torch.autograd.grad(nll, last, retain_graph=True)
        (g_gradient,) = torch.autograd.grad(g_loss, last, retain_graph=True)
        ratio = (nll_gradient.norm() / (g_gradient.norm() + 1e-4)).clamp(0.0, loss.d_weight_max).detach()
        if loss.d_weight_ema > 0:
            before = ratio if self.ratio_mean is None else self.ratio_mean
            ratio = self.ratio_mean = loss.d_weight_ema * before + (1 - loss.d_weight_ema) * ratio
        return ratio * loss.disc_weight

    def disc_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        loss = self.loss
        if loss.disc_loss == "hinge":
            value = 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
        else:
            ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
            cross_entropy = F.binary_cross_entropy_with_logits
            value = 0.5 * (cross_entropy(real, ones) + cross_entropy(fake, zeros))
        if loss.lecam_weight > 0:
            means = real.mean().item(), fake.mean().item()
            decay = loss.lecam_decay if self.lecam_real is not None else 0.0
            self.lecam_real = decay * (self.lecam_real or 0.0) + (1 - decay) * means[0]
            self.lecam_fake = decay * (self.lecam_fake or 0.0) + (1 - decay) * means[1]
            above, below = F.relu(real - self.lecam_fake), F.relu(self.lecam_real - fake)
            value = value + loss.lecam_weight * ((above**2).mean() + (below**2).mean())
        return value * loss.disc_factor

    def rate(self, step: int, disc: bool) -> float:
        """Learning rate at ``step``."""
        o, steps = self.optim, self.config.run.steps
        lr, lowest, schedule, warmup = o.lr, o.min_lr, o.schedule, o.warmup_steps
        if disc:
            first = self.loss.disc_start - self.loss.disc_warmup
            step, steps = step - first, steps - first
            lr, lowest, schedule, warmup = o.disc_lr or o.lr, o.disc_min_lr, o.disc_schedule, o.disc_warmup_steps
        if step < warmup:
            return lr * (step + 1) / warmup
        if schedule == "constant":
            return lr
        progress = (step - warmup) / (steps - 1 - warmup)
        if schedule == "linear":
            return lr + (lowest - lr) * progress
        return lowest + (lr - lowest) * (1 + math.cos(math.pi * progress)) / 2

    def apply(
        self, optimizer: torch.optim.Optimizer, parameters: list[Tensor], clip: float | None, rate: float
    ) -> None:
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()

    def zero_grad(self) -> None:
        for parameter in (*self.generator_parameters, *self.disc_parameters):
            parameter.grad = None

    def zero_disc_grad(self) -> None:
        for parameter in self.disc_parameters:
            parameter.grad = None


def adamw(parameters: list[Tensor], betas: tuple[float, float], decay: float, eps: float) -> torch.optim.Optimizer:
    """Decay acts on weights with two or more dimensions."""
    groups = [{"params": [p], "weight_decay": decay if p.ndim >= 2 else 0.0} for p in parameters]
    return torch.optim.AdamW(groups, lr=1e-3, betas=betas, eps=eps, foreach=False, fused=False)


def ramp(step: int, start: int, length: int) -> float:
    """1 / (length + 1) at ``start``, one more part at each step, and at last 1."""
    parts = [(i + 1) / (length + 1) for i in range(length)]
    if step < start:
        return 0.0
    return parts[step - start] if step - start < length else 1.0
