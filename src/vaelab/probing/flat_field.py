"""What the decoder makes of a latent that is the same everywhere: a sound one makes a flat picture.

A decoder of convolutions cannot tell one place of such a latent from another, so away from the borders its output repeats with the
period of its stride, and all that is not flat there is its own grid, whatever it was trained on. What differs at borders and
corners is the work of padding, of attention and of norms. No data are needed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from vaelab.evaluation.spectrum import LEVELS
from vaelab.models import Autoencoder

_LATENTS, _PIXELS = 16, 256
"""Latents and pixels along a side, at least: the middle half is then four latents and 64 pixels away from every border."""


class FlatField(NamedTuple):
    """level: root mean square of the pattern that repeats with the decoder's stride, in 8-bit levels. period: of its strongest part,
    pixels. border, corner: largest distance of the mean colour of a side's outermost row of latents (without its ends), and of a
    corner's latent, to the middle's, in 8-bit levels."""

    level: float
    period: float
    border: float
    corner: float


@torch.no_grad()
def flat_field(model: Autoencoder, latent: torch.Tensor, frames: int) -> FlatField:
    """latent: (C_lat,), the one that stands everywhere. frames: of the latent. NaN for level and period where the decoder does not
    enlarge."""
    _, down, across = model.factors
    sides = [max(_LATENTS, -(-_PIXELS // factor)) for factor in (down, across)]
    z = latent.to(model.last_layer.device).view(1, -1, 1, 1, 1).expand(-1, -1, frames, *sides)
    output = model.decode(z.contiguous())[0].float().cpu() * LEVELS
    pictures = output.transpose(0, 1)  # (T, C, H, W)
    level, period = _pattern(pictures, down, across)
    cells = F.avg_pool2d(pictures, (down, across))
    rows, columns = (slice(side // 4, -(side // 4)) for side in sides)
    middle = cells[..., rows, columns].mean((-2, -1))
    borders = [cells[..., 0, columns], cells[..., -1, columns], cells[..., rows, 0], cells[..., rows, -1]]
    corners = [cells[..., y, x] for y in (0, -1) for x in (0, -1)]

    def farthest(colours: list[torch.Tensor]) -> float:
        return max(float((colour - middle).square().mean(-1).sqrt().max()) for colour in colours)

    return FlatField(level, period, farthest([border.mean(-1) for border in borders]), farthest(corners))


def _pattern(pictures: torch.Tensor, down: int, across: int) -> tuple[float, float]:
    if down * across == 1:
        return float("nan"), float("nan")
    height, width = pictures.shape[-2:]
    top, left = height // 4 // down * down, width // 4 // across * across
    # what repeats has no part in the mean over one latent's pixels; what reaches in from the borders has little else
    smooth = F.avg_pool2d(F.pad(pictures, (across, across, down, down), mode="replicate"), (down, across), stride=1)
    offset_y, offset_x = down - down // 2, across - across // 2
    fine = pictures - smooth[..., offset_y : offset_y + height, offset_x : offset_x + width]
    inner = fine[..., top : height - top, left : width - left]
    cell = inner.unflatten(-2, (-1, down)).unflatten(-1, (-1, across)).mean((-4, -2))  # (T, C, down, across)
    power = torch.fft.fft2(cell).abs().square().sum((0, 1))
    lines = {down / k: power[[k, -k]].sum() for k in range(1, down // 2 + 1)}
    for k in range(1, across // 2 + 1):
        lines[across / k] = max(lines.get(across / k, power.new_zeros(())), power[:, [k, -k]].sum())
    return float(cell.square().mean((1, 2, 3)).max().sqrt()), max(lines, key=lambda period: float(lines[period]))
