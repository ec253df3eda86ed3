"""AutoencoderKL as CompVis wrote it -> AutoencoderKL of diffusers, the same network under other names.

Layout: CompVis/latent-diffusion and stable-diffusion, ldm/modules/diffusionmodules/model.py; RadioDiff's
encoder_decoder.py has the same names. Levels are counted from the finest there, in diffusers' decoder from the coarsest.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL
from torch import nn

from vaelab.errors import CheckpointError, reason
from vaelab.models.convert.state import State

TITLE = "CompVis (RadioDiff, Stable Diffusion)"
GROUPS = 32  # of every norm
_LEVEL = re.compile(r"(encoder\.down|decoder\.up)\.(\d+)\.(block|attn)\.(\d+)\.(.*)")
_RESIZE = re.compile(r"(encoder\.down|decoder\.up)\.(\d+)\.(downsample|upsample)\.conv\.(.*)")
_MIDDLE = re.compile(r"(encoder|decoder)\.mid\.(block|attn)_(\d)\.(.*)")
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def is_known(state: State) -> bool:
    """Whether the names are those of CompVis."""
    return "encoder.down.0.block.0.norm1.weight" in state


def convert(state: State, path: Path) -> nn.Module:
    """The diffusers module with these weights. Raises CheckpointError if they are not those of an AutoencoderKL."""
    if any(name.startswith("quantize.") for name in state):
        raise CheckpointError(f"{path} is a vector-quantised model (VQ): vaelab has no codebook.")
    try:
        arguments = architecture(state, path)
        module: Any = AutoencoderKL(**arguments)
        module.load_state_dict(_renamed(state, len(arguments["block_out_channels"])))
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} has the names of CompVis' AutoencoderKL, but does not fit it: {reason(error, 300)}"
        ) from None
    return module


def architecture(state: State, path: Path) -> dict[str, Any]:
    """The arguments of diffusers' AutoencoderKL, read from the shapes of the weights."""
    levels = 1 + max(int(match[2]) for name in state if (match := _LEVEL.fullmatch(name)))
    widths = [state[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] for level in range(levels)]
    depth = sum(f"encoder.down.0.block.{block}.conv1.weight" in state for block in range(100))
    down = [f"encoder.down.{level}.attn.0.q.weight" in state for level in range(levels)]
    up = [f"decoder.up.{level}.attn.0.q.weight" in state for level in reversed(range(levels))]
    has_quant = "quant_conv.weight" in state
    latent = state["encoder.conv_out.weight"].shape[0] // 2
    if has_quant and state["quant_conv.weight"].shape[:2] != (2 * latent, 2 * latent):
        raise CheckpointError(
            f"{path} has an embed_dim other than its z_channels, or a latent without a variance: diffusers' AutoencoderKL"
            " cannot hold it."
        )
    return {
        "in_channels": state["encoder.conv_in.weight"].shape[1],
        "out_channels": state["decoder.conv_out.weight"].shape[0],
        "latent_channels": latent,
        "block_out_channels": widths,
        "layers_per_block": depth,
        "norm_num_groups": GROUPS,
        "down_block_types": ["AttnDownEncoderBlock2D" if attention else "DownEncoderBlock2D" for attention in down],
        "up_block_types": ["AttnUpDecoderBlock2D" if attention else "UpDecoderBlock2D" for attention in up],
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in state,
        "use_quant_conv": has_quant,
        "use_post_quant_conv": "post_quant_conv.weight" in state,
    }


def _renamed(state: State, levels: int) -> State:
    renamed = {rename(name, levels): value for name, value in state.items()}
    # 1 x 1 convolutions of the attention are linear layers in diffusers
    return {n: v[:, :, 0, 0] if ".attentions." in n and v.ndim == 4 else v for n, v in renamed.items()}


def rename(name: str, levels: int) -> str:
    """CompVis' name of a weight -> diffusers'. levels: resolutions of the model."""
    if match := _LEVEL.fullmatch(name):
        side, level, kind, number, rest = match.groups()
        return f"{_side(side, int(level), levels)}.{_part(kind, number, rest)}"
    if match := _RESIZE.fullmatch(name):
        side, level, kind, rest = match.groups()
        return f"{_side(side, int(level), levels)}.{kind}rs.0.conv.{rest}"
    if match := _MIDDLE.fullmatch(name):
        side, kind, number, rest = match.groups()
        return f"{side}.mid_block.{_part(kind, str(int(number) - 1), rest)}"
    return name.replace("norm_out", "conv_norm_out")


def _side(side: str, level: int, levels: int) -> str:
    return f"encoder.down_blocks.{level}" if side == "encoder.down" else f"decoder.up_blocks.{levels - 1 - level}"


def _part(kind: str, number: str, rest: str) -> str:
    if kind == "block":
        return f"resnets.{number}.{rest.replace('nin_shortcut', 'conv_shortcut')}"
    layer, _, parameter = rest.rpartition(".")
    return f"attentions.{number}.{_ATTENTION.get(layer, layer)}.{parameter}"
