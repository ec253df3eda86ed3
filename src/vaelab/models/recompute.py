"""Activation checkpointing for classes of diffusers whose layers hand features of earlier frames on in a list (AutoencoderKLWan).

They work on a clip piece by piece, and each causal convolution writes the end of its input into the list for the piece after. diffusers
cannot recompute such a layer: at that time the list holds later features. Here what a layer reads from the list is an input of the
function that is recomputed, and what it writes is an output, through which the gradient flows to the piece before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

WITH_FEATURE_LIST = ("AutoencoderKLWan", "AutoencoderKLQwenImage")


def recompute_layers(module: Any) -> None:
    """Let the blocks of encoder and decoder recompute their activations in the backward pass.

    Not the first and the last layer: the adaptive GAN weight takes two gradients at the last one alone, which would recompute the whole
    decoder each time. module: of one of the classes ``WITH_FEATURE_LIST``.
    """
    encoder, decoder = module.encoder, module.decoder
    for layer in (*encoder.down_blocks, encoder.mid_block, decoder.mid_block, *decoder.up_blocks):
        # another class, and not another forward on the object: copies, such as the EMA, must compute with their own weights
        if not isinstance(layer, _Recomputed):
            layer.__class__ = type(type(layer).__name__, (_Recomputed, type(layer)), {})


class _Recomputed:
    """Before a layer's own class among the bases."""

    def forward(self, x: torch.Tensor, feat_cache: Any = None, feat_idx: Any = (0,), **options: Any) -> torch.Tensor:
        plain: Any = super().forward  # type: ignore[misc]
        if feat_cache is None or not torch.is_grad_enabled():
            return plain(x, feat_cache=feat_cache, feat_idx=feat_idx, **options)
        start = feat_idx[0]

        def layer(x: torch.Tensor, *features: Any) -> tuple[torch.Tensor, list[Any]]:
            own, index = list(features), [0]
            out = plain(x, feat_cache=own, feat_idx=index, **options)
            return out, own[: index[0]]

        out, made = checkpoint(layer, x, *feat_cache[start:], use_reentrant=False)
        feat_idx[0] = start + len(made)
        feat_cache[start : feat_idx[0]] = made
        return out
