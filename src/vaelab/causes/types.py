"""Cause and Fix: the shape of one entry of the fault catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Visible = Literal["L", "P", "C"]

FAMILIES: dict[str, str] = {
    "A": "data",
    "B": "reconstruction",
    "C": "latent",
    "D": "adversarial",
    "E": "optimisation",
    "F": "numerics",
    "G": "schedule and configuration",
    "H": "distributed training and resume",
    "I": "evaluation",
}
VISIBLE_IN: dict[Visible, str] = {
    "L": "the log",
    "P": "a probe (a batch, the weights or the pictures)",
    "C": "the code or the configuration",
}


@dataclass(frozen=True)
class Fix:
    """What to change. options: canonical config key (``kl_weight``) -> the change as text (``divide by 100``)."""

    text: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cause:
    """One thing that can be behind what a log shows.

    id: stable for ever; its first letter is the family. name: kebab-case, stable for ever.
    visible: where it shows: ``L`` in the log, ``P`` in a probe of a batch, the weights or the pictures, ``C`` in the
        code or the configuration.
    fault: False for what looks like a fault and is none.
    signature: what it looks like, in which order.
    look_alikes: (cause id, how to tell that one from this one).
    test: the cheapest test that decides, to be done today. expected: what is seen once it is mended. falsify: what
        would show that this was not the cause.
    prior: how often it is met relative to the others, from the count of public threads: 3 very common, 2 common,
        1 usual, 0.5 rare.
    predicts, excludes: rule code -> weight in log-odds (1 = e times likelier) for or against the cause if found.
    """

    id: str
    name: str
    title: str
    visible: tuple[Visible, ...]
    signature: str
    test: str
    fix: Fix
    expected: str
    falsify: str
    sources: tuple[str, ...]
    look_alikes: tuple[tuple[str, str], ...] = ()
    fault: bool = True
    prior: float = 1.0
    predicts: Mapping[str, float] = field(default_factory=dict)
    excludes: Mapping[str, float] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return self.id[0]
