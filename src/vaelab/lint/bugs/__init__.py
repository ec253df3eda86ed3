"""Known faults of public trainers, as data: ``KNOWN_BUGS`` by code. A new one is one entry in the file of its trainer."""

from __future__ import annotations

from vaelab.lint.bugs import lightning, others, pyramid_flow, radiodiff, shared, sora
from vaelab.lint.bugs.types import Bug

KNOWN_BUGS: dict[str, Bug] = {
    bug.code: bug for family in (pyramid_flow, shared, radiodiff, lightning, sora, others) for bug in family.BUGS
}

__all__ = ["KNOWN_BUGS", "Bug"]
