"""What is gathered on the device between two rows of the log, so that the host waits for it only when a row is due."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from vaelab.training.distributed import Ranks
from vaelab.training.step import Measured


class Skipped(NamedTuple):
    """A step whose update was skipped because a gradient was not finite, and the samples of its batch."""

    step: int
    names: list[str]


class Window:
    """The steps since the last row: their count, time, clipped share, largest rec_loss, and whether each was finite."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.clear()

    def clear(self) -> None:
        self.steps = 0
        self.seconds = 0.0
        self.data_seconds = 0.0
        self.clipped: dict[str, torch.Tensor] = {}
        self.largest = torch.zeros((), device=self.device)
        self._finite: list[tuple[int, torch.Tensor, list[str]]] = []

    def add(self, step: int, measured: Measured, names: list[str], seconds: float, data_seconds: float) -> None:
        """Take one step; ``clipped`` and ``finite`` are moved out of ``measured``."""
        for name in ("clipped", "disc_clipped"):
            if name in measured:
                value = measured.pop(name)
                self.clipped[name] = self.clipped[name] + value if name in self.clipped else value
        finite = measured.pop("finite") * measured.pop("disc_finite", torch.ones((), device=self.device))
        self._finite.append((step, finite, names))
        # fmax leaves NaN out: such a step is counted as not finite already
        self.largest = torch.fmax(self.largest, measured["rec_loss"])
        self.steps += 1
        self.seconds += seconds
        self.data_seconds += data_seconds

    def checked(self) -> list[tuple[Skipped, bool]]:
        """The steps since the last call, each with whether it was finite. The host waits for the device here."""
        if not self._finite:
            return []
        steps, self._finite = self._finite, []
        flags = torch.stack([flag for _, flag, _ in steps]).tolist()
        return [(Skipped(step, names), bool(flag)) for (step, _, names), flag in zip(steps, flags, strict=True)]

    def row(self, measured: Measured, ranks: Ranks) -> dict[str, float]:
        """Values of the last step, means over the ranks, with the window's shares, times and largest rec_loss of any rank."""
        shares = {name.replace("clipped", "clip_share"): total / self.steps for name, total in self.clipped.items()}
        everything = measured | shares
        names = sorted(everything)
        packed = ranks.mean(torch.stack([everything[name].float() for name in names]))
        values = dict(zip(names, packed.tolist(), strict=True))
        # a limit that is not in force yet; JSON has no infinity
        values = {n: v for n, v in values.items() if not (n.endswith("clip_limit") and v == math.inf)}
        values["rec_loss_max"] = float(ranks.highest(self.largest))
        return values | {"step_time": self.seconds / self.steps, "data_time": self.data_seconds / self.steps}

    def state_dict(self) -> dict[str, Any]:
        clipped = {name: total.item() for name, total in self.clipped.items()}
        return {"steps": self.steps, "clipped": clipped, "largest": self.largest.item()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.clear()
        self.steps = state["steps"]
        self.largest = torch.tensor(state["largest"], device=self.device)
        self.clipped = {name: torch.tensor(total, device=self.device) for name, total in state["clipped"].items()}
