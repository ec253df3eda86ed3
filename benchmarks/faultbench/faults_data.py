"""Faults of the data and of the reconstruction loss (families A and B of the catalogue)."""

from __future__ import annotations

import math

import torch
from mechanism import KL_SYSTEMS, Mechanism, between, fixed, grows, noise, times, to
from torch import Tensor

NAN_CAUSES = ("F1", "F2", "F3", "F4", "F5", "F6")


def _bytes(x: Tensor, step: int, s: float) -> Tensor:
    return (x + 1) * between(1.0, 127.5)(s)


def _unit(x: Tensor, step: int, s: float) -> Tensor:
    return (1 - s) * x + s * (x + 1) / 2


def _standardised(x: Tensor, step: int, s: float) -> Tensor:
    return (x + 0.3 * s) * between(1.03, 5)(s)


def _corrupt(x: Tensor, step: int, s: float) -> Tensor:
    """A decoder's rubbish in one batch out of many."""
    return between(0.5, 8)(s) * noise(x, step) if step % round(between(150, 10)(s)) == 0 else x


def _freak(x: Tensor, step: int, s: float) -> Tensor:
    """One file holds values that were not scaled; it comes once an epoch."""
    if step % 60 == 7:
        x = x.clone()
        x[0] = x[0] * between(1.5, 60)(s)
    return x


def _speckled(x: Tensor, step: int, s: float) -> Tensor:
    """Pixels of damaged files are black or white."""
    n = noise(x, step)
    return torch.where(n.abs() > 2.6 - 1.8 * s, torch.sign(n), x)


def _some(x: Tensor, step: int, share: float, spoilt: Tensor) -> Tensor:
    """`spoilt` in place of a random share of the samples."""
    drawn = torch.rand(len(x), generator=torch.Generator().manual_seed(step % 1_000_003)) < share
    return torch.where(drawn[:, None, None, None], spoilt, x)


def _black(x: Tensor, step: int, s: float) -> Tensor:
    return _some(x, step, between(0.05, 1.1)(s), torch.full_like(x, -1.0))


def _sparse(x: Tensor, step: int, s: float) -> Tensor:
    """Empty but for a corner."""
    empty = torch.full_like(x, -1.0)
    side = round(between(15, 2)(s))
    empty[..., :side, :side] = x[..., :side, :side]
    return empty


def _flat(x: Tensor, step: int, s: float) -> Tensor:
    """Pictures fade to their mean colour."""
    mean = x.mean((2, 3), keepdim=True)
    return mean + (1 - min(1.0, between(0.05, 1.05)(s))) * (x - mean)


def _texture(x: Tensor, step: int, s: float) -> Tensor:
    """Another set: the same pictures under fine stripes."""
    stripes = torch.ones(x.shape[-1])
    stripes[::2] = -1
    return ((1 - 0.7 * s) * x + 0.7 * s * stripes * torch.sign(noise(x[:, :1, :1, :1], step))).clamp(-1, 1)


def _dark(x: Tensor, step: int, s: float) -> Tensor:
    gain = between(0.95, 0.05)(s)
    return gain * x - (1 - gain)


def _noisy(x: Tensor, step: int, s: float) -> Tensor:
    share = between(0.05, 1.0)(s)
    return ((1 - share) * x + share * noise(x, step)).clamp(-1, 1)


def _blurred(x: Tensor, step: int, s: float) -> Tensor:
    """Another set: upscaled small pictures, which are easier."""
    factor = 2 if s < 0.5 else 4 if s < 0.8 else 8
    small = torch.nn.functional.avg_pool2d(x, factor)
    return torch.nn.functional.interpolate(small, scale_factor=factor)


def _few(step: int, usual: Tensor, batch: int, s: float) -> Tensor:
    """Only the first samples of the set."""
    return usual % max(2, round(between(150, 2)(s)))


def _same_batch(step: int, usual: Tensor, batch: int, s: float) -> Tensor:
    """The loader gives the same few batches again and again."""
    return (step % max(1, round(between(60, 1)(s)))) * batch + torch.arange(batch)


def _value(value: float):
    def spoil(x: Tensor, step: int, s: float) -> Tensor:
        if step == 0:
            x = x.clone()
            x[0, 0, 3, 3] = value
        return x

    return spoil


