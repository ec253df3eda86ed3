"""What a loader gives to the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Quarantined:
    """A file that could not be decoded: its name and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """One batch: uint8 pixels (B, C, T, H, W) on the CPU and where each sample came from.

    names: one entry a sample, such as ``clip.mp4@3.20s``. position: samples of the run consumed before this batch, over
    all processes. bad: files quarantined while it was made.
    """

    pixels: torch.Tensor
    names: list[str]
    position: int
    bad: list[Quarantined] = field(default_factory=list)

    def pin_memory(self) -> Batch:
        """Called by the DataLoader when the device is a GPU."""
        return Batch(self.pixels.pin_memory(), self.names, self.position, self.bad)
