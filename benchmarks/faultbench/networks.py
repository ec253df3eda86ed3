"""Networks of several runs side by side: one tensor operation serves them all, so that a step of a run costs well under a millisecond.

The weights of K runs lie in one matrix (K, P).  Pictures are (B, K*C, H, W), C channels of every run after another, and
convolutions have K groups: the runs never meet.  The frames of a clip are channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

LOGVAR_RANGE = (-30.0, 20.0)
PERCEPTUAL_SCALE = 0.1
"""Brings the perceptual distance to the size that LPIPS has."""


@dataclass
class Layout:
    """Names, shapes and places of the parameters of one network in the columns of its matrix."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    places: dict[str, slice] = field(default_factory=dict)
    size: int = 0

    def conv(self, name: str, before: int, after: int, kernel: int) -> None:
        self.add(f"{name}.weight", (after, before, kernel, kernel))
        self.add(f"{name}.bias", (after,))

    def add(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes[name] = shape
        self.places[name] = slice(self.size, self.size + math.prod(shape))
        self.size += math.prod(shape)

    def initial(self, seed: int) -> Tensor:
        """Weights (P,) of one run: uniform in +-1/sqrt(fan in), as torch's convolutions begin; a codebook in +-1/codes."""
        generator = torch.Generator().manual_seed(seed)
        values = torch.empty(self.size)
        for name, shape in self.shapes.items():
            kernel = self.shapes.get(name.replace(".bias", ".weight"), shape)
            bound = 1 / kernel[0] if name == "codebook" else 1 / math.sqrt(math.prod(kernel[1:])) if kernel[1:] else 0.0
            values[self.places[name]] = (torch.rand(math.prod(shape), generator=generator) * 2 - 1) * bound
        return values

    def mask(self, *prefixes: str) -> Tensor:
        """(P,): 1 where the parameter's name begins with one of `prefixes`."""
        mask = torch.zeros(self.size)
        for name, place in self.places.items():
            if name.startswith(prefixes):
                mask[place] = 1.0
        return mask


class Weights:
    """A matrix (K, P) as the parameters of a layout; one view a parameter, made once a step."""

    def __init__(self, layout: Layout, matrix: Tensor) -> None:
        self.runs = len(matrix)
        parts = torch.split(matrix, [math.prod(shape) for shape in layout.shapes.values()], dim=1)
        self.part = dict(zip(layout.shapes, parts, strict=True))
        self.shapes = layout.shapes
        self.grouped: dict[str, Tensor] = {}

    def weight(self, name: str) -> Tensor:
        """(K*out, ...) for grouped operations."""
        if name not in self.grouped:
            shape = self.shapes[name]
            self.grouped[name] = self.part[name].reshape(self.runs * shape[0], *shape[1:])
        return self.grouped[name]

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = self.weight(f"{name}.weight")
        kernel = weight.shape[-1]
        padding = (kernel - 1) // 2 if kernel != stride else 0
        return functional.conv2d(x, weight, self.weight(f"{name}.bias"), stride, padding, groups=self.runs)


def autoencoder_layout(channels: int, latent: int, width: int, codes: int) -> Layout:
    """channels: of a whole clip. latent: channels of the latent. codes: 0 for a KL autoencoder."""
    layout, out = Layout(), latent if codes else 2 * latent
    layout.conv("encoder.in", channels, width, 4)
    layout.conv("encoder.down", width, 2 * width, 4)
    layout.conv("encoder.mid", 2 * width, 2 * width, 3)
    layout.conv("encoder.out", 2 * width, out, 3)
    # linear ways past the others: large shapes and colours are learned in some hundred steps
    layout.conv("encoder.short", channels, out, 4)
    layout.conv("decoder.in", latent, 2 * width, 3)
    layout.conv("decoder.mid", 2 * width, 4 * width, 1)
    layout.conv("decoder.short", latent, 16 * channels, 1)
    layout.conv("decoder.out", width, 4 * channels, 3)
    if codes:
        layout.add("codebook", (codes, latent))
    layout.add("logvar", (1,))
    return layout


def encode(w: Weights, x: Tensor) -> Tensor:
    """(B, K*C, H, W) -> (B, K*out, H/4, W/4)"""
    h = functional.silu(w.conv("encoder.in", x, 2))
    h = functional.silu(w.conv("encoder.down", h, 2))
    h = functional.silu(w.conv("encoder.mid", h))
    return w.conv("encoder.out", h) + w.conv("encoder.short", x, 4)


def decode(w: Weights, z: Tensor) -> Tensor:
    """(B, K*z, h, w) -> (B, K*C, 4h, 4w)"""
    h = functional.silu(w.conv("decoder.in", z))
    h = functional.silu(_shuffled(w.conv("decoder.mid", h), w.runs, 2))
    return _shuffled(w.conv("decoder.out", h), w.runs, 2) + _shuffled(w.conv("decoder.short", z), w.runs, 4)


def _shuffled(h: Tensor, runs: int, factor: int) -> Tensor:
    b, c, height, width = h.shape
    return functional.pixel_shuffle(h.view(b * runs, c // runs, height, width), factor).view(
        b, -1, factor * height, factor * width
    )


def quantise(w: Weights, z: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest codes of z (B, K*c, h, w): (the codes in z's place and shape, with gradient to the codebook; their numbers (K, n))."""
    runs, (b, _, height, width) = w.runs, z.shape
    codebook = w.part["codebook"].reshape(runs, *w.shapes["codebook"])
    flat = z.view(b, runs, -1, height * width).permute(1, 0, 3, 2).reshape(runs, b * height * width, -1)
    distances = codebook.square().sum(2)[:, None] - 2 * torch.bmm(flat, codebook.transpose(1, 2))
    chosen = distances.detach().nan_to_num(torch.inf).argmin(2)
    codes = codebook.gather(1, chosen[..., None].expand(-1, -1, codebook.shape[2]))
    return codes.view(runs, b, height * width, -1).permute(1, 0, 3, 2).reshape(z.shape), chosen


def discriminator_layout(channels: int, width: int) -> Layout:
    layout = Layout()
    layout.conv("in", channels, width, 4)
    layout.conv("down", width, 2 * width, 4)
    layout.conv("out", 2 * width, 1, 3)
    return layout


def discriminate(w: Weights, x: Tensor) -> Tensor:
    """Logits (B, K, 4, 4) of patches."""
    h = functional.leaky_relu(w.conv("in", x, 2), 0.2)
    h = functional.leaky_relu(w.conv("down", h, 2), 0.2)
    return w.conv("out", h)


class RandomFeatures:
    """A perceptual distance in LPIPS's form: squared difference of normalised features of two fixed random layers."""

    def __init__(self, channels: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.channels = channels
        self.first = torch.randn(8, channels, 3, 3, generator=generator) * 0.3
        self.second = torch.randn(16, 8, 3, 3, generator=generator) * 0.15

    def __call__(
        self, x: Tensor, r: Tensor, dropout: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """(K,): mean distances of pictures (B, K, C*T, H, W). dropout: (K,) shares of features that are dropped at random."""
        runs = x.shape[1]
        a, b = (v.reshape(-1, self.channels, *v.shape[3:]) for v in (x, r))
        distance = torch.zeros(())
        for weight in (self.first, self.second):
            a, b = (functional.relu(functional.conv2d(v, weight, stride=2, padding=1)) for v in (a, b))
            na, nb = _normalised(a), _normalised(b)
            if dropout is not None:
                share = dropout[None, :, None].expand(x.shape[0], -1, len(a) // x.shape[0] // runs).reshape(-1, 1, 1, 1)
                na, nb = (v * (torch.rand(v.shape, generator=generator) >= share) for v in (na, nb))
            distance = distance + (na - nb).square().sum(1).mean((1, 2)).view(x.shape[0], runs, -1).mean((0, 2))
        return PERCEPTUAL_SCALE * distance


def _normalised(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
