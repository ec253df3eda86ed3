"""Count the limits of `vaelab.rules.harm`: how large each finding is in healthy runs, and from which size on it is seldom one.

    python benchmarks/faultbench/limits.py [--logs DIR] [--jobs 2]

Whole logs of the tune part.  A limit is counted so that at most a stated share of the healthy runs reaches it, and checked on
the systems that it was not counted on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tables import percent, table
from truth import FILE, RUNS, Truth, load

from vaelab import diagnose, read
from vaelab.errors import VaelabError
from vaelab.rules.harm import HARM
from vaelab.rules.severity import BY_ROLE, SURE_ENOUGH

ACTED, WATCHED = 0.01, 0.05
"""Shares of healthy runs that a single rule may have acted on, and watched."""


@dataclass(frozen=True)
class Sizes:
    """The largest sure finding of each kind in one run. kinds: code, for generic rules with the role. ran: codes of the rules that
    the log has the columns for."""

    truth: Truth
    kinds: Mapping[str, float]
    ran: frozenset[str]


def sizes(truth: Truth, logs: Path) -> Sizes | None:
    """None for a log that cannot be read."""
    try:
        diagnosis = diagnose(read(logs / truth.name / truth.log))
    except VaelabError:
        return None
    kinds: dict[str, float] = {}
    for finding in diagnosis.findings:
        if finding.size is not None and finding.certainty >= SURE_ENOUGH:
            kind = f"{finding.code}:{finding.subject}" if finding.code.startswith("MET") else finding.code
            kinds[kind] = max(finding.size, kinds.get(kind, 0.0))
    skipped = {s.code for s in diagnosis.skipped}
    return Sizes(truth, kinds, frozenset(code for code in HARM if code not in skipped))


def counted_limit(healthy: Sequence[float], rate: float) -> float:
    """The lowest limit that at most a share `rate` of these sizes reaches (0 where a run has no such finding)."""
    allowed = math.floor(rate * len(healthy))
    return math.nextafter(sorted(healthy, reverse=True)[allowed], math.inf) if healthy else math.inf


def elsewhere(healthy: Mapping[str, Sequence[float]], rate: float) -> float:
    """Share of healthy runs that reach the limit counted on the other systems. healthy: sizes by system."""
    reached = 0
    for system, mine in healthy.items():
        others = [size for other, sizes_ in healthy.items() if other != system for size in sizes_]
        limit = counted_limit(others, rate)
        reached += sum(size >= limit for size in mine)
    return reached / max(1, sum(map(len, healthy.values())))


def present_limit(kind: str) -> float:
    code, _, role = kind.partition(":")
    return BY_ROLE.get(role, math.inf) if code in ("MET1001", "MET1002") else HARM[code].critical


def rows(runs: Sequence[Sizes]) -> list[tuple[str, ...]]:
    """One row a kind of finding that has a size."""
    found = []
    for kind in sorted({kind for run in runs for kind in run.kinds if kind.split(":")[0] in HARM}):
        ran = [run for run in runs if kind.split(":")[0] in run.ran]
        by_system: dict[str, list[float]] = {}
        for run in ran:
            if run.truth.kind == "healthy":
                by_system.setdefault(run.truth.system, []).append(run.kinds.get(kind, 0.0))
        healthy = [size for mine in by_system.values() for size in mine]
        costly = [run.kinds.get(kind, 0.0) for run in ran if run.truth.faulty]
        present, counted = present_limit(kind), counted_limit(healthy, ACTED)
        reach = [
            f"{sum(0 < size >= limit for size in healthy)}, {sum(0 < size >= limit for size in costly)}"
            for limit in (present, counted)
        ]
        found.append(
            (
                kind, HARM[kind.split(":")[0]].unit, f"{len(healthy)}, {len(costly)}", _short(max(healthy, default=0.0)),
                _short(present), reach[0], _short(counted), reach[1], percent(elsewhere(by_system, ACTED)),
                _short(counted_limit(healthy, WATCHED)),
            )
        )  # fmt: skip
    return found


def _short(limit: float) -> str:
    if math.isinf(limit):
        return "none"
    return f"{limit:.3g}" if limit > 1e-300 else "any"


HEADER = (
    "finding", "size", "healthy, costly runs with the columns", "largest in a healthy run", "acted on from", "healthy, costly above it",
    f"counted at {ACTED:.0%}", "healthy, costly above that", "healthy of other systems above it", f"watched from, counted at {WATCHED:.0%}",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=RUNS, help="folder of the runs' folders")
    parser.add_argument("--truth", type=Path, default=FILE)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    truths = [
        t for t in load(options.truth)
        if t.split == "tune" and t.kind in ("healthy", "faulty") and (options.logs / t.name / t.log).exists()
    ]  # fmt: skip
    with ProcessPoolExecutor(options.jobs) as pool:
        found = pool.map(partial(sizes, logs=options.logs), truths, chunksize=8)
        print(table(HEADER, rows([run for run in found if run is not None])))


if __name__ == "__main__":
    main()
