"""Metric and Band: the shape of one catalogue entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vaelab.catalog.roles import RoleName

Direction = Literal["down", "up", "none", "zero"]
BandStanding = Literal["holds", "conditional", "refuted"]


@dataclass(frozen=True)
class Band:
    """A named rule of thumb, kept with the condition under which it means anything and with its standing.

    low, high: the limits; None where the band is open. unit: what they are in, if not in the value as it is logged.
    standing: ``holds``, ``conditional`` (only under ``condition``) or ``refuted``.
    why: what a normalised fact says instead, or why the rule holds. trainer: id of the one that it is said of, if any.
    """

    name: str
    low: float | None
    high: float | None
    condition: str
    standing: BandStanding
    why: str
    source: str
    trainer: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Metric:
    """One canonical metric.

    aliases: its names in trainers' logs (lower case, spaces as underscores, no ``train/`` prefix), clearest first.
    direction: ``down`` or ``up`` is better, ``zero`` is best at zero, ``none`` where the value alone says nothing.
    role: what every column of this metric is.
    unit: unit of the logged value where it is the same in every trainer, else how it depends on the trainer.
    meaning: what it measures. read_as: how to read it, in normalised terms. fixes: what it is in the loss for.
    without: what happens without it.
    """

    name: str
    title: str
    aliases: tuple[str, ...]
    family: str
    direction: Direction = "none"
    unit: str = ""
    role: RoleName = "unknown"
    meaning: str = ""
    read_as: str = ""
    fixes: str = ""
    without: str = ""
    bands: tuple[Band, ...] = ()
    sources: tuple[str, ...] = ()
