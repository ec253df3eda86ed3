"""Logs of ``vaelab train``: metrics.jsonl with events.jsonl beside it, and console.log (``vaelab.training.run_log``).

metrics.jsonl holds every metric of a step, unsmoothed and in full precision. console.log repeats some of them in a line like
MetricLogger's, but each value is that of its step and has six significant digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vaelab.errors import LogError
from vaelab.files import read_text
from vaelab.patterns import pattern
from vaelab.readers.base import RawLog
from vaelab.readers.json_lines import read_records
from vaelab.readers.json_records import sniff_records
from vaelab.readers.measured import add_measured
from vaelab.readers.source import Source
from vaelab.readers.table import Table
from vaelab.run import Event, EventKind, ReadNote, Smoothing

EVENTS = "events.jsonl"
EVENTS_LIMIT = 64 << 20  # bytes

_LINE = pattern(rb"^Epoch: \[(\d{1,9})\]  \[ *(\d{1,9})/(\d{1,9})\]  (?!eta: )(?=[\w/]+: [^\n(]*$)", re.MULTILINE)
_VALUE = pattern(r"([\w/]+): (-?(?:\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?|inf)|nan)(?=\s|$)")


class RunReader:
    name = "vaelab_run"
    title = "metrics.jsonl of vaelab train"

    def sniff(self, head: bytes, source: Source) -> float:
        records = sniff_records(head)
        own = sum("step" in r and "rec_mse" in r and "clip_coefficient" in r for r in records)
        return 0.99 * own / len(records) if records else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log, with the events that stand beside it. Raises LogError if it holds no row."""
        log = read_records(source, self.name, Smoothing())
        # the clock, in seconds since 1970; how long a step took is step_time
        log.columns = [column for column in log.columns if column.original != "time"]
        if source.path is not None:
            records = event_records(source.path.parent / EVENTS)
            events, notes = read_events(records)
            log.events.extend(events)
            log.measured.update(baselines(records))
            log.notes.extend(notes)
            add_measured(log, source.path.parent)
        return [log]


class ConsoleReader:
    name = "vaelab_console"
    title = "console.log of vaelab train"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.96 if _LINE.search(head) else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if no line is a row."""
        table, other = Table(), 0
        for number, line in enumerate(_lines(source), start=1):
            match = _LINE.match(line)
            if match is None:
                other += bool(line.strip())
                continue
            epoch, iteration, per_epoch = (int(match[i]) for i in (1, 2, 3))
            values = _VALUE.findall(line[match.end() :].decode("ascii", "replace"))
            # the last meter tells a whole line from one that is still being written
            if values and values[-1][0] == "data":
                place = [("step", float(epoch * per_epoch + iteration)), ("epoch", float(epoch))]
                table.add_row(number, [*place, *((name, float(value)) for name, value in values)])
            else:
                other += 1
        if not len(table):
            raise LogError(f"{source.name} has no line of vaelab train (`Epoch: [0]  [ 10/100]  lr: ...  data: ...`).")
        notes = [ReadNote("foreign_lines", other, f"{other:,} lines are no rows and were left out")] if other else []
        log = table.to_log(source.name, self.name, notes=notes)
        if source.path is not None:
            add_measured(log, source.path.parent)
        return [log]


def _lines(source: Source) -> Iterator[bytes]:
    rest = b""
    for chunk in source.chunks():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


# Events --------------------------------------------------------------------------------------------------------------


def event_records(path: Path) -> list[dict[str, Any]]:
    """The lines of an event file, in their order; none where there is no such file. Lines that are no events are skipped."""
    try:
        lines = read_text(path, errors="replace", limit=EVENTS_LIMIT).splitlines()
    except OSError:
        return []
    return [record for line in lines if isinstance(record := _loads(line), dict) and "event" in record]


def baselines(records: list[dict[str, Any]]) -> dict[str, float]:
    """PSNR of simple predictors (a constant, a blurred picture) on the run's held-out samples, as ``baseline.blurred.psnr``."""
    told: dict[str, Any] = next((r for r in reversed(records) if r["event"] == "baselines"), {})
    scores = {name: s["psnr"] for name, s in told.items() if isinstance(s, dict) and isinstance(s.get("psnr"), float)}
    return {f"baseline.{name}.psnr": psnr for name, psnr in scores.items() if math.isfinite(psnr)}


def read_events(records: list[dict[str, Any]]) -> tuple[list[Event], list[ReadNote]]:
    """What a run says happened, in its order."""
    events: list[Event] = []
    skipped = quarantined = 0
    for record in records:
        kind = record["event"]
        if kind == "non_finite":
            skipped += 1
        quarantined += kind == "quarantined"
        in_a_row = kind == "stopped" and skipped > 0 and "not finite" in str(record.get("text", ""))
        event = _event(record, in_a_row)
        if event is not None:
            events.append(event)
    notes = []
    if quarantined:
        notes.append(
            ReadNote("data_errors", quarantined, f"{quarantined:,} files could not be decoded and were left out")
        )
    if skipped:
        notes.append(ReadNote("skipped_steps", skipped, f"{skipped:,} updates were skipped: a gradient was not finite"))
    return events, notes


def _event(record: dict[str, Any], stopped_by_nan: bool) -> Event | None:
    """The event in the words of a reader; None for what is no news (the start, scores of simple predictors)."""
    step = record.get("step")
    at = int(step) if isinstance(step, int | float) and not isinstance(step, bool) and abs(step) < 2**53 else None

    def said(name: str) -> str:
        return str(record.get(name, ""))[:300]

    kinds: dict[str, tuple[EventKind, str]] = {
        "resume": (
            "resume",
            f"resumed at step {at}{' with other settings: ' if said('changed') else ''}{said('changed')}",
        ),
        "checkpoint": ("checkpoint", f"checkpoint {said('path')}"),
        "quarantined": ("data_error", f"{said('file')}: {said('reason')}"),
        "finished": ("finished", "the run reached its last step"),
        "interrupted": ("note", f"interrupted: {said('text')}"),
        "stopped": ("non_finite_stop" if stopped_by_nan else "note", f"stopped: {said('text')}"),
        "non_finite": ("note", f"update {said('at')} was skipped, its gradient was not finite; batch: {said('batch')}"),
        "rollback": ("note", f"rolled back from step {said('came_from')} ({said('cause')}): {said('change')}"),
        "diagnosis": ("note", f"diagnosis {said('status')}: {said('headline')}"),
    }
    found = kinds.get(str(record["event"]))
    return Event(found[0], at, None, found[1]) if found else None


def _loads(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


READER = RunReader()
CONSOLE_READER = ConsoleReader()
