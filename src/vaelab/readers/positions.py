"""Where in training each record of a text log stands: its step and epoch, from what its lines say.

A record is what stands between one step (or one repetition of a name) and the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vaelab.readers.base import UNKNOWN_EPOCH, BoolArray
from vaelab.run import FloatArray, IntArray, ReadNote


@dataclass
class Places:
    """What the lines say, each (n,): NaN where a line does not.

    step: a count of steps, of the run or of its epoch. total: where that count ends. global_step: certainly of the run.
    """

    epoch: FloatArray
    step: FloatArray
    total: FloatArray
    global_step: FloatArray


@dataclass
class Steps:
    """step (n,): NaN where no line near says it. epoch (n,). per_epoch: whether the log counts in each epoch anew."""

    step: FloatArray
    epoch: FloatArray
    notes: list[ReadNote]


def steps_of_lines(places: Places, lines: IntArray, of_bar: BoolArray, follows: bool) -> Steps:
    """The step of every line.

    follows: the line with the step ends a record. of_bar: lines of a progress bar, whose counter is the epoch's if the epoch is named.
    """
    epoch = _epochs(places)
    notes: list[ReadNote] = []
    own = places.step
    known_globally = np.isfinite(places.global_step)
    if known_globally.sum() * 4 >= max(1, np.isfinite(own).sum()):
        step = places.global_step
    else:
        rows = np.flatnonzero(np.isfinite(own))
        step = np.full(len(own), np.nan)
        if len(rows):
            step[rows], notes = _counted_on(
                own[rows], places.total[rows], epoch[rows], lines[rows], bool(of_bar[rows].all())
            )
    where = np.flatnonzero(np.isfinite(step))
    if len(where):
        filled = _filled(step, forward=not follows)
        source = _filled(np.where(np.isfinite(step), epoch, np.nan), forward=not follows)
        elsewhere = ~np.isfinite(step) & (epoch != source) & np.isfinite(epoch)
        # where most lines only name their epoch, the few steps say nothing of it
        step = filled if elsewhere.sum() <= len(where) else np.full(len(step), np.nan)
    return Steps(step, epoch, notes)


def _epochs(places: Places) -> FloatArray:
    """The epoch of every line: the last one named, or the next one where the line that names an epoch ends it.

    It does where steps were logged before the first epoch is named, and none after the last (or that one is 0 or 1).
    """
    known = np.flatnonzero(np.isfinite(places.epoch))
    stepped = np.isfinite(places.step) | np.isfinite(places.global_step)
    if not len(known) or stepped[known].any() or stepped[: known[0]].sum() < 2:
        return _filled(places.epoch, forward=True)
    goes_on = stepped[known[-1] :].any()
    if goes_on and places.epoch[known[0]] > 1:
        return _filled(places.epoch, forward=True)
    epoch = _filled(places.epoch, forward=False).copy()
    if goes_on:
        epoch[known[-1] + 1 :] += 1
    return epoch


def _filled(values: FloatArray, forward: bool) -> FloatArray:
    """Unknown values taken from the known one before (or behind); at the end, from the nearest."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known) or len(known) == len(values):
        return values
    rows = np.arange(len(values))
    at = np.searchsorted(known, rows, side="right") - 1 if forward else np.searchsorted(known, rows)
    return values[known[np.clip(at, 0, len(known) - 1)]]


def _counted_on(
    own: FloatArray, total: FloatArray, epoch: FloatArray, lines: IntArray, bar: bool
) -> tuple[FloatArray, list[ReadNote]]:
    """Steps of the run from counts that may begin again in each epoch."""
    back = own[1:] < own[:-1]
    at_end = (own[1:] == own[:-1]) & (own[1:] == own.max())  # where only the last step of each epoch is logged
    counted = bool(np.isfinite(total).all() and (total > 0).all())
    if not np.isfinite(epoch).all():
        return _counted_over_passes(own, total, back) if counted and back.any() else (own, [])
    first = epoch - (1 if epoch.min() == 1 and (not bar or (epoch != 1).any()) else 0)
    ahead = np.diff(epoch) > 0
    if ahead.any():
        begins_again = ((back | at_end) & ahead).sum() * 2 >= ahead.sum() or (counted and (own == total).all())
    else:
        begins_again = bar and counted
    if not begins_again:
        return own, []
    if counted:
        steps, notes = global_steps(first.astype(np.int64), own.astype(np.int64), total.astype(np.int64), lines, [])
        return steps.astype(np.float64), notes
    length = float(own.max())
    if own.min() == 0:  # counted from 0: the last step logged is one interval before the end
        length += max(1.0, float(np.median(np.abs(np.diff(own)))))
    text = f"the step begins again in each epoch; steps are counted as epoch * {length:,.0f} + step"
    return first * length + own, [ReadNote("steps_per_epoch", int(((back | at_end) & ahead).sum()), text)]


