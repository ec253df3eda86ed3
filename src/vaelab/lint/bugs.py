"""Known faults of public trainers' code: ``KNOWN_BUGS`` by code, from the trainers' folders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from vaelab.dialects import parts
from vaelab.dialects.bug import Bug
from vaelab.dialects.shared_faults import BUGS as SHARED

__all__ = ["KNOWN_BUGS", "Bug"]


def _shared() -> list[Bug]:
    """The faults of several trainers, with the place in each one's code."""
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for module in parts("faults"):
        for trainer, copies in module.COPIES.items():
            for code, place in copies.items():
                places[code][trainer] = place
    return [replace(bug, trainers=tuple(places[bug.code]), where=places[bug.code]) for bug in SHARED]


KNOWN_BUGS: dict[str, Bug] = {
    bug.code: bug for bug in [*(bug for module in parts("faults") for bug in module.BUGS), *_shared()]
}
