"""One interface for every autoencoder that vaelab trains: its own and those of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from vaelab.config.schema import ModelConfig
from vaelab.errors import ConfigError
from vaelab.models.classes import build_module, load_module, take_clips_whole
from vaelab.models.measuring import measure
from vaelab.models.moves import Move, moved
from vaelab.models.recompute import WITH_FEATURE_LIST, recompute_layers
from vaelab.models.types import Reconstruction

# Classes whose own activation checkpointing, as of diffusers 0.42, does not give the plain gradient.
_WRONG_WHEN_RECOMPUTED = {
    "AutoencoderTiny": "its activation checkpointing leaves out the scaling of the pixels, and so computes something else",
    "AutoencoderKLMagvit": "its layers remember the frames before, which recomputed ones would not have",
}

_FOR_TRYING = 4  # latents along a side of a clip on which a pass is tried


class Autoencoder(nn.Module):
    """Wraps a module that has diffusers' ``encode`` and ``decode``, 2D or 3D, with or without a posterior.

    module: the wrapped one. channels: of its pixels, 1 or 3. deterministic: the latent is the mean and never sampled,
    because the class has no posterior (``has_posterior`` is False) or because the caller wants it so.
    latent_noise, latent_mask: what training does to the latent before the decoder, see ModelConfig. latent_channels: C_lat. factors: compression of (time, height, width). grid: the clip sizes that it takes. in_diffusers: a
    sentence where plain diffusers computes another result with the same weights, else empty; ``save`` writes it to config.json.

    What it takes and gives is measured on a tiny clip when it is built, on the CPU. Pixels are float in [-1, 1]; weights
    float32. In training call only ``forward``, so that DistributedDataParallel sees the pass. Errors: ConfigError from
    :func:`vaelab.models.measuring.measure`.
    """

    def __init__(
        self,
        module: nn.Module,
        channels: int,
        deterministic: bool = False,
        latent_noise: float = 0.0,
        latent_mask: float = 0.0,
    ):
        super().__init__()
        self.latent_noise, self.latent_mask = latent_noise, latent_mask
        self.module, self.channels = module, channels
        self.in_diffusers = take_clips_whole(module)
        self._calling, self.grid, self.latent_channels, self.has_posterior, self._last_layer = measure(module, channels)
        self.deterministic = deterministic or not self.has_posterior

    def forward(
        self,
        x: torch.Tensor,
        sample: bool = True,
        generator: torch.Generator | None = None,
        move: Move | None = None,
    ) -> Reconstruction:
        """Encode, sample and decode clips (B, C, T, H, W); the result is float32 also under autocast.

        The latent is mean + std * noise, noise from ``generator`` or torch's default; it is the mean when ``sample``
        is False or the autoencoder deterministic. In training mode the decoder gets it with ``latent_noise`` and
        ``latent_mask``; the result holds it without. move: decode the latent moved so, too (here, and not by a second call, so that
        DistributedDataParallel sees one pass). Errors: ConfigError for a clip off the grid.
        """
        mean, logvar = self.encode(x)
        z = mean
        if sample and not self.deterministic and logvar is not None:
            noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
            z = mean + torch.exp(0.5 * logvar) * noise
        seen = self._disturbed(z, generator) if self.training else z
        also = None if move is None else self.decode(moved(z, *move))
        return Reconstruction(self.decode(seen), z, mean if self.has_posterior else None, logvar, also)

    def _disturbed(self, z: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Noise of up to ``latent_noise`` times the standard deviation of each channel, and up to ``latent_mask`` of the places
        set to 0, in all channels; how much is drawn for each sample."""

        def uniform(*shape: int) -> torch.Tensor:
            return torch.rand(shape, generator=generator, device=z.device, dtype=z.dtype)

        if self.latent_noise > 0:
            spread = z.detach().std(dim=(0, 2, 3, 4), keepdim=True, correction=0)
            noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
            z = z + self.latent_noise * uniform(len(z), 1, 1, 1, 1) * spread * noise
        if self.latent_mask > 0:
            kept = uniform(len(z), 1, *z.shape[2:]) >= self.latent_mask * uniform(len(z), 1, 1, 1, 1)
            z = z * kept
        return z

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Mean and logvar (None without a posterior), each (B, C_lat, T_lat, H_lat, W_lat), of clips (B, C, T, H, W)."""
        if x.shape[1] != self.channels:
            raise ConfigError(
                f"{self.name} takes pixels of {self.channels} channels, not {x.shape[1]}: set data.channels"
            )
        self.check_clip(*x.shape[2:])
        return self._calling.encode(self.module, x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Clips (B, C, T, H, W) of latents (B, C_lat, T_lat, H_lat, W_lat)."""
        return self._calling.decode(self.module, z)

    @property
    def name(self) -> str:
        """Name of the wrapped class."""
        return type(self.module).__name__

    @property
    def factors(self) -> tuple[int, int, int]:
        """Pixels for one latent along (time, height, width); the first frame may stand alone, see ``grid``."""
        return self.grid.time, self.grid.height, self.grid.width

    @property
    def last_layer(self) -> nn.Parameter:
        """Weight of the decoder's last convolution, where the adaptive GAN weight compares gradients."""
        return self.module.get_parameter(self._last_layer)

    def check_clip(self, frames: int, height: int, width: int) -> None:
        """Raise ConfigError, naming the nearest valid values, unless clips of this size can be encoded."""
        self.grid.check(frames, height, width, who=self.name)

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """(C_lat, T_lat, H_lat, W_lat) of such a clip. Errors: ConfigError off the grid."""
        self.check_clip(frames, height, width)
        return self.latent_channels, *self.grid.latent_size(frames, height, width)

    def enable_checkpointing(self) -> None:
        """Recompute activations in the backward pass. Errors: ConfigError for a class that cannot."""
        if self.name in WITH_FEATURE_LIST:
            return recompute_layers(self.module)
        supported = getattr(self.module, "_supports_gradient_checkpointing", False)
        reason = "" if supported else "it has no activation checkpointing"
        if reason := _WRONG_WHEN_RECOMPUTED.get(self.name, reason):
            raise ConfigError(f"{self.name}: {reason}; set optim.activation_checkpointing to false")
        self.module.enable_gradient_checkpointing()  # type: ignore[operator]

    def unused_parameters(self, frames: int, height: int, width: int) -> list[str]:
        """Names of trainable parameters that get no gradient from one clip of this size, by trying.

        They depend on the size: in some classes (AutoencoderKLWan) the temporal layers are not run on single images.
        DistributedDataParallel stops at a parameter without a gradient unless told to look for them. Costs one forward
        and backward pass; leaves gradients and the random state as they were.
        """
        trainable = {name: weight for name, weight in self.named_parameters() if weight.requires_grad}
        device = self.last_layer.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
            outputs = self(torch.zeros(1, self.channels, frames, height, width, device=device))
            total = sum(part.mean() for part in outputs if part is not None)
            gradients = torch.autograd.grad(total, list(trainable.values()), allow_unused=True)
        return [name for name, gradient in zip(trainable, gradients, strict=True) if gradient is None]

    def freeze_encoder(self) -> list[nn.Parameter]:
        """Take all that ``encode`` runs out of the training: no gradients, and evaluation mode, so that norm statistics and
        dropout stay still. Returns its parameters. What it runs is found by trying, on a clip and on a single image.
        """
        ran: dict[nn.Module, None] = {}
        modes = [(part, part.training) for part in self.modules()]
        self.eval()  # the try itself must not move norm statistics
        hooks = [part.register_forward_pre_hook(lambda part, _: ran.setdefault(part)) for part in self.modules()]
        device = self.last_layer.device
        clip = 1 if self.grid.images_only else int(self.grid.first_frame_alone) + self.grid.step
        sizes = {clip, 1} if self.grid.first_frame_alone else {clip}
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                for frames in sizes:
                    shape = (frames, *(_FOR_TRYING * factor for factor in self.factors[1:]))
                    self.encode(torch.zeros(1, self.channels, *shape, device=device))
        finally:
            for hook in hooks:
                hook.remove()
            for part, training in modes:
                part.training = training and part not in ran
        frozen = [weight for part in ran for weight in part.parameters(recurse=False)]
        for weight in frozen:
            weight.requires_grad_(False)
        return frozen

    def save(self, folder: str | Path) -> None:
        """Write config.json and diffusion_pytorch_model.safetensors, as diffusers' save_pretrained does."""
        self.module.save_pretrained(str(folder))  # type: ignore[operator]


def build_autoencoder(config: ModelConfig, channels: int) -> Autoencoder:
    """The autoencoder of the settings, new or pretrained, for pixels of ``channels`` (1 or 3) channels.

    Errors: ConfigError for an unknown class or argument, for a model that cannot be fetched, is of another class than
    ``model.type`` says, lacks weights, or takes another number of channels.
    """
    if config.pretrained is None:
        module = build_module(config.type, config.config, channels)
    else:
        expected = config.type if "type" in config.model_fields_set else None
        module = load_module(config.pretrained, config.subfolder, expected)
    return Autoencoder(module, channels, config.deterministic, config.latent_noise, config.latent_mask)


def load_autoencoder(folder: str | Path, channels: int | None = None, deterministic: bool = False) -> Autoencoder:
    """The autoencoder that ``save``, or any diffusers save_pretrained, wrote. Errors: ConfigError as in build_autoencoder.

    channels: of its pixels; None finds out whether it takes 3 or 1.
    """
    module: Any = load_module(str(folder))
    if channels is None:
        try:
            return Autoencoder(module, 3, deterministic)
        except ConfigError:
            return Autoencoder(module, 1, deterministic)
    return Autoencoder(module, channels, deterministic)
