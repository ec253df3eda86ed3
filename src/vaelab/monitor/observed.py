"""Observed: shapes and ranges of the tensors of a run, as settings that units are computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from vaelab.monitor.capture import Tensor, array

NAMES = {
    "x": ("x", "input", "inputs", "image", "images", "video", "videos", "clip", "clips", "pixel_values", "batch", "sample",
          "samples", "target", "targets"),
    "reconstruction": ("reconstruction", "reconstructions", "recon", "rec", "x_rec", "x_hat", "xrec", "decoded", "output"),
    "latent": ("latent", "latents", "z", "mean", "mu", "posterior_mean", "encoded"),
    "posterior_logvar": ("logvar", "log_var", "posterior_logvar"),
    "logits": ("logits", "logits_real", "logits_fake"),
}  # fmt: skip
"""What a tensor is, by the name it is given."""

_ROLES = {name: role for role, names in NAMES.items() for name in names}
MOST_CHANNELS = 4
"""Axes of pictures with no more than these are taken for their channels."""

NEAR = 0.02
"""How far, of the width, a value may lie outside a usual range and still belong to it."""


class Observed:
    """Shapes and ranges so far. Tensors have the batch as their first axis."""

    def __init__(self) -> None:
        self.shapes: dict[str, Counter[tuple[int, ...]]] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.whole: set[str] = set()  # roles seen as 8-bit integers

    def add(self, tensor: Tensor) -> str | None:
        """Take one tensor; returns a sentence if there is something to tell about it."""
        role = role_of(tensor.name)
        if role is None:
            return (
                f"'{tensor.name}' has {'x'.join(map(str, tensor.shape))} values and is not recorded: log one number, for"
                " example its mean, or name it x, reconstruction, latent, logits_real or logits_fake."
            )
        self.shapes.setdefault(role, Counter())[tensor.shape[1:]] += 1
        if tensor.dtype.endswith("uint8"):
            self.whole.add(role)
        if tensor.values is not None:
            values = array(tensor.values)
            values = values[np.isfinite(values)]
            if len(values):
                low, high = self.ranges.get(role, (np.inf, -np.inf))
                self.ranges[role] = (min(low, float(values.min())), max(high, float(values.max())))
        if role in ("x", "reconstruction") and {"x", "reconstruction"} <= self.shapes.keys():
            return self._unequal()
        return None

    def settings(self) -> dict[str, Any]:
        """clip_shape [T, H, W], input_channels, input_range [low, high], latent_shape [C, T, H, W] or [C, H, W],
        latent_channels; those that can be told. Of several shapes the most frequent counts."""
        found: dict[str, Any] = {}
        order = "channels_first"
        if (shape := self._shape("x")) is not None and len(shape) in (3, 4):
            order = axis_order(shape)
            channels, *sizes = _channels_first(shape, order)
            found["clip_shape"] = [1, *sizes] if len(sizes) == 2 else sizes
            found["input_channels"] = channels
            if (span := self._input_range()) is not None:
                found["input_range"] = span
        if (shape := self._shape("latent")) is not None and 1 <= len(shape) <= 4:
            sizes = _channels_first(shape, order) if len(shape) >= 3 else tokens(shape)
            found |= {"latent_shape": sizes, "latent_channels": sizes[0]}
        if (shape := self._shape("logits")) is not None:
            found["logits_shape"] = list(shape)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "shapes": {role: [[list(shape), count] for shape, count in c.items()] for role, c in self.shapes.items()},
            "ranges": {role: list(span) for role, span in self.ranges.items()},
            "whole": sorted(self.whole),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.shapes = {role: Counter({tuple(s): n for s, n in pairs}) for role, pairs in state["shapes"].items()}
        self.ranges = {role: (span[0], span[1]) for role, span in state["ranges"].items()}
        self.whole = set(state["whole"])

    def _shape(self, role: str) -> tuple[int, ...] | None:
        shapes = self.shapes.get(role)
        return shapes.most_common(1)[0][0] if shapes else None

    def _input_range(self) -> list[float] | None:
        if "x" in self.whole:
            return [0.0, 255.0]
        return usual_range(*self.ranges["x"]) if "x" in self.ranges else None

    def _unequal(self) -> str | None:
        x, reconstruction = self._shape("x"), self._shape("reconstruction")
        if x == reconstruction or None in (x, reconstruction):
            return None
        return (
            f"one item of x has the shape {x}, of the reconstruction {reconstruction}: a difference of the two is broadcast, or"
            " fails. Give both in the same layout, and check the loss."
        )


def role_of(name: str) -> str | None:
    """``x``, ``reconstruction``, ``latent``, ``posterior_logvar`` or ``logits``; None for any other name."""
    return _ROLES.get(name.rpartition("/")[2].lower())


def axis_order(shape: tuple[int, ...]) -> str:
    """``channels_first``, ``frames_first`` (T, C, H, W) or ``channels_last`` of one picture or clip, without the batch."""
    if shape[0] <= MOST_CHANNELS:
        return "channels_first"
    if len(shape) == 4 and shape[1] <= MOST_CHANNELS:
        return "frames_first"
    return "channels_last" if shape[-1] <= MOST_CHANNELS else "channels_first"


def _channels_first(shape: tuple[int, ...], order: str) -> list[int]:
    if order == "channels_last":
        return [shape[-1], *shape[:-1]]
    if order == "frames_first" and len(shape) == 4:
        return [shape[1], shape[0], *shape[2:]]
    return list(shape)


def tokens(shape: tuple[int, ...]) -> list[int]:
    """A latent that is one vector (channels), or a row of tokens (tokens, channels), as [C, H, W]."""
    return [shape[0], 1, 1] if len(shape) == 1 else [shape[1], shape[0], 1]


def usual_range(low: float, high: float) -> list[float] | None:
    """The usual range of inputs that [low, high] lies in, else [low, high] itself; None if all values are one."""
    if not low < high:
        return None
    if max(abs(low + 0.5), abs(high - 0.5)) <= NEAR:
        return [-0.5, 0.5]
    for least, most in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        margin = NEAR * (most - least)
        # values that only reach 1.5 are no picture of 8 bits
        if least - margin <= low and high <= most + margin and (most < 255 or high > 16):
            return [least, most]
    return [float(f"{low:.4g}"), float(f"{high:.4g}")]
