"""What a run is worth on held-out pictures: for its label, and for the validations that its trainer logs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from networks import Weights
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from result import Row
    from training import SideBySide

PEAK = 2.0
"""Range of the pixels, [-1, 1]."""


@torch.no_grad()
def measure(side: SideBySide) -> list[Row]:
    """Numbers of every run for its label."""
    x = side.held_out[:, None].expand(-1, len(side.plans), -1, -1, -1).contiguous()
    out, parts = side.reconstruct(Weights(side.generator.layout, side.generator.matrix), x.flatten(1, 2), sample=False)
    averaged, _ = side.reconstruct(Weights(side.generator.layout, side.ema), x.flatten(1, 2), sample=False)
    r = out.view(x.shape)
    values = {
        "psnr": psnr(x, r), "psnr_ema": psnr(x, averaged.view(x.shape)), "perceptual": side.perceptual(x, r),
        "detail": detail(r) / detail(x), "latent_std": parts["latent_mean_std"], "active": parts["latent_active_share"],
        "latent_peak": parts["latent_mean_std"],
    }  # fmt: skip
    for name in ("codebook_usage", "perplexity", "per_element"):
        if name in parts:
            values[name] = parts[name]
    return rows(values)


@torch.no_grad()
def validation(side: SideBySide) -> list[Row]:
    """The terms of the training on held-out pictures, by the same names, and the scores that vaelab's trainer logs."""
    x = side.held_out[:, None].expand(-1, len(side.plans), -1, -1, -1).contiguous()
    w = Weights(side.generator.layout, side.generator.matrix)
    out, parts = side.reconstruct(w, x.flatten(1, 2), sample=True)
    r, dial = out.view(x.shape), side.dial
    kind = side.loss.pixel_loss
    mse = (x - r).square().mean((0, 2, 3, 4))
    rec = mse if kind == "mse" else (x - r).abs().mean((0, 2, 3, 4)) + (mse if kind == "l1+mse" else 0)
    perceptual = side.perceptual(x, r)
    loss = dial("pixel") * rec + dial("perceptual") * perceptual
    logvar = side.generator.matrix[:, side.generator.layout.places["logvar"]][:, 0]
    scaled = torch.where(side.learned > 0, loss / logvar.exp() + logvar, loss)
    count = math.prod(x.shape[2:]) if side.loss.nll_reduction == "sum" else 1
    nll = count * scaled
    values = {"rec_loss": rec, "perceptual_loss": perceptual, "nll_loss": nll}
    total = nll
    if "kl" in parts:
        values["kl_loss"] = parts["kl"]
        total = total + dial("kl") * parts["kl"]
    if "quant" in parts:
        values |= {name: parts[name] for name in ("quant_loss", "commit_loss", "perplexity", "codebook_usage")}
        total = total + parts["quant"]
    d = Weights(side.discriminator.layout, side.discriminator.matrix)
    real, fake = side._logits(d, x).mean((0, 2, 3)), side._logits(d, r, fake=True)
    margin = functional.relu(1 - side._logits(d, x)).mean((0, 2, 3)) + functional.relu(1 + fake).mean((0, 2, 3))
    values |= {
        "g_loss": -fake.mean((0, 2, 3)), "d_weight": torch.zeros(len(side.plans)), "logits_real": real,
        "logits_fake": fake.mean((0, 2, 3)), "disc_loss": 0.5 * margin * dial("factor"), "total_loss": total,
        "disc_factor": dial("factor"),
    }  # fmt: skip
    mean = side.reconstruct(w, x.flatten(1, 2), sample=False)[0].view(x.shape)
    error = (x - mean).square().mean((0, 2, 3, 4))
    variance = (x - x.mean((2, 3, 4), keepdim=True)).square().mean((0, 2, 3, 4))
    values |= {
        "psnr": psnr(x, mean), "lpips": side.perceptual(x, mean), "rec_mse": error,
        "explained_variance": 1 - error / variance, "hf_ratio": detail(mean) / detail(x),
    }  # fmt: skip
    averaged, _ = side.reconstruct(Weights(side.generator.layout, side.ema), x.flatten(1, 2), sample=False)
    values["psnr_ema"] = psnr(x, averaged.view(x.shape))
    values["lpips_ema"] = side.perceptual(x, averaged.view(x.shape))
    return rows(values)


def psnr(x: Tensor, r: Tensor) -> Tensor:
    """(K,): mean over the samples, in dB, of pictures (B, K, C, H, W) in [-1, 1]."""
    error = (x - r.clamp(-1, 1)).square().mean((2, 3, 4))
    return (10 * torch.log10(PEAK**2 / error.clamp(min=1e-10))).mean(0)


def detail(x: Tensor) -> Tensor:
    """(K,): energy of the differences between neighbouring pixels."""
    return (x.diff(dim=3).square().mean((0, 2, 3, 4)) + x.diff(dim=4).square().mean((0, 2, 3, 4))).clamp(min=1e-10)


def rows(values: dict[str, Tensor]) -> list[Row]:
    table = torch.stack(list(values.values()), 1).tolist()
    return [dict(zip(values, row, strict=True)) for row in table]
