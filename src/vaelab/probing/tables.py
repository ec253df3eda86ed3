"""The tables and sentences of a probe, from what its parts measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vaelab.models import Grid
from vaelab.probing.adversary import BLUR_SIGMA, Scores
from vaelab.probing.cell import CellReport, claims_causality
from vaelab.probing.decoder import DecoderReport
from vaelab.probing.diffusability import Diffusability
from vaelab.probing.flat_field import FlatField
from vaelab.probing.gradients import TERMS, histogram
from vaelab.probing.latent import LatentSummary
from vaelab.probing.result import Cell, ProbeResult, Table
from vaelab.probing.statistics import Interval
from vaelab.words import number

OUTLIER_RATIO = 5.0
"""Standard deviation over the median channel's: Wan 2.1's published channels reach 1.9, so spreads of 3 are usual."""

GROUPS = {
    "image": "single images",
    "first": "first frame of a clip",
    "rest": "other frames of a clip",
    "all": "all frames",
}


def ranged(value: Interval, digits: int = 4) -> str:
    """``1.234 (1.1 to 1.4)``: the number and its 95% interval over clips."""
    text = f"{value.value:.{digits}g}"
    if value.clips < 2:
        return text
    return f"{text} ({value.low:.{max(2, digits - 1)}g} to {value.high:.{max(2, digits - 1)}g})"


def scales(groups: Mapping[str, LatentSummary]) -> Table:
    """Mean, standard deviation and the factor to paste, a row for each group of frames."""
    rows = []
    for name, title in GROUPS.items():
        if name in groups and (name != "all" or len(groups) == 1 or "first" in groups or "image" in groups):
            mean, std = groups[name].whole_mean, groups[name].whole_std
            value, low, high = (1 / max(v, 1e-12) for v in (std.value, std.high, std.low))
            factor = Interval(value, low, high, std.clips)
            rows.append((title, groups[name].clips, number(mean.value), ranged(std), ranged(factor)))
    return Table(
        "Scale of the latent: a diffusion model takes (z - shift) * factor",
        ("frames", "clips", "mean = shift", "std of samples", "factor = 1 / std"),
        rows,
        "Brackets: 95% over clips, or over files where several clips are of one file. Per-channel lists are in probe.json.",
    )


def scale_to_paste(summary: LatentSummary) -> dict[str, Any]:
    """Under the names of diffusers' config.json."""
    mean, std = summary.whole_mean.value, summary.whole_std.value
    return {
        "clips": summary.clips,
        "shift_factor": float(f"{mean:.6g}"),
        "scaling_factor": float(f"{1 / max(std, 1e-12):.6g}"),
        "latents_mean": [float(f"{v:.6g}") for v in summary.mean],
        "latents_std": [float(f"{v:.6g}") for v in summary.std],
    }


def channels(whole: LatentSummary) -> Table:
    """A row for each channel."""
    kl = whole.kl("kl_mean") + whole.kl("kl_logvar") if whole.has_posterior else None
    rows: list[tuple[Cell, ...]] = []
    for c in range(len(whole.mean)):
        state = "dead" if whole.dead[c] else "outlier" if whole.std_ratio[c] > OUTLIER_RATIO else ""
        state = state or ("active" if whole.active[c] else "small")
        rows.append(
            (
                str(c),
                float(whole.mean[c]),
                float(whole.std[c]),
                float(whole.data_variance[c]),
                float(np.sqrt(whole.noise[c])) if whole.has_posterior else None,
                float(kl[c]) if kl is not None else None,
                float(whole.farthest[c]),
                state,
            )
        )
    return Table(
        "Channels of the latent",
        ("channel", "mean", "std", "variance over data", "noise std", "KL nats", "max / std", "state"),
        rows,
        "active: the posterior's mean varies over the data by more than 0.01 (Burda et al. 2016). dead: it does not, and is"
        " drowned in its own noise, or still beside the other channels. small: carries information at a small scale."
        f" outlier: std above {OUTLIER_RATIO:g} times the median channel's.",
    )


