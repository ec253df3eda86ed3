"""Pyramid-Flow's causal video VAE: a module that takes its weights as they are, under the names they have.

Layout and arithmetic: jy0205/Pyramid-Flow, video_vae/modeling_causal_vae.py, modeling_enc_dec.py, modeling_block.py and
modeling_resnet.py (arXiv 2410.05954). ``vaelab.models.CausalVideoVAE`` cannot hold them: time is padded with zeros here,
space and time are resized by separate layers, and upsampling rearranges channels. Clips have 1 + k * 8 frames; the first
is encoded alone.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import nn
from torch.nn import functional

from vaelab.errors import CheckpointError, reason
from vaelab.files import read_text
from vaelab.models.causal_layers import FrameNorm, fold_frames, unfold_frames
from vaelab.models.convert.state import State

TITLE = "Pyramid-Flow"
GROUPS = 32  # of every norm, unless config.json says otherwise


class Conv(nn.Module):
    """Causal convolution: zeros in front of the first frame, and around each frame."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding=(0, kernel // 2, kernel // 2))
        self.past = kernel - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(x, (0, 0, 0, 0, self.past, 0)))


class Strided(nn.Module):
    """Halves space, or time: 1 + 2 n frames become 1 + n."""

    def __init__(self, channels: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv = Conv(channels, channels, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class SpaceUp(nn.Module):
    """Twice the height and width, from four times the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv(channels, 4 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return unfold_frames(functional.pixel_shuffle(fold_frames(self.conv(x)), 2), x.shape[0])


class TimeUp(nn.Module):
    """1 + n frames become 1 + 2 n, from twice the channels: of the first two frames one is dropped."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv(channels, 2 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pairs = self.conv(x).unflatten(1, (-1, 2))  # (B, C, 2, T, H, W)
        return pairs.transpose(2, 3).flatten(2, 3)[:, :, 1:]


class Residual(nn.Module):
    """Twice norm, SiLU and convolution, added to the input."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1 = FrameNorm(groups, inputs, eps=1e-6)
        self.conv1 = Conv(inputs, outputs)
        self.norm2 = FrameNorm(groups, outputs, eps=1e-6)
        self.conv2 = Conv(outputs, outputs)
        self.conv_shortcut = Conv(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Middle(nn.Module):
    """Residual block, attention within each frame, residual block."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Residual(width, width, groups) for _ in range(2)])
        attention = Attention(
            width, heads=1, dim_head=width, norm_num_groups=groups, eps=1e-6, bias=True, residual_connection=True
        )
        self.attentions = nn.ModuleList([attention])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.resnets[0](x)
        x = unfold_frames(self.attentions[0](fold_frames(x)), x.shape[0])
        return self.resnets[1](x)


class Level(nn.Module):
    """Residual blocks at one resolution, then the layers that change height and width, and time."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, resize: dict[str, nn.Module]) -> None:
        """resize: name in the checkpoint -> layer, in the order in which they run."""
        super().__init__()
        self.resnets = nn.ModuleList([Residual(inputs if i == 0 else outputs, outputs, groups) for i in range(layers)])
        self.resize = list(resize)
        for name, layer in resize.items():
            self.add_module(name, nn.ModuleList([layer]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.resnets:
            x = block(x)
        for name in self.resize:
            x = self.get_submodule(f"{name}.0")(x)
        return x


class Encoder(nn.Module):
    """Clips (B, C, T, H, W) -> mean and logvar beside each other (B, 2 C_lat, T_lat, H_lat, W_lat)."""

    def __init__(self, channels: int, outputs: int, levels: list[Level], widths: list[int], groups: int) -> None:
        """widths: channels at each level, in the order in which they run; so in the decoder."""
        super().__init__()
        self.conv_in = Conv(channels, widths[0])
        self.down_blocks = nn.ModuleList(levels)
        self.mid_block = Middle(widths[-1], groups)
        self.conv_norm_out = FrameNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = Conv(widths[-1], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(functional.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Latents (B, C_lat, T_lat, H_lat, W_lat) -> clips (B, C, T, H, W)."""

    def __init__(self, latents: int, channels: int, levels: list[Level], widths: list[int], groups: int) -> None:
        super().__init__()
        self.conv_in = Conv(latents, widths[0])
        self.mid_block = Middle(widths[0], groups)
        self.up_blocks = nn.ModuleList(levels)
        self.conv_norm_out = FrameNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = Conv(widths[-1], channels)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.mid_block(self.conv_in(z))
        for level in self.up_blocks:
            x = level(x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


@dataclass(frozen=True)
class Side:
    """Encoder or decoder, level by level in the order in which they run.

    widths: channels. layers: residual blocks. space, time: whether height and width, and time, change after it.
    """

    widths: list[int]
    layers: list[int]
    space: list[bool]
    time: list[bool]

    @classmethod
    def of(cls, state: State, side: str) -> Side:
        """Read from the names and shapes of the weights; side: ``encoder.down`` or ``decoder.up``."""
        blocks = f"{side}_blocks"
        levels = 1 + max(int(m[1]) for name in state if (m := re.match(rf"{re.escape(blocks)}\.(\d+)\.", name)))
        return cls(
            [state[f"{blocks}.{i}.resnets.0.conv1.conv.weight"].shape[0] for i in range(levels)],
            [sum(f"{blocks}.{i}.resnets.{j}.conv1.conv.weight" in state for j in range(100)) for i in range(levels)],
            [f"{blocks}.{i}.{_way(side)}.0.conv.conv.weight" in state for i in range(levels)],
            [f"{blocks}.{i}.temporal_{_way(side)}.0.conv.conv.weight" in state for i in range(levels)],
        )

    def levels(self, side: str, groups: int) -> list[Level]:
        """The modules."""
        made, inputs = [], self.widths[0]
        for width, layers, space, time in zip(self.widths, self.layers, self.space, self.time, strict=True):
            resize: dict[str, nn.Module] = {}
            if space:
                resize[_way(side)] = Strided(width, (1, 2, 2)) if side == "encoder.down" else SpaceUp(width)
            if time:
                resize[f"temporal_{_way(side)}"] = (
                    Strided(width, (2, 1, 1)) if side == "encoder.down" else TimeUp(width)
                )
            made.append(Level(inputs, width, layers, groups, resize))
            inputs = width
        return made


def _way(side: str) -> str:
    return "downsamplers" if side == "encoder.down" else "upsamplers"


class PyramidFlowVAE(nn.Module):
    """Encodes and decodes clips (B, C, 1 + k * time, H, W) as Pyramid-Flow's CausalVideoVAE, without tiles or chunks.

    channels: of the pixels, float in [-1, 1]. latents: 16 in the published model.
    """

    def __init__(self, channels: int, latents: int, down: Side, up: Side, groups: int = GROUPS) -> None:
        super().__init__()
        self.encoder = Encoder(channels, 2 * latents, down.levels("encoder.down", groups), down.widths, groups)
        self.decoder = Decoder(latents, channels, up.levels("decoder.up", groups), up.widths, groups)
        self.quant_conv = Conv(2 * latents, 2 * latents, 1)
        self.post_quant_conv = Conv(latents, latents, 1)
        self.temporal_compression_ratio = 2 ** sum(down.time)

    def encode(self, x: torch.Tensor) -> AutoencoderKLOutput:
        """Posterior of clips."""
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(self.quant_conv(self.encoder(x))))

    def decode(self, z: torch.Tensor) -> DecoderOutput:
        """Clips of latents (B, C_lat, T_lat, H_lat, W_lat)."""
        return DecoderOutput(sample=self.decoder(self.post_quant_conv(z)))


def is_known(state: State) -> bool:
    """Whether the names are those of Pyramid-Flow."""
    return "encoder.down_blocks.0.resnets.0.conv1.conv.weight" in state and "quant_conv.conv.weight" in state


def convert(state: State, path: Path) -> nn.Module:
    """The module with these weights. Raises CheckpointError if they do not fit it."""
    try:
        down, up = Side.of(state, "encoder.down"), Side.of(state, "decoder.up")
        channels = state["encoder.conv_in.conv.weight"].shape[1]
        module = PyramidFlowVAE(
            channels, state["post_quant_conv.conv.weight"].shape[0], down, up, _groups(path, down, up)
        )
        module.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} has the names of Pyramid-Flow's VAE, but does not fit it: {reason(error, 300)}"
        ) from None
    return module


def _groups(path: Path, down: Side, up: Side) -> int:
    """What config.json beside the file says; else 32, or what divides all widths where 32 does not."""
    try:
        return int(json.loads(read_text(path.parent / "config.json"))["encoder_norm_num_groups"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.gcd(GROUPS, *down.widths, *up.widths)
