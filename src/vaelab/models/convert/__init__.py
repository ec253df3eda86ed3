"""Checkpoints of other trainers. Each layout is in the trainer's folder of vaelab.dialects, as ``checkpoints.py`` with ``TITLE``,
``is_known(state)`` and ``convert(state, path)``: facts from the public code, arithmetic of our own."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vaelab.dialects import parts
from vaelab.errors import CheckpointError
from vaelab.models.convert.state import read_state

__all__ = ["convert_file"]


def convert_file(path: Path, ema: bool = False) -> nn.Module:
    """The module in a file of weights of a trainer whose layout is known, float32. ema: the averaged weights.

    Raises CheckpointError for a file that cannot be read, that is of another layout, or whose weights do not fit.
    """
    state = read_state(path, ema)
    layouts = parts("checkpoints")
    for layout in layouts:
        if layout.is_known(state):
            module: nn.Module = layout.convert(state, path)
            return module
    shown = ", ".join(list(state)[:3])
    raise CheckpointError(
        f"{path} is of a layout that is not known ({shown}, ...): known are {' and '.join(m.TITLE for m in layouts)}. Save it"
        " with diffusers' save_pretrained and give the folder."
    )