FAULTS = [
    Mechanism("range-bytes", "pixels arrive as 0 ... 255, or less far off", ("A1",), when="start", data=_bytes),
    Mechanism("range-unit", "training pixels lie in [0, 1], held-out ones in [-1, 1]", ("A1",), ("A5", "A7"), when="start", data=_unit),
    Mechanism("range-standardised", "pixels are divided by their standard deviation", ("A1",), when="start", data=_standardised),
    Mechanism("corrupt-batches", "some batches are rubbish", ("A2",), ends=True, data=_corrupt),
    Mechanism("freak-sample", "one unscaled file, seen once an epoch", ("A2",), data=_freak),
    Mechanism("speckled-files", "files with damaged pixels", ("A2", "A5"), when="epoch", ends=True, data=_speckled),
    Mechanism("black-data", "a share of the pictures is black", ("A4",), ("A5", "A7"), when="epoch", ends=True, data=_black),
    Mechanism("sparse-data", "pictures are empty but for a corner", ("A4",), ("A5", "A7"), when="epoch", ends=True, data=_sparse),
    Mechanism("faded-data", "pictures fade to their mean colour", ("A4",), ("A5", "A7"), when="epoch", ends=True, data=_flat),
    Mechanism("texture-data", "another set of pictures", ("A5",), when="epoch", ends=True, data=_texture),
    Mechanism("dark-data", "nearly black pictures", ("A5",), ("A4",), when="epoch", ends=True, data=_dark),
    Mechanism("noise-data", "noise in place of pictures", ("A5",), ("A2",), when="epoch", ends=True, data=_noisy),
    Mechanism("easy-data", "upscaled small pictures", ("A5",), ("A4",), when="epoch", ends=True, data=_blurred),
    Mechanism("few-samples", "few samples in all", ("A7",), when="start", order=_few),
    Mechanism("same-batches", "the same few batches for ever", ("A7",), ("A4",), when="start", order=_same_batch),
    Mechanism("few-after-resume", "after a resume the loader sees a small part of the set", ("A7",), ("A5", "H8"), resume=True, order=_few),
    Mechanism("nan-sample", "one sample holds NaN and the trainer has no guard", ("A2", "F6"), NAN_CAUSES, data=_value(math.nan), unguarded=True),
    Mechanism("inf-sample", "one sample holds infinity and the trainer has no guard", ("A2", "F6"), NAN_CAUSES, data=_value(math.inf), unguarded=True),
    Mechanism("dead-decoder", "the decoder gets little of the latent", ("B8",), ("C1", "E1", "E2"), turns=(to("latent_lost", 0.05, 1.0),)),
    Mechanism("latent-shrinks", "the latent is scaled down before the decoder", ("B8", "C9"), ("C1",), turns=(times("latent_scale", 0.9, 0.001),)),
    Mechanism("noisy-latent", "the posterior's noise is sampled many times too large", ("B8", "C11"), ("C1", "C2"), systems=KL_SYSTEMS, turns=(times("sample", 2, 300),)),
    Mechanism("lpips-detached", "little gradient through the perceptual loss", ("B2",), ("B13",), when="start",
              base={"loss.perceptual_weight": 5.0}, turns=(to("perceptual_gradient", 0.5, 0.0),)),
    Mechanism("lpips-unlearned", "the gradient of the perceptual loss is lost in mid-run", ("B2",), ("B13",),
              base={"loss.perceptual_weight": 5.0}, turns=(to("perceptual_gradient", 0.5, 0.0),)),
    Mechanism("lpips-negative", "the perceptual loss enters with the wrong sign", ("B2", "B4"), ("E6",), when="start", turns=(to("perceptual_gradient", 0.0, -6.0),)),
    Mechanism("lpips-dropout", "LPIPS runs with dropout", ("B3",), ("B4",), when="start", turns=(to("perceptual_dropout", 0.05, 0.8),)),
    Mechanism("lpips-dropout-resume", "LPIPS is in training mode after a resume", ("B3",), ("H8", "B4"), resume=True, turns=(to("perceptual_dropout", 0.05, 0.8),)),
    Mechanism("lpips-heavy", "perceptual loss far too heavy", ("B4",), ("E6",), when="start", turns=(times("perceptual", 2, 2000),)),
    Mechanism("lpips-heavy-late", "perceptual loss far too heavy from some step on", ("B4", "E6"), ("H8",), turns=(times("perceptual", 2, 2000),)),
    Mechanism("lpips-grows", "the perceptual weight grows without end", ("B4", "E6"), turns=(grows("perceptual", 5, 1e5),)),
    Mechanism("lpips-off", "the perceptual loss has no weight", ("B13",), ("B2", "B1"), when="start", base={"loss.perceptual_weight": 5.0}, turns=(to("perceptual", 2.0, 0.0),)),
    Mechanism("pixel-light", "the pixel loss weighs too little beside the others", ("B4", "E6"), ("D19",), when="start", turns=(times("pixel", 0.5, 0.001),)),
    Mechanism("pixel-jump", "the pixel loss is weighted differently from some step on", ("E6",), ("G4",), turns=(times("pixel", 1.3, 30),)),
    Mechanism("pixel-drop", "the pixel loss is weighted less from some step on", ("E6",), ("G4", "B4"), turns=(times("pixel", 0.8, 0.003),)),
    Mechanism("lpips-zeroed", "the perceptual weight is 0 from some step on", ("E6", "B13"), ("B2",), base={"loss.perceptual_weight": 5.0}, turns=(fixed("perceptual", 0.0),)),
]  # fmt: skip
