"""Scores on held-out samples: of a model, and of predictors so simple that a model must beat them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from vaelab.data.types import Batch
from vaelab.evaluation import pictures
from vaelab.evaluation.pictures import ROUNDING_NOISE, from_uint8, in_range
from vaelab.evaluation.spectrum import LocalGrid

SCORES = (
    "psnr",
    "ssim",
    "lpips",
    "rec_mse",
    "explained_variance",
    "hf_ratio",
    "flickering",
    "colour_shift",
)
LOCAL_GRID = ("grid_peak", "grid_level")
"""Scores of a model whose compression is known: a pattern at its decoder's strides, see ``spectrum.LocalSpectrum``."""


def validate(
    autoencoder: nn.Module,
    batches: Iterable[Batch],
    perceptual: nn.Module | None,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> dict[str, float]:
    """Scores of the model's reconstructions from the posterior's mean (no sampling noise, no random numbers used).

    autoencoder: called as ``autoencoder(x, sample=False).x``; it runs in eval mode, and each of its parts goes back to
    the mode it was in, also after an error. perceptual: (B, C, T, H, W) twice -> a distance a frame; None: no ``lpips``
    in the result. dtype: of autocast; None or float32: no autocast. Scores are always computed in float32.

    Gives every name of ``SCORES``, those of ``LOCAL_GRID`` where the model says its ``factors``, ``n`` (samples) and ``non_finite`` (samples whose reconstruction held NaN or infinity).
    One such sample makes every score NaN: a mean over the others would make a broken model look better than it is. A score
    that no sample defines is NaN too (``flickering`` of images). Averages: see ``docs/evaluation.md``.
    """
    scores = _Scores(perceptual, getattr(autoencoder, "factors", None))
    autocast = torch.autocast(device.type, dtype, enabled=dtype not in (None, torch.float32))
    # not inference_mode: a tensor that a module keeps for later, such as a mask, would fail in the next training step
    with torch.no_grad(), in_eval_mode(autoencoder):
        for batch in batches:
            x = from_uint8(batch.pixels.to(device, non_blocking=True))
            with autocast:
                r = autoencoder(x, sample=False).x
            scores.add(x, r)
    return scores.means()


def baselines(
    batches: Iterable[Batch], perceptual: nn.Module | None, device: torch.device
) -> dict[str, dict[str, float]]:
    """The same scores for each of ``PREDICTORS``. They change with the data only, so one call a run is enough."""
    scores = {name: _Scores(perceptual) for name in PREDICTORS}
    with torch.no_grad():
        for batch in batches:
            x = from_uint8(batch.pixels.to(device, non_blocking=True))
            for name, predict in PREDICTORS.items():
                scores[name].add(x, predict(x))
    return {name: one.means() for name, one in scores.items()}


def grey(x: torch.Tensor) -> torch.Tensor:
    """Mid-grey everywhere: what a decoder gives that is dead or new."""
    return torch.zeros_like(x)


def constant(x: torch.Tensor) -> torch.Tensor:
    """Each clip's own mean colour: a model that has learned nothing but brightness."""
    return x.mean((2, 3, 4), keepdim=True).expand_as(x)


def blurred(x: torch.Tensor) -> torch.Tensor:
    """Every frame averaged over blocks of 8 x 8 pixels and enlarged again (bilinear): no detail, the layout is right."""
    height, width = x.shape[-2:]
    frames = x.transpose(1, 2).flatten(0, 1)
    small = adaptive_avg_pool2d(frames, (max(1, height // 8), max(1, width // 8)))
    large = interpolate(small, size=(height, width), mode="bilinear")
    return large.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


PREDICTORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "blurred": blurred,
    "constant": constant,
    "grey": grey,
}


class _Scores:
    """A few numbers a clip, gathered batch by batch, so that memory does not grow with the clips' size."""

    def __init__(self, perceptual: nn.Module | None, factors: tuple[int, int, int] | None = None) -> None:
        self.perceptual = perceptual
        self.local_grid = None if factors is None else LocalGrid(factors[1:])
        self.columns: dict[str, list[torch.Tensor]] = {}
        self.n = 0
        self.non_finite = 0

    def add(self, x: torch.Tensor, r: torch.Tensor) -> None:
        finite = r.isfinite().flatten(1).all(1)
        self.n += len(x)
        self.non_finite += int((~finite).sum())
        if self.non_finite:  # the scores will be NaN
            return
        shown = in_range(r)
        energy = pictures.high_frequency_energy(x)
        textured = ~pictures.is_flat(energy)
        values = {
            "psnr": pictures.psnr(x, shown),
            "ssim": pictures.ssim(x, shown),
            "rec_mse": pictures.mse(x, r),
            "variance": pictures.variance(x),
            "energy": energy[textured],
            "energy of r": pictures.high_frequency_energy(shown)[textured],
            "flickering": pictures.flickering(x, shown),
            "colour_shift": pictures.colour_shift(x, shown),
        }
        if self.perceptual is not None:
            values["lpips"] = self.perceptual(x, shown).float().view(len(x), -1).mean(1)
        for name, column in values.items():
            self.columns.setdefault(name, []).append(column.double().cpu())
        if self.local_grid is not None:
            self.local_grid.add(x, shown)

    def means(self) -> dict[str, float]:
        means = dict.fromkeys(SCORES, float("nan"))
        if self.perceptual is None:
            del means["lpips"]
        if self.columns and not self.non_finite:
            mean = {name: torch.cat(column).nanmean().item() for name, column in self.columns.items()}
            # ratios of means, not means of ratios: one nearly flat clip would outweigh all others
            mean["explained_variance"] = _ratio(mean["variance"] - mean["rec_mse"], mean["variance"])
            mean["hf_ratio"] = _ratio(mean["energy of r"], mean["energy"])
            means = {name: mean[name] for name in means}
        if self.local_grid is not None:
            grid = self.local_grid.strongest()
            values = (math.nan, math.nan) if self.non_finite else (grid.peak, grid.level)
            means |= dict(zip(LOCAL_GRID, values, strict=True))
        return means | {"n": float(self.n), "non_finite": float(self.non_finite)}


def _ratio(above: float, below: float) -> float:
    return above / below if below > ROUNDING_NOISE else float("nan")


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """A part may be in another mode than the whole, such as a frozen encoder: each gets its own mode back."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
