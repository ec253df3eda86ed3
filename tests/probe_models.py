"""Small trained models for the tests of ``vaelab probe``, with faults planted into copies.

Their weights are fixed (tests/data/probe_models.safetensors, half precision): where a training ends depends on the
processor, and what is judged here must not. ``python tests/probe_models.py`` trains them again, in some minutes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from small_training import IMAGE_MODEL, VIDEO_MODEL, small_config
from vaelab.config import TrainConfig
from vaelab.config.load import dump_config
from vaelab.data import open_data, train_batches
from vaelab.evaluation.pictures import from_uint8
from vaelab.losses import Objective, disc_loss
from vaelab.models import Autoencoder, build_autoencoder, build_discriminator
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

GAN_FROM, DONE, STEPS = 1000, 2000, 5000
"""The checkpoint counts 1,000 updates of the GAN: a young discriminator is not judged."""

WEIGHTS = Path(__file__).parent / "data" / "probe_models.safetensors"


def settings(video: bool = False, **loss: Any) -> TrainConfig:
    """16 x 16 pixels, images or clips of 5 frames."""
    model = copy.deepcopy(VIDEO_MODEL if video else IMAGE_MODEL)
    if video:
        model["config"] |= {"latent_channels": 8, "spatial_downsample": [False], "patch_size": 2}
    else:
        model["config"]["block_out_channels"] = [16, 16]
    data = {"resolution": (16, 16), "frames": 5 if video else 1, "length": 400, "val_samples": 4}
    optim = {"lr": 4e-3, "ema_decay": None, "clip_grad": None, "disc_lr": 2e-3}
    weights = {"disc_start": GAN_FROM, "disc_channels": 16, "kl_weight": 1e-6, **loss}
    run = {"batch_size": 4, "steps": STEPS}
    return small_config(video, model=model, data=data, optim=optim, loss=weights, run=run)


def new_step(config: TrainConfig, seed: int = 0) -> TrainingStep:
    torch.manual_seed(seed)
    autoencoder = build_autoencoder(config.model, config.data.channels)
    discriminator = build_discriminator(config.loss, config.data.channels)
    objective = Objective(config.loss, None)
    return TrainingStep(autoencoder, discriminator, objective, config.loss, config.optim, config.run.steps, Ranks())


def trained(config: TrainConfig) -> TrainingStep:
    """The step with fixed weights of a healthy model; its discriminator (images only) tells most reconstructions."""
    video, step = config.data.frames > 1, new_step(config)
    step.autoencoder.load_state_dict(_weights("video" if video else "image"))
    if not video:
        assert step.discriminator is not None
        step.discriminator.load_state_dict(_weights("discriminator"))
    return step


def winner(step: TrainingStep) -> TrainingStep:
    """A copy of ``trained(settings())`` whose discriminator was trained alone, against an autoencoder that stood still."""
    won = with_own_discriminator(step)
    assert won.discriminator is not None
    won.discriminator.load_state_dict(_weights("winner"))
    return won


def with_own_discriminator(step: TrainingStep) -> TrainingStep:
    """A copy whose discriminator can be broken."""
    other = copy.copy(step)
    other.discriminator = copy.deepcopy(step.discriminator)
    return other


def _weights(of: str) -> dict[str, torch.Tensor]:
    found = load_file(WEIGHTS)
    return {name.removeprefix(f"{of}."): w.float() for name, w in found.items() if name.startswith(f"{of}.")}


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


def write_weights() -> None:
    """Train the models anew. All steps are taken with the GAN."""
    image, video = settings(), settings(video=True, disc="patch3d")
    step, clips = new_step(image), new_step(video)
    for config, one, steps in ((image, step, 1500), (video, clips, 300)):
        with train_batches(open_data(config.data, 0).train, config.data, config.run.batch_size, 0) as batches:
            for number in range(steps):
                one([from_uint8(next(batches).pixels)], GAN_FROM + number)
    parts = {"image": step.autoencoder, "discriminator": step.discriminator, "video": clips.autoencoder}
    parts["winner"] = _trained_alone(step, image)
    weights = {f"{of}.{name}": w.half() for of, net in parts.items() if net for name, w in net.state_dict().items()}
    save_file(weights, WEIGHTS)


def _trained_alone(step: TrainingStep, config: TrainConfig, updates: int = 150) -> nn.Module:
    discriminator = with_own_discriminator(step).discriminator
    assert discriminator is not None
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)
    with train_batches(open_data(config.data, 0).train, config.data, 16, 1) as batches:
        for _ in range(updates):
            x = from_uint8(next(batches).pixels)
            with torch.no_grad():
                r = step.autoencoder(x).x
            loss = disc_loss("hinge", discriminator(x), discriminator(r))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return discriminator


if __name__ == "__main__":
    write_weights()
