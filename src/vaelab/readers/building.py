"""RawLog -> Run. What all formats share: the runs in a log told apart, rows of one step merged, columns named, the trainer recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vaelab import dialects
from vaelab.errors import LogError
from vaelab.readers.base import UNKNOWN_EPOCH, RawColumn, RawLog, flatten, rows_of, same, take
from vaelab.readers.counters import LARGEST_STEP, newest_first
from vaelab.readers.naming import canonical_columns, printable
from vaelab.readers.splitting import configs_of, pieces_of
from vaelab.readers.two_counters import apart, in_order_of_rows
from vaelab.roles import declared_roles
from vaelab.run import IntArray, ReadNote, Run

MOST_DECIMALS = 300  # 10 to this power is still a float


def build_runs(raw: RawLog, trainer: str | None = None, given: Mapping[str, str] | None = None) -> list[Run]:
    """The runs in ``raw``: one for each start of the step counter from the beginning; resumes are stitched.

    trainer: id of the trainer to read it as, instead of what the columns look like. given: column -> role or metric, from the user; it is
    laid over ``roles`` in the settings. Raises LogError if no column holds a number, ConfigError if a given role is none.
    """
    raw = _with_possible_steps(raw)
    columns = [replace(c, original=printable(c.original)) for c in raw.columns if c.logged.any()]
    raw = replace(raw, columns=[_with_possible_decimals(c) for c in columns])
    if not raw.columns and raw.format == "broken_off":
        return [
            Run(raw.source, raw.format, "unknown", 0.0, "no row to tell by", raw.steps, {}, events=tuple(raw.events))
        ]
    if not raw.columns or not len(raw.steps):
        raise LogError(f"{raw.source} was read as {raw.format}, but there is no metric with a value in it.")
    raw = in_order_of_rows(_oldest_first(_without_empty_rows(raw)))
    flat_config = flatten(raw.config)
    given = {**declared_roles(flat_config), **(given or {})}
    if trainer is None:
        trainer, confidence, reason = dialects.detect([c.original for c in raw.columns], raw.format, flat_config)
    else:
        confidence, reason = 1.0, "the format that was asked for"
    dialect = dialects.DIALECTS[trainer]
    pieces = pieces_of(raw)
    configs = configs_of(raw, pieces) if raw.settings and len(pieces) > 1 else [flat_config] * len(pieces)
    runs = []
    for number, (piece, piece_config) in enumerate(zip(pieces, configs, strict=True), start=1):
        notes = [*raw.notes, *piece.notes] if number == 1 else list(piece.notes)
        source = raw.source if len(pieces) == 1 else f"{raw.source}#{number}"
        steps, columns, epochs, merge_notes = _merge_rows(raw, piece.rows)
        title = dialect.title if trainer != "unknown" else ""
        named, name_notes = canonical_columns(columns, dialect.columns, title, given)
        if raw.step_unit != "epoch" or raw.epochs is None:  # a row that names its epoch has no other counter
            named, apart_notes = apart(steps, named)
            name_notes += apart_notes
        runs.append(
            Run(
                source=source,
                format=raw.format,
                trainer=trainer,
                trainer_confidence=confidence,
                trainer_reason=reason,
                steps=steps,
                columns=named,
                epochs=epochs,
                config=dialects.canonical_config(piece_config),
                raw_config=piece_config,
                events=tuple(piece.events),
                notes=tuple([*notes, *merge_notes, *name_notes]),
                step_unit=raw.step_unit,
                measured=raw.measured if number == len(pieces) else {},
            )
        )
    return runs


def _with_possible_steps(raw: RawLog) -> RawLog:
    """Without rows of a step that no training reaches: the difference of two such steps need not fit into an int64."""
    possible = np.abs(raw.steps.astype(np.float64)) < LARGEST_STEP
    if possible.all():
        return raw
    rows, lost = np.flatnonzero(possible), int(np.sum(~possible))
    text = f"{lost:,} rows have a step beyond {LARGEST_STEP:,.0f} and were left out"
    note = ReadNote("unparsed_value", lost, text)
    return replace(rows_of(raw, rows), notes=[*raw.notes, note])


def _with_possible_decimals(column: RawColumn) -> RawColumn:
    """Without a unit of the last digit that is no number: that of ``1e999``."""
    possible = column.decimals is None or abs(column.decimals) <= MOST_DECIMALS
    return column if possible else replace(column, decimals=None)


def _without_empty_rows(raw: RawLog) -> RawLog:
    used = np.zeros(len(raw.steps), bool)
    for column in raw.columns:
        used |= column.logged
    if used.all():
        return raw
    return rows_of(raw, np.flatnonzero(used))


def _oldest_first(raw: RawLog) -> RawLog:
    """Turned round, where the newest row stands first: a table that was sorted so, or copied from a page that is."""
    if not newest_first(raw.steps):
        return raw
    text = f"the newest row stands first (steps {raw.steps[0]:,} to {raw.steps[-1]:,}): the rows were turned round"
    note = ReadNote("newest_first", len(raw.steps), text)
    return replace(rows_of(raw, np.arange(len(raw.steps))[::-1]), begins=[], notes=[*raw.notes, note])


def _merge_rows(raw: RawLog, rows: IntArray) -> tuple[IntArray, list[RawColumn], IntArray | None, list[ReadNote]]:
    """One row a step, ascending. Where a column was logged twice for a step, the later value is used."""
    whole = len(rows) == len(raw.steps)
    steps = raw.steps if whole else raw.steps[rows]
    epochs = raw.epochs if raw.epochs is None or whole else raw.epochs[rows]
    if np.all(steps[1:] > steps[:-1]):
        columns = raw.columns if whole else [take(c, rows) for c in raw.columns]
        return steps, [c for c in columns if c.logged.any()], epochs, []
    unique, group = np.unique(steps, return_inverse=True)
    columns, repeated, first_line = [], np.zeros(len(unique), bool), None
    for raw_column in raw.columns:
        column = raw_column if whole else take(raw_column, rows)
        at = np.flatnonzero(column.logged)
        if not len(at):
            continue
        target = group[at]
        last = np.full(len(unique), -1, np.int64)
        last[target] = at  # with repeated targets numpy keeps the last assignment
        merged = take(column, last)
        lost = ~same(column.values[at], merged.values[target])
        if lost.any():
            repeated[target[lost]] = True
            if first_line is None and merged.lines is not None:
                first_line = int(merged.lines[target[lost][0]]) or None
        columns.append(merged)
    notes = []
    if count := int(repeated.sum()):
        text = f"{count:,} steps were logged more than once with different values; the last one of each is used"
        notes.append(ReadNote("duplicate_steps", count, text, first_line))
    if epochs is not None:
        latest = np.full(len(unique), UNKNOWN_EPOCH, np.int64)
        np.maximum.at(latest, group, epochs)
        epochs = latest
    return unique, columns, epochs, notes
