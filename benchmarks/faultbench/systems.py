"""The small systems of the fault bench: clips (with the losses of two trainers), radio maps, RGB images, and a VQ autoencoder.

Losses, reductions and weights are those of the public trainer whose log the system also writes, so that the relations
between the columns are the real ones.  Pictures have 16 x 16 pixels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from truth import CACHE

from vaelab.config import TrainConfig
from vaelab.data import open_data, train_batches, val_batches

SIZE = 16
HELD_OUT = 16
SAMPLES = 640
"""Pictures that are made of a system and seed; a run uses the first ones."""
DATA_SEEDS = 8


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
    codes: int = 0
    """Size of the codebook; 0 for a KL autoencoder."""

    @property
    def inside(self) -> int:
        """Channels of a whole clip."""
        return self.channels * self.frames


COMMON: dict[str, Any] = {
    "data.resolution": (SIZE, SIZE), "data.val_samples": HELD_OUT, "loss.disc_layers": 2, "loss.disc_channels": 8,
    "optim.warmup_steps": 20, "optim.disc_warmup_steps": 10, "optim.ema_decay": 0.98, "optim.clip_grad": None,
    "optim.disc_clip_grad": None, "run.batch_size": 3, "run.device": "cpu", "run.trackers": (),
    "model.type": "SmallAutoencoder",
}  # fmt: skip
VIDEO = System(
    "video", "moving-shapes", 5, 3, ("vaelab", "vaelab", "tensorboard"), False,
    {
        "loss.pixel_loss": "l1", "loss.perceptual_weight": 0.5, "loss.kl_weight": 1e-4, "loss.kl_reduction": "mean",
        "loss.disc_weight": 0.3, "optim.lr": 4e-3, "optim.disc_lr": 5e-4, "optim.clip_grad": 2.0,
    },
)  # fmt: skip
PYRAMID = System(
    "pyramid", "example-clips", 5, 3, ("pyramid_flow",), False,
    {
        "loss.pixel_loss": "mse", "loss.pixelloss_weight": 10.0, "loss.perceptual_weight": 1.0, "loss.kl_weight": 1e-6,
        "loss.kl_reduction": "channel_mean", "loss.disc_weight": 0.5, "optim.lr": 4e-3, "optim.schedule": "cosine",
        "optim.min_lr": 1e-4, "optim.disc_lr": 4e-4, "optim.clip_grad": 5.0,
    },
)  # fmt: skip
RADIO = System(
    "radio", "path-loss", 1, 1, ("radiodiff", "radiodiff", "tensorboard"), True,
    {
        "loss.pixel_loss": "l1+mse", "loss.nll_reduction": "sum", "loss.kl_weight": 1e-6, "loss.kl_reduction": "sum",
        "loss.disc_weight": 0.5, "optim.lr": 2e-3, "optim.schedule": "cosine", "optim.min_lr": 2e-5,
        "optim.betas": (0.5, 0.9), "optim.disc_lr": 2e-4,
    },
)  # fmt: skip
RGB = System(
    "rgb", "example-clips", 1, 3, ("lightning", "vaelab"), True,
    {
        "loss.pixel_loss": "l1", "loss.nll_reduction": "sum", "loss.kl_weight": 1e-6, "loss.kl_reduction": "sum",
        "loss.disc_weight": 0.5, "optim.lr": 1.5e-3, "optim.betas": (0.5, 0.9), "optim.disc_lr": 5e-4,
    },
)  # fmt: skip
VQ = System(
    "vq", "example-clips", 1, 3, ("taming", "plain"), True,
    {
        "loss.pixel_loss": "l1", "loss.kl_weight": 0.0, "loss.disc_weight": 0.5, "optim.lr": 2e-3,
        "optim.betas": (0.5, 0.9), "optim.disc_lr": 5e-4,
    },
    codes=64,
)  # fmt: skip
SYSTEMS = {system.name: system for system in (VIDEO, PYRAMID, RADIO, RGB, VQ)}


def configuration(system: System, seed: int, changes: Mapping[str, Any] = {}) -> TrainConfig:
    """The settings of a run. `changes` are dotted ("loss.kl_weight"); an unknown name is refused by the schema."""
    parts: dict[str, Any] = {"name": system.name}
    fixed = {"data.source": system.source, "data.frames": system.frames, "data.channels": system.channels}
    for dotted, value in (COMMON | fixed | dict(system.settings) | {"run.seed": seed} | dict(changes)).items():
        section, option = dotted.split(".")
        parts.setdefault(section, {})[option] = value
    optim = parts["optim"]
    optim["min_lr"] = min(optim.get("min_lr", 0.0), optim["lr"])
    return TrainConfig.model_validate(parts)


def samples(system: System, seed: int) -> tuple[Tensor, Tensor]:
    """Training and held-out pixels uint8 (N, T*C, H, W), made once and kept in the cache."""
    seed %= DATA_SEEDS
    path = CACHE / f"{system.source}-{system.inside}-{seed}.pt"
    if not path.exists():
        data = configuration(system, seed).data.model_copy(update={"workers": 0, "length": SAMPLES})
        source = open_data(data, seed)
        with train_batches(source.train, data, SAMPLES, seed) as batches:
            train = next(batches).pixels
        held_out = torch.cat([batch.pixels for batch in val_batches(source.val, data, HELD_OUT, HELD_OUT)])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        torch.save(tuple(x.transpose(1, 2).flatten(1, 2) for x in (train, held_out)), part)
        part.replace(path)
    train, held_out = torch.load(path)
    return train, held_out