def kl(whole: LatentSummary) -> list[Table]:
    """The KL in its parts; nothing without a posterior."""
    if not whole.has_posterior:
        return []
    mean, rest = (float(whole.kl(part).mean()) for part in ("kl_mean", "kl_logvar"))
    total = max(mean + rest, 1e-12)
    rows: list[tuple[Cell, ...]] = [
        ("means: mu^2 / 2", mean, f"{mean / total:.0%}"),
        ("widths: (exp(logvar) - 1 - logvar) / 2", rest, f"{rest / total:.0%}"),
        ("KL", ranged(whole.whole_kl), ""),
        ("share of logvar at the floor of -30", whole.share("floor"), ""),
        ("share of logvar at the ceiling of 20", whole.share("ceiling"), ""),
    ]
    return [Table("KL of the posterior, nats per latent element", ("part", "value", "share"), rows)]


def diffusability(found: Diffusability, latents: torch.Tensor) -> Table:
    """How easy the latent is for a diffusion model."""
    channels = latents.shape[1]
    shape = " x ".join(map(str, latents.shape[1:]))
    rows: list[tuple[Cell, ...]] = [
        ("SEC: share of energy at high frequencies", found.sec, "lower"),
        (f"effective rank, of {channels} channels", found.effective_rank, "lower"),
        ("VIV: velocity irreducible variance", found.viv if math.isfinite(found.viv) else None, "lower"),
        ("correlation of neighbouring latents", found.local_correlation, "higher"),
    ]
    return Table(
        "How easy the latent is for a diffusion model",
        ("what", "value", "easier"),
        rows,
        f"No diffusion model was trained. These numbers rank checkpoints of one latent shape ({shape} here) on the same clips; they say"
        " nothing across shapes, and the reconstruction must not have suffered for them.",
    )


def noise(report: DecoderReport) -> Table:
    """PSNR against noise on the latent."""
    rows: list[tuple[Cell, ...]] = [("none: the posterior's mean", ranged(report.psnr), None)]
    if report.psnr_sample is not None:
        rows.append(("a sample of the posterior", ranged(report.psnr_sample), None))
    rows += [(f"{row.share:.0%} of the std", ranged(row.to_data), ranged(row.to_clean)) for row in report.noise]
    return Table(
        "Decoder under noise on the latent, PSNR in dB (range 2, mean over clips)",
        ("noise on each channel", "against the clip", "against the output without noise"),
        rows,
        f"{report.psnr.clips} clips. A diffusion model never hits a latent exactly: the last column is what its error costs.",
    )


def cell(report: CellReport, grid: Grid) -> Table:
    """What one latent cell paints."""
    frames, height, width = report.extent
    rows: list[tuple[Cell, ...]] = [
        ("pixels of one cell", f"{report.own[1]} x {report.own[2]}"),
        ("95% of the response's energy", f"{report.bulk[1]} x {report.bulk[2]} pixels"),
        ("above 1% of its peak (norms and attention widen this)", f"{height} x {width} pixels"),
    ]
    if grid.time > 1:
        rows.append(("frames of one cell", str(report.own[0])))
        rows.append(("95% of the energy, in frames", str(report.bulk[0])))
        reach = f"{frames} ({report.first_frame:+d} to {report.last_frame:+d} from its first)"
        rows.append(("above 1% of the peak, in frames", reach))
    if claims_causality(grid):
        rows += [
            (title, "not seen" if value is None else f"{value:.2%}")
            for title, value in (
                ("decoder: response in earlier frames / peak", report.to_past),
                ("encoder: change of earlier latents / own", report.encoder_to_past),
            )
        ]
    return Table("One latent cell: how far an artefact reaches", ("what", "value"), rows)


def flat_fields(found: Mapping[str, FlatField]) -> Table:
    """What the decoder makes of latents that are the same everywhere."""
    rows: list[tuple[Cell, ...]] = [
        (name, f"{flat.level:.3g}", f"{flat.period:g} pixels", f"{flat.border:.3g}", f"{flat.corner:.3g}")
        for name, flat in found.items()
    ]
    return Table(
        "Flat field: what the decoder makes of one latent everywhere, in 8-bit levels",
        ("latent", "grid, root mean square", "its period", "border against middle", "corner against middle"),
        rows,
        "A sound decoder makes no grid. Borders differ in all decoders that pad; no training clip has such a latent.",
    )


