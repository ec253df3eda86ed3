"""Scaled and rotated latents and pictures: what a latent must bear if it is equivariant."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

SMALLEST = 0.25
"""Smallest scale along a side (EQ-VAE)."""
FEWEST = 4
"""Latents along a side that a scaled one must be cut from."""


class Move(NamedTuple):
    """height, width: of the scaled latent. turns: quarter turns after it, anticlockwise."""

    height: int
    width: int
    turns: int


def draw_move(kind: str, height: int, width: int) -> Move:
    """A move of a latent of this size, from torch's generator of the CPU.

    scale: to a half or a quarter, as likely (scale equivariance). scale+rotate: to a scale between 1/4 and 1 and by 0 to 3 quarter
    turns (EQ-VAE).
    """
    if kind == "scale":
        scale, turns = 0.5 ** (1 + int(torch.randint(2, ()))), 0
    else:
        scale, turns = SMALLEST + (1 - SMALLEST) * float(torch.rand(())), int(torch.randint(4, ()))
    return Move(max(1, round(height * scale)), max(1, round(width * scale)), turns)


def moved(x: torch.Tensor, height: int, width: int, turns: int) -> torch.Tensor:
    """(B, C, T, H, W) resized to (height, width), bilinear with antialiasing, then turned."""
    frames = x.transpose(1, 2).flatten(0, 1)
    if frames.shape[-2:] != (height, width):
        frames = F.interpolate(frames, (height, width), mode="bilinear", antialias=True)
    return frames.unflatten(0, (x.shape[0], -1)).transpose(1, 2).rot90(turns, (-2, -1))
