"""What one latent cell paints: how far a change of it reaches in pixels and frames, and whether it reaches into the past."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vaelab.models import Autoencoder, Grid

VISIBLE = 0.01  # of the strongest response
BULK = 0.95  # of the energy


class CellReport(NamedTuple):
    """Response of the decoder to a change of one cell in the middle of the latent, and of the encoder to the last frames.

    own: pixels of one cell (frames, height, width). bulk: box that holds the middle 95% of the response's energy along
    each axis. extent: box in which the response is above 1% of its largest value; norms and attention widen it. Both
    (frames, height, width). first_frame, last_frame: of ``extent``, counted from the cell's own first frame; negative is
    the past. to_past: largest response in frames before the cell's own first one, over the largest one.
    encoder_to_past: largest change of earlier latents when the last frames of the clip change, over that of the last
    latent. Both are None where there is no past. response: (T, H, W), over its largest value.
    """

    own: tuple[int, int, int]
    bulk: tuple[int, int, int]
    extent: tuple[int, int, int]
    first_frame: int
    last_frame: int
    to_past: float | None
    encoder_to_past: float | None
    response: torch.Tensor


@torch.no_grad()
def examine_cell(model: Autoencoder, x: torch.Tensor) -> CellReport:
    """x: a few clips (B, C, T, H, W); the response is the largest over clips and colours."""
    mean, _ = model.encode(x)
    t, row, column = (size // 2 for size in mean.shape[2:])
    spread = mean.transpose(0, 1).flatten(1).std(dim=1).clamp(min=1e-6)
    signs = torch.randint(0, 2, spread.shape, generator=torch.Generator().manual_seed(0)).to(spread) * 2 - 1
    changed = mean.clone()
    changed[:, :, t, row, column] += spread * signs
    response = (model.decode(changed) - model.decode(mean)).abs().amax((0, 1)).cpu()
    peak = float(response.max())
    response = response / max(peak, 1e-12)
    own_first = first_frame_of(model.grid, t)
    axes = ((1, 2), (0, 2), (0, 1))
    box = [torch.nonzero(response.amax(others) > VISIBLE).flatten() for others in axes]
    if peak == 0:
        box = [torch.zeros(1, dtype=torch.long)] * 3
    extent = [int(places[-1] - places[0]) + 1 for places in box] if peak else [0, 0, 0]
    bulk = [_bulk(response.square().sum(others)) for others in axes]
    return CellReport(
        own=(model.grid.time, model.grid.height, model.grid.width),
        bulk=(bulk[0], bulk[1], bulk[2]),
        extent=(extent[0], extent[1], extent[2]),
        first_frame=int(box[0][0]) - own_first,
        last_frame=int(box[0][-1]) - own_first,
        to_past=float(response[:own_first].max()) if own_first > 0 else None,
        encoder_to_past=_encoder_leak(model, x, mean),
        response=response,
    )


def _bulk(energy: torch.Tensor) -> int:
    """Length of the middle stretch of (n,) energies without the 2.5% at each end; 0 where there is none."""
    total = float(energy.sum())
    if total == 0:
        return 0
    below = energy.double().cumsum(0) / total
    tail = (1 - BULK) / 2
    return int((below < 1 - tail).sum()) - int((below <= tail).sum()) + 1


def claims_causality(grid: Grid) -> bool:
    """Whether the first frame stands alone in front of groups of frames, the sign of a causal video model."""
    return grid.time > 1 and grid.first_frame_alone


def first_frame_of(grid: Grid, t: int) -> int:
    """The first frame that latent frame ``t`` stands for."""
    if not grid.first_frame_alone:
        return t * grid.time
    return 0 if t == 0 else 1 + (t - 1) * grid.time


def _encoder_leak(model: Autoencoder, x: torch.Tensor, mean: torch.Tensor) -> float | None:
    """Whether earlier latents see the last frames: those are replaced by their negative."""
    last = mean.shape[2] - 1
    if last < 1:
        return None
    changed = x.clone()
    changed[:, :, first_frame_of(model.grid, last) :] *= -1
    change = (model.encode(changed)[0] - mean).abs().amax((0, 1, 3, 4))
    return float(change[:last].max() / change[last].clamp(min=1e-12))
