"""The four small systems of the fault bench: a video VAE (twice, with the losses of two trainers), radio maps, RGB images.

Every system trains the networks of vaelab on the CPU in a few seconds. The losses, reductions and weights are those of the
public trainer whose log the system also writes, so that the relations between the columns are the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaelab.config import TrainConfig

STEPS = 400
RESOLUTION = (32, 32)
DISC_START = 210
"""Not at the beginning of an epoch, where a change of the data would show."""
EPOCH = 100
"""Steps of one epoch."""
HELD_OUT = 16


@dataclass(frozen=True)
class System:
    """What is trained and the dialects that its log is written in."""

    name: str
    source: str
    frames: int
    channels: int
    dialects: tuple[str, ...]
    measures_before_start: bool
    """Whether the trainer computes d_weight, g_loss and the logits before disc_start too (latent-diffusion's loss)."""
    settings: Mapping[str, Any]
    """Dotted settings over the common ones."""


COMMON: dict[str, Any] = {
    "data.resolution": RESOLUTION,
    "data.val_samples": HELD_OUT,
    "loss.disc_layers": 2,
    "loss.disc_channels": 8,
    "loss.disc_start": DISC_START,
    "optim.warmup_steps": 20,
    "optim.disc_warmup_steps": 10,
    "optim.ema_decay": 0.98,
    "optim.clip_grad": None,
    "optim.disc_clip_grad": None,
    "run.steps": STEPS,
    "run.batch_size": 3,
    "run.device": "cpu",
    "run.log_every": 5,
    "run.validate_every": EPOCH,
    "run.trackers": (),
}


def _model(latent_channels: int) -> dict[str, Any]:
    return {"model.type": "SmallAutoencoder", "model.config": {"latent_channels": latent_channels}}


VIDEO = System(
    "video", "moving-shapes", 5, 3, ("vaelab", "vaelab", "tensorboard"), False,
    _model(8) | {
        "loss.pixel_loss": "l1", "loss.perceptual_weight": 0.5, "loss.perceptual_frames": 1,
        "loss.kl_weight": 1e-4, "loss.kl_reduction": "mean", "loss.disc_weight": 0.3,
        "optim.lr": 1e-3, "optim.disc_lr": 5e-4, "optim.clip_grad": 2.0, "run.batch_size": 2,
    },
)  # fmt: skip
PYRAMID = System(
    "pyramid", "example-clips", 5, 3, ("pyramid_flow",), False,
    _model(8) | {
        "loss.pixel_loss": "mse", "loss.pixelloss_weight": 10.0, "loss.perceptual_weight": 1.0,
        "loss.perceptual_frames": 1, "loss.kl_weight": 1e-6, "loss.kl_reduction": "channel_mean",
        "loss.disc_weight": 0.5, "optim.lr": 1.5e-3, "optim.schedule": "cosine", "optim.min_lr": 1e-4,
        "optim.disc_lr": 4e-4, "loss.disc_channels": 16, "optim.clip_grad": 5.0, "run.batch_size": 2, "run.log_every": 10,
    },
)  # fmt: skip
RADIO = System(
    "radio", "path-loss", 1, 1, ("radiodiff", "radiodiff", "tensorboard"), True,
    _model(3) | {
        "loss.pixel_loss": "l1+mse", "loss.nll_reduction": "sum", "loss.kl_weight": 1e-6, "loss.kl_reduction": "sum",
        "loss.disc_weight": 0.5, "optim.lr": 1.5e-3, "optim.schedule": "cosine", "optim.min_lr": 2e-5,
        "optim.betas": (0.5, 0.9), "optim.disc_lr": 2e-4, "run.log_every": 10,
    },
)  # fmt: skip
RGB = System(
    "rgb", "example-clips", 1, 3, ("lightning", "vaelab"), True,
    _model(4) | {
        "loss.pixel_loss": "l1", "loss.nll_reduction": "sum", "loss.kl_weight": 1e-6, "loss.kl_reduction": "sum",
        "loss.disc_weight": 0.5, "optim.lr": 1e-3, "optim.betas": (0.5, 0.9), "optim.disc_lr": 5e-4,
    },
)  # fmt: skip
SYSTEMS = {system.name: system for system in (VIDEO, PYRAMID, RADIO, RGB)}


def configuration(system: System, seed: int, changes: Mapping[str, Any] = {}) -> TrainConfig:
    """The settings of a run. `changes` are dotted ("loss.kl_weight"); an unknown name is refused by the schema."""
    parts: dict[str, Any] = {"name": system.name}
    fixed = {"data.source": system.source, "data.frames": system.frames, "data.channels": system.channels}
    for dotted, value in (COMMON | fixed | dict(system.settings) | {"run.seed": seed} | dict(changes)).items():
        section, option = dotted.split(".")
        parts.setdefault(section, {})[option] = value
    return TrainConfig.model_validate(parts)


def kl_weight(system: System, share: float) -> float:
    """The weight with which one nat per latent element costs `share` of the nll that untrained networks have."""
    nats = {"video": 1, "pyramid": 3 * 8 * 8, "radio": 3 * 8 * 8, "rgb": 4 * 8 * 8}
    untrained = {"video": 0.5, "pyramid": 4.0, "radio": 0.7 * 32 * 32, "rgb": 0.5 * 3 * 32 * 32}
    return share * untrained[system.name] / nats[system.name]