def _counted_over_passes(own: FloatArray, total: FloatArray, back: BoolArray) -> tuple[FloatArray, list[ReadNote]]:
    """Counts that begin again at their end, in a log that names no epoch."""
    interval = float(np.median(np.abs(np.diff(own))))
    if (total != total[0]).any() or (own[:-1][back] < total[0] - 2 * interval - 1).any():
        return own, []  # a pass was broken off: the run was started again
    text = f"the counter begins again {int(back.sum()):,} times after {total[0]:,.0f}: the steps are counted on"
    steps = np.concatenate(([0.0], np.cumsum(back))) * total[0] + own
    return steps, [ReadNote("steps_per_epoch", int(back.sum()), text)]


def global_steps(
    epochs: IntArray, iterations: IntArray, per_epoch: IntArray, lines: IntArray, resumed: list[tuple[int, int, int]]
) -> tuple[IntArray, list[ReadNote]]:
    """Global steps (n,): where each epoch begins, counted on from the epochs before, plus the iteration in it.

    resumed: line, epoch and global step of each resume that the log announces.
    """
    n = len(epochs)
    starts = np.flatnonzero(np.r_[True, (epochs[1:] != epochs[:-1]) | (per_epoch[1:] != per_epoch[:-1])])
    begin: dict[int, int] = {}
    length: dict[int, int] = {}
    offsets = np.empty(len(starts), np.int64)
    notes: list[ReadNote] = []
    previous = -1
    for k, row in enumerate(starts.tolist()):
        epoch, size, line = int(epochs[row]), int(per_epoch[row]), int(lines[row])
        if epoch < previous:  # a resume or a new run: what came after this epoch is counted again
            begin = {e: b for e, b in begin.items() if e <= epoch}
        if epoch not in begin:
            before = next(reversed(begin), None)  # they ascend
            begin[epoch] = epoch * size if before is None else begin[before] + length[before] * (epoch - before)
            announced = [s for at, e, s in resumed if at < line and e == epoch]
            if before is None and announced and abs(announced[-1] - begin[epoch]) > size // 2:
                begin[epoch] = announced[-1]
        if previous >= 0 and size != int(per_epoch[row - 1]):
            text = f"the iterations per epoch change from {per_epoch[row - 1]:,} to {size:,} at epoch {epoch}"
            notes.append(ReadNote("iterations_per_epoch", 1, text + "; the global step is counted on", line))
        length[epoch] = size
        offsets[k] = begin[epoch]
        previous = epoch
    return iterations + np.repeat(offsets, np.diff(np.r_[starts, n])), notes


def records_of_lines(steps: Steps, names: Iterable[frozenset[str]], shapes: IntArray) -> IntArray:
    """int64 (n,) number of the record that each line belongs to.

    shapes (n,): which of ``names`` a line has. A record ends where the step or the epoch changes, or a name comes again.
    """
    n = len(shapes)
    new = np.zeros(n, np.bool_)
    if n:
        new[0] = True
    for values in (steps.step, steps.epoch):
        differs = values[1:] != values[:-1]
        new[1:] |= differs & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    if not new.all():
        known = list(names)
        states: dict[frozenset[str], int] = {}
        contents: list[frozenset[str]] = []
        moves: dict[tuple[int, int], tuple[int, bool]] = {}

        def state_of(content: frozenset[str]) -> int:
            if content not in states:
                states[content] = len(contents)
                contents.append(content)
            return states[content]

        begins = new.tolist()
        state = 0
        for row, shape in enumerate(shapes.tolist()):
            if begins[row]:
                state = state_of(known[shape])
                continue
            move = moves.get((state, shape))
            if move is None:
                repeated = not contents[state].isdisjoint(known[shape])
                content = known[shape] if repeated else contents[state] | known[shape]
                move = moves[state, shape] = state_of(content), repeated
            state = move[0]
            begins[row] = move[1]
        new = np.array(begins, np.bool_)
    return np.cumsum(new) - 1


def epochs_as_integers(epoch: FloatArray) -> IntArray:
    """Whole epochs, ``UNKNOWN_EPOCH`` where the log does not say."""
    return np.where(np.isfinite(epoch), np.floor(epoch), UNKNOWN_EPOCH).astype(np.int64)
