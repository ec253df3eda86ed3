"""Layers of a causal video autoencoder: no output frame depends on a later input frame, exactly.

All take and give (B, C, T, H, W). They are fastest in the memory layout ``channels_last_3d``, in which frames fold into
the batch without a copy.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class CausalConv3d(nn.Conv3d):
    """Convolution that sees the present and the past: time is padded in front with copies of the first frame.

    The copies make an image equal to the first frame of a clip that stood still before it, so that images and clips
    share weights (MAGVIT-v2, arXiv 2310.05737, pads with zeros, which darkens the first frames of a clip). Frames T
    become (T - 1) / stride + 1, with T - 1 a multiple of the time stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)):
        """kernel, stride: (time, space)."""
        (time, space), (time_stride, space_stride) = kernel, stride
        super().__init__(
            in_channels,
            out_channels,
            (time, space, space),
            stride=(time_stride, space_stride, space_stride),
            padding=(0, space // 2, space // 2),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C_in, T, H, W) -> (B, C_out, T', H', W')."""
        past = self.kernel_size[0] - 1
        if x.shape[2] == 1:
            # Every tap in time sees the same frame: one 2D convolution with the summed weight, a third of the work.
            weight = self.weight.sum(2)
            return functional.conv2d(x[:, :, 0], weight, self.bias, self.stride[1:], self.padding[1:]).unsqueeze(2)
        if past:
            x = torch.cat([x[:, :, :1].expand(-1, -1, past, -1, -1), x], dim=2)
        return super().forward(x)


class FrameNorm(nn.GroupNorm):
    """Group normalisation of each frame by itself: statistics over time would let the future leak into the past."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        return unfold_frames(super().forward(fold_frames(x)), x.shape[0])


class ResidualBlock(nn.Module):
    """Twice norm, SiLU and a 3x3x3 causal convolution, added to the input."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm1 = FrameNorm(groups, channels, eps=1e-6)
        self.conv1 = CausalConv3d(channels, channels, (3, 3))
        self.norm2 = FrameNorm(groups, channels, eps=1e-6)
        self.conv2 = CausalConv3d(channels, channels, (3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        y = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(y)))


class FrameAttention(nn.Module):
    """Self-attention over the places of each frame by itself, one head, added to the input."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = FrameNorm(groups, channels, eps=1e-6)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        places = fold_frames(self.norm(x)).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(places).chunk(3, dim=-1)
        y = self.out(functional.scaled_dot_product_attention(query, key, value))
        return x + unfold_frames(y.transpose(1, 2).unflatten(2, x.shape[3:]), x.shape[0])


class Downsample(CausalConv3d):
    """Strided causal convolution: halves space, time or both. Frames 1 + 2n become 1 + n, the first one alone."""

    def __init__(self, in_channels: int, out_channels: int, time: bool, space: bool):
        kernel, stride = (3 if time else 1, 3 if space else 1), (2 if time else 1, 2 if space else 1)
        super().__init__(in_channels, out_channels, kernel, stride)


class Upsample(CausalConv3d):
    """Repeats pixels, frames or both, then convolves. Frames 1 + n become 1 + 2n: the first one is not repeated."""

    def __init__(self, in_channels: int, out_channels: int, time: bool, space: bool):
        super().__init__(in_channels, out_channels, (3 if time else 1, 3 if space else 1))
        self.time, self.space = time, space

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C_in, T, H, W) -> (B, C_out, T', H', W')."""
        if self.time and x.shape[2] > 1:
            x = torch.cat([x[:, :, :1], x[:, :, 1:].repeat_interleave(2, dim=2)], dim=2)
        if self.space:
            x = unfold_frames(functional.interpolate(fold_frames(x), scale_factor=2.0, mode="nearest"), x.shape[0])
        return super().forward(x)


def fold_frames(x: torch.Tensor) -> torch.Tensor:
    """(B, C, T, H, W) -> (B * T, C, H, W)."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold_frames(x: torch.Tensor, batch: int) -> torch.Tensor:
    """(B * T, C, H, W) -> (B, C, T, H, W)."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)
