"""Text with named numbers in it, of no particular trainer: progress bars, ``step 100: loss=0.5``, records of many lines.

    Epoch 3:  12%|#2        | 600/5000 [10:12<1:14:10,  1.01s/it, loss=0.493, train/aeloss_step=0.512]
    2024-10-18 10:00:00,123 - __main__ - INFO - Epoch [0/20] - d_loss: 0.6931

What a line says is found by ``named_lines``, which step it belongs to by ``positions``. tqdm prints numbers with three
significant digits, so their decimals vary from row to row.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import BoolArray, RawColumn, RawLog
from vaelab.readers.counters import are_counts
from vaelab.readers.lexer import plain, uses_decimal_comma
from vaelab.readers.line_ends import split_lines
from vaelab.readers.metric_names import may_be_metric
from vaelab.readers.named_lines import (
    BAR,
    CONTINUES,
    EPOCH,
    FRACTION,
    GLOBAL_STEP,
    LEADING,
    PASSED,
    RANK,
    SAMPLES,
    STEP,
    TOTAL,
    is_row,
    names_split,
    parse_line,
)
from vaelab.readers.namespace import parse_config_line
from vaelab.readers.numeric_scan import PIECE, scan_chunks, scan_tail
from vaelab.readers.positions import Places, epochs_as_integers, records_of_lines, steps_of_lines
from vaelab.readers.source import Source
from vaelab.readers.text_log import LineNotes, TextColumn, TextTable, decode, printed_decimals
from vaelab.run import FloatArray, IntArray, ReadNote, Smoothing

_CLOCK = pattern(rb"\d\d?:\d\d:\d\d(?:[.,]\d{1,6})?")
_DICT = pattern(rb"\{\s{0,4}['\"][\w/.\- ]{1,60}['\"]\s?:")
MOST_ROWS = 50  # from which the format is told
MANY_DRAWN = 5  # times that a bar is drawn at one count, from which it does not count the rows
MOST_LINES = 200  # from which the order of a record's lines is told
_PLACES = (GLOBAL_STEP, STEP, EPOCH)
_SPECIAL = (*_PLACES, TOTAL, RANK, SAMPLES, CONTINUES, LEADING, FRACTION)


class KeyValueReader:
    """Reads ``key: value`` and ``key=value`` text and progress bars."""

    name = "key_value"
    title = "text with key: value or key=value, and tqdm progress bars"

    def sniff(self, head: bytes, source: Source) -> float:
        rows = of_dicts = 0
        for line in _lines_of(head):
            if is_row(line):
                rows += 1
                of_dicts += _DICT.search(line) is not None
                if rows == MOST_ROWS:
                    break
        if not rows and len(head) == 65536:
            return 0.1 if any(b"=" in line or b":" in line for line in head.split(b"\n")) else 0.0
        if of_dicts * 2 > rows:
            return 0.3  # for a reader of such objects, if there is one
        return 0.0 if not rows else 0.5 if rows > 2 else 0.3

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if no line has a number under a metric's name."""
        head = source.head()
        decimal_comma = uses_decimal_comma(head)
        table, other = TextTable(), _OtherLines()
        tail = None
        for scan in scan_chunks(source.chunks(PIECE), parse_line, decimal_comma):
            table.add(scan.blocks)
            tail = scan.tail
            other.note_unread(scan.unread)
            for number, line in scan.others:
                other.add(number, line)
        if tail is not None:
            _read_tail(*tail, table, other)
        if not any(may_be_metric(name) for name in table.names if not name.startswith("[")):
            raise LogError(
                f"{source.name} has no line with a number under the name of a metric (`loss: 0.5`, `kl=3.2`)."
            )
        steps = {frozenset(columns).intersection((STEP, GLOBAL_STEP)) for columns in table.shapes}
        each_names_its_step = len(steps) == 1 and all(steps)
        follows = not each_names_its_step and step_ends_record(_lines_of(head)[:MOST_LINES])
        raw = _assemble(source.name, table, other, follows)
        if b"v_num=" in head:  # Lightning's bar shows a running mean over all optimizers under this name
            raw.columns = [
                replace(c, smoothing=Smoothing("unknown")) if c.original == "loss" else c for c in raw.columns
            ]
        return [raw]


READER = KeyValueReader()


class _OtherLines(LineNotes):
    """Reads the settings that such trainers print between their rows."""

    def add(self, number: int, line: bytes) -> None:
        if (b"Namespace(" in line or b"{'" in line) and (config := parse_config_line(decode(line))):
            self.declare(number, config)
        if line.strip() and b"%|" not in line:
            super().add(number, line)


def _lines_of(text: bytes) -> list[bytes]:
    return split_lines(plain(text, uses_decimal_comma(text)), 1)[0]


