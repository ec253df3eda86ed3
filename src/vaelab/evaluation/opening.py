"""What an evaluation needs before it starts: models on a device, the network of LPIPS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from vaelab.config.schema import LossConfig
from vaelab.errors import CheckpointError, ConfigError, TrainError, reason
from vaelab.losses import Perceptual, build_perceptual
from vaelab.models.autoencoder import Autoencoder
from vaelab.models.opening import Checkpoint, find_checkpoint, load

Weights = Literal["raw", "ema", "both"]

BY_PACKAGE = "stlpips-alex"  # weights in a small package, which is installed or not: nothing is fetched


def find_models(paths: Sequence[str], weights: Weights = "raw") -> dict[str, Checkpoint]:
    """Title -> checkpoint, for raw or averaged weights or both of each path. Errors: CheckpointError."""
    found: dict[str, Checkpoint] = {}
    for path in paths:
        for ema in {"raw": (False,), "ema": (True,), "both": (False, True)}[weights]:
            checkpoint = find_checkpoint(path, ema)
            title, number = checkpoint.title, 2
            while title in found:
                title, number = f"{checkpoint.title} ({number})", number + 1
            found[title] = checkpoint
    return found


def load_models(found: dict[str, Checkpoint], device: str = "auto") -> dict[str, Autoencoder]:
    """Title -> model on the device. Errors: CheckpointError, also where the models take pixels of different channels."""
    place = pick_device(device)
    models = {title: load(checkpoint).to(place) for title, checkpoint in found.items()}
    channels = {title: model.channels for title, model in models.items()}
    if len(set(channels.values())) > 1:
        said = ", ".join(f"{title}: {count}" for title, count in channels.items())
        raise CheckpointError(
            f"these checkpoints take pixels of different channels ({said}): evaluate them one by one."
        )
    return models


def pick_device(name: str) -> torch.device:
    """auto: the first GPU, else the CPU. Errors: TrainError for a device that is not known or not there."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainError(
            f"--device {name} cannot be used here ({reason(error)}): use auto, cpu, cuda, cuda:N or mps."
        ) from None
    return device


def lpips_network(name: str, height: int, width: int) -> tuple[Perceptual | None, str]:
    """The network, or None and why there is none. name: ``auto``, ``off``, or a backbone of ``loss.perceptual``.

    ``auto`` takes the one that comes in a package, if that is installed and the frames are large enough. Errors: ConfigError
    for a named network whose weights are not to be had or that does not take frames of this size.
    """
    if name == "off":
        return None, "LPIPS was not computed: --lpips off."
    try:
        chosen = BY_PACKAGE if name == "auto" else name
        try:
            settings = LossConfig.model_validate({"perceptual": chosen})
        except ValueError:
            raise ConfigError(
                f"--lpips {name} is not known: use auto, off, vgg16, stlpips-vgg or stlpips-alex."
            ) from None
        network = build_perceptual(settings, 3)
        network.backbone.check_size(height, width)
    except ConfigError as error:
        if name != "auto":
            raise
        return None, f"LPIPS was not computed: {error}"
    return network, ""
