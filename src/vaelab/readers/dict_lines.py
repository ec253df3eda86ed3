"""Text in which every record is a dict: Hugging Face's Trainer prints Python's, fairseq and many loggers JSON after a prefix.

    {'loss': 0.274, 'rec_loss': 0.2192, 'learning_rate': 0.0001, 'epoch': 0.02}
    2023-05-01 10:01:00 | INFO | train_inner | {"epoch": 1, "loss": "0.294", "num_updates": "100"}
    step 1,000: {'loss': tensor(0.5, device='cuda:0'), 'kl': np.float64(3.2)}
    Epoch 1 val_vae_loss 0.31: {'recons_loss': 0.2, 'kl_loss': 100.0}

What stands before a dict may say the step, the epoch, a metric, or that the record is one of validation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import RawLog, flatten
from vaelab.readers.counters import is_count, step_rank
from vaelab.readers.json_records import BATCH, sniff_records
from vaelab.readers.lexer import items, parse_number
from vaelab.readers.line_ends import split_lines, whole_lines
from vaelab.readers.metric_names import may_be_metric
from vaelab.readers.named_lines import is_row
from vaelab.readers.printed_dict import printed_dicts
from vaelab.readers.record_columns import RecordColumns, columns_of_lists, numbers_in, prefix_of_split, with_prefix
from vaelab.readers.source import Source
from vaelab.readers.text_log import LineNotes, decode
from vaelab.roles.grammar import read_name
from vaelab.run import ReadNote

MAX_LINE = 100_000  # characters of a line that are looked at
PREFIX = 300  # characters before a dict that may say where training is

_COUNT = r"\d{1,3}(?:,\d{3})+|\d{1,15}"
_STEP = pattern(rf"(?<![a-z])(?:steps?|iter(?:ation)?s?|updates?)\W{{0,3}}({_COUNT})(?![,.:]?\d)", re.IGNORECASE)
_EPOCH = pattern(r"(?<![a-z])epochs?\W{0,3}(\d{1,9}(?:\.\d+)?)(?![,.:]?\d)", re.IGNORECASE)
_NUMBER_LAST = pattern(rf"(?:^|\s)({_COUNT})\s?[:|=-]?\s*$")
_WORD_LAST = pattern(
    rf"([a-z]+)(?:[ _](?:set|metrics|results|stats|loss|losses|log))?(?:[\s:|\]=-]*(?:{_COUNT}))?[\s:|\]=-]*$",
    re.IGNORECASE,
)
_NAMED_BEFORE = pattern(r"[A-Za-z_][)\]%]?\s{0,3}[:=]?\s{0,3}(?:[-+]?\d*\.\d|nan\b|inf\b)")


class DictLinesReader:
    name = "dict_lines"
    title = "text lines with a dict or a JSON object each (Hugging Face Trainer, fairseq)"

    def sniff(self, head: bytes, source: Source) -> float:
        if b"{" not in head or sniff_records(head):
            return 0.0
        found, lines = _Rows(), 0
        for number, line, _ in _text_lines([head]):
            lines += bool(line.strip()) and b"%|" not in line
            found.take(number, line)
        rows = sum(map(found.is_row, (record for _, record in found.waiting)))
        if not rows:
            return 0.55 if any(map(may_be_metric, found.lists)) and lines < 10 else 0.0
        return 0.9 if rows >= 2 and rows >= 0.2 * lines else 0.45

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if no line holds a dict with a metric."""
        rows, other = _Rows(), LineNotes()
        for number, line, whole in _text_lines(source.chunks()):
            if rows.take(number, line):
                continue
            if b"{" in line and (not whole or is_row(line)):
                other.count("torn_line", number, line)
            elif line.strip() and b"%|" not in line:
                other.add(number, line)
        rows.flush()
        columns, row_unit = rows.columns, "record"
        if not len(columns.table) and rows.lists:
            columns, row_unit = columns_of_lists(rows.lists, rows.lists_line)
        if not len(columns.table):
            raise LogError(f"{source.name} has no line with a dict of metrics (`{{'loss': 0.5, 'epoch': 1.0}}`).")
        config = {**other.whole_config(), **rows.config, **columns.config}
        raw = columns.table.to_log(source.name, self.name, config=config, notes=columns.notes(), row_unit=row_unit)
        raw.events = other.events(raw.steps, np.frombuffer(columns.table.lines, np.int64))
        raw.notes = [*other.notes(len(columns.table)), *rows.notes(), *raw.notes]
        return [raw]


