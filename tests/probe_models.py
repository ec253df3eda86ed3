"""Small real models for the tests of ``vaelab probe``, trained for some dozens of steps, with faults planted into copies."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from small_training import IMAGE_MODEL, VIDEO_MODEL, small_config
from vaelab.config import TrainConfig
from vaelab.config.load import dump_config
from vaelab.data import open_data, train_batches
from vaelab.evaluation.pictures import from_uint8
from vaelab.losses import Objective
from vaelab.models import Autoencoder, build_autoencoder, build_discriminator
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

GAN_FROM, DONE, STEPS = 1000, 2000, 5000
"""The few steps that are taken are counted as if the GAN had run for 1,000 updates: a young discriminator is not judged."""


def settings(video: bool = False, **loss: Any) -> TrainConfig:
    """16 x 16 pixels, images or clips of 5 frames."""
    model = copy.deepcopy(VIDEO_MODEL if video else IMAGE_MODEL)
    model["config"]["block_out_channels"] = [16, 16]
    if video:
        model["config"] |= {"latent_channels": 8, "spatial_downsample": [False], "patch_size": 2}
    data = {"resolution": (16, 16), "frames": 5 if video else 1, "length": 400, "val_samples": 4}
    optim = {"lr": 4e-3, "ema_decay": None, "clip_grad": None, "disc_lr": 2e-3}
    weights = {"disc_start": GAN_FROM, "disc_channels": 16, "kl_weight": 1e-6, **loss}
    run = {"batch_size": 4, "steps": STEPS}
    return small_config(video, model=model, data=data, optim=optim, loss=weights, run=run)


def trained(config: TrainConfig, steps: int) -> TrainingStep:
    """All steps with the GAN."""
    torch.manual_seed(0)
    autoencoder = build_autoencoder(config.model, config.data.channels)
    discriminator = build_discriminator(config.loss, config.data.channels)
    objective = Objective(config.loss, None)
    step = TrainingStep(
        autoencoder, discriminator, objective, config.loss, config.optim, config.run.steps, Ranks()
    )  # fmt: skip
    with train_batches(open_data(config.data, 0).train, config.data, config.run.batch_size, 0) as batches:
        for number in range(steps):
            step([from_uint8(next(batches).pixels)], GAN_FROM + number)
    return step


def saved_run(folder: Path, step: TrainingStep, config: TrainConfig, done: int = DONE) -> Path:
    """The folder of a run whose one checkpoint is ``step``, without a log."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    Checkpoints(folder, 1, Ranks()).save(step, done, {})
    return folder


def image_latent_layer(autoencoder: Autoencoder) -> nn.Conv2d:
    """The layer that gives the mean (first half of its outputs) and the logvar of AutoencoderKL."""
    return autoencoder.module.quant_conv  # type: ignore[return-value]


@torch.no_grad()
def dead_channel(autoencoder: Autoencoder) -> None:
    layer = image_latent_layer(autoencoder)
    layer.weight[1] = 0


@torch.no_grad()
def outlier_channel(autoencoder: Autoencoder) -> None:
    layer = image_latent_layer(autoencoder)
    layer.weight[2] *= 30


@torch.no_grad()
def collapsed(autoencoder: Autoencoder) -> None:
    """Mean 0 and variance 1 for every input."""
    layer = image_latent_layer(autoencoder)
    layer.weight.zero_()
    assert layer.bias is not None
    layer.bias.zero_()


@torch.no_grad()
def logvar_at_floor(autoencoder: Autoencoder) -> None:
    layer = image_latent_layer(autoencoder)
    half = len(layer.weight) // 2
    assert layer.bias is not None
    layer.bias[half:] = -100


@torch.no_grad()
def logvar_at_ceiling(autoencoder: Autoencoder) -> None:
    layer = image_latent_layer(autoencoder)
    assert layer.bias is not None
    layer.bias[len(layer.weight) // 2 :] = 100


def stale_scale(autoencoder: Autoencoder) -> None:
    autoencoder.module.register_to_config(scaling_factor=0.05)  # type: ignore[operator]


@torch.no_grad()
def dead_decoder(autoencoder: Autoencoder) -> None:
    layer: Any = autoencoder.module.post_quant_conv
    layer.weight.zero_()


FAULTS: dict[str, tuple[Callable[[Autoencoder], None], str, str]] = {
    "dead channel": (dead_channel, "KL221", "C5"),
    "outlier channel": (outlier_channel, "KL223", "C6"),
    "collapsed posterior": (collapsed, "KL222", "C1"),
    "logvar at its floor": (logvar_at_floor, "KL225", "C4"),
    "logvar at its ceiling": (logvar_at_ceiling, "KL226", "F4"),
    "stale scale factor": (stale_scale, "KL227", "C9"),
    "decoder that ignores z": (dead_decoder, "REC131", "B8"),
}
"""Fault -> how it is planted into a trained model, the finding and the first cause that must name it."""
