"""What one recipe of the fault bench is: a fault (or a healthy look-alike), how it is planted and how it is proved."""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from systems import DISC_START, STEPS, SYSTEMS, System
from training import Result, Training
from truth import Verified

Value = Callable[[Result], float]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """A number that is at least `at_least` (or at most `at_most`) times that of the healthy twin where the fault acts."""

    what: str
    value: Value
    at_least: float | None = None
    at_most: float | None = None

    def verify(self, run: Result, twin: Result) -> Verified:
        mine, other = self.value(run), self.value(twin)
        if not math.isfinite(mine):
            ratio = math.inf
        else:
            ratio = mine / other if other else (1.0 if mine == other else math.copysign(math.inf, mine))
        present = True
        if self.at_least is not None:
            present &= ratio >= self.at_least
        if self.at_most is not None:
            present &= ratio <= self.at_most
        finite = [round(v, 6) if math.isfinite(v) else None for v in (mine, other, ratio)]
        return Verified(self.what, finite[0], finite[1], finite[2], present)


@dataclass(frozen=True)
class Recipe:
    """One fault or look-alike.

    causes: accepted rows of the fault catalogue. also: those that the log alone cannot tell from them. onset: first step
    that the fault acts on. base: settings of the run and of its healthy twin. change: settings of the run alone; a value
    may be a function of the system. times: settings that are multiplied. start: "pretrained" where run and twin start
    from a trained autoencoder. twin_plant: hooks of the twin (for a resume that is done right).
    """

    id: str
    what: str
    check: Check
    causes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    onset: int = 0
    systems: tuple[str, ...] = ("video", "pyramid", "radio", "rgb")
    dialects: tuple[str, ...] = ()
    base: Settings = field(default_factory=dict)
    change: Settings = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    plant: Callable[[Training], None] | None = None
    start: str = ""
    diverges: bool = False

    @property
    def faulty(self) -> bool:
        return bool(self.causes)

    def system(self, seed: int) -> System:
        """Seeds go round the systems, each recipe from another one on."""
        return SYSTEMS[self.systems[(zlib.crc32(self.id.encode()) + seed) % len(self.systems)]]

    def dialect(self, seed: int) -> str:
        """One of those that the system's trainer writes and that can show the fault."""
        system = self.system(seed)
        possible = [name for name in system.dialects if not self.dialects or name in self.dialects]
        if not possible:
            raise ValueError(f"{self.id}: no dialect of system {system.name} is allowed")
        return possible[(zlib.crc32(self.id.encode()) // 7 + seed // len(self.systems) + seed) % len(possible)]

    def settings(self, system: System) -> tuple[dict[str, Any], dict[str, Any]]:
        """Dotted settings of the twin and of the run."""
        base = {name: _of(value, system) for name, value in self.base.items()}
        run = base | {name: _of(value, system) for name, value in self.change.items()}
        for name, factor in self.times.items():
            run[name] = run.get(name, system.settings.get(name)) * factor
        return base, run


def _of(value: Any, system: System) -> Any:
    return value(system) if callable(value) else value


# -- numbers that prove a fault ----------------------------------------------------------------------------------------


def number(name: str) -> Value:
    """A number that was measured on held-out data after the last step."""
    return lambda result: result.numbers.get(name, math.nan)


def logged(
    name: str, first: int, last: int | None = None, of: Callable[[list[float]], float] = statistics.fmean
) -> Value:
    """A statistic of a term over steps first ... last-1."""

    def value(result: Result) -> float:
        values = [row[name] for row in result.rows[first:last] if name in row]
        return of(values) if values else math.nan

    return value


def share(condition: Callable[[Mapping[str, float]], bool], first: int = 0) -> Value:
    """Share of the steps from `first` on for which a condition holds."""
    return lambda result: statistics.fmean(float(condition(row)) for row in result.rows[first:] or [{}])


MSE = number("mse")
HARMLESS = 1.6
"""A healthy run's held-out error is at most this times its twin's."""
SAME = Check("held-out MSE after the last step", MSE, at_most=HARMLESS)


GAP = Check("held-out MSE over that of samples just seen", number("generalisation_gap"), at_least=1.4)


def worse(factor: float = 1.5) -> Check:
    return Check("held-out MSE after the last step", MSE, at_least=factor)


# -- moments -----------------------------------------------------------------------------------------------------------

EARLY, MIDDLE, LATE = int(0.3 * STEPS), int(0.45 * STEPS), int(0.7 * STEPS)
AFTER_START = DISC_START + 20
SECOND_EPOCH = 100
"""Its first step."""