def _read_tail(number: int, line: bytes, table: TextTable, other: LineNotes) -> None:
    """A last line without a line end is a row only if nothing can be missing from its end: a bar that is closed."""
    scan = scan_tail((number, line), parse_line)
    if not scan.blocks:
        if line.strip() and b"%|" not in line:
            other.add(number, line)
    elif b"%|" in line and line.rstrip().endswith(b"]"):
        table.add(scan.blocks)
    else:
        other.count("torn_line", number, line)


def step_ends_record(lines: list[bytes]) -> bool:
    """Whether the line that names the step comes after the lines of its record, and not before them.

    By the clock, where the lines have one: lines of one record were written together. Otherwise by the order in which the log
    begins, if its first record is as long as the second.
    """
    kinds: list[bool] = []  # whether each line of a record names its step
    clocks: list[bytes | None] = []
    for line in lines:
        if fields := parse_line(line):
            columns = {column for column, _, _ in fields}
            if columns.isdisjoint((STEP, GLOBAL_STEP)) and columns <= {EPOCH, RANK}:
                continue
            kinds.append(not columns.isdisjoint((STEP, GLOBAL_STEP)))
            clock = _CLOCK.search(line)
            clocks.append(clock[0] if clock else None)
    after = before = 0
    for i in range(1, len(kinds) - 1):
        if kinds[i] and clocks[i]:
            with_previous = not kinds[i - 1] and clocks[i - 1] == clocks[i]
            with_next = not kinds[i + 1] and clocks[i + 1] == clocks[i]
            after += with_previous and not with_next
            before += with_next and not with_previous
    if after or before:
        return after > before
    named = [i for i, kind in enumerate(kinds) if kind]
    if len(named) < 2 or named[0] == 0:
        return False
    return named[0] == named[1] - named[0] - 1


def _assemble(name: str, table: TextTable, other: LineNotes, follows: bool) -> RawLog:
    lines = table.lines()
    shapes = table.shape_of_rows()
    combinations = list(table.shapes)
    taken = {column: table.take(column) for column in list(table.names)}
    names = [n for n in taken if n not in _SPECIAL and not n.startswith((BAR, PASSED))]
    if LEADING in taken and _grows(taken[LEADING]) and not _name_their_step(taken, names):
        taken[STEP] = taken[LEADING]
        taken.pop(GLOBAL_STEP, None)
        follows = False
    notes = _without_odd_steps(taken, lines)
    keep, of_bar, left_out = _rows_to_keep(taken, names, lines)
    decimals = _decimals_of_columns(taken, names, of_bar)
    notes += left_out + _passed_over(taken, lines)

    def place(column: str) -> FloatArray:
        return taken[column].values[keep] if column in taken else np.full(int(keep.sum()), np.nan)

    lines, shapes, of_bar = lines[keep], shapes[keep], of_bar[keep]
    places = Places(place(EPOCH), place(STEP), place(TOTAL), place(GLOBAL_STEP))
    why = " (what is named a step has fractions)" if FRACTION in taken else ""
    if _stands(places, of_bar) and (taken[STEP].decimals or (0, 0))[0] >= 0:  # 1.23M stays the same for long
        why = " (the bar's counter stays the same over many rows, as one of epochs)"
        places = replace(places, epoch=places.step, step=np.full(len(lines), np.nan))
    steps = steps_of_lines(places, lines, of_bar, follows)
    metrics = [frozenset(combination).intersection(names) for combination in combinations]
    rows = np.array([bool(m) for m in metrics], np.bool_)[shapes]  # a line that only names its place is no row
    steps.step, steps.epoch = steps.step[rows], steps.epoch[rows]
    records = records_of_lines(steps, metrics, shapes[rows])
    first = np.flatnonzero(np.diff(records, prepend=-1))
    lines = lines[rows][first]
    columns = []
    each_line = len(first) == len(keep)  # is a record: nothing has to be moved
    for column in names:
        record_values, record_logged = taken[column].values, taken[column].logged
        if not each_line:
            values, logged = record_values[keep][rows], record_logged[keep][rows]
            record_values = np.full(len(first), np.nan)
            record_values[records[logged]] = values[logged]
            record_logged = np.zeros(len(first), np.bool_)
            record_logged[records[logged]] = True
        if not record_logged.any():
            continue
        columns.append(RawColumn(column, record_values, record_logged, lines, decimals[column]))
    epochs = epochs_as_integers(steps.epoch[first])
    step = steps.step[first]
    if np.isfinite(step).all():
        counted, unit = step.astype(np.int64), "sample" if SAMPLES in taken else "step"
    elif (epochs >= 0).all() and len(np.unique(epochs)) == len(epochs):
        counted, unit = epochs, "epoch"
    else:
        counted, unit = np.arange(len(first), dtype=np.int64), "record"
        text = f"there is no step column{why}: the rows are counted from 0 (records, not steps)"
        notes.append(ReadNote("no_step_column", len(first), text))
    return RawLog(
        name,
        KeyValueReader.name,
        counted,
        columns,
        epochs if (epochs >= 0).any() else None,
        other.whole_config(),
        other.events(counted, lines),
        [*other.notes(int(rows.sum())), *steps.notes, *notes],
        unit,
        settings=other.settings,
        begins=_other_trainers(columns, counted),
    )


