"""A run of two dozen steps from the settings of a long one: all its phases, with what is not at hand replaced, and said."""

from __future__ import annotations

from typing import Any

import torch

from vaelab.config import TrainConfig
from vaelab.data import open_data
from vaelab.errors import ConfigError, DataError
from vaelab.losses import build_perceptual
from vaelab.models import build_autoencoder

STEPS = 24
STAND_IN = "stlpips-alex"  # its weights come inside a package
# what stands in for pretrained weights of these classes: their usual compression, few channels
_LEVELS = 4
NEW_MODELS: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {
        "down_block_types": ["DownEncoderBlock2D"] * _LEVELS,
        "up_block_types": ["UpDecoderBlock2D"] * _LEVELS,
        "block_out_channels": [32] * _LEVELS,
        "norm_num_groups": 8,
        "latent_channels": 4,
    },
    "AutoencoderKLWan": {"base_dim": 32},
}
SMALL_SIDE, SMALL_FRAMES, SMALL_WIDTH = 64, 9, 32


def short_settings(config: TrainConfig, small: bool = False, steps: int = STEPS) -> tuple[TrainConfig, list[str]]:
    """The settings of the short run, and what differs from those given, a sentence each.

    Weights of the losses, rates, clipping, precision and networks stay. Steps of the schedule are moved so that warm-up,
    the discriminator's start and the GAN all happen. small: sizes are cut too, for a machine without a GPU.

    Raises ConfigError where the settings cannot be used and nothing can stand in.
    """
    notes: list[str] = []
    if small:
        config = _smaller(config, notes)
    config = _scheduled(config, steps, notes)
    config = _with_data(config, notes)
    config = _with_model(config, notes)
    return _with_perceptual(config, notes), notes


def _changed(config: TrainConfig, **sections: dict[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(
        {**config.model_dump(), **{s: {**getattr(config, s).model_dump(), **new} for s, new in sections.items()}}
    )


def _scheduled(config: TrainConfig, steps: int, notes: list[str]) -> TrainConfig:
    """Warm-ups of a sixth, the discriminator alone from a third, the GAN from a half on."""
    loss, optim = config.loss, config.optim
    start = steps // 2
    before = min(loss.disc_warmup, steps // 6)
    ramp = min(loss.disc_ramp, steps // 6)
    if loss.disc != "none":
        notes.append(
            f"the GAN starts at step {start} of {steps} (in the settings: {loss.disc_start} of {config.run.steps})"
        )
    return _changed(
        config,
        loss={
            "disc_start": start if loss.disc != "none" else loss.disc_start,
            "disc_warmup": before if loss.disc != "none" else loss.disc_warmup,
            "disc_ramp": ramp,
            "kl_warmup": min(loss.kl_warmup, steps // 6),
        },
        optim={
            "warmup_steps": min(optim.warmup_steps, steps // 6),
            "disc_warmup_steps": min(optim.disc_warmup_steps, steps // 6),
        },
        run={
            "steps": steps,
            "log_every": 1,
            "validate_every": steps,
            "checkpoint_every": steps,
            "diagnose_every": 10 * steps,
            "check_ranks_every": 10 * steps,
            "preview_samples": 0,
            "on_critical": "warn",
            "trackers": (),
        },
        data={"val_samples": min(config.data.val_samples, 2 * config.run.batch_size), "workers": 0},
    )


def _smaller(config: TrainConfig, notes: list[str]) -> TrainConfig:
    model, data, loss, run = config.model, config.data, config.loss, config.run
    arguments = dict(model.config)
    # by what its config.json calls them: all classes with such names have them as widths and groups
    if widths := arguments.get("block_out_channels"):
        arguments |= {"block_out_channels": [min(w, SMALL_WIDTH) for w in widths], "norm_num_groups": 8}
    side = [min(size, SMALL_SIDE) for size in data.resolution]
    frames = min(data.frames, SMALL_FRAMES)
    batch, layers = min(run.batch_size, 4), min(loss.disc_layers, 3)
    precision = config.optim.precision
    if precision != "fp32" and not torch.cuda.is_available():
        notes.append(f"fp32 in place of {precision}, which is very slow without a GPU")
        precision = "fp32"
    notes.append(
        f"sizes are cut: clips of {frames}x{side[0]}x{side[1]}, batches of {batch}, networks of at most {SMALL_WIDTH} channels"
    )
    return _changed(
        config,
        model={"config": arguments},
        data={"resolution": tuple(side), "frames": frames},
        loss={"disc_channels": min(loss.disc_channels, 16), "disc_layers": layers},
        run={"batch_size": batch},
        optim={"accumulate": min(config.optim.accumulate, 2), "precision": precision},
    )


def _with_data(config: TrainConfig, notes: list[str]) -> TrainConfig:
    try:
        open_data(config.data, config.run.seed)
        return config
    except (ConfigError, DataError) as error:
        data = config.data
        source = "path-loss" if data.channels == 1 and data.frames == 1 else "moving-shapes"
        notes.append(f"generated data ({source}) stand in for {data.source}: {_first_sentence(error)}")
        return _changed(
            config,
            data={"source": source, "path": None, "val_path": None, "options": {}, "length": 200, "image_share": 0.0},
        )


def _with_model(config: TrainConfig, notes: list[str]) -> TrainConfig:
    if config.model.pretrained is None:
        return config
    try:
        build_autoencoder(config.model, config.data.channels)
        return config
    except ConfigError as error:
        arguments = NEW_MODELS.get(config.model.type, {})
        size = "small " if arguments else ""
        notes.append(f"a new {size}{config.model.type} stands in for the pretrained one: {_first_sentence(error)}")
        return _changed(config, model={"pretrained": None, "subfolder": None, "config": arguments})


def _with_perceptual(config: TrainConfig, notes: list[str]) -> TrainConfig:
    loss = config.loss
    if loss.perceptual_weight == 0:
        return config
    try:
        build_perceptual(loss, config.data.channels)
        return config
    except ConfigError as error:
        if loss.perceptual == STAND_IN:
            raise
        notes.append(f"{STAND_IN} stands in for {loss.perceptual}: {_first_sentence(error)}")
        replaced = _changed(config, loss={"perceptual": STAND_IN, "perceptual_weights": None})
        build_perceptual(replaced.loss, config.data.channels)
        return replaced


def _first_sentence(error: Exception) -> str:
    return str(error).split("; ")[0].split(". ")[0].split("\n")[0].rstrip(".")
