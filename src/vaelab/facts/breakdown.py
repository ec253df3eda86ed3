"""Breakdown: what the finite rows before a loss that is no number any more say of its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaelab.facts.view import View
from vaelab.run import Column, FloatArray

RISE = 3.0
"""Times its level of the rows before from which the last rows of a column have left it: three times the gradient's or the loss's usual size."""
LOST = 1e4
"""Times its first value from which a loss has left all range, however long ago."""
LAST = 8
"""Rows in which a run that diverges goes from its level to what a float cannot hold."""
WATCHED = (
    "reconstruction", "perceptual", "kl", "quantiser", "total", "generator_adversarial", "discriminator", "discriminator_real",
    "discriminator_fake", "gradient_norm", "adaptive_weight",
)  # fmt: skip
"""Roles in which a divergence shows before the NaN does."""
ERRORS = ("reconstruction", "total", "discriminator")
"""Those whose first value is the size of an untrained network's error; the others may begin near 0."""


@dataclass(frozen=True)
class Breakdown:
    """kind: ``start`` (not one finite row, and the log's first step is the run's first), ``early`` (within the run's first rows),
    ``rise`` (a column left its level in the rows before, or all range of a loss at any time), ``calm`` (none did). step: of the first row that is not finite, or of
    the last row where the trainer stopped itself. metric, rise: the column that rose most, and its largest late value over the
    largest of the rows before (over the first one where that is out of all range); None and 1 without one.
    """

    kind: Literal["start", "early", "rise", "calm"]
    step: int
    rows: int
    metric: str | None = None
    rise: float = 1.0

    @property
    def text(self) -> str:
        """What stood before the first loss that is not finite, as a sentence."""
        if self.kind == "start":
            return f"The very first loss, at step {self.step:,}, is not finite: no update had been made."
        if self.kind == "early":
            return f"The losses are not finite from step {self.step:,} on, after {self.rows} finite row{'s' if self.rows != 1 else ''}."
        if self.kind == "rise":
            return f"Before step {self.step:,} {self.metric} rose to {self.rise:.3g} times what it had been."
        return f"No term rose in the rows before step {self.step:,}."


def find_breakdown(view: View) -> Breakdown | None:
    """The breakdown of ``view``'s run: its first loss that is not finite to the end, or the trainer's own stop; None without one, or
    where too little stands before it to say anything."""
    run = view.run
    watched = {
        m: run.columns[m]
        for m, r in view.roles.items()
        if m in run.columns and r.name in WATCHED and r.split == "train"
    }
    losses = [column for m, column in watched.items() if view.role(m).name != "gradient_norm"]
    ends = [row for column in losses if (row := lost_from(column)) is not None]
    if not ends and len(run) and any(e.kind == "non_finite_stop" for e in run.events):
        ends.append(len(run))  # it stopped on a loss that it did not print
    if not ends:
        return None
    row = min(ends)
    rows = int(np.any([np.isfinite(c.values[:row]) for c in losses], axis=0).sum()) if losses else 0
    step = int(run.steps[min(row, len(run) - 1)])
    spacing = int(np.median(np.diff(run.steps))) if len(run) > 1 else 1
    from_start = run.steps[0] <= 2 * max(1, spacing)
    rises = ((m, _rise(column.values[:row], view.role(m).name in ERRORS)) for m, column in watched.items())
    metric, rise = max(rises, key=lambda r: r[1], default=("", 1.0))
    if rise >= RISE:
        return Breakdown("rise", step, rows, metric, rise)
    if rows >= LAST:
        return Breakdown("calm", step, rows)
    if not from_start:
        return None
    return Breakdown("start" if rows == 0 and step <= 1 else "early", step, rows)


def lost_from(column: Column) -> int | None:
    """Row from which on no logged value of ``column`` is finite; None if the last one is, or none is logged."""
    logged = np.flatnonzero(column.logged)
    finite = np.flatnonzero(np.isfinite(column.values[logged]))
    first = int(finite[-1]) + 1 if len(finite) else 0
    return int(logged[first]) if first < len(logged) else None


def _rise(values: FloatArray, is_error: bool) -> float:
    """Largest size of the last rows over the largest of the rows before, or over the first one; 1 where too few are finite to say."""
    every = np.abs(values[np.isfinite(values)])
    if is_error and len(every) > 1 and every[0] > 0 and (lost := float(every[-LAST:].max() / every[0])) >= LOST:
        return lost
    sizes = every[-5 * LAST :]
    last = min(LAST, len(sizes) // 2)
    if len(sizes) < 4 or not (usual := float(sizes[:-last].max())) > 0:
        return 1.0
    return float(sizes[-last:].max()) / usual