def _other_trainers(columns: list[RawColumn], steps: IntArray) -> list[int]:
    """Rows at which all columns end, others begin and the step goes back: of a second trainer. A validation alone is none."""
    parts: list[
        tuple[int, int, bool]
    ] = []  # first and last row, and whether it is of training, of columns that overlap
    spans = ((*np.flatnonzero(c.logged)[[0, -1]].tolist(), not names_split(c.original)) for c in columns)
    for first, last, training in sorted(spans):
        if parts and first <= parts[-1][1]:
            begin, end, trains = parts.pop()
            parts.append((begin, max(end, last), trains or training))
        else:
            parts.append((first, last, training))
    long = [last - first >= 2 and training for first, last, training in parts]
    return [
        parts[k][0]
        for k in range(1, len(parts))
        if long[k] and any(long[:k]) and steps[parts[k][0]] < steps[parts[k][0] - 1]
    ]


def _without_odd_steps(taken: dict[str, TextColumn], lines: IntArray) -> list[ReadNote]:
    """Take away steps that are no counts, as 1.055e1 is none under 1.05e4."""
    notes = []
    for name in (STEP, GLOBAL_STEP, TOTAL):
        if name not in taken:
            continue
        column = taken[name]
        odd = np.isfinite(column.values) & ~are_counts(column.values)
        if odd.any():
            taken[name] = replace(column, values=np.where(odd, np.nan, column.values))
            text = f"steps that are no whole numbers or too large, left out: {int(odd.sum()):,}"
            notes.append(ReadNote("unparsed_value", int(odd.sum()), text, int(lines[odd][0])))
    return notes


def _stands(places: Places, of_bar: BoolArray) -> bool:
    """Whether the bar is drawn many times at each count, as one over epochs is that shows the loss of each batch."""
    counts = places.step[of_bar & np.isfinite(places.step)]
    if np.isfinite(places.epoch).any() or np.isfinite(places.global_step).any() or len(counts) < len(places.step):
        return False
    return len(counts) >= MANY_DRAWN * (1 + int(np.count_nonzero(np.diff(counts))))


def _grows(column: TextColumn) -> bool:
    """Whether a number in front of the lines is a count, and not that of a process."""
    values = column.values[column.logged]
    return len(values) > 1 and bool(np.mean(np.diff(values) > 0) > 0.9)


def _name_their_step(taken: dict[str, TextColumn], names: list[str]) -> bool:
    """Whether a line with metrics names its step, and not only such as "Saved checkpoint(iter:400)"."""
    named = [taken[place].logged for place in (STEP, GLOBAL_STEP) if place in taken]
    return any(bool((taken[column].logged & rows).any()) for column in names for rows in named)


def _passed_over(taken: dict[str, TextColumn], lines: IntArray) -> list[ReadNote]:
    """What stands in the rows like ``name: number`` and is in no column."""
    logged = {name.removeprefix(PASSED): column.logged for name, column in taken.items() if name.startswith(PASSED)}
    if not logged:
        return []
    most = sorted(logged, key=lambda name: -int(logged[name].sum()))
    count = sum(int(rows.sum()) for rows in logged.values())
    shown = ", ".join(f"'{name}' ({int(logged[name].sum()):,})" for name in most[:6])
    text = f"numbers in the rows whose names could not be told, left out: {count:,} (after {shown}{', ...' if len(most) > 6 else ''})"
    return [ReadNote("unnamed_values", count, text, int(lines[logged[most[0]]][0]))]


def _decimals_of_columns(taken: dict[str, TextColumn], names: list[str], of_bar: BoolArray) -> dict[str, int | None]:
    """``RawColumn.decimals`` of each column.

    tqdm prints ``%.3g``, which leaves zeros at the end away: 0.001 is 0.00100 there. A bar does so if decimals vary in one of
    its columns; a column with zeros behind the point (0.0000) was printed by the trainer itself.
    """
    decimals = {name: printed_decimals(taken[name].decimals) for name in names}
    in_bar = [name for name in names if taken[name].decimals and not (taken[name].logged & ~of_bar).any()]
    printed = {name: taken[name].decimals or (0, 0) for name in in_bar}
    if any(fewest != most for fewest, most in printed.values()):
        for name, (fewest, _) in printed.items():
            values = np.abs(taken[name].values[taken[name].logged])
            largest, now = values.max(initial=0.0, where=np.isfinite(values)), decimals[name]
            if now is not None and largest > 0 and (fewest <= 0 or not (values == 0).any()):
                decimals[name] = max(now, 2 - math.floor(math.log10(largest)))
    return decimals


