"""RadioDiff's text log, and those of other trainers that print ``[Train Step] s/total: key: value, ...``.

    2026-01-01 10:00:00,123 [Train Step] 500/150000: train/total_loss: 8123.45605, ..., lr: 0.00000,

Each logged step has two lines, one per optimizer. The console shows the same text without a time, and once more as the
description of a progress bar, which repeats it until the next logged step. Values are those of the step, five decimals
(so that a learning rate of 5e-6 prints as 0.00000 or 0.00001).
Source: RadioDiff ``denoising_diffusion_pytorch/utils.py`` (``dict2str``) and ``train_vae.py``.
"""

from __future__ import annotations

import re

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import BoolArray, RawColumn, RawLog
from vaelab.readers.line_shapes import Field
from vaelab.readers.namespace import parse_config_line
from vaelab.readers.numeric_scan import PIECE, scan_chunks, scan_tail
from vaelab.readers.source import Source
from vaelab.readers.text_log import LineNotes, TextTable, decode, printed_decimals
from vaelab.run import FloatArray, IntArray, Smoothing

STEP, TOTAL = "[step]", "[total]"
CLOCK = ("[year]", "[month]", "[day]", "[hour]", "[minute]", "[second]", "[millisecond]")

_HEADER = pattern(rb"\[Train Step\] +(\d{1,15})/(\d{1,15}): *")
_TIME = pattern(rb"(\d{1,9})-(\d{1,9})-(\d{1,9}) {1,8}(\d{1,9}):(\d{1,9}):(\d{1,9}),(\d{1,9})\b")
_ITEM = pattern(rb"([A-Za-z_][\w/.\-]*): +([-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?|nan|inf)),(?: |$)")
_BAR = pattern(rb"\s*:?\s*(?:\d+%\||\d+it \[)")
_DIGITS = pattern(rb"\d[\d.]*")
_POSSIBLE = ((1970, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 60), (0, 999))  # of each part of CLOCK
RECENT_ROWS = 8  # lines of other processes for one step stand at most this far apart


def parse_line(line: bytes) -> list[Field] | None:
    """The numbers of one ``[Train Step]`` line, or None if it is not one or is incomplete."""
    header = _HEADER.search(line)
    if header is None:
        return None
    fields: list[Field] = []
    if header.start():
        clock = _TIME.search(line, 0, header.start())
        if clock:
            fields += [(name, *clock.span(i)) for i, name in enumerate(CLOCK, start=1)]
        for match in _DIGITS.finditer(line, clock.end() if clock else 0, header.start()):
            fields.append((None, *match.span()))
    fields += [(STEP, *header.span(1)), (TOTAL, *header.span(2))]
    at = header.end()
    n_before = len(fields)
    while item := _ITEM.match(line, at):
        fields.append((item[1].decode("ascii", "replace"), *item.span(2)))
        at = item.end()
    if len(fields) == n_before:
        return None
    if at < len(line):
        if not _BAR.match(line, at):
            return None
        fields.append((None, at, len(line)))
    return fields


