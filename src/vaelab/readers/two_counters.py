"""Two counters in one log: training logged by iterations and validation by epochs (or the other way round) under one name of a step.

Such points have the same numbers and mean other places in training. Where the order or the times in which the log was written
show it, those of the coarser counter get the steps of the finer one. Where nothing shows their place, they are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaelab.catalog.roles import Role
from vaelab.readers.base import RawLog
from vaelab.run import Column, FloatArray, IntArray, ReadNote

LEAST_POINTS = 4  # of a counter, so that its pace can be told
WIDEST_STRIDE = 50  # epochs between two points; an evaluation that runs behind training takes checkpoints further apart
STEADY = 0.9  # share of the strides that keep the pace
_HELD_OUT = ("val", "test", "ema")


@dataclass(frozen=True)
class _Written:
    """The points of one name: steps (n,), int64, and when each was written (n,), in any unit."""

    steps: IntArray
    when: FloatArray


def on_one_counter(
    names: Sequence[str], steps: Sequence[IntArray], shown_by: Mapping[str, Callable[[int], FloatArray]]
) -> tuple[dict[int, IntArray], list[ReadNote]]:
    """New steps of the columns that count something coarser than the rest, by their place among ``names``; a note on them.

    steps: of the points of each column. shown_by: what may show when they were written, and how it is had for one column.
    """
    reach = [int(np.ptp(s)) if len(s) else 0 for s in steps]
    most = max(reach, default=0)
    coarse = [i for i, s in enumerate(steps) if len(s) >= LEAST_POINTS and 0 < 2 * reach[i] <= most]
    if not coarse:
        return {}, []
    fine = max((i for i, r in enumerate(reach) if 2 * r > most), key=lambda i: len(steps[i]))
    for by, when in shown_by.items():
        written = when(fine)
        order = np.argsort(written, kind="stable")
        finest = _Written(steps[fine][order], written[order])
        found = {i: _placed(_Written(steps[i], when(i)), finest) for i in coarse}
        if placed := {i: new for i, new in found.items() if new is not None}:
            first, last = (int(f([f(steps[i]) for i in placed])) for f in (min, max))
            text = (
                f"{_listed([names[i] for i in placed])} counted {first:,} to {last:,} (epochs) while '{names[fine]}' went to "
                f"{int(steps[fine].max()):,}: placed by {by} at the steps at which they were written"
            )
            return placed, [ReadNote("two_counters", len(placed), text)]
    return {}, []


def _placed(coarse: _Written, finest: _Written) -> IntArray | None:
    """The finer counter when each coarse point was written; None where it does not show that the two are of another pace.

    The finer counter advances steadily by at least two for each count of the coarser one, and goes back where that does.
    """
    first, last = finest.when[0], finest.when[-1]
    inside = np.flatnonzero((coarse.when >= first) & (coarse.when <= last))
    own = np.diff(coarse.steps)
    if len(inside) < LEAST_POINTS - 1 or not own.all() or np.median(np.abs(own)) > WIDEST_STRIDE:
        return None
    if np.any(np.diff(coarse.when) < 0):
        return None
    steps = _between(finest, coarse.when)
    pace = np.diff(steps[inside]) / np.diff(coarse.steps[inside])
    usual = float(np.median(pace))
    steady = (pace >= usual / 2) & (pace <= 2 * usual)
    if usual < 2 or steady.mean() < STEADY:
        return None
    # what was written before or after all finer points goes on at the usual pace, for less than one of their strides
    stride = max(1, int(np.median(np.diff(finest.steps))))
    for outside, near in ((coarse.when < first, inside[0]), (coarse.when > last, inside[-1])):
        onward = steps[near] + np.rint(usual * (coarse.steps[outside] - coarse.steps[near])).astype(np.int64)
        steps[outside] = np.clip(onward, max(finest.steps[0] - stride, 0), finest.steps[-1] + stride - 1)
    return steps if np.all(np.diff(steps) / own > 0) else None


def _between(finest: _Written, when: FloatArray) -> IntArray:
    """The count that ``finest`` had reached at each time (n,), int64."""
    before = np.maximum(np.searchsorted(finest.when, when, side="right") - 1, 0)
    after = np.minimum(before + 1, len(finest.steps) - 1)
    gap = np.maximum(finest.steps[after] - finest.steps[before], 0)  # none where training starts again
    span = finest.when[after] - finest.when[before]
    part = np.clip((when - finest.when[before]) / np.where(span > 0, span, 1), 0, 1)
    return finest.steps[before] + np.floor(gap * part).astype(np.int64)


def in_order_of_rows(raw: RawLog) -> RawLog:
    """The log with the steps of a coarser counter put on the finer one, where the order of its rows shows their place."""
    if np.all(raw.steps[1:] >= raw.steps[:-1]):
        return raw
    rows = [np.flatnonzero(column.logged) for column in raw.columns]
    placed, notes = on_one_counter(
        [column.original for column in raw.columns],
        [raw.steps[at] for at in rows],
        {"the order of the rows": lambda i: rows[i].astype(np.float64)},
    )
    if not placed:
        return raw
    steps = raw.steps.copy()
    for i, new in placed.items():
        steps[rows[i]] = new
    return replace(raw, steps=steps, notes=[*raw.notes, *notes])


def apart(steps: IntArray, columns: Mapping[str, Column]) -> tuple[dict[str, Column], list[ReadNote]]:
    """Columns of held-out data of which nothing shows where in training they stand, kept under a name that is compared with none.

    They count 0, 1, 2, ... (or from 1) and end early, where as many epochs of a whole number of steps make the training rows.
    Training by epochs and validation by steps likewise.
    """
    split = {held: [c for c in columns.values() if (c.role.split in _HELD_OUT) == held] for held in (True, False)}
    trained = max((steps[c.logged] for c in split[False]), key=lambda s: (len(s), _reach(s)), default=steps[:0])
    other = [
        c for c in split[True] if _are_epochs_of(steps[c.logged], trained) or _are_epochs_of(trained, steps[c.logged])
    ]
    if not other:
        return dict(columns), []
    taken = set(columns)
    kept: dict[str, Column] = {}
    for name, column in columns.items():
        if column in other:
            reason = "its count is not that of the training rows, and the log does not say where in training it stands"
            name = _free(f"{column.original} (other counter)", taken)
            column = replace(column, name=name, role=Role(split=column.role.split, reason=reason))
        kept[name] = column
    ends = ", ".join(sorted({f"{int(steps[c.logged].max()):,}" for c in other}, key=len))
    text = (
        f"{_listed([c.original for c in other])} counted to {ends} while training counted to {int(trained.max()):,}: epochs beside "
        "steps, and nothing shows which belong together; kept, but compared with no training row"
    )
    return kept, [ReadNote("two_counters", len(other), text)]


def _are_epochs_of(coarse: IntArray, fine: IntArray) -> bool:
    """Whether ``coarse`` counts 0, 1, 2 ... the epochs of ``fine``, all of a whole number of steps, the last maybe not over yet."""
    n = len(coarse)
    if n < LEAST_POINTS or len(fine) < LEAST_POINTS or coarse[0] not in (0, 1) or np.any(np.diff(coarse) != 1):
        return False
    longest = (int(fine[-1]) + int(np.median(np.diff(fine)))) / n
    return longest >= 2 and int(longest) >= int(fine[-1]) / (n + 1)


def _reach(steps: IntArray) -> int:
    return int(np.ptp(steps)) if len(steps) else 0


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name[:60]}'" for name in names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name
