"""What an autoencoder takes and gives, measured on tiny clips.

Config attributes are no safe source: a class with fewer blocks than usual keeps the default ratio in its config
(AutoencoderKLWan's scale_factor_spatial), and many classes have no such attribute.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from vaelab.errors import ConfigError, reason
from vaelab.models.causal_layers import fold_frames, unfold_frames
from vaelab.models.grid import Grid

_SIZES = (32, 64, 128, 256)  # pixels; the first that the class can encode
_TIME_FACTORS = (4, 8, 2, 6, 1, 3, 16)  # commonest first


class Posterior(NamedTuple):
    """mean and logvar of the latent, (B, C_lat, T_lat, H_lat, W_lat), float32; logvar is None for a deterministic class."""

    mean: torch.Tensor
    logvar: torch.Tensor | None


class Calling(NamedTuple):
    """How to call the ``encode`` and ``decode`` of one diffusers autoencoder with clips (B, C, T, H, W).

    folds: it is 2D, so frames are folded into the batch. tells_frames: its decoder joins the folded frames again and is told
    how many there are (AutoencoderKLTemporalDecoder).
    """

    folds: bool
    tells_frames: bool

    def encode(self, module: Any, x: torch.Tensor) -> Posterior:
        """Posterior of clips (B, C, T, H, W)."""
        output = module.encode(fold_frames(x) if self.folds else x)
        posterior: Any = getattr(output, "latent_dist", None)
        if hasattr(posterior, "logvar"):  # a Gaussian
            mean, logvar = posterior.mean, posterior.logvar
        elif posterior is not None:  # diffusers' IdentityDistribution
            mean, logvar = posterior.mode(), None
        else:  # AutoencoderDC: latent; AutoencoderTiny: latents
            mean, logvar = output[0], None
        if self.folds:
            mean = unfold_frames(mean, x.shape[0])
            logvar = None if logvar is None else unfold_frames(logvar, x.shape[0])
        return Posterior(mean.float(), None if logvar is None else logvar.float())

    def decode(self, module: Any, z: torch.Tensor) -> torch.Tensor:
        """Clips (B, C, T, H, W), float32, of latents (B, C_lat, T_lat, H_lat, W_lat)."""
        extra = {"num_frames": z.shape[2]} if self.tells_frames else {}
        output = module.decode(fold_frames(z) if self.folds else z, **extra)
        x = output if isinstance(output, torch.Tensor) else output[0]  # AutoencoderVidTok gives the tensor itself
        return (unfold_frames(x, z.shape[0]) if self.folds else x).float()


class Measured(NamedTuple):
    """What was measured. last_layer: name of the weight of the decoder's last convolution."""

    calling: Calling
    grid: Grid
    latent_channels: int
    has_posterior: bool
    last_layer: str


def measure(module: nn.Module, channels: int) -> Measured:
    """Measure a module on zeros of a few frames and pixels. Leaves its mode and the random state as they were.

    Errors: ConfigError when it does not take pixels of ``channels`` channels, or not any clip at all.
    """
    training = module.training
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return _Measuring(module.eval(), channels).result()
    finally:
        module.train(training)


