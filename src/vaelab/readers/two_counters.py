"""Two counters in one log: training logged by iterations and validation by epochs (or the other way round) under one name of a step.

Such points have the same numbers and mean other places in training. Where the order or the times in which the log was written
show it, those of the coarser counter get the steps of the finer one. Where nothing shows their place, they are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class Written:
    """The points of one name: steps (n,), int64, and when each was written (n,), in any unit that never falls."""

    name: str
    steps: IntArray
    when: FloatArray

    @property
    def reach(self) -> int:
        return int(np.ptp(self.steps)) if len(self.steps) else 0


def on_one_counter(columns: Sequence[Written], by: str) -> tuple[dict[int, IntArray], list[ReadNote]]:
    """New steps of the columns that count something coarser than the rest, by their place in ``columns``; a note on them.

    by: what ``when`` is, as a word of the note.
    """
    if len(columns) < 2:
        return {}, []
    reach = max(c.reach for c in columns)
    finest = max((c for c in columns if 2 * c.reach > reach), key=lambda c: len(c.steps), default=columns[0])
    coarse = [i for i, c in enumerate(columns) if len(c.steps) >= LEAST_POINTS and 0 < 2 * c.reach <= finest.reach]
    if not coarse:
        return {}, []
    order = np.argsort(finest.when, kind="stable")
    finest = replace(finest, steps=finest.steps[order], when=finest.when[order])
    placed = {i: steps for i in coarse if (steps := _placed(columns[i], finest)) is not None}
    if not placed:
        return {}, []
    names = [columns[i].name for i in placed]
    first, last = (int(f([f(columns[i].steps) for i in placed])) for f in (min, max))
    text = (
        f"{_listed(names)} counted {first:,} to {last:,} (epochs) while '{finest.name}' went to {int(finest.steps.max()):,}: "
        f"placed by {by} at the steps at which they were written"
    )
    return placed, [ReadNote("two_counters", len(names), text)]


def _placed(coarse: Written, finest: Written) -> IntArray | None:
    """The finer counter when each coarse point was written; None where it does not show that the two are of another pace.

    The finer counter advances steadily by at least two for each count of the coarser one, and goes back where that does.
    """
    own = np.diff(coarse.steps)
    if not own.all() or np.median(np.abs(own)) > WIDEST_STRIDE:
        return None
    after = np.searchsorted(finest.when, coarse.when, side="right")
    before = np.maximum(after - 1, 0)
    after = np.clip(after, before, len(finest.steps) - 1)
    gap = np.maximum(finest.steps[after] - finest.steps[before], 0)  # none where training starts again
    span = finest.when[after] - finest.when[before]
    part = np.clip((coarse.when - finest.when[before]) / np.where(span > 0, span, 1), 0, 1)
    steps = finest.steps[before] + np.floor(gap * part).astype(np.int64)
    pace = np.diff(steps) / own
    usual = float(np.median(pace))
    steady = (pace >= usual / 2) & (pace <= 2 * usual)
    return steps if usual >= 2 and np.all(pace > 0) and steady.mean() >= STEADY else None


def in_order_of_rows(raw: RawLog) -> RawLog:
    """The log with the steps of a coarser counter put on the finer one, where the order of its rows shows their place."""
    if np.all(raw.steps[1:] >= raw.steps[:-1]):
        return raw
    rows = [np.flatnonzero(column.logged) for column in raw.columns]
    columns = [
        Written(c.original, raw.steps[at], at.astype(np.float64)) for c, at in zip(raw.columns, rows, strict=True)
    ]
    placed, notes = on_one_counter(columns, "the order of the rows")
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
