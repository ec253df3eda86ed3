"""Logs of JSON records: one object a line, an array of objects, or one object of lists.

``pyramid_flow_json`` is the MetricLogger family's ``log.txt``: one object an epoch, keys ``train_<metric>``, ``epoch``.
``json_lines`` is any other; vaelab's own ``metrics.jsonl`` has a reader that takes the events beside it (``vaelab_run``).
"""

from __future__ import annotations

from vaelab.errors import LogError
from vaelab.readers.base import RawLog, flatten
from vaelab.readers.counters import is_count
from vaelab.readers.json_records import JsonRecords, sniff_records
from vaelab.readers.record_columns import RecordColumns, columns_of_lists, numbers_in
from vaelab.readers.source import Source
from vaelab.run import ReadNote, Smoothing


class JsonLinesReader:
    name = "json_lines"
    title = "JSON records, one a step"

    def sniff(self, head: bytes, source: Source) -> float:
        records = sniff_records(head)
        if not records:
            return 0.0
        if all(isinstance(r.get("event"), str) for r in records):
            return 0.0  # what happened in a run, not what was measured
        counted = sum(any(map(is_count, flatten(r, "/"))) for r in records)
        numbers = sum(len(numbers_in(r)) >= 2 for r in records)
        if len(records) == 1 and any(isinstance(v, list) and len(v) > 1 for v in flatten(records[0], "/").values()):
            return 0.8 if counted else 0.55  # one object of lists, a Keras history
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


def read_records(source: Source, format: str, smoothing: Smoothing) -> RawLog:
    """The records of ``source`` as one log. Raises LogError if none holds a metric."""
    columns, row_unit = RecordColumns(), "record"
    found = JsonRecords(source)
    for lines, records in found:
        columns.add(lines, records)
    if not len(columns.table) and columns.lists:
        config = columns.config
        columns, row_unit = columns_of_lists(columns.lists)
        columns.config = config
    if not len(columns.table):
        raise LogError(f"{source.name} holds JSON, but no record with a metric in it.")
    notes = columns.notes()
    if found.bad_lines:
        text = f"{found.bad_lines:,} lines are not JSON objects and were left out"
        notes.append(ReadNote("foreign_lines", found.bad_lines, text, found.first_bad))
    if found.torn:
        notes.append(ReadNote("torn_line", 1, "the last record is unfinished and was left out", found.torn))
    return columns.table.to_log(
        source.name, format, config=columns.config, notes=notes, smoothing=smoothing, row_unit=row_unit
    )


READER = JsonLinesReader()
PYRAMID_FLOW_READER = PyramidFlowJsonReader()
