"""A probe of one checkpoint, part by part: each adds its numbers, tables and sentences to the result."""

from __future__ import annotations

from pathlib import Path

import torch

from vaelab.config import TrainConfig
from vaelab.config.load import load_config
from vaelab.errors import CheckpointError, ConfigError
from vaelab.models import Autoencoder
from vaelab.models.opening import Checkpoint, find_checkpoint, load
from vaelab.probing import tables
from vaelab.probing.cell import claims_causality, examine_cell
from vaelab.probing.clips import Clips, Size, open_clips
from vaelab.probing.decoder import examine_decoder
from vaelab.probing.diffusability import diffusability
from vaelab.probing.flat_field import flat_field
from vaelab.probing.latent import LatentSummary, LatentSums, declared_scale, scaled_std
from vaelab.probing.result import ProbeError, ProbeResult, Progress
from vaelab.probing.training_part import probe_training

ENOUGH_CLIPS = 8
"""Clips below which the latent and the decoder are shown but not judged."""
DECODED_CLIPS = 8
SHOWN_SHARE = 0.1
BATCH = 4


def probe(
    checkpoint: str | Path,
    data: str | None = None,
    *,
    clips: int = 64,
    size: Size | None = None,
    ema: bool = False,
    discriminator: bool = False,
    scale: float | None = None,
    shift: float = 0.0,
    device: str = "cpu",
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ProbeResult:
    """Measure a checkpoint on clips.

    checkpoint: whatever :func:`vaelab.models.opening.find_checkpoint` takes. data: see
    :func:`vaelab.probing.clips.open_clips`. clips: at most so many. size: (frames, height, width). ema: the averaged
    weights. discriminator: also the discriminator and the gradients, which only a checkpoint of ``vaelab train`` has.
    scale, shift: what a diffusion model uses for these latents, ``(z - shift) * scale``, to be checked; None takes what
    the checkpoint declares. folder: of the pictures; None draws none.

    Errors: CheckpointError, DataError, ConfigError, ProbeError, each with one sentence.
    """
    report = progress or (lambda part, done, whole: None)
    found = find_checkpoint(checkpoint, ema)
    place = _device(device)
    model = load(found).to(place)
    settings = _settings(found)
    if discriminator and (settings is None or found.step is None):
        raise CheckpointError(
            f"{checkpoint} has no discriminator that vaelab can open: --discriminator needs a checkpoint of vaelab train."
        )
    kind = open_clips(data, found.run, settings, model, size, clips)
    result = ProbeResult(str(checkpoint), kind.title, 0, 0, kind.size, model.name, found.step)
    result.which = ", ".join(filter(None, (found.mark, "EMA" if found.ema else "")))
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.manual_seed(0)  # the same noise, and so the same numbers, at every probe
        groups, means = _latent_part(result, model, kind, clips, place, report)
        summary = _add_latent(result, model, groups, scale, shift)
        _diffusability_part(result, means)
        _flat_part(result, model, kind, means)
        _decoder_part(result, model, kind, place, folder, report)
        if discriminator:
            assert settings is not None
            probe_training(result, found, model, settings, kind, clips, place, report)
    result.statements += [*tables.sentences(result, summary), *kind.notes, *filter(None, [model.in_diffusers])]
    return result


def _latent_part(
    result: ProbeResult, model: Autoencoder, kind: Clips, count: int, device: torch.device, report: Progress
) -> tuple[dict[str, LatentSums], torch.Tensor]:
    """Sums by group of frames: ``all``; ``first`` and ``rest`` where the first frame stands alone; ``image``, single
    frames encoded by themselves. And the means of all clips."""
    groups = {"all": LatentSums()}
    means: list[torch.Tensor] = []
    names: set[int] = set()
    images = kind.config.frames > 1 and _takes(model, 1, *kind.config.resolution)
    with torch.no_grad():
        for x, files in kind.held_out(count, BATCH):
            names |= set(files.tolist())
            mean, logvar = _encode(model, x.to(device))
            groups["all"].add(mean, logvar, files)
            means.append(mean.float().cpu())
            if claims_causality(model.grid) and mean.shape[2] > 1:
                for name, part in (("first", slice(0, 1)), ("rest", slice(1, None))):
                    sums = groups.setdefault(name, LatentSums())
                    sums.add(mean[:, :, part], None if logvar is None else logvar[:, :, part], files)
            if images:
                groups.setdefault("image", LatentSums()).add(*_encode(model, x[:, :, :1].to(device)), files)
            report("encoding", len(groups["all"]), count)
    result.clips, result.files = len(groups["all"]), len(names)
    return groups, torch.cat(means)


def _diffusability_part(result: ProbeResult, means: torch.Tensor) -> None:
    found = diffusability(means)
    result.tables.append(tables.diffusability(found, means))
    if result.clips >= ENOUGH_CLIPS:
        for name, value in found._asdict().items():
            result.measure(name, value)


def _flat_part(result: ProbeResult, model: Autoencoder, kind: Clips, means: torch.Tensor) -> None:
    frames = min(2, model.latent_shape(*kind.size)[1])  # a first frame and one after it
    latents = {"the mean of all clips": means.mean((0, 2, 3, 4)), "zero": torch.zeros(model.latent_channels)}
    found = {name: flat_field(model, latent, frames) for name, latent in latents.items()}
    result.tables.append(tables.flat_fields(found))
    for name, value in found["the mean of all clips"]._asdict().items():
        result.measure(f"flat_{name}", value)


def _add_latent(
    result: ProbeResult, model: Autoencoder, groups: dict[str, LatentSums], scale: float | None, shift: float
) -> LatentSummary:
    """Numbers and tables of the latent; the summary of all frames."""
    summaries = {name: sums.summary() for name, sums in groups.items()}
    whole = summaries["all"]
    if result.clips >= ENOUGH_CLIPS:
        _measure_latent(result, whole, summaries)
        declared = declared_scale(model.module)
        if scale is not None:
            result.measure("declared_scale_product", whole.whole_std.value * scale)
            result.measure("declared_shift_error", (whole.whole_mean.value - shift) * scale)
        elif declared is not None:
            name = "default_scale_product" if declared[2] else "declared_scale_product"
            result.measure(name, scaled_std(whole, *declared[:2]))
    else:
        result.cannot_tell.append(
            f"Dead and outlier channels, the KL, the scale factor: {result.clips} clips were measured and {ENOUGH_CLIPS}"
            " are needed. Name more data, or raise --samples."
        )
    result.tables += [tables.scales(summaries), tables.channels(whole), *tables.kl(whole)]
    result.scale = {name: tables.scale_to_paste(summary) for name, summary in summaries.items()}
    return whole


def _measure_latent(result: ProbeResult, whole: LatentSummary, groups: dict[str, LatentSummary]) -> None:
    count = len(whole.mean)
    result.measure("clips", result.clips)
    if result.step is not None:
        result.measure("step", result.step)
    result.measure("latent_channels", count)
    result.measure("active_share", float(whole.active.mean()))
    result.measure("dead_channels", int(whole.dead.sum()))
    result.measure("latent_std", whole.whole_std)
    result.measure("latent_mean", whole.whole_mean)
    result.measure("scale_factor", 1 / max(whole.whole_std.value, 1e-12))
    result.measure("latent_max_over_std", float(whole.farthest.max()))
    if count - int(whole.dead.sum()) >= 3:
        result.measure("largest_channel_std_ratio", float(whole.std_ratio.max()))
        result.measure("outlier_channels", int((whole.std_ratio > tables.OUTLIER_RATIO).sum()))
    if whole.has_posterior:
        result.measure("kl_nats_per_element", whole.whole_kl)
        result.measure("kl_mean_part", float(whole.kl("kl_mean").mean()))
        result.measure("kl_logvar_part", float(whole.kl("kl_logvar").mean()))
        result.measure("logvar_floor_share", whole.share("floor"))
        result.measure("logvar_ceiling_share", whole.share("ceiling"))
    if "first" in groups:
        first, rest = (groups[name].whole_std.value for name in ("first", "rest"))
        result.measure("first_frame_std_ratio", first / max(rest, 1e-12))


def _decoder_part(
    result: ProbeResult, model: Autoencoder, kind: Clips, device: torch.device, folder: Path | None, report: Progress
) -> None:
    parts = list(kind.held_out(DECODED_CLIPS, BATCH))
    batches = [part.pixels.to(device) for part in parts]
    report("decoding", 0, 2)
    together = torch.cat(batches)[:BATCH]
    cell = examine_cell(model, together)
    if sum(map(len, batches)) >= 2:
        decoder = examine_decoder(model, batches, [part.files for part in parts])
        result.tables.append(tables.noise(decoder))
        result.spectrum = decoder.spectrum
        if result.clips >= ENOUGH_CLIPS:
            result.measure("psnr", decoder.psnr)
            result.measure("decoder_response", decoder.response)
            result.measure("latent_bypass", decoder.bypass)
            for name, value in decoder.local_grid._asdict().items():
                result.measure(f"local_grid_{name}", value)
            for row in decoder.noise:
                if row.share == SHOWN_SHARE:
                    result.measure("psnr_of_noise_tenth", row.to_clean)
            if decoder.psnr_sample is not None:
                result.measure("psnr_sample", decoder.psnr_sample)
                result.measure("psnr_lost_by_sampling", decoder.psnr.value - decoder.psnr_sample.value)
    else:
        result.cannot_tell.append("Whether the decoder uses the latent: two clips are needed.")
    result.measure("cell_height", cell.bulk[1])
    result.measure("cell_width", cell.bulk[2])
    if model.grid.time > 1:
        result.measure("cell_frames", cell.bulk[0])
    if claims_causality(model.grid):
        for name, value in (("decoder_to_past", cell.to_past), ("encoder_to_past", cell.encoder_to_past)):
            if value is not None:
                result.measure(name, value)
    result.tables.append(tables.cell(cell, model.grid))
    frames, height, width = kind.size
    latents = 1
    for length in model.latent_shape(frames, height, width):
        latents *= length
    result.measure("values_per_latent", model.channels * frames * height * width / latents)
    if folder is not None:
        from vaelab.probing.pictures import draw_all

        report("drawing", 1, 2)
        result.pictures += draw_all(folder, model, together, cell.response)
    report("decoding", 2, 2)


def _encode(model: Autoencoder, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    mean, logvar = model.encode(x)
    if not bool(mean.isfinite().all()):
        raise ProbeError(
            f"{model.name} gives NaN or infinity as the latent of these clips: its weights are damaged, or were trained to"
            " that. Probe an earlier checkpoint."
        )
    return mean, logvar


def _takes(model: Autoencoder, frames: int, height: int, width: int) -> bool:
    try:
        model.check_clip(frames, height, width)
    except ConfigError:
        return False
    return True


def _settings(found: Checkpoint) -> TrainConfig | None:
    """Settings of the run that the checkpoint belongs to."""
    path = found.run / "config.yaml" if found.run is not None else None
    return load_config(str(path)) if path is not None and path.is_file() else None


def _device(name: str) -> torch.device:
    try:
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
        device = torch.device(chosen)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise ConfigError(f"--device {name} cannot be used here: give cpu, cuda, cuda:1 or mps.") from None
    return device
