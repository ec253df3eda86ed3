"""From settings to networks on the device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vaelab.config import TrainConfig
from vaelab.errors import ConfigError
from vaelab.losses import Objective, Perceptual, build_perceptual
from vaelab.losses.alignment import Alignment
from vaelab.losses.features import VisionTransformer, build_features
from vaelab.models import Autoencoder, build_autoencoder, build_discriminator
from vaelab.models.moves import FEWEST
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep


def build_step(config: TrainConfig, perceptual: Perceptual | None, ranks: Ranks) -> TrainingStep:
    """Both networks, the objective and the optimizers. Raises ConfigError where the settings do not fit together."""
    data, optim = config.data, config.optim
    autoencoder = build_autoencoder(config.model, data.channels)
    autoencoder.check_clip(data.frames, *data.resolution)
    if config.loss.equivariance_weight > 0:
        _check_moves(autoencoder, config)
    if optim.activation_checkpointing:
        autoencoder.enable_checkpointing()
    discriminator = build_any_discriminator(config) if config.uses_gan else None
    for network in (autoencoder, discriminator):
        if network is not None:
            network.to(ranks.device)
            if optim.channels_last:
                network.to(memory_format=_memory_layout(network))  # type: ignore[call-overload]
    objective = Objective(config.loss, perceptual).to(ranks.device)
    sample = not config.model.deterministic
    find_unused = ranks.world > 1 and _leaves_weights_unused(autoencoder, config)
    freeze_from = config.model.freeze_from if config.model.freeze == "encoder" else None
    return TrainingStep(
        autoencoder,
        discriminator,
        objective,
        config.loss,
        optim,
        config.run.steps,
        ranks,
        sample,
        find_unused,
        freeze_from,
        build_alignment(config, autoencoder, ranks.device),
    )


def build_any_discriminator(config: TrainConfig) -> nn.Module:
    """The discriminator of the settings, with its frozen network where it has one. Raises ConfigError where the pictures are too small
    for that, or its weights are not to be had."""
    if config.loss.disc != "features":
        return build_discriminator(config.loss, config.data.channels)
    features = build_features(config.loss)
    features.check_size(*config.data.resolution)
    return build_discriminator(config.loss, config.data.channels, features)


def build_alignment(config: TrainConfig, autoencoder: Autoencoder, device: torch.device) -> Alignment | None:
    """None where its weight is 0. Raises ConfigError where the vision network is not to be had."""
    loss = config.loss
    if loss.alignment_weight == 0 or loss.alignment_network is None:
        return None
    network = VisionTransformer(loss.alignment_network, "loss.alignment_network")
    return Alignment(network, autoencoder.latent_channels).to(device)


def _check_moves(autoencoder: Autoencoder, config: TrainConfig) -> None:
    least = min(autoencoder.latent_shape(config.data.frames, *config.data.resolution)[2:])
    if least < FEWEST:
        raise ConfigError(
            f"loss.equivariance_weight scales latents down to a quarter, and these have {least} places along a side: at least {FEWEST} are"
            " needed. Raise data.resolution, or set loss.equivariance_weight=0."
        )


def _leaves_weights_unused(autoencoder: Autoencoder, config: TrainConfig) -> bool:
    """Whether clips, or the single images among them, leave weights without a gradient (AutoencoderKLWan's images do)."""
    frames = {config.data.frames, 1} if config.data.image_share else {config.data.frames}
    return any(autoencoder.unused_parameters(count, *config.data.resolution) for count in frames)


def build_perceptual_network(config: TrainConfig, ranks: Ranks) -> Perceptual | None:
    """The network of the perceptual loss, also used by the validation; None where its weight is 0."""
    if config.loss.perceptual_weight == 0:
        return None
    # one process of each machine downloads, if anything has to be; the others then find the file
    for turn in (True, False):
        if turn == (ranks.local_rank == 0):
            network = build_perceptual(config.loss, config.data.channels).to(ranks.device)
        ranks.barrier()
    return network


def derived(
    config: TrainConfig, autoencoder: Autoencoder, steps_per_epoch: int, samples_per_step: int
) -> dict[str, Any]:
    """Shapes and counts that a reader of the log needs for units."""
    clip = (config.data.frames, *config.data.resolution)
    return {
        "latent_shape": "x".join(map(str, autoencoder.latent_shape(*clip))),
        "clip_shape": "x".join(map(str, clip)),
        "compression": "x".join(map(str, autoencoder.factors)),
        "input_channels": config.data.channels,
        "input_range": "-1,1",
        "iters_per_epoch": steps_per_epoch,
        "samples_per_step": samples_per_step,
        "parameters": sum(p.numel() for p in autoencoder.parameters()),
    }


def _memory_layout(module: torch.nn.Module) -> torch.memory_format:
    volumes = any(isinstance(part, torch.nn.Conv3d) for part in module.modules())
    return torch.channels_last_3d if volumes else torch.channels_last
