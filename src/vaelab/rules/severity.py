"""Severity: how much a change for the worse harms, by what the column is. The one policy of the generic rules."""

from __future__ import annotations

from collections.abc import Mapping

from vaelab.catalog.roles import Role, RoleName
from vaelab.facts import Facts
from vaelab.facts.standing import SURE
from vaelab.rules.base import Severity

ACT_FROM: Mapping[RoleName, float] = {"reconstruction": 3.0, "quality": 3.0, "total": 10.0, "perceptual": 10.0}
"""Error now over the best error from which the run is acted on: 3 of a squared error are 4.8 dB. A total mixes terms that may
trade, a perceptual loss may be given up for pixels, so they have to lose more. Other roles only make a run watched."""


def of_loss(role: Role, ratio: float, lasting: bool = True) -> Severity:
    """Severity of an error that is ``ratio`` times its best level; a passing one is half as grave on a log scale."""
    limit = ACT_FROM.get(role.name)
    if limit is None or role.standing not in SURE:
        return "warn"
    return "critical" if ratio >= (limit if lasting else limit**4) else "warn"


def capped(facts: Facts, severity: Severity, metrics: tuple[str, ...]) -> Severity:
    """``severity``, but never above *warn* where what the column is about is not sure, *info* where its weight is 0."""
    role = facts.view.role(metrics[0]) if metrics else None
    if role is not None and role.name == "perceptual" and facts.view.number("perceptual_weight") == 0:
        return "info"  # it is logged and trains nothing
    doubtful = role is not None and role.standing == "ambiguous"
    return "warn" if doubtful and severity == "critical" else severity
