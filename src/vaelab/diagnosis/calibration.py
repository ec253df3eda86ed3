"""From a raw confidence to the share of verdicts that were right at it on the fault bench.

Each table is monotone: pairs (raw, share that was right), between which the value is interpolated; beyond the ends it
stays flat.  A kind without a table keeps its raw value.  benchmarks/faultbench/calibrate.py fits the tables, on runs
that the rules were not tuned on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Kind = Literal["alarm", "quiet", "cause"]
"""alarm: "something is wrong" (act, stop); quiet: "nothing is" (healthy, watch); cause: the first cause is right."""

Table = tuple[tuple[float, float], ...]

TABLES: Mapping[Kind, Table] = {
    "quiet": ((0.827, 0.557),),
}


def calibrated(kind: Kind, raw: float, tables: Mapping[Kind, Table] | None = None) -> float:
    """The calibrated value of ``raw``, both in [0, 1]."""
    table = (TABLES if tables is None else tables).get(kind, ())
    if not table:
        return raw
    stated, right = zip(*table, strict=True)
    return float(np.interp(raw, stated, right))


def calibrated_shares(raw: Sequence[float], tables: Mapping[Kind, Table] | None = None) -> tuple[float, ...]:
    """Scores of ranked causes (best first, sum at most 1) with the first one calibrated; the others and "something
    else" share what is left in their old proportions, none above the first."""
    if not raw:
        return ()
    first = calibrated("cause", raw[0], tables)
    rest = (1 - first) / (1 - raw[0]) if raw[0] < 1 else 0.0
    return first, *(min(first, share * rest) for share in raw[1:])