class RadioDiffLogReader:
    """Reads ``[Train Step]`` text."""

    name = "radiodiff_log"
    title = "RadioDiff text log ([Train Step] s/total: ...)"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.95 if re.search(rb"\[Train Step\] \d+/\d+: ?[A-Za-z_][\w/]*: ", head) else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if it has no ``[Train Step]`` line."""
        table, other = TextTable(), _OtherLines()
        tail = None
        for scan in scan_chunks(source.chunks(PIECE), parse_line):
            table.add(scan.blocks)
            tail = scan.tail
            for number, line in scan.others:
                other.add(number, line)
            if scan.ansi:
                other.count("ansi", 0, b"", scan.ansi)
        if tail is not None:
            number, line = tail
            blocks = scan_tail((number, line), parse_line).blocks
            if blocks and blocks[0].columns in table.shapes:
                table.add(blocks)
            elif line.strip():
                other.add(number, line)
        if not len(table):
            raise LogError(f"{source.name} has no complete training line of the form `[Train Step] 500/150000: ...`.")
        return [_assemble(source, table, other)]


READER = RadioDiffLogReader()


class _OtherLines(LineNotes):
    """Reads the config, which such a trainer prints as its first line."""

    def add(self, number: int, line: bytes) -> None:
        if b"[Train Step]" in line:
            self.count("torn_line", number, line)
        elif b"{'" in line and (config := parse_config_line(decode(line))):
            self.declare(number, config)
        else:
            super().add(number, line)


def _assemble(source: Source, table: TextTable, other: _OtherLines) -> RawLog:
    lines = table.lines()
    shapes = table.shape_of_rows()
    names = [n for n in table.names if n not in (STEP, TOTAL, *CLOCK)]
    steps = table.take(STEP).values.astype(np.int64)
    totals = table.take(TOTAL).values
    clock = _seconds([table.take(n).values for n in CLOCK]) if CLOCK[0] in table.names else None
    taken = [(name, table.take(name)) for name in names]
    keep, other_ranks = _first_of_each(steps, shapes, [column.values for _, column in taken])
    if other_ranks.any():
        other.count("other_rank", int(lines[other_ranks][0]), b"", int(other_ranks.sum()))
    lines, steps = lines[keep], steps[keep]
    columns = [
        RawColumn(name, column.values[keep], column.logged[keep], lines, printed_decimals(column.decimals))
        for name, column in taken
    ]
    if clock is not None and (time := _time_column(clock[keep], steps, lines)):
        columns.append(time)
    config = other.whole_config()
    trainer = config.get("trainer")
    if not (isinstance(trainer, dict) and "train_num_steps" in trainer):
        config.setdefault("train_num_steps", int(totals[-1]))
    return RawLog(
        source.name,
        RadioDiffLogReader.name,
        steps,
        columns,
        config=config,
        events=other.events(steps, lines),
        notes=other.notes(len(lines)),
        settings=other.settings,
    )


def _first_of_each(steps: IntArray, shapes: IntArray, values: list[FloatArray]) -> tuple[BoolArray, BoolArray]:
    """Rows to keep, and rows left out that are another process's: both bool (n,).

    A progress bar repeats a row unchanged; another process writes the same step with other values. Both are left out
    where the step was written with the same columns a few rows before.
    """
    n = len(steps)
    keep = np.ones(n, np.bool_)
    other = np.zeros(n, np.bool_)
    for shape in np.unique(shapes).tolist():
        rows = np.flatnonzero(shapes == shape)
        near = (steps[rows[1:]] == steps[rows[:-1]]) & (rows[1:] - rows[:-1] <= RECENT_ROWS)
        repeated = rows[1:][near]
        if not len(repeated):
            continue
        keep[repeated] = False
        first = np.maximum.accumulate(np.where(keep[rows], np.arange(len(rows)), 0))[1:][near]
        same = np.ones(len(repeated), np.bool_)
        for column in values:
            a, b = column[repeated], column[rows[first]]
            same &= (a == b) | (np.isnan(a) & np.isnan(b))
        other[repeated[~same]] = True
    return keep, other


def _seconds(parts: list[FloatArray]) -> FloatArray:
    """Seconds since 1970 (n,) from year, month, day, hour, minute, second, millisecond; NaN where there is no time or an impossible one."""
    known = np.ones(len(parts[0]), np.bool_)
    for part, (least, most) in zip(parts, _POSSIBLE, strict=True):
        known &= (part >= least) & (part <= most)  # False for NaN
    year, month, day, hour, minute, second, millisecond = (np.where(known, p, 1).astype(np.int64) for p in parts)
    days = (((year - 1970) * 12 + month - 1).astype("datetime64[M]")).astype("datetime64[D]").astype(np.int64) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second + millisecond / 1000
    return np.where(known, seconds, np.nan)


def _time_column(clock: FloatArray, steps: IntArray, lines: IntArray) -> RawColumn | None:
    """Seconds per step, from the times at which one logged step and the next were written."""
    first = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    passed, taken = np.diff(clock[first]), np.diff(steps[first])
    known = (taken > 0) & (passed > 0)
    if not known.any():
        return None
    values = np.full(len(steps), np.nan)
    values[first[1:][known]] = passed[known] / taken[known]
    window = int(np.median(taken[known]))
    return RawColumn("time", values, np.isfinite(values), lines, None, Smoothing("window_mean", window))
