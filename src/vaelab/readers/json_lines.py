"""Logs of JSON records: one object a line, an array of objects, or one object of lists.

``pyramid_flow_json`` is the MetricLogger family's ``log.txt``: one object an epoch, keys ``train_<metric>``, ``epoch``.
``json_lines`` is any other; vaelab's own ``metrics.jsonl`` has a reader that takes the events beside it (``vaelab_run``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaelab.errors import LogError
from vaelab.readers.base import RawLog, flatten
from vaelab.readers.source import Source
from vaelab.readers.table import EPOCH_NAMES, STEP_NAMES, Table
from vaelab.run import ReadNote, Smoothing

CONFIG_KEYS = frozenset(("config", "args", "hparams", "hyperparameters", "_config"))


class JsonLinesReader:
    name = "json_lines"
    title = "JSON records, one a step"

    def sniff(self, head: bytes, source: Source) -> float:
        records = sniff_records(head)
        if not records:
            return 0.0
        if all(isinstance(r.get("event"), str) for r in records):
            return 0.0  # what happened in a run, not what was measured
        counted = sum(any(_is_count(key) for key in flatten(r, "/")) for r in records)
        numbers = sum(len(numbers_in(r)) >= 2 for r in records)
        if len(records) == 1 and any(_is_count(k) and isinstance(v, list) for k, v in records[0].items()):
            return 0.8  # one object of lists, a Keras history
        if len(records) == 1 and not head.lstrip().startswith(b"[") and not counted:
            return 0.0  # a single object is as likely a config
        return 0.95 * numbers / len(records) if counted else 0.6 * numbers / len(records)

    def read(self, source: Source) -> list[RawLog]:
        return [read_records(source, self.name, Smoothing())]


class PyramidFlowJsonReader:
    name = "pyramid_flow_json"
    title = "MetricLogger log.txt, one JSON object an epoch (Pyramid-Flow, MAE, DeiT)"

    def sniff(self, head: bytes, source: Source) -> float:
        records = sniff_records(head)
        fits = sum("epoch" in r and sum(key.startswith("train_") for key in r) >= 2 for r in records)
        return 0.98 * fits / len(records) if records else 0.0

    def read(self, source: Source) -> list[RawLog]:
        log = read_records(source, self.name, Smoothing("epoch_mean"))
        log.notes = [note for note in log.notes if note.kind != "no_step_column"]
        return [log]


def numbers_in(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """``(name, value)`` of every number in a record; nested names are joined with ``/``."""
    if dict in map(type, record.values()):
        record = flatten(record, "/")
    found = []
    for name, value in record.items():
        kind = type(value)
        if kind is float:
            found.append((name, value))
        elif kind is int:
            try:
                found.append((name, float(value)))
            except OverflowError:
                found.append((name, float("inf") if value > 0 else float("-inf")))
        elif kind is str and value.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
            found.append((name, float(value)))
    return found


@dataclass
class _Records:
    """Objects found in a source, with their line numbers, and what could not be parsed."""

    source: Source
    bad_lines: int = 0
    first_bad: int | None = None
    torn: int | None = None

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        head = self.source.head().lstrip()
        first_line = head.split(b"\n", 1)[0].strip()
        if head.startswith(b"[") or _loads(first_line) is None:
            yield from self._anywhere()
        else:
            yield from self._lines()

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        rest, number, ended = b"", 0, False
        bad: list[int] = []
        for chunk in self.source.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                yield from self._line(number, line, bad)
        if rest.strip():
            number += 1
            ended = True
            yield from self._line(number, rest, bad)
        if ended and bad and bad[-1] == number:
            self.torn = bad.pop()
        self.bad_lines, self.first_bad = len(bad), bad[0] if bad else None

    def _line(self, number: int, line: bytes, bad: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        line = line.strip()
        if not line:
            return
        value = _loads(line)
        if isinstance(value, dict):
            yield number, value
        else:
            bad.append(number)

    def _anywhere(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Objects of an array, or objects printed over several lines: one after the other, whatever lies between."""
        text = self.source.read().decode("utf-8", "replace")
        decoder = json.JSONDecoder()
        position, line, counted = 0, 1, 0
        while (start := text.find("{", position)) >= 0:
            line += text.count("\n", counted, start)
            counted = start
            try:
                value, position = decoder.raw_decode(text, start)
            except (ValueError, RecursionError):
                self.torn = line
                return
            yield line, value


def _loads(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def sniff_records(head: bytes) -> list[dict[str, Any]]:
    """Up to 20 objects from the start of a log; empty if it does not begin as JSON."""
    text = head.lstrip()
    if text[:1] not in (b"{", b"["):
        return []
    lines = text.splitlines()
    complete = (lines if text.endswith(b"\n") or len(lines) == 1 else lines[:-1])[:20]
    found = [value for value in map(_loads, complete) if isinstance(value, dict)]
    if found:
        return found if len(found) >= 0.7 * len(complete) else []
    decoder, whole, position = json.JSONDecoder(), text.decode("utf-8", "replace"), 0
    while len(found) < 20 and (start := whole.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(whole, start)
        except (ValueError, RecursionError):
            break
        found.append(value)
    return found


def _is_count(name: str) -> bool:
    return name.lower() in STEP_NAMES or name.lower() in EPOCH_NAMES


def read_records(source: Source, format: str, smoothing: Smoothing) -> RawLog:
    """The records of ``source`` as one log. Raises LogError if none holds a metric."""
    table, config = Table(), dict[str, Any]()
    records = _Records(source)
    columns: dict[str, list[Any]] = {}
    for line, record in records:
        for key in CONFIG_KEYS & record.keys() if not CONFIG_KEYS.isdisjoint(record) else ():
            if isinstance(record[key], Mapping):
                config.update(record.pop(key))
        if "n_parameters" in record:
            config["n_parameters"] = record["n_parameters"]
        numbers = numbers_in(record)
        if any(not _is_count(name) for name, _ in numbers):
            table.add_row(line, numbers)
        elif not len(table):
            columns.update({k: v for k, v in flatten(record, "/").items() if isinstance(v, list)})
    if not len(table) and columns:
        longest = max(len(values) for values in columns.values())
        for i in range(longest):
            table.add_row(1, numbers_in({name: values[i] for name, values in columns.items() if i < len(values)}))
    if not len(table):
        raise LogError(f"{source.name} holds JSON, but no record with a metric in it.")
    notes = []
    if records.bad_lines:
        text = f"{records.bad_lines:,} lines are not JSON objects and were left out"
        notes.append(ReadNote("foreign_lines", records.bad_lines, text, records.first_bad))
    if records.torn:
        notes.append(ReadNote("torn_line", 1, "the last record is unfinished and was left out", records.torn))
    return table.to_log(source.name, format, config=config, notes=notes, smoothing=smoothing, row_unit="record")


READER = JsonLinesReader()
PYRAMID_FLOW_READER = PyramidFlowJsonReader()
