"""Checkpoints of other trainers. Each file knows one layout: facts from the public code, arithmetic of our own."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vaelab.errors import CheckpointError
from vaelab.models.convert import compvis, pyramid_flow
from vaelab.models.convert.state import read_state

__all__ = ["convert_file"]


def convert_file(path: Path, ema: bool = False) -> nn.Module:
    """The module in a file of weights of CompVis, RadioDiff or Pyramid-Flow, float32. ema: the averaged weights.

    Raises CheckpointError for a file that cannot be read, that is of another layout, or whose weights do not fit.
    """
    state = read_state(path, ema)
    for layout in (compvis, pyramid_flow):
        if layout.is_known(state):
            return layout.convert(state, path)
    shown = ", ".join(list(state)[:3])
    raise CheckpointError(
        f"{path} is of a layout that is not known ({shown}, ...): known are CompVis (RadioDiff, Stable Diffusion) and"
        " Pyramid-Flow. Save it with diffusers' save_pretrained and give the folder."
    )
