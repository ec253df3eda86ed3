"""Networks of a few thousand weights, and the training step on them, for tests that take whole updates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from vaelab.config import TrainConfig
from vaelab.losses import Objective
from vaelab.models import Autoencoder, build_autoencoder, build_discriminator
from vaelab.training.distributed import Ranks
from vaelab.training.step import Measured, TrainingStep
from vaelab.training.update import Applied, Updater

IMAGE_MODEL: dict[str, Any] = {
    "type": "AutoencoderKL",
    "config": {
        "block_out_channels": [8, 8],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 4,
    },
}
VIDEO_MODEL: dict[str, Any] = {
    "type": "CausalVideoVAE",
    "config": {
        "latent_channels": 4,
        "block_out_channels": [8, 8],
        "layers_per_block": 1,
        "spatial_downsample": [True],
        "temporal_downsample": [True],
        "mid_attention": False,
        "norm_num_groups": 4,
    },
}


def small_config(video: bool = False, **sections: Mapping[str, Any]) -> TrainConfig:
    """Settings of a tiny run on generated images (8 x 8) or clips (3 frames); ``sections`` change single options."""
    settings: dict[str, dict[str, Any]] = {
        "model": dict(VIDEO_MODEL if video else IMAGE_MODEL),
        "data": {
            "source": "moving-shapes",
            "frames": 3 if video else 1,
            "resolution": (8, 8),
            "workers": 0,
            "length": 40,
            "val_samples": 2,
        },
        "loss": {
            "perceptual_weight": 0.0,
            "disc": "patch3d" if video else "patch2d",
            "disc_layers": 1,
            "disc_channels": 8,
            "disc_start": 0,
        },
        "optim": {"lr": 1e-3},
        "run": {
            "steps": 10,
            "batch_size": 2,
            "device": "cpu",
            "log_every": 1,
            "validate_every": 100,
            "checkpoint_every": 100,
            "diagnose_every": 100,
            "preview_samples": 0,
            "trackers": [],
        },
    }
    for section, options in sections.items():
        settings[section] = {**settings[section], **options}
    return TrainConfig.model_validate(settings)


class FeatureDistance(nn.Module):
    """Stands in for LPIPS: squared distance of the outputs of one fixed convolution, a value a frame."""

    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(5)) / 5
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        of_x, of_r = (torch.tanh(nn.functional.conv2d(v.transpose(1, 2).flatten(0, 1), self.weight)) for v in (x, r))
        return (of_x - of_r).float().square().mean(dim=(1, 2, 3))


@cache
def _autoencoder(video: bool) -> Autoencoder:
    torch.manual_seed(0)
    return build_autoencoder(small_config(video).model, 3)


def small_networks(config: TrainConfig) -> tuple[Autoencoder, nn.Module | None]:
    """Equal weights at every call. The discriminator's are enlarged, so that its gradient is not negligible."""
    autoencoder = copy.deepcopy(_autoencoder(config.model.type == "CausalVideoVAE"))
    if not config.uses_gan:
        return autoencoder, None
    torch.manual_seed(1)
    discriminator = build_discriminator(config.loss, config.data.channels)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.mul_(5 if parameter.ndim > 1 else 1)
    return autoencoder, discriminator


def small_step(config: TrainConfig, ranks: Ranks | None = None) -> TrainingStep:
    """The step on :func:`small_networks`."""
    autoencoder, discriminator = small_networks(config)
    perceptual: Any = FeatureDistance() if config.loss.perceptual_weight > 0 else None
    objective = Objective(config.loss, perceptual)
    return TrainingStep(
        autoencoder,
        discriminator,
        objective,
        config.loss,
        config.optim,
        config.run.steps,
        ranks or Ranks(),
        sample=not config.model.deterministic,
    )


def batches(config: TrainConfig, updates: int, seed: int = 0) -> list[list[torch.Tensor]]:
    """Smooth random pixels in [-1, 1]: ``accumulate`` batches for each update."""
    generator = torch.Generator().manual_seed(seed)
    shape = (config.run.batch_size, config.data.channels, config.data.frames, *config.data.resolution)
    return [
        [torch.tanh(torch.randn(shape, generator=generator)) for _ in range(config.optim.accumulate)]
        for _ in range(updates)
    ]


def take_steps(step: TrainingStep, data: list[list[torch.Tensor]], first: int = 0) -> list[Measured]:
    """One update for each element of ``data``; the posterior's noise of update n comes from seed n."""
    measured = []
    for number, micro_batches in enumerate(data, first):
        torch.manual_seed(number)
        measured.append(step(micro_batches, number))
    return measured


Gradients = list[torch.Tensor]


@contextmanager
def recorded_gradients() -> Any:
    """Yields a dict from each Updater (by ``id``) to the gradients, unscaled and unclipped, of each of its updates."""
    record: dict[int, list[Gradients]] = {}
    real = Updater.apply

    def apply(self: Updater, lr: float) -> Applied:
        scale = self.scale(torch.ones(()))
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad / scale for p in self.parameters]
        record.setdefault(id(self), []).append(gradients)
        return real(self, lr)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Updater, "apply", apply)
        yield record


def relative_distance(ours: Gradients, theirs: Gradients) -> float:
    """Norm of the difference of two lists of tensors over the norm of the second."""
    norm = torch.cat([t.flatten() for t in theirs]).norm()
    return float(torch.cat([(a - b).flatten() for a, b in zip(ours, theirs, strict=True)]).norm() / norm)


def weights(network: nn.Module) -> Gradients:
    """Copies of all parameters."""
    return [p.detach().clone() for p in network.parameters()]


def same(a: Any, b: Any) -> bool:
    """Equal structures, tensors bit by bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
