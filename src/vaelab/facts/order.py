"""Order: what had risen before the reconstruction left its best level. What moved first is likelier the cause than what followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaelab.analysis import level, rolling_median
from vaelab.catalog.roles import RoleName
from vaelab.facts.phases import Phases
from vaelab.facts.tracks import ENOUGH, Track, Tracks
from vaelab.facts.view import View

LEFT = 1.3
"""Error now over the best one from which the reconstruction has left its level: 1.1 dB of a squared error."""
LED: tuple[RoleName, ...] = ("kl", "adaptive_weight")
"""What may push the reconstruction; a healthy run keeps it at a level, or moves it slowly."""


@dataclass(frozen=True)
class Lead:
    """metric: in the three rows before the reconstruction ``track`` left its best level for good it stood at ``now``, ``times`` the largest of
    its earlier levels."""

    metric: str
    now: float
    times: float
    track: Track


def find_leads(view: View, phases: Phases, tracks: Tracks) -> tuple[Lead, ...]:
    """How far the KL and the adaptive weight had gone; empty where the reconstruction holds its level."""
    worse = [tracks[m] for m in view.of("reconstruction") if m in tracks]
    left = [t for t in worse if t.worse is not None and t.worse > LEFT and t.certain]
    if not left:
        return ()
    track = min(left, key=lambda t: t.onset)
    leads = []
    for metric in (m for role in LED for m in view.of(role)[:1]):
        begins = phases.gan.start_step if view.role(metric).name == "adaptive_weight" else None
        sizes = np.abs(view.series(metric).between(begins or 0, track.onset - 1).values)
        n = len(sizes)
        if n < ENOUGH or not (usual := float(rolling_median(sizes, 3)[n // 6 : n - max(4, n // 4)].max())) > 0:
            continue
        now = level(sizes[-3:])
        leads.append(Lead(metric, now, now / usual, track))
    return tuple(leads)
