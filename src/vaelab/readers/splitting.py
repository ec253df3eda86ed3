"""The runs in one log: a step counter that starts again is another run, one that goes back a bit a resume."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.readers.base import RawLog, flatten, row_lines
from vaelab.run import Event, IntArray, ReadNote


@dataclass
class Piece:
    """Rows of the log (ascending positions) that make one run, and what was found while putting them together."""

    rows: IntArray
    events: list[Event] = field(default_factory=list)
    notes: list[ReadNote] = field(default_factory=list)


def pieces_of(raw: RawLog) -> list[Piece]:
    """Split the rows where the counter starts again, drop the rows that a resume overwrote."""
    steps, lines = raw.steps, row_lines(raw)
    n = len(steps)
    if np.all(steps[1:] >= steps[:-1]):
        return [Piece(np.arange(n), list(raw.events))]
    pieces = [Piece(np.empty(0, np.int64))]
    starts = [0]  # first row of each run
    kept = np.ones(n, bool)
    jitter = 0
    boundary = 0  # first row since the counter last went back
    for row, previous in _backward_rows(raw):
        if previous < boundary:
            continue  # this column only follows what another one has already shown
        first = starts[-1]
        step = int(steps[row])
        if _is_jitter(steps, boundary, row):
            jitter += 1
            continue
        line = int(lines[row]) or None
        start = int(steps[first:row].min())
        announced = any(e.kind == "resume" and e.line and lines[previous] < e.line <= lines[row] for e in raw.events)
        if step <= 1 or (step <= start and not announced):
            starts.append(row)
            text = f"the step counter starts again at {step:,}: this is another run in the same log"
            pieces.append(Piece(np.empty(0, np.int64), [Event("restart", step, line, text)]))
            pieces[-1].notes.append(ReadNote("restart", 1, text, line))
        else:
            overwritten = np.flatnonzero(kept[first:row] & (steps[first:row] >= step)) + first
            kept[overwritten] = False
            reached = int(steps[overwritten].max())
            text = (
                f"the step counter goes back from {reached:,} to {step:,} (resume from a checkpoint): "
                f"{len(overwritten):,} earlier rows were logged again and the later ones are used"
            )
            if not announced:
                pieces[-1].events.append(Event("resume", step, line, text))
            pieces[-1].notes.append(ReadNote("backward_steps", len(overwritten), text, line))
        boundary = row
    if jitter:
        text = f"{jitter:,} rows were written out of order and have been sorted"
        if jitter > 2 and 4 * jitter > n:
            text += (
                "; so many are more likely of several processes or runs that write into one log: their rows are mixed"
            )
        pieces[0].notes.append(ReadNote("backward_steps", jitter, text))
    ends = [*starts[1:], n]
    for piece, first, end in zip(pieces, starts, ends, strict=True):
        piece.rows = np.flatnonzero(kept[first:end]) + first
    _share_events(raw.events, pieces, lines)
    return pieces


def configs_of(raw: RawLog, pieces: list[Piece]) -> list[dict[str, Any]]:
    """Flat settings of each run: those declared since the run before ended, or the last ones if it declares none."""
    lines = row_lines(raw)
    found: list[dict[str, Any]] = []
    end = 0
    for piece in pieces:
        begin, end = end, int(lines[piece.rows].max())
        own = [config for line, config in raw.settings if begin < line <= end]
        declared: dict[str, Any] = {}
        for config in own:
            declared.update(config)
        found.append(flatten(declared) if own or not found else found[-1])
    return found


def _backward_rows(raw: RawLog) -> list[tuple[int, int]]:
    """``(row, previous row of that column)`` wherever a column's own steps go back, in the order of the log.

    Columns are looked at one by one: a log that writes one tag after the other, or the train line after the
    validation line, goes back as a whole and not in any column.
    """
    found = {(row, row - 1) for row in raw.begins}
    seen: set[bytes] = set()
    for column in raw.columns:
        pattern = np.packbits(column.logged).tobytes()
        if pattern in seen:
            continue
        seen.add(pattern)
        rows = np.flatnonzero(column.logged)
        own = raw.steps[rows]
        back = np.flatnonzero(own[1:] < own[:-1])
        found.update(zip(rows[back + 1].tolist(), rows[back].tolist(), strict=True))
    return sorted(found)


def _is_jitter(steps: IntArray, boundary: int, row: int) -> bool:
    """Whether the step at ``row`` is only late: a handful of rows, none of them logged before, then on as before."""
    limit = max(2, len(steps) // 100)
    before = steps[max(boundary, row - limit - 1) : row]
    if (before > steps[row]).sum() > limit:
        return False
    ahead = steps[row : row + limit + 1]
    on = np.flatnonzero(ahead > before.max())
    if not len(on):
        return False
    return not np.isin(ahead[: on[0]], before).any()


_ENDS = ("crash", "non_finite_stop", "finished")


def _share_events(events: list[Event], pieces: list[Piece], lines: IntArray) -> None:
    """Give each event to the run whose lines it stands among; how a run ended belongs to the run before the gap."""
    known = [lines[piece.rows][lines[piece.rows] > 0] for piece in pieces]
    firsts = [int(k[0]) if len(k) else 0 for k in known]
    lasts = [int(k[-1]) if len(k) else 0 for k in known]
    for event in events:
        index = 0
        if event.line is None:
            index = len(pieces) - 1 if event.kind in _ENDS else 0
        else:
            ends = event.kind in (*_ENDS, "checkpoint")
            for i in range(1, len(pieces)):
                if event.line >= firsts[i] or (not ends and event.line > lasts[i - 1]):
                    index = i
        pieces[index].events.append(event)
    for piece in pieces:
        piece.events.sort(key=lambda e: (e.line is None and e.kind in _ENDS, e.line or 0))
