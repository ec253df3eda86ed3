"""From which value of a column on its finding is critical: the limits of ``vaelab.rules.harm`` in the column's own unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from vaelab.diagnosis import Diagnosis
from vaelab.facts.changes import Jump
from vaelab.facts.tracks import Track
from vaelab.report.numbers import number
from vaelab.rules.base import Finding
from vaelab.rules.harm import HARM
from vaelab.rules.kl_level import input_nats
from vaelab.rules.severity import critical_from


@dataclass(frozen=True)
class Level:
    """A horizontal line in the log's own unit. bad: the side of it on which a run is in trouble, if one is. since: the first step that it
    is meant for, None for all."""

    value: float
    label: str
    bad: Literal["above", "below", ""] = ""
    since: int | None = None


@dataclass(frozen=True)
class Case:
    """What a limit is drawn for: the finding, the column that it speaks of, and all that is known of the run."""

    diagnosis: Diagnosis
    finding: Finding
    track: Track

    def evidence(self, name: str) -> float | None:
        """The number that the finding gives under ``name``."""
        value = next((e.value for e in self.finding.evidence if e.name == name), None)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Unit:
    """base: what one unit of a size is in the column. line: the line at so many units. on: the column, empty for the first that the
    finding names. earlier: whether the unit is a level from before the finding, which says nothing of the steps up to there."""

    base: Callable[[Case], float | None]
    line: Callable[[float, float], Level]
    on: str = ""
    earlier: bool = False


def _times(name: str, base: Callable[[Case], float | None], on: str = "") -> Unit:
    """A size that is the column over a level of its own."""
    return Unit(base, lambda n, one: Level(n * one, f"critical from here: {number(n)} times {name}", "above"), on, True)


def _part(name: str, base: Callable[[Case], float | None]) -> Unit:
    """A size that is a level of the column over the column: the larger, the lower it stands."""
    return Unit(
        base, lambda n, one: Level(one / n, f"critical below: {number(100 / n, 2)}% of {name}", "below"), earlier=True
    )


UNITS: Mapping[str, Unit] = {
    "rec_loss now / first": _times("the first level", lambda c: c.track.first, "rec_loss"),
    "error now / best": _times("the best level", lambda c: c.track.best),
    "times the level before": _times("the level before the GAN", lambda c: c.track.before_gan),
    "times its settled level": _times("its settled level", lambda c: c.track.settled),
    "disc_loss / chance": _times("chance", lambda c: chance_level(c.diagnosis), "disc_loss"),
    "error after / before": _times("the level before the jump", lambda c: c.evidence("level before")),
    "level now / before": _times("the level before the jump", lambda c: _before(c.diagnosis.facts.changes.jump)),
    "now / early level": _times("its early level", lambda c: c.evidence("early level")),
    "peak / early norm": _times("the early norm", lambda c: c.evidence("early")),
    "held-out / training error": _times(
        "the training error", lambda c: c.diagnosis.facts.tracks[c.finding.metrics[1]].now
    ),
    "level before / after": _part("the level before", lambda c: _before(c.diagnosis.facts.changes.drop)),
    "level before / now": _part("the level it held", lambda c: (c.finding.size or math.nan) * c.track.now),
    "highest / late use": _part("its highest level", lambda c: c.evidence("highest")),
    "nats per input value": Unit(
        lambda c: c.track.now / nats if (nats := input_nats(c.diagnosis.facts)) else None,
        lambda n, one: Level(n * one, f"critical from here: {number(n)} nats an input value", "above"),
    ),
    "share of dead channels": Unit(
        lambda c: 1.0,
        lambda n, one: Level(one - n, f"critical below: {number(100 * (1 - n))}% of the channels", "below"),
    ),
}
"""Units of a finding's size (``vaelab.rules.harm``) that a line in a plot can show."""


def limit(diagnosis: Diagnosis, finding: Finding | None, metric: str) -> Level | None:
    """The line in the plot of ``metric`` from which ``finding`` is critical; None where its size is no matter of this column."""
    if finding is None or finding.code not in HARM or metric not in diagnosis.facts.tracks:
        return None
    unit, size = UNITS.get(HARM[finding.code].unit), critical_from(finding.code, finding.subject)
    if unit is None or math.isinf(size) or metric != (unit.on or next(iter(finding.metrics), "")):
        return None
    track = diagnosis.facts.tracks[metric]
    one = unit.base(Case(diagnosis, finding, track))
    if one is None or not 0 < one < math.inf:
        return None
    found = replace(unit.line(size, one), since=finding.first_step if unit.earlier else None)
    # where more is better an error is not the value itself
    return None if found.bad == "above" and track.role.better == "up" else found


def _before(change: Jump | None) -> float | None:
    return change.before if change is not None else None


def chance_level(diagnosis: Diagnosis) -> float | None:
    """The value of ``disc_loss`` at which the discriminator knows nothing, where a fact states it."""
    value = next((f.value for f in diagnosis.statements if f.name == "disc_loss_family"), None)
    return value if isinstance(value, float) else None
