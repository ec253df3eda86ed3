"""What a mechanism of the bench is: one way in which a training goes wrong (or only looks as if), with a severity and an onset."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from plan import Plan
from torch import Tensor

Size = Callable[[float], float]
"""Severity in [0, 1] -> the size of the fault."""
Pixels = Callable[[Tensor, int, float], Tensor]
"""(pixels (B, C, H, W) in [-1, 1], step, severity) -> spoilt pixels."""
KL_SYSTEMS = ("video", "pyramid", "radio", "rgb")
ALL = (*KL_SYSTEMS, "vq")
SETTING = {
    "lr": "optim.lr", "disc_lr": "optim.disc_lr", "kl": "loss.kl_weight", "gan": "loss.disc_weight",
    "perceptual": "loss.perceptual_weight", "pixel": "loss.pixelloss_weight", "clip": "optim.clip_grad",
    "decay": "optim.weight_decay",
}  # fmt: skip
"""Dials that a setting stands behind: a fault that acts from the beginning may be written in the log's header."""


@dataclass(frozen=True)
class Turn:
    """What happens to one dial while the fault acts. how: times, set, add; grow: times size**(share of the rest of the run);
    rise: add size * share; climb: add size * share**2."""

    dial: str
    how: str
    size: Size

    def apply(self, plan: Plan, first: int, last: int, severity: float) -> None:
        values, size = plan.dials[self.dial], self.size(severity)
        part = values[first:last]
        share = torch.arange(len(part)) / max(1, len(values) - first)
        if self.how == "times":
            part *= size
        elif self.how == "set":
            part[:] = size
        elif self.how == "add":
            part += size
        elif self.how == "grow":
            part *= size**share
        elif self.how == "rise":
            part += size * share
        elif self.how == "climb":
            part += size * share**2
        else:
            raise ValueError(f"there is no way {self.how!r} to turn a dial")


@dataclass(frozen=True)
class Mechanism:
    """causes: accepted rows of the fault catalogue; empty for a look-alike. also: those that the log cannot tell from them.
    when: "start", "any", "epoch" (the first step of one), "gan" (the start of the GAN), "after-gan" or "warmup" (while the
    discriminator is trained). ends: whether it may pass. turns, data, order, once: what it does. resume: whether the run is
    interrupted at the onset. settings: of the run and its header (functions of severity). base: settings of run and twin.
    """

    id: str
    what: str
    causes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    when: str = "any"
    ends: bool = False
    systems: tuple[str, ...] = ALL
    dialects: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    data: Pixels | None = None
    order: Callable[[int, Tensor, int, float], Tensor] | None = None
    real_order: Callable[[int, int, float], Tensor] | None = None
    once: tuple[str, ...] = ()
    every: Size | None = None
    """Steps after which `once` comes again."""
    resume: bool = False
    settings: Callable[[float, int], Mapping[str, Any]] | None = None
    """(severity, steps) -> dotted settings."""
    hidden_settings: bool = False
    """Whether the log's header still names the healthy settings."""
    base: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False
    unguarded: bool = False

    def plant(self, plan: Plan, severity: float, first: int, last: int) -> None:
        """Act on steps first ... last - 1 of a plan."""
        for turn in self.turns:
            turn.apply(plan, first, last, severity)
        if self.data is not None:
            change = self.data
            plan.data.append(lambda x, step: change(x, step - first, severity) if first <= step < last else x)
        if self.order is not None:
            order, batch = self.order, plan.config.run.batch_size
            plan.order = lambda step, usual: order(step, usual, batch, severity) if first <= step < last else usual
        if self.real_order is not None:
            real, batch = self.real_order, plan.config.run.batch_size
            plan.real_order = lambda step: real(step, batch, severity)
        if self.resume:
            plan.events.append(("resume", first, {"world": 1, "device": "cpu"}))
        for what in self.once:
            again = max(2, round(self.every(severity))) if self.every is not None else last
            plan.once += [(step, what) for step in range(first, last, again)]


def between(low: float, high: float) -> Size:
    """From `low` for what nobody sees to `high` for what ruins the run, even on a logarithmic scale."""
    return lambda severity: low * (high / low) ** severity


def linear(low: float, high: float) -> Size:
    return lambda severity: low + (high - low) * severity


def exactly(value: float) -> Size:
    return lambda severity: value


def times(dial: str, low: float, high: float) -> Turn:
    return Turn(dial, "times", between(low, high))


def to(dial: str, low: float, high: float) -> Turn:
    return Turn(dial, "set", between(low, high) if low > 0 and high > 0 else linear(low, high))


def fixed(dial: str, value: float) -> Turn:
    return Turn(dial, "set", exactly(value))


def grows(dial: str, low: float, high: float) -> Turn:
    return Turn(dial, "grow", between(low, high))


def rises(dial: str, low: float, high: float) -> Turn:
    return Turn(dial, "rise", between(low, high) if low > 0 else lambda s: -between(-low, -high)(s))


def climbs(dial: str, low: float, high: float) -> Turn:
    return Turn(dial, "climb", between(low, high))


def noise(x: Tensor, step: int) -> Tensor:
    """Normal numbers that depend on the step alone."""
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(step % 1_000_003))


def finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
