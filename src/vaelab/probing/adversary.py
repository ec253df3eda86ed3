"""The discriminator on clips it was not trained on: does it tell reconstructions from data, and blurred ones at least?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from vaelab.losses import disc_loss
from vaelab.models import Autoencoder
from vaelab.probing.statistics import Interval, interval, mean_interval

BLUR_SIGMA = 1.5  # pixels
MOST_PATCHES = 2048  # logits of one clip that are compared in pairs
CHANCE = {"hinge": 1.0, "vanilla": math.log(2), "non-saturating": math.log(2)}


class Scores(NamedTuple):
    """One number a clip (n,): mean logits of data, reconstruction and blurred reconstruction, shares of patches on the
    right side of 0, and the probability that a patch of the data scores above one of the (blurred) reconstruction of the
    same clip (0.5: it cannot tell, 1: it always can; the area under the ROC curve)."""

    real: np.ndarray
    fake: np.ndarray
    blurred: np.ndarray
    right_real: np.ndarray
    right_fake: np.ndarray
    right_blurred: np.ndarray
    tells_fake: np.ndarray
    tells_blurred: np.ndarray
    loss: np.ndarray

    @property
    def clips(self) -> int:
        return len(self.real)

    def accuracy(self, of: str = "fake") -> Interval:
        """Share of patches on the right side of 0, data and ``fake`` or ``blurred`` counted alike."""
        return mean_interval((self.right_real + getattr(self, f"right_{of}")) / 2)

    def tells(self, of: str = "fake") -> Interval:
        return mean_interval(getattr(self, f"tells_{of}"))

    def gap(self) -> Interval:
        """Mean logit of the data less that of the reconstruction."""
        return mean_interval(self.real - self.fake)


@torch.no_grad()
def score(
    discriminator: nn.Module,
    autoencoder: Autoencoder,
    batches: Iterable[torch.Tensor],
    kind: str,
    sample: bool,
    device: torch.device,
) -> Scores:
    """Logits on clips (B, C, T, H, W). sample: reconstruct a sample of the posterior, as training does. kind: of the loss."""
    rows: list[tuple[float, ...]] = []
    generator = torch.Generator(device).manual_seed(0)
    for x in batches:
        x = x.to(device)
        r = autoencoder(x, sample=sample, generator=generator).x
        logits = [discriminator(clips).float() for clips in (x, r, blurred(r))]
        # a discriminator of frames folds them into the batch
        for one in zip(*(part.reshape(len(x), -1).cpu() for part in logits), strict=True):
            rows.append(_row(one, kind))
    return Scores(*np.array(rows, np.float64).T)


def _row(logits: tuple[torch.Tensor, ...], kind: str) -> tuple[float, ...]:
    real, fake, blur = (part[:: max(1, len(part) // MOST_PATCHES)] for part in logits)
    return (
        *(float(part.mean()) for part in (real, fake, blur)),
        float((real > 0).float().mean()),
        *(float((part < 0).float().mean()) for part in (fake, blur)),
        *(above(real, part) for part in (fake, blur)),
        float(disc_loss(kind, real, fake)) / CHANCE[kind],
    )


def above(a: torch.Tensor, b: torch.Tensor) -> float:
    """Probability that a value of ``a`` is above one of ``b``, ties counted half (Mann and Whitney 1947)."""
    both = torch.cat([a, b]).double()
    _, places, counts = torch.unique(both, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1) / 2
    rank_sum = float(ranks[places[: len(a)]].sum())
    return (rank_sum - len(a) * (len(a) + 1) / 2) / (len(a) * len(b))


def blurred(x: torch.Tensor, sigma: float = BLUR_SIGMA) -> torch.Tensor:
    """Each frame of (B, C, T, H, W) under a Gaussian of ``sigma`` pixels; borders are repeated."""
    radius = math.ceil(3 * sigma)
    taps = torch.exp(-torch.arange(-radius, radius + 1, device=x.device).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).to(x.dtype)
    frames = x.transpose(1, 2).flatten(0, 1).flatten(0, 1).unsqueeze(1)
    frames = conv2d(pad(frames, (radius, radius, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
    frames = conv2d(pad(frames, (0, 0, radius, radius), mode="replicate"), taps.view(1, 1, -1, 1))
    return frames.view(x.shape[0], x.shape[2], x.shape[1], *x.shape[3:]).transpose(1, 2)


def memory(training: Scores, held_out: Scores) -> Interval:
    """Gap on training clips less the gap on held-out clips: above 0 where it knows its training data.

    Gaps and not logits of the data: a scene that scores high scores high in its reconstruction too.
    """
    of_training, of_held_out = training.real - training.fake, held_out.real - held_out.fake
    value = float(of_training.mean() - of_held_out.mean())
    parts = [interval({"gap": gap}, lambda rows: float(rows["gap"].mean())) for gap in (of_training, of_held_out)]
    # the two sets are independent: half widths add in squares
    half = math.hypot(*((part.high - part.low) / 2 for part in parts))
    return Interval(value, value - half, value + half, min(training.clips, held_out.clips))
