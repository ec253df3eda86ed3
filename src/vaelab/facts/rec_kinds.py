"""What a reconstruction loss may hold, and what its size says of a network on inputs in [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RecKind:
    """trained: a first value at or below this is the level of a trained model (23 dB for an MSE). fresh: one at or above this is that
    of an untrained network; between the two it cannot be told. most: no network starts above it: errors of 0..255 pixels give 1e4
    (MSE) or 60 and more (L1), an exploding start stays below. None where the kind's size says nothing. l1, mse: whether it holds them.
    """

    title: str
    trained: float | None = None
    fresh: float | None = None
    most: float | None = None
    l1: bool = False
    mse: bool = False

    def mse_bound(self, peak: float) -> float | None:
        """Factor c with MSE <= c x this loss, for errors e of at most ``peak``: e^2 <= peak |e|, and e^2 <= peak / (1 + peak) (|e| + e^2)."""
        if self.l1:
            return peak / (1 + peak) if self.mse else peak
        return 1.0 if self.mse else None


REC_KINDS: Mapping[str, RecKind] = {
    "mse": RecKind("MSE", 0.02, 0.08, 200.0, mse=True),
    "l1": RecKind("L1", 0.06, 0.2, 20.0, l1=True),
    "l1+mse": RecKind("L1 + MSE", 0.08, 0.28, 220.0, l1=True, mse=True),
    "charbonnier": RecKind("the Charbonnier loss", 0.06, 0.2, 20.0, l1=True),
    "l1+lpips": RecKind("L1 + LPIPS", 0.15, 0.4, 30.0, l1=True),
    "l1+mse+lpips": RecKind("L1 + MSE + LPIPS", 0.12, 0.4, 500.0, l1=True, mse=True),
    "mse+lpips": RecKind("MSE + LPIPS", 0.08, 0.25, 200.0, mse=True),
    "l1-sum": RecKind("L1 summed over a frame"),
}
