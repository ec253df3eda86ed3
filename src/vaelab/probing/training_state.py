"""The training step of a checkpoint of ``vaelab train``, as it stood: both networks, objective, optimizers, counters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from vaelab.config import TrainConfig
from vaelab.errors import CheckpointError, reason
from vaelab.losses import Objective, build_perceptual
from vaelab.losses.weights import PerceptualWeightsError
from vaelab.models import Autoencoder
from vaelab.training.build import build_alignment, build_any_discriminator
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep


def open_training(
    config: TrainConfig, checkpoint: Path, autoencoder: Autoencoder, device: torch.device
) -> tuple[TrainingStep, str]:
    """The step that would come next, with learning rates of 0: taking it measures and changes no weight.

    checkpoint: the folder ``step-00001000``. autoencoder: its raw weights, on ``device``. Also a sentence where the
    perceptual network is left out because its weights are not at hand, else "".
    Errors: CheckpointError if a part is missing or does not fit; ConfigError from the settings.
    """
    loss, missing = config.loss, ""
    perceptual = None
    if loss.perceptual_weight > 0:
        try:
            perceptual = build_perceptual(loss, config.data.channels).to(device)
        except PerceptualWeightsError as error:
            missing = f"The gradients of the losses: {error}"
            loss = loss.model_copy(update={"perceptual_weight": 0.0})
    discriminator = build_any_discriminator(config).to(device) if config.uses_gan else None
    still: dict[str, Any] = {
        "lr": 0.0,
        "min_lr": 0.0,
        "disc_lr": 0.0,
        "disc_min_lr": 0.0,
        "ema_decay": None,
        "compile": False,
    }
    if device.type == "cpu":
        still["precision"] = "fp32"  # half precision is slow there, and in part missing
    optim = config.optim.model_copy(update=still)
    objective = Objective(loss, perceptual).to(device)
    autoencoder.train().requires_grad_(True)
    step = TrainingStep(
        autoencoder,
        discriminator,
        objective,
        loss,
        optim,
        config.run.steps,
        Ranks(device=device),
        sample=not config.model.deterministic,
        alignment=build_alignment(config, autoencoder, device),
    )
    try:
        state = torch.load(checkpoint / "training.pt", map_location="cpu", weights_only=True)["step"]
        if discriminator is not None and state["discriminator"] is not None:
            discriminator.load_state_dict(load_file(checkpoint / "discriminator.safetensors"))
        step.load_state_dict(state)
    except FileNotFoundError as error:
        missing_file = Path(error.filename or "training.pt").name
        raise CheckpointError(
            f"{checkpoint} has no {missing_file}: only a whole checkpoint of vaelab train has a discriminator. Leave out"
            " --discriminator, or name another checkpoint."
        ) from None
    except Exception as error:  # torch and safetensors raise many types on a damaged file
        raise CheckpointError(
            f"The training state in {checkpoint} does not fit or cannot be read ({reason(error)}). Name another checkpoint, or"
            " leave out --discriminator."
        ) from None
    return step, missing
