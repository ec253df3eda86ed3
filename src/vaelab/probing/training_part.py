"""The part of a probe that needs a checkpoint of ``vaelab train``: its discriminator and the gradients of its losses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from vaelab.config import TrainConfig
from vaelab.evaluation.validation import in_eval_mode
from vaelab.models import Autoencoder
from vaelab.models.opening import Checkpoint, find_checkpoint, load
from vaelab.probing import tables
from vaelab.probing.adversary import Scores, memory, score
from vaelab.probing.clips import Clips, Part, training_clips
from vaelab.probing.gradients import Shares, gradient_norm, shares_of, term_gradients
from vaelab.probing.result import ProbeResult, Progress
from vaelab.probing.training_state import open_training
from vaelab.training.step import TrainingStep

ENOUGH_CLIPS = 16
"""Clips below which the discriminator is shown but not judged."""
UPDATES = 16
SHARED_UPDATES = 4
"""Updates whose gradient is taken apart into the terms of the loss."""
MOST_SAMPLES = 16
"""Samples of one update whose gradient is measured: a larger batch is cut, and that is said."""
BATCH = 4


def probe_training(
    result: ProbeResult,
    found: Checkpoint,
    model: Autoencoder,
    config: TrainConfig,
    kind: Clips,
    count: int,
    device: torch.device,
    report: Progress,
) -> None:
    """Add what the discriminator tells apart on at most ``count`` clips of ``kind`` and of the training data, and the
    gradients of the losses on training batches. The raw weights are used: those that the discriminator was trained against.

    Errors: CheckpointError if the checkpoint is not whole, DataError if the training data are not at hand.
    """
    assert found.step is not None
    folder = Path(found.weights).parent
    raw = load(find_checkpoint(folder)).to(device) if found.ema else model
    step, missing = open_training(config, folder, raw, device)
    training = training_clips(config, kind.size)
    begins = config.loss.disc_start - config.loss.disc_warmup
    if step.discriminator is None:
        result.cannot_tell.append("The discriminator: the settings of this run have none.")
    elif found.step <= begins:
        result.cannot_tell.append(
            f"The discriminator: it is trained from step {begins:,} on, and this checkpoint is of step {found.step:,}."
        )
    else:
        held_out = _scores(step, kind.held_out(count, BATCH), "held-out clips", count, report)
        seen = training.training(-(-count // BATCH), BATCH, config.run.seed)
        _measure_discriminator(
            result, held_out, _scores(step, seen, "training clips", count, report), found.step - begins
        )
    if missing:  # shares of an objective that lacks a term would mislead
        result.cannot_tell.append(missing)
    else:
        _measure_gradients(result, step, training, min(found.step, config.run.steps - 1), config, report)


def _scores(step: TrainingStep, batches: Iterator[Part], title: str, count: int, report: Progress) -> Scores:
    assert step.discriminator is not None

    def counted() -> Iterator[Part]:
        done = 0
        for part in batches:
            yield part
            done += len(part.pixels)
            report(f"scoring {title}", done, count)

    with in_eval_mode(step.autoencoder), in_eval_mode(step.discriminator):
        return score(
            step.discriminator, step.autoencoder, counted(), step.loss.disc_loss, step.sample, step.ranks.device
        )


def _measure_discriminator(result: ProbeResult, held_out: Scores, training: Scores, updates: int) -> None:
    result.tables.append(tables.discriminator(held_out, training))
    if held_out.clips < ENOUGH_CLIPS:
        result.cannot_tell.append(
            f"Whether the discriminator is useless or in equilibrium: {held_out.clips} held-out clips were scored and"
            f" {ENOUGH_CLIPS} are needed."
        )
        return
    result.measure("disc_updates", updates)
    result.measure("disc_accuracy", held_out.accuracy())
    result.measure("disc_accuracy_blurred", held_out.accuracy("blurred"))
    for of in ("fake", "blurred"):
        tells = held_out.tells(of)
        result.measure(f"disc_tells_{of}", tells)
        result.measure(f"disc_tells_{of}_low", tells.low)
        result.measure(f"disc_tells_{of}_high", tells.high)
    result.measure("disc_loss_over_chance", float(held_out.loss.mean()))
    result.measure("disc_gap", held_out.gap())
    result.measure("disc_gap_training", training.gap())
    extra = memory(training, held_out)
    result.measure("disc_memory", extra)
    result.measure("disc_memory_low", extra.low)


def _measure_gradients(
    result: ProbeResult, step: TrainingStep, clips: Clips, number: int, config: TrainConfig, report: Progress
) -> None:
    batch, accumulate = config.run.batch_size, config.optim.accumulate
    size = min(batch, MOST_SAMPLES)
    micro = min(accumulate, max(1, MOST_SAMPLES // size))
    batches = clips.training(UPDATES * micro, size, config.run.seed)
    shares: list[Shares] = []
    values: list[float] = []
    for done in range(UPDATES):
        micro_batches = [part.pixels.to(step.ranks.device) for part in itertools.islice(batches, micro)]
        if done < SHARED_UPDATES:
            shares.append(term_gradients(step, micro_batches[0], number))
        values.append(gradient_norm(step, micro_batches, number))
        report("gradients", done + 1, UPDATES)

    parts = {
        "at the output": shares_of([one.at_output for one in shares]),
        "at the last layer": shares_of([one.at_last for one in shares]),
        "at the latent": shares_of([one.at_latent for one in shares]),
    }
    result.tables.append(tables.gradients(parts, len(shares), size))
    for place, name in (("at the last layer", "gradient"), ("at the latent", "latent_gradient")):
        for term, share in parts[place].items():
            result.measure(f"{name}_share_{term.lower()}", share)
    if "perceptual" in parts["at the output"]:
        result.measure("perceptual_gradient", parts["at the output"]["perceptual"])
    norms, clip = np.array(values), config.optim.clip_grad
    clip = None if clip == "auto" else clip
    result.tables.append(tables.norms(norms, clip, size * micro, batch * accumulate))
    result.measure("grad_norm_median", float(np.median(norms)))
    result.measure("grad_norm_p90", float(np.quantile(norms, 0.9)))
    if clip is not None:
        result.measure("clip_grad", clip)
        result.measure("clip_share", float((norms > clip).mean()))