def discriminator(held_out: Scores, training: Scores) -> Table:
    """What the discriminator tells apart."""
    rows = []
    for title, scores, of in (
        ("reconstruction, held out", held_out, "fake"),
        ("blurred reconstruction, held out", held_out, "blurred"),
        ("reconstruction, training clips", training, "fake"),
    ):
        gap = float((scores.real - getattr(scores, of)).mean())
        rows.append((title, scores.clips, ranged(scores.accuracy(of), 3), ranged(scores.tells(of), 3), number(gap)))
    return Table(
        "Discriminator: data against",
        ("fake", "clips", "accuracy at 0", "tells apart (AUC)", "logit gap"),
        rows,
        f"0.5 is chance. Blurred: Gaussian of {BLUR_SIGMA:g} pixels. A discriminator at chance on reconstructions that"
        " tells blurred ones is in equilibrium; one that does not tell blurred ones is useless.",
    )


def gradients(parts: Mapping[str, Mapping[str, float]], batches: int, size: int) -> Table:
    """Share of each weighted loss term in the sum of gradient norms."""
    names = [term for term in TERMS if any(term in shares for shares in parts.values())]
    rows = [(place, *(f"{shares[t]:.1%}" if t in shares else None for t in names)) for place, shares in parts.items()]
    return Table(
        "Gradient of each loss term, share of the sum of norms",
        ("where", *names),
        rows,
        f"Means over {batches} training batches of {size}. The KL reaches the encoder only.",
    )


def norms(values: np.ndarray, clip: float | None, samples: int, of: int) -> Table:
    """Histogram of the autoencoder's gradient norm against clip_grad."""
    bins = histogram(values)
    most = max((count for _, _, count in bins), default=1)
    rows = [
        (
            f"{low:.3g} to {high:.3g}", count, "#" * round(20 * count / most),
            "" if clip is None else "clipped" if low >= clip else "kept" if high <= clip else "in part",
        )
        for low, high, count in bins
    ]  # fmt: skip
    finite = values[np.isfinite(values)]
    note = f"{len(values)} updates of {samples} samples."
    if samples < of:
        note += f" Training takes {of} a process: its norms are smaller."
    if clip is not None and len(finite):
        note += f" clip_grad is {clip:g}; {np.mean(finite > clip):.0%} are above it; the 90th percentile is"
        note += f" {np.quantile(finite, 0.9):.3g}."
    return Table("Gradient norm of the autoencoder before clipping", ("norm", "updates", "", ""), rows, note)


def sentences(result: ProbeResult, whole: LatentSummary) -> list[str]:
    """What the tables and pictures can and cannot show."""
    said = [f"To paste: {_pasted(result.scale)}."] if result.clips > 1 else []
    said.append("How good the reconstructions are is judged by vaelab evaluate, not here.")
    ratio = result.measured.get("probe.values_per_latent")
    if ratio is not None:
        said.append(f"One latent value stands for {number(ratio)} values of the clip.")
    if result.pictures:
        said.append(
            "prior.png and interpolation.png: the prior of an autoencoder for latent diffusion is not trained to be sampled,"
            " so noise from N(0, 1) is expected and no fault. They can show a decoder that ignores its latent (always the"
            " same picture) and a latent without smoothness (a cross-fade between clips); they cannot show how a diffusion"
            " model trained on this latent would look."
        )
    if not whole.has_posterior:
        said.append("This autoencoder has no posterior, so there is no KL and no sampling noise to measure.")
    return said


def _pasted(scale: Mapping[str, Mapping[str, Any]]) -> str:
    """The lines of config.json; images and the rest of a clip apart where the first frame stands alone."""

    def line(name: str) -> str:
        return (
            f'"scaling_factor": {scale[name]["scaling_factor"]:.4g}, "shift_factor": {scale[name]["shift_factor"]:.4g}'
        )

    if "first" not in scale:
        return line("all")
    return f"{line('all')} for all frames; or {line('first')} for images and first frames and {line('rest')} for the others"