@dataclass
class _Rows:
    """The dicts of the lines. One that counts steps or epochs is a row, and so is one of metrics whose names come again;
    any other is taken for settings."""

    columns: RecordColumns = field(default_factory=RecordColumns)
    config: dict[str, Any] = field(default_factory=dict)
    waiting: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    shapes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    of_split: int = 0
    broken: int = 0
    first_broken: int | None = None
    lists: dict[str, list[Any]] = field(default_factory=dict)
    lists_line: int = 0

    def take(self, number: int, line: bytes) -> bool:
        """Take the dicts of a line. False if there is none with a number."""
        if b"{" not in line or b":" not in line:
            return False
        text = decode(line[:MAX_LINE])
        taken, before = False, 0
        found, broken = printed_dicts(text)
        for start, end, content in found:
            record = flatten(content, "/")
            if numbers_in(record):
                taken = True
                self.waiting.append((number, self._placed(text[max(before, start - PREFIX) : start], record)))
                self.shapes[tuple(self.waiting[-1][1])] += 1
            elif not self.lists and any(isinstance(value, list) for value in record.values()):
                taken = True
                self.lists = {name: value for name, value in record.items() if isinstance(value, list)}
                self.lists_line = number
            before = end
        if taken:
            self.broken += broken
            self.first_broken = self.first_broken or (number if broken else None)
        if len(self.waiting) >= BATCH:
            self.flush()
        return taken

    def _placed(self, before: str, record: dict[str, Any]) -> dict[str, Any]:
        """The record with what the text before it says of its place in training, where it does not say so itself."""
        word = _WORD_LAST.search(before)
        prefix = prefix_of_split(word[1]) if word else ""
        named = _metrics_in(before) if _NAMED_BEFORE.search(before) else {}
        for name in named:
            prefix = prefix or prefix_of_split(read_name(name).split)
        if prefix:
            self.of_split += 1
            record = {with_prefix(prefix, name): value for name, value in record.items()}
        for name, value in named.items():
            record.setdefault(with_prefix(prefix, name), value)
        if not any(step_rank(name) is not None for name in record):
            if step := _STEP.search(before) or _NUMBER_LAST.search(before):
                record["step"] = float(step[1].replace(",", ""))
            if (epoch := _EPOCH.search(before)) and not any(map(is_count, record.keys() - {"step"})):
                record["epoch"] = float(epoch[1])
        return record

    def is_row(self, record: dict[str, Any]) -> bool:
        """Whether a record is one of many, or at least counts something."""
        if any(map(is_count, record)):
            return any(not is_count(name) for name, _ in numbers_in(record))
        return self.shapes[tuple(record)] > 1 and any(map(may_be_metric, record))

    def flush(self) -> None:
        """Put what waits into the table, or the settings."""
        rows = [(number, record) for number, record in self.waiting if self.is_row(record)]
        for _, record in self.waiting:
            if not self.is_row(record):
                self.config.update(record)
        self.columns.add([number for number, _ in rows], [record for _, record in rows])
        self.waiting = []

    def notes(self) -> list[ReadNote]:
        """What was broken, and which rows belong to another split."""
        notes = []
        if self.broken:
            text = f"{self.broken:,} dicts begin and do not end: they were left out"
            notes.append(ReadNote("torn_line", self.broken, text, self.first_broken))
        if self.of_split:
            text = (
                f"{self.of_split:,} lines say that they are no training rows: their metrics stand under val/ or test/"
            )
            notes.append(ReadNote("split_rows", self.of_split, text))
        return notes


def _metrics_in(text: str) -> dict[str, float]:
    """The metrics that stand before a dict, each with its value."""
    line = text.encode("utf-8", "replace")
    found: dict[str, float] = {}
    for item in items(line):
        value = parse_number(line[item.start : item.end])
        if item.readable and isinstance(value, float) and may_be_metric(item.name):
            found[item.name] = value
    return found


def _text_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Number and text of every line, and whether it has a line end."""
    first = 1
    for text in whole_lines(chunks):
        lines, numbers, _ = split_lines(text, first)
        whole = text.endswith(b"\n")
        for i, (number, line) in enumerate(zip(numbers.tolist(), lines, strict=True)):
            yield number, line, whole or i < len(lines) - 1
        first += text.count(b"\n")


READER = DictLinesReader()
