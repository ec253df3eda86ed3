"""Breakdown: what the finite rows before a loss that is no number any more say of its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaelab.facts.view import View
from vaelab.run import FloatArray

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


def find_breakdown(view: View) -> Breakdown | None:
    """The breakdown of ``view``'s run: its first loss that is not finite to the end, or the trainer's own stop; None without one, or
    where too little stands before it to say anything."""
    run = view.run
    row = _first_row(view)
    if row is None:
        return None
    before = [run.columns[m].values[:row] for m in view.roles if m in run.columns and _is_loss(view, m)]
    rows = int(np.any([np.isfinite(v) for v in before], axis=0).sum()) if before else 0
    step = int(run.steps[min(row, len(run) - 1)])
    spacing = int(np.median(np.diff(run.steps))) if len(run) > 1 else 1
    from_start = run.steps[0] <= 2 * max(1, spacing)
    rises = ((m, _rise(run.columns[m].values[:row], view.role(m).name in ERRORS)) for m in _watched(view))
    metric, rise = max(rises, key=lambda r: r[1], default=("", 1.0))
    if rise >= RISE:
        return Breakdown("rise", step, rows, metric, rise)
    if rows >= LAST:
        return Breakdown("calm", step, rows)
    if not from_start:
        return None
    return Breakdown("start" if rows == 0 and step <= 1 else "early", step, rows)


def _first_row(view: View) -> int | None:
    """Row from which on a loss is not finite to the end; the number of rows where the trainer stopped on a loss it did not print."""
    run, rows = view.run, []
    for name in view.roles:
        if not (name in run.columns and _is_loss(view, name)):
            continue
        logged = np.flatnonzero(run.columns[name].logged)
        finite = np.isfinite(run.columns[name].values[logged])
        if len(logged) and not finite[-1]:
            rows.append(int(logged[int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0]))
    if not rows and len(run) and any(e.kind == "non_finite_stop" for e in run.events):
        rows.append(len(run))
    return min(rows, default=None)


def _is_loss(view: View, metric: str) -> bool:
    role = view.role(metric)
    return role.name in WATCHED and role.name != "gradient_norm" and role.split == "train"


def _watched(view: View) -> list[str]:
    return [
        m
        for m in view.roles
        if m in view.run.columns and view.role(m).name in WATCHED and view.role(m).split == "train"
    ]


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
