"""Points: single values with a tag and a step, as trackers keep them, put together to the rows and columns of a log."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaelab.errors import LogError
from vaelab.readers.base import UNKNOWN_EPOCH, RawColumn, RawLog
from vaelab.readers.counters import LARGEST_STEP
from vaelab.readers.table import columns_kept
from vaelab.readers.two_counters import on_one_counter
from vaelab.run import FloatArray, IntArray, ReadNote


class Series(NamedTuple):
    """Points in the order of the file: tag number, step, value, record number; each (n,).

    time: float64 (n,), Unix time at which each was written, where the log has it; its order speaks for it elsewhere.
    """

    tag: IntArray
    step: IntArray
    value: FloatArray
    record: IntArray
    time: FloatArray | None = None

    def at(self, which: IntArray) -> Series:
        """Some of the points, by their places."""
        time = None if self.time is None else self.time[which]
        return Series(self.tag[which], self.step[which], self.value[which], self.record[which], time)


class Points:
    """Collects points one by one, in the order in which they were logged."""

    def __init__(self) -> None:
        self._tags: dict[str, int] = {}
        self._tag, self._step, self._record = array("q"), array("q"), array("q")
        self._value = array("d")
        self._beyond = 0

    def __len__(self) -> int:
        return len(self._tag)

    @property
    def last_step(self) -> int:
        """The highest step so far, 0 if there is no point."""
        return max(self._step, default=0)

    def add(self, tag: str, step: int, value: float, record: int = 0) -> None:
        """Add one point; ``record`` is its 1-based number in the file. A step that no int64 holds is left out and counted."""
        if not -(2**63) <= step < 2**63:
            self._beyond += 1
        else:
            self._tag.append(self._tags.setdefault(tag, len(self._tags)))
            self._step.append(step)
            self._value.append(value)
            self._record.append(record)

    def to_log(self, source: str, format: str, config: Mapping[str, Any] | None = None) -> RawLog:
        """The points as a log. Raises LogError if there is none."""
        if not len(self):
            raise LogError(f"{source} was read as {format}, but there is no metric in it yet.")
        tag, step, record = (np.frombuffer(part, np.int64) for part in (self._tag, self._step, self._record))
        series = Series(tag, step, np.frombuffer(self._value, np.float64), record)
        return log_of(series, list(self._tags), source, format, dict(config or {}), self._beyond)


def log_of(
    series: Series, tags: Sequence[str], source: str, format: str, config: dict[str, Any], beyond: int = 0
) -> RawLog:
    """The points as a log, columns in the order in which they first came; ``tags`` are their names.

    A tag ``epoch`` beside others gives the epochs of the rows and is no column. Steps that no float holds exactly are damage: such
    points are left out and counted, with those that the caller has left out already (``beyond``). Raises LogError if no point is left.
    """
    inside = np.abs(series.step.astype(np.float64)) < LARGEST_STEP
    beyond += int(np.count_nonzero(~inside))
    if not inside.all():
        series = series.at(np.flatnonzero(inside))
    if not len(series.tag):
        raise LogError(f"{source} was read as {format}, but every step in it is beyond 2^53.")
    by_tag = np.argsort(series.tag, kind="stable")
    used, begins = np.unique(series.tag[by_tag], return_index=True)
    points = dict(zip(used.tolist(), np.split(by_tag, begins[1:]), strict=True))
    series, placed = _on_one_counter(series, points, tags)
    row, steps = _rows(series, len(tags))
    columns: list[RawColumn] = []
    epochs = None
    in_order = sorted(points, key=lambda number: points[number][0])
    epoch = next((number for number in points if tags[number] == "epoch" and len(tags) > 1), None)
    counts = {tags[number]: len(points[number]) for number in in_order if number != epoch}
    kept, notes = columns_kept(counts, len(steps))
    notes.extend(placed)
    if beyond:
        text = f"{beyond:,} values at steps beyond 2^53 were left out"
        notes.append(ReadNote("unparsed_value", beyond, text))
    for number in in_order:
        mine = points[number]
        if number != epoch and tags[number] not in kept:
            continue
        values = np.full(len(steps), np.nan)
        values[row[mine]] = series.value[mine]
        logged = np.zeros(len(steps), bool)
        logged[row[mine]] = True
        if number == epoch:
            whole = logged & np.isfinite(values) & (np.abs(values) < 2**53)
            epochs = np.where(whole, np.nan_to_num(values), UNKNOWN_EPOCH).astype(np.int64)
            continue
        lines = np.zeros(len(steps), np.int64)
        lines[row[mine]] = series.record[mine]
        columns.append(RawColumn(tags[number], values, logged, lines))
    return RawLog(source, format, steps, columns, epochs, config, [], notes)


def _on_one_counter(
    series: Series, points: Mapping[int, IntArray], tags: Sequence[str]
) -> tuple[Series, list[ReadNote]]:
    """The points with the steps of tags that count epochs put on the counter of the others; ``points`` are those of each tag."""
    places, time = list(points.values()), series.time
    shown_by: dict[str, Callable[[int], FloatArray]] = {}
    if time is not None and np.isfinite(time).all():
        shown_by["time"] = lambda i: time[places[i]]
    shown_by["the order of the log"] = lambda i: places[i].astype(np.float64)
    placed, notes = on_one_counter([tags[number] for number in points], [series.step[at] for at in places], shown_by)
    if not placed:
        return series, []
    steps = series.step.copy()
    for i, new in placed.items():
        steps[places[i]] = new
    return series._replace(step=steps), notes


def _rows(series: Series, n_tags: int) -> tuple[IntArray, IntArray]:
    """Row of each point and step of each row.

    If no tag ever goes back or repeats a step, a row is a step. Otherwise rows follow the file: a new one whenever the
    step changes or a tag comes again, so that resumes and restarts can be seen.
    """
    by_tag = np.argsort(series.tag, kind="stable")
    tag, step = series.tag[by_tag], series.step[by_tag]
    if np.all((step[1:] > step[:-1]) | (tag[1:] != tag[:-1])):
        steps, row = np.unique(series.step, return_inverse=True)
        return row, steps
    changed = np.concatenate([[True], series.step[1:] != series.step[:-1]])
    stretch = np.cumsum(changed)
    key = stretch * n_tags + series.tag
    order = np.argsort(key, kind="stable")
    new = np.concatenate([[True], key[order][1:] != key[order][:-1]])
    place = np.arange(len(key))
    time_seen = np.empty_like(place)  # how many times this tag came before in this stretch
    time_seen[order] = place - np.maximum.accumulate(np.where(new, place, 0))
    # rows within a stretch: one for each time; a tag that comes again opens the next row
    in_order = np.lexsort((time_seen, stretch))
    first = np.concatenate([[True], (np.diff(stretch[in_order]) != 0) | (np.diff(time_seen[in_order]) != 0)])
    row = np.empty(len(key), np.int64)
    row[in_order] = np.cumsum(first) - 1
    return row, series.step[in_order][first]
