"""The decoder: how much noise on the latent it bears, and whether its output comes from the latent at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from vaelab.evaluation.pictures import in_range, mse, psnr
from vaelab.evaluation.radial import RadialSpectrum
from vaelab.evaluation.spectrum import Grid, LocalGrid
from vaelab.models import Autoencoder
from vaelab.probing.statistics import Interval, interval, mean_interval
from vaelab.run import FloatArray

NOISE_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class NoiseRow(NamedTuple):
    """share: standard deviation of the noise over that of its latent channel. to_data, to_clean: PSNR in dB of the noisy
    output against the clips, and against the output without noise."""

    share: float
    to_data: Interval
    to_clean: Interval


class DecoderReport(NamedTuple):
    """psnr: of the posterior's mean, dB, range 2, mean over clips. psnr_sample: of a sample of it, None without a
    posterior. noise: one row a level. response: squared change of the output when the latent of another clip is decoded,
    over the squared difference of the two clips (1: as different as the clips are, 0: always the same output).
    local_grid: a pattern at the decoder's strides in the outputs, see ``evaluation.spectrum``. spectrum: power of the clips and of the
    outputs by frequency, see ``evaluation.radial``.
    bypass: squared distance of that output to the clip its latent came from, over that to the clip encoded in the same
    call (far below 1 in a sound model; above 1 the output does not come from the latent).
    """

    psnr: Interval
    psnr_sample: Interval | None
    noise: tuple[NoiseRow, ...]
    response: Interval
    bypass: Interval
    local_grid: Grid
    spectrum: FloatArray


@torch.no_grad()
def examine_decoder(
    model: Autoencoder, batches: Sequence[torch.Tensor], files: Sequence[np.ndarray] | None = None
) -> DecoderReport:
    """batches: clips (B, C, T, H, W) on the model's device; at least two clips in all, in batches of two or more.
    files: for each batch (B,), the number of the file that each clip was cut from."""
    noise_source = torch.Generator().manual_seed(0)
    spread = _channel_std(model, batches)
    columns: dict[str, list[np.ndarray]] = {}
    grid, spectrum = LocalGrid(model.factors[1:]), RadialSpectrum()

    def keep(name: str, values: torch.Tensor) -> None:
        columns.setdefault(name, []).append(values.double().cpu().numpy())

    for number, x in enumerate(batches):
        if files is not None:
            columns.setdefault("file", []).append(files[number])
        mean, logvar = model.encode(x)
        clean = model.decode(mean)
        keep("psnr", psnr(x, clean))
        grid.add(x, in_range(clean))
        frames = (clips.transpose(1, 2).flatten(0, 1).float().cpu() for clips in (x, in_range(clean)))
        for original, made in zip(*frames, strict=True):
            if made.isfinite().all():
                spectrum.add(original, made)
        noise = torch.randn(mean.shape, generator=noise_source).to(mean)
        if logvar is not None:
            keep("psnr_sample", psnr(x, model.decode(mean + torch.exp(0.5 * logvar) * noise)))
        for share in NOISE_SHARES:
            noisy = model.decode(mean + share * spread * noise)
            keep(f"data {share}", psnr(x, noisy))
            keep(f"clean {share}", psnr(clean, noisy))
        if len(x) > 1:
            # the mean is encoded anew: a module that hides the clip beside the latent would hide this one
            model.encode(x)
            other, other_mean = x.roll(1, 0), mean.roll(1, 0)
            swapped = model.decode(other_mean)
            keep("change", mse(swapped, clean))
            keep("difference", mse(other, x))
            keep("to_other", mse(swapped, other))
            keep("to_same", mse(swapped, x))
    rows = {name: np.concatenate(parts) for name, parts in columns.items()}

    def mean_of(name: str) -> Interval:
        return mean_interval(rows[name], rows.get("file"))

    return DecoderReport(
        psnr=mean_of("psnr"),
        psnr_sample=mean_of("psnr_sample") if "psnr_sample" in rows else None,
        noise=tuple(NoiseRow(share, mean_of(f"data {share}"), mean_of(f"clean {share}")) for share in NOISE_SHARES),
        response=_ratio(rows, "change", "difference"),
        bypass=_ratio(rows, "to_other", "to_same"),
        local_grid=grid.strongest(),
        spectrum=spectrum.curves(),
    )


def _channel_std(model: Autoencoder, batches: Sequence[torch.Tensor]) -> torch.Tensor:
    """(1, C, 1, 1, 1): standard deviation of the means over clips, time and space."""
    means = torch.cat([model.encode(x)[0] for x in batches])
    return means.transpose(0, 1).flatten(1).std(dim=1).view(1, -1, 1, 1, 1)


def _ratio(rows: dict[str, np.ndarray], above: str, below: str) -> Interval:
    """Ratio of sums over clips, not the mean of ratios: two clips that are alike must not outweigh the others."""
    if above not in rows:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    chosen = {name: rows[name] for name in (above, below)}
    if "file" in rows and len(rows["file"]) == len(rows[above]):
        chosen["file"] = rows["file"]
    return interval(chosen, lambda r: float(r[above].sum() / max(float(r[below].sum()), 1e-12)))
