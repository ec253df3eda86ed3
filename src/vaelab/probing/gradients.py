"""Gradients of one checkpoint: the share of each loss term, whether the perceptual one is alive, and the clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from vaelab.losses import d_weight_ratio, gen_loss, pixel_loss
from vaelab.losses.objective import nll_elements
from vaelab.training.step import TrainingStep, frozen

TERMS = ("pixel", "perceptual", "GAN", "KL")


class Shares(NamedTuple):
    """Norms of the weighted gradients of one batch. at_output: at the reconstruction; at_last: at the weight of the
    decoder's last layer; at_latent: at the posterior's mean and logvar. Term -> norm; a term that is off is left out, and
    the KL is only at the latent."""

    at_output: dict[str, float]
    at_last: dict[str, float]
    at_latent: dict[str, float]


def term_gradients(step: TrainingStep, x: torch.Tensor, number: int) -> Shares:
    """Gradients at update ``number`` on clips ``x`` (B, C, T, H, W) of the terms of ``step``'s objective."""
    objective, loss = step.objective, step.loss
    out = step.autoencoder(x, sample=step.sample)
    r = out.x.detach().requires_grad_()
    terms = objective.reconstruction(x, r)
    of_nll = _gradient(terms.nll, r)
    pixel = loss.pixelloss_weight * pixel_loss(loss.pixel_loss, x, r).mean() * nll_elements(x.shape, loss.nll_reduction)
    if loss.logvar == "learned":
        pixel = pixel / objective.logvar.detach().exp()
    of_pixel = _gradient(pixel, r)
    at_r = {"pixel": of_pixel}
    if loss.perceptual_weight > 0:
        # what the objective really passes on besides the pixel term, so a detached network shows
        at_r["perceptual"] = of_nll - of_pixel
    last = step.autoencoder.last_layer
    factor = objective.disc_factor(number)
    if step.discriminator is not None and factor > 0:
        with frozen(step.discriminator):
            of_g = _gradient(gen_loss(loss.disc_loss, step.discriminator(r).float()), r)
        weight = torch.tensor(loss.disc_weight)
        if loss.disc_weight_mode == "adaptive":
            norms = [torch.autograd.grad(out.x, last, g, retain_graph=True)[0] for g in (of_nll, of_g)]
            weight = weight * d_weight_ratio(norms[0], norms[1], loss.d_weight_max).value.cpu()
        at_r["GAN"] = float(weight) * factor * of_g

    latent = [part for part in (out.mean, out.logvar) if part is not None] or [out.z]
    at_last = {name: _norm([torch.autograd.grad(out.x, last, g, retain_graph=True)[0]]) for name, g in at_r.items()}
    at_latent = {
        name: _norm(torch.autograd.grad(out.x, latent, g, retain_graph=True, allow_unused=True))
        for name, g in at_r.items()
    }
    kl_weight = objective.kl_weight(number)
    if out.mean is not None and out.logvar is not None and kl_weight > 0:
        kl = kl_weight * objective.kl(out.mean, out.logvar)
        at_latent["KL"] = _norm(torch.autograd.grad(kl, latent))
    return Shares({name: _norm([g]) for name, g in at_r.items()}, at_last, at_latent)


def shares_of(norms: Sequence[dict[str, float]]) -> dict[str, float]:
    """Term -> share of the sum of norms, the mean over batches."""
    names = [name for name in TERMS if any(name in one for one in norms)]
    table = np.array([[one.get(name, 0.0) for name in names] for one in norms])
    table = table / np.maximum(table.sum(1, keepdims=True), 1e-30)
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def gradient_norm(step: TrainingStep, micro_batches: Sequence[torch.Tensor], number: int) -> float:
    """Norm of the autoencoder's gradient before clipping, of the whole update ``number``. The learning rates of ``step``
    must be 0, so that no weight changes."""
    return float(step(micro_batches, number)["grad_norm"])


def histogram(norms: np.ndarray, bins: int = 8) -> list[tuple[float, float, int]]:
    """(from, to, count) over logarithmic bins from the smallest to the largest finite norm."""
    norms = norms[np.isfinite(norms) & (norms > 0)]
    if not len(norms):
        return []
    low, high = float(norms.min()), float(norms.max())
    if high <= low * 1.0001:
        return [(low, high, len(norms))]
    edges = np.geomspace(low, high, bins + 1)
    counts = np.histogram(norms, np.r_[edges[:-1], np.nextafter(high, np.inf)])[0]
    return [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]


def _gradient(loss: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """The gradient, zeros where the loss does not depend on ``at``."""
    if not loss.requires_grad:
        return torch.zeros_like(at)
    (gradient,) = torch.autograd.grad(loss, [at], allow_unused=True)
    return torch.zeros_like(at) if gradient is None else gradient


def _norm(gradients: Iterable[torch.Tensor | None]) -> float:
    return float(sum(float(g.double().square().sum()) for g in gradients if g is not None) ** 0.5)
