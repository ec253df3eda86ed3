"""Follow training logs while they grow: the same judgement as ``vaelab diagnose``, without alarms that flicker."""

from __future__ import annotations

from vaelab.live.changes import Change
from vaelab.live.hysteresis import SeenFinding, StableStatus
from vaelab.live.watcher import WatchedRun, Watcher

__all__ = ["Change", "SeenFinding", "StableStatus", "WatchedRun", "Watcher"]
