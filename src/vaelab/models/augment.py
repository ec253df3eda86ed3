"""Differentiable augmentation of what the discriminator sees: Zhao et al. 2020 (DiffAugment, arXiv 2006.10738)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

SHIFT = 0.125
"""Largest translation, as a share of a side."""
CUT = 0.5
"""Side of the square that is cut out, as a share."""
Draw = dict[str, torch.Tensor]


def draw(kinds: Sequence[str], clips: int, device: torch.device) -> Draw:
    """Random numbers in [0, 1) for each clip; nothing is drawn where ``kinds`` is empty."""
    counts = {"colour": 3, "translation": 2, "cutout": 2}
    return {kind: torch.rand(clips, counts[kind], device=device) for kind in kinds}


def augmented(x: torch.Tensor, drawn: Draw) -> torch.Tensor:
    """Clips (B, C, T, H, W), all frames of a clip alike. The same ``drawn`` for data and reconstruction: else the discriminator would
    tell them by the augmentation."""
    if "colour" in drawn:
        brightness, saturation, contrast = drawn["colour"].view(-1, 3, 1, 1, 1, 1).unbind(1)
        x = x + (brightness - 0.5)
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * saturation) + grey
        mean = x.mean((1, 2, 3, 4), keepdim=True)
        x = (x - mean) * (contrast + 0.5) + mean
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    if "translation" in drawn:
        down, across = _whole(drawn["translation"], (2 * round(height * SHIFT) + 1, 2 * round(width * SHIFT) + 1))
        from_rows = rows + down - round(height * SHIFT)
        from_columns = columns + across - round(width * SHIFT)
        inside = _box((from_rows >= 0) & (from_rows < height), (from_columns >= 0) & (from_columns < width))
        clip = torch.arange(len(x), device=x.device)[:, None, None]
        taken = x.permute(0, 3, 4, 1, 2)[
            clip, from_rows.clamp(0, height - 1)[:, :, None], from_columns.clamp(0, width - 1)[:, None]
        ]
        x = taken.permute(0, 3, 4, 1, 2) * inside
    if "cutout" in drawn:
        top, left = _whole(drawn["cutout"], (height, width))
        half = round(height * CUT) // 2, round(width * CUT) // 2
        x = x * ~_box((rows - top).abs() < half[0], (columns - left).abs() < half[1])
    return x


def _whole(drawn: torch.Tensor, below: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers (B, 1) in [0, below) along both sides."""
    return tuple((drawn[:, i : i + 1] * below[i]).long() for i in (0, 1))  # type: ignore[return-value]


def _box(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(B, 1, 1, H, W): where both hold."""
    return (rows[:, :, None] & columns[:, None, :])[:, None, None]
