"""Severity: harm x certainty. The one policy; how much a finding of some size harms stands in ``vaelab.rules.harm``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vaelab.rules.harm import HARM, Harm, Severity

if TYPE_CHECKING:
    from vaelab.facts import Facts
    from vaelab.rules.base import Finding

SEVERITY_ORDER: dict[str, int] = {"info": 0, "warn": 1, "critical": 2}
CERTAIN, DOUBTFUL = 0.95, 0.5
"""Certainty of a finding by its own evidence: the numbers say it, or something else may explain them."""
SURE_ENOUGH = 0.8
"""Certainty below which nothing is more than a warning."""
BY_ROLE: Mapping[str, float] = {"reconstruction": 1.8, "quality": 1.8, "total": 10.0, "perceptual": 10.0}
"""Error now over the error before from which a column of this role is acted on: 1.8 of a squared error are 2.6 dB. A total mixes
terms that may trade, a perceptual loss may be given up for pixels, so they have to lose more. Other roles only make a run watched."""
_UNLISTED = Harm("no limit is known")


def severity_of(code: str, subject: str, size: float | None, certainty: float, costs: bool) -> Severity:
    """Severity of a finding: its harm by size (or by the damage that the run already shows), never above *warn* where it is doubtful."""
    harm = HARM.get(code, _UNLISTED)
    limit = critical_from(code, subject)
    grave = harm.least
    if size is not None and size >= harm.warn:
        grave = _graver(grave, "warn")
    if size is not None and size >= limit:
        grave = "critical"
    if costs:
        grave = _graver(grave, harm.with_cost)
    return "warn" if grave == "critical" and certainty < SURE_ENOUGH else grave


def critical_from(code: str, subject: str) -> float:
    """The size from which a finding is critical, in the unit of ``HARM``; inf where no size makes it so."""
    return BY_ROLE.get(subject, math.inf) if code in ("MET1001", "MET1002") else HARM.get(code, _UNLISTED).critical


def _graver(a: Severity, b: Severity) -> Severity:
    return a if SEVERITY_ORDER[a] >= SEVERITY_ORDER[b] else b


def capped(facts: Facts, severity: Severity, metrics: tuple[str, ...]) -> Severity:
    """``severity``, but never above *warn* where what the column is about is not sure, *info* where its weight is 0."""
    role = facts.view.role(metrics[0]) if metrics else None
    if role is not None and role.name == "perceptual" and facts.view.number("perceptual_weight") == 0:
        return "info"  # it is logged and trains nothing
    doubtful = role is not None and role.standing == "ambiguous"
    return "warn" if doubtful and severity == "critical" else severity


def wastes(facts: Facts, finding: Finding) -> bool:
    """Whether more steps of the same run are wasted after ``finding``. Held-out losses alone do not say so of the training; broken
    outputs (``val/non_finite``) do."""
    of_losses = finding.metrics and not any(m.endswith("/non_finite") for m in finding.metrics)
    held_out = of_losses and all(facts.view.role(m).split in ("val", "test", "ema") for m in finding.metrics)
    return finding.severity == "critical" and HARM.get(finding.code, _UNLISTED).wasted and not held_out