class _Measuring:
    """The measurement of one module, in evaluation mode and without gradients."""

    def __init__(self, module: nn.Module, channels: int):
        self.module, self.channels, self.name = module, channels, type(module).__name__
        self.calling, self.size, self.posterior = self._first_encoded()

    def result(self) -> Measured:
        mean, logvar = self.posterior
        spatial = self.size // mean.shape[3], self.size // mean.shape[4]
        grid = Grid(1, *spatial) if self.calling.folds else self._time_grid(*spatial)
        frames = 1 if grid.images_only else int(grid.first_frame_alone) + grid.step
        decoded, last_layer = self._decode_and_watch(self.calling.encode(self.module, self._zeros(frames)).mean)
        if decoded.shape != self._zeros(frames).shape:
            raise ConfigError(
                f"{self.name} does not give back what it takes: a clip (B, C, T, H, W) of"
                f" {tuple(self._zeros(frames).shape)} comes back as {tuple(decoded.shape)}; check in_channels, out_channels"
                " and the strides in model.config"
            )
        return Measured(self.calling, grid, mean.shape[1], logvar is not None, last_layer)

    def _zeros(self, frames: int, size: int = 0, channels: int = 0) -> torch.Tensor:
        return torch.zeros(1, channels or self.channels, frames, size or self.size, size or self.size)

    def _first_encoded(self) -> tuple[Calling, int, Posterior]:
        """How to call the module, the smallest size in pixels that it encodes, and the posterior of that."""
        errors: dict[bool, str] = {}
        for channels in (self.channels, 4 - self.channels):  # then 3 for 1 and 1 for 3, to say what is wrong
            for frames, size, calling in itertools.product((1, 16), _SIZES, self._callings()):
                try:
                    posterior = calling.encode(self.module, self._zeros(frames, size, channels))
                except Exception as failure:  # what a class cannot take fails in many ways
                    errors.setdefault(calling.folds, f"{type(failure).__name__}: {reason(failure)}")
                    continue
                if not posterior.mean.numel():
                    continue
                if channels != self.channels:
                    raise ConfigError(
                        f"{self.name} takes pixels of {channels} channels, but data.channels is {self.channels}: set"
                        f" data.channels to {channels}, or in a new model in_channels and out_channels in model.config"
                    )
                return calling, size, posterior
        raise ConfigError(
            f"{self.name} cannot be used: encoding fails, for a clip with {errors[False]}, and for single"
            f" pictures with {errors.get(True)}"
        )

    def _callings(self) -> list[Calling]:
        """2D classes refuse five dimensions, so that the clip is tried first."""
        tells_frames = "num_frames" in inspect.signature(self.module.decode).parameters  # type: ignore[arg-type]
        return [Calling(folds=False, tells_frames=False), Calling(folds=True, tells_frames=tells_frames)]

    def _time_grid(self, height: int, width: int) -> Grid:
        """The time factor r and count k with which 1 + k r frames come back from 1 + k latents, else k r from k.

        k is above 1 where a class works on groups of latents (AutoencoderKLCogVideoX, AutoencoderVidTok).
        """
        image = self._round_trip(1, 1)
        for first, counts in ((True, (1, 2)), (False, (1, 2, 4))):
            for factor, count in itertools.product(self._time_factors(), counts):
                frames = int(first) + count * factor
                if frames > 1 and (image or not first) and self._round_trip(frames, int(first) + count):
                    return Grid(factor, height, width, first_frame_alone=first, group=count)
        if image:
            return Grid(1, height, width, images_only=True)
        raise ConfigError(
            f"{self.name} cannot be used: no number of frames was found that comes back from it unchanged (tried 1,"
            f" 1 + k and multiples of k for k in {', '.join(map(str, _TIME_FACTORS))})"
        )

    def _round_trip(self, frames: int, latents: int) -> bool:
        try:
            z = self.calling.encode(self.module, self._zeros(frames)).mean
            return z.shape[2] == latents and self.calling.decode(self.module, z).shape[2] == frames
        except Exception:  # not a length that this class takes
            return False

    def _time_factors(self) -> list[int]:
        """The factors to try, first the one that the module claims."""
        claimed = vars(self.module).get("temporal_compression_ratio")
        return list(dict.fromkeys([int(claimed), *_TIME_FACTORS])) if claimed else list(_TIME_FACTORS)

    def _decode_and_watch(self, z: torch.Tensor) -> tuple[torch.Tensor, str]:
        """Decode, and the name of the weight of the last convolution (or linear layer) that ran."""
        ran: list[str] = []

        def watch(name: str) -> Callable[..., None]:
            return lambda *_: ran.append(name)

        kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
        layers = [(name, part) for name, part in self.module.named_modules() if isinstance(part, kinds)]
        hooks = [part.register_forward_hook(watch(name)) for name, part in layers]
        try:
            decoded = self.calling.decode(self.module, z)
        finally:
            for hook in hooks:
                hook.remove()
        return decoded, f"{ran[-1]}.weight"