def _rows_to_keep(
    taken: dict[str, TextColumn], names: list[str], lines: IntArray
) -> tuple[BoolArray, BoolArray, list[ReadNote]]:
    """Lines to keep, lines of a progress bar (both bool (n,)), and what was left out."""
    notes = []
    n = len(lines)
    has_metric = np.zeros(n, np.bool_)
    for column in names:
        has_metric |= taken[column].logged
    keep = np.ones(n, np.bool_)
    of_bar = np.zeros(n, np.bool_)
    bars = {title: taken[title].logged for title in taken if title.startswith(BAR)}
    if bars:
        main = max(bars, key=lambda title: int((bars[title] & has_metric).sum()))
        of_bar = bars[main]
        for title, rows in bars.items():
            if title != main:
                keep &= ~(rows & has_metric)
        if left := int((~keep).sum()):
            notes.append(ReadNote("left_aside", left, f"{left:,} rows of other progress bars were left out"))
        keep &= ~(_redrawn(taken, names, of_bar) | _drawn_too_early(taken, names, of_bar))
    if RANK in taken:
        ranks = taken[RANK].values
        others = keep & (ranks > np.nanmin(ranks))
        if others.any():
            text = f"rows of other processes, left out: {int(others.sum()):,}"
            notes.append(ReadNote("other_rank", int(others.sum()), text, int(lines[others][0])))
        keep &= ~others
    if CONTINUES in taken:
        continues = taken[CONTINUES].logged
        part = np.maximum.accumulate(np.where(~continues, np.arange(n), -1))  # the line that each continues
        broken = np.flatnonzero(np.diff(lines, prepend=lines[:1] - 2) > 1)  # a line that is no row stands before
        since = np.searchsorted(broken, np.arange(n), side="right")
        last_break = np.where(since > 0, broken[np.maximum(since, 1) - 1], -1)
        orphan = continues & ((part < 0) | (last_break > part))
        if orphan.any():
            text = f"indented lines with a number that belong to no record, left out: {int(orphan.sum()):,}"
            notes.append(ReadNote("foreign_lines", int(orphan.sum()), text, int(lines[orphan][0])))
        keep &= ~orphan
    return keep, of_bar, notes


def _drawn_too_early(taken: dict[str, TextColumn], names: list[str], of_bar: BoolArray) -> BoolArray:
    """Lines (bool (n,)) with a new step under the numbers of the step before, drawn again at once with the step's own numbers.

    tqdm's ``update`` draws before ``set_postfix`` gives the new numbers. Where a trainer's two networks print other names in turn,
    such a line would count the numbers of one network once more in the row of the other.
    """
    early = np.zeros(len(of_bar), np.bool_)
    rows = np.flatnonzero(of_bar)
    if STEP not in taken or len(rows) < 3:
        return early
    steps = taken[STEP].values[rows]
    same = np.flatnonzero((steps[1:-1] != steps[:-2]) & (steps[1:-1] == steps[2:])) + 1
    for column in names:
        values, logged = taken[column].values, taken[column].logged
        now, before = rows[same], rows[same - 1]
        equal = (values[now] == values[before]) | (np.isnan(values[now]) & np.isnan(values[before]))
        same = same[equal & (logged[now] == logged[before])]
    early[rows[same]] = True
    return early


def _redrawn(taken: dict[str, TextColumn], names: list[str], of_bar: BoolArray) -> BoolArray:
    """Lines (bool (n,)) with which a bar goes back to 0 under the numbers it had: drawn for the next epoch, no row."""
    redrawn = np.zeros(len(of_bar), np.bool_)
    rows = np.flatnonzero(of_bar)
    if STEP not in taken or len(rows) < 2:
        return redrawn
    steps = taken[STEP].values[rows]
    begins = np.flatnonzero(steps[1:] == 0) + 1
    again = steps[begins - 1] == 0
    same, after = begins[~again], begins[again]

    def equal(values: FloatArray, i: IntArray) -> BoolArray:
        now, before = values[rows[i]], values[rows[i - 1]]
        return (now == before) | (np.isnan(now) & np.isnan(before))

    for column in names:
        values, logged = taken[column].values, taken[column].logged
        same = same[equal(values, same) & (logged[rows[same]] == logged[rows[same - 1]])]
        after = after[equal(values, after)]
    redrawn[rows[same]] = True
    for i in after.tolist():  # drawn once more under the title of the next epoch
        redrawn[rows[i]] = redrawn[rows[i - 1]]
    return redrawn
