"""Typed changes: what to set, computed from the run's own numbers. The report prints them, the trainer's rollback applies them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.facts import Facts

Value = float | int | bool | str
FromRun = Callable[["Facts", "float | None"], "Value | None"]
"""(facts, present value or None) -> the value to set; None where the run's numbers do not give one."""

GOOD_BETA = 1e-6
"""Published KL weight of the latent-diffusion autoencoders, in sum/sum units."""


@dataclass(frozen=True)
class Set:
    """Set ``key`` (a canonical setting) to ``value``, or to what the run's numbers give."""

    key: str
    value: Value | FromRun

    def resolve(self, now: Any, facts: Facts | None = None) -> Value | None:
        """The value to set, None if there is none or it is set already. now: the present value, if it is known."""
        value = self.value
        if callable(value):
            return value(facts, _number(now)) if facts is not None else None
        return None if value == now else value

    def __str__(self) -> str:
        value = (self.value.__doc__ or "").strip().rstrip(".") if callable(self.value) else shown(self.value)
        return f"{self.key}: {value[:1].lower()}{value[1:]}"


@dataclass(frozen=True)
class Scale:
    """Multiply ``key`` by ``factor``; the result is at most ``at_most``."""

    key: str
    factor: float
    at_most: float | None = None

    def resolve(self, now: Any, facts: Facts | None = None) -> Value | None:
        """The value to set; None where the present one is unknown or 0, or no change comes of it."""
        number = _number(now)
        if not number:
            return None
        value = number * self.factor if self.at_most is None else min(number * self.factor, self.at_most)
        if isinstance(now, int) and value >= 1:
            return None if round(value) == now else round(value)
        return float(f"{value:.2g}")

    def __str__(self) -> str:
        top = f", at most {shown(self.at_most)}" if self.at_most is not None else ""
        by = f"multiply by {shown(self.factor)}" if self.factor >= 1 else f"divide by {1 / self.factor:.3g}"
        return f"{self.key}: {by}{top}"


Change = Set | Scale


def present(facts: Facts, key: str) -> Any:
    """The declared value of ``key``, else the one solved from the log, else None."""
    solved = facts.algebra.solved.get(key)
    if key in facts.run.config:
        return facts.run.config[key]
    if solved is None and key == "lr":
        return facts.optimiser.lr_peak
    return solved.value if solved is not None else None


def resolved(changes: tuple[Change, ...], facts: Facts) -> Mapping[str, Value]:
    """Canonical setting -> the value that ``changes`` ask for in this run."""
    values = {change.key: change.resolve(present(facts, change.key), facts) for change in changes}
    made = {key: value for key, value in values.items() if value not in (None, present(facts, key))}
    rate, least = _number(made.get("lr")), _number(facts.run.config.get("min_lr"))
    return {**made, "min_lr": rate} if rate is not None and least is not None and least > rate else made


def shown(value: Value) -> str:
    """A value as a setting is written."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    """``value`` as a finite float, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        return None
    return None if math.isnan(value) else float(value)


# Values that the run's own numbers give ------------------------------------------------------------------------------


def weight_for_beta(facts: Facts, now: float | None) -> Value | None:
    """The weight at which the effective beta is 1e-6, else a hundredth."""
    beta = facts.scales.effective_beta
    if now and beta and beta > 10 * GOOD_BETA:
        return float(f"{now * GOOD_BETA / beta:.1g}")
    return float(f"{now / 100:.2g}") if now else None


def outliers_only(facts: Facts, now: float | None) -> Value | None:
    """Near the 90th percentile of grad_norm."""
    norm = facts.optimiser.suggested
    return float(f"{norm:.2g}") if norm else None


def a_third_of_the_plan(facts: Facts, now: float | None) -> Value | None:
    """A third of the planned steps."""
    return facts.progress.planned // 3 if facts.progress.planned else None


def twice_as_late(facts: Facts, now: float | None) -> Value | None:
    """Twice the step at which it started, where the plan leaves room."""
    start = facts.phases.gan.start_step
    return 2 * start if start and (facts.progress.planned or 0) > 2.2 * start else None


def in_the_trainers_unit(facts: Facts, now: float | None) -> Value | None:
    """The planned step in the unit that the trainer counts."""
    start = facts.phases.gan.start_step
    return round(now * now / start) if now and start and abs(now / start - 1) > 0.2 else None


def longer_warm_up(facts: Facts, now: float | None) -> Value | None:
    """Twice as long; 1,000 steps, or a tenth of the plan, where there is none."""
    plan = facts.progress.planned or 10_000
    return min(round(2 * now), plan // 2) if now else min(1000, plan // 10)


def shorter_warm_up(facts: Facts, now: float | None) -> Value | None:
    """A tenth of the plan, where it takes more than a quarter of it."""
    plan = facts.progress.planned
    return plan // 10 if plan and now and now > plan / 4 else None


def unless_set(value: Value) -> FromRun:
    """``value`` where the setting is 0 or absent."""

    def missing(facts: Facts, now: float | None) -> Value | None:
        return None if now else value

    missing.__doc__ = f"{shown(value)} where it is 0."
    return missing


def at_least(value: float) -> FromRun:
    """``value`` where the setting is known and lower."""

    def raised(facts: Facts, now: float | None) -> Value | None:
        return value if now is not None and now < value else None

    raised.__doc__ = f"{shown(value)} where it is lower."
    return raised


def decay_for_the_rest(facts: Facts, now: float | None) -> Value | None:
    """1 - 1 / (a tenth of the remaining updates)."""
    left = (facts.progress.planned or 0) - facts.progress.step
    return float(f"{1 - 10 / left:.6g}") if left > 100 else None


def frames_on_the_grid(facts: Facts, now: float | None) -> Value | None:
    """1 + the nearest smaller multiple of the temporal compression."""
    factor = str(facts.run.config.get("compression", "")).split("x")[0]
    return 1 + (round(now) - 1) // int(factor) * int(factor) if now and factor.isdigit() and int(factor) > 0 else None


def calmer_rate(facts: Facts, now: float | None) -> Value | None:
    """A third of the rate, and 1e-4 where it is above 0.01; nothing where it jumped in mid-run."""
    if facts.optimiser.lr_jumps or not now:
        return None
    return 1e-4 if now > 0.01 else float(f"{now / 3:.1g}")


def livelier_rate(facts: Facts, now: float | None) -> Value | None:
    """Five times the rate, and 1e-4 where it is below 1e-6; nothing where the warm-up is what takes long."""
    if now is None or shorter_warm_up(facts, _number(facts.run.config.get("warmup_steps"))):
        return None
    return 1e-4 if now < 1e-6 else float(f"{5 * now:.1g}")
