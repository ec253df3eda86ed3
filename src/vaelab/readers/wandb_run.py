"""W&B run files: ``wandb/offline-run-<time>-<id>/run-<id>.wandb`` (``wandb/run-...`` of online runs too), without wandb.

The file is a LevelDB log of protobuf records (``wandb_proto``). A resumed run begins a new
file under the same id; the files are read as one run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.counters import is_epoch
from vaelab.readers.leveldb_log import LogRecords
from vaelab.readers.magic import WANDB
from vaelab.readers.protobuf import Field
from vaelab.readers.source import Source
from vaelab.readers.table import Table, explicit_steps_first
from vaelab.readers.wandb_proto import Items, messages, numbers_of, parse_item, text_of, value_of, whole_number
from vaelab.run import Event, ReadNote

PREFACE = 7  # bytes: the magic and a version

# fields of Record
_HISTORY, _SUMMARY, _CONFIG, _METRIC, _RUN, _EXIT = 2, 3, 5, 12, 17, 18
_INTERRUPTED = 255  # the exit code that wandb notes after Ctrl-C


class WandbReader:
    name = "wandb"
    title = "W&B run file (run-<id>.wandb)"

    def sniff(self, head: bytes, source: Source) -> float:
        return 1.0 if head.startswith(WANDB) else 0.0

    def first_time(self, source: Source) -> float:
        """Unix time at which the file was begun, 0 if it does not say: files of one run are read in this order."""
        for record in LogRecords([source.head()], PREFACE):
            for part in messages(record, 0, len(record)):
                if part.number == _RUN:
                    return _start_time(record, part)
        return 0.0

    def read(self, source: Source) -> list[RawLog]:
        return self.read_together([source], source.name)

    def read_together(self, sources: Sequence[Source], name: str) -> list[RawLog]:
        """Several files of one run in the order they were written: a resume begins a new file."""
        history = _History()
        for source in sources:
            history.add_file(source)
        return [history.to_log(name)]


@dataclass
class _Session:
    """One file: the first row and the first record of it, and how the process ended (None: it did not say)."""

    first_row: int
    first_record: int
    exit_code: int | None = None
    exit_record: int = 0


@dataclass
class _History:
    """The rows of one or several files of one run, and what stands around them."""

    table: Table = field(default_factory=Table)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, bytes] = field(default_factory=dict)
    items: Items = field(default_factory=Items)
    sessions: list[_Session] = field(default_factory=list)
    notes: list[ReadNote] = field(default_factory=list)
    step_metrics: Counter[str] = field(default_factory=Counter)
    records: int = 0
    not_numbers: int = 0
    not_records: int = 0

    def add_file(self, source: Source) -> None:
        if not source.head(len(WANDB)).startswith(WANDB):
            raise LogError(f"{source.name} is not a W&B run file: it does not begin with ':W&B'.")
        self.sessions.append(_Session(len(self.table), self.records + 1))
        stream, before, self.not_records = LogRecords(source.raw_chunks(), PREFACE), self.records, 0
        for record in stream:
            self.records += 1
            try:
                self._add_record(record)
            except (ValueError, RecursionError):
                self.not_records += 1
        if self.records == before:
            raise LogError(f"{source.name} is a W&B run file without a whole record: it is cut short or damaged.")
        if stream.damaged:
            text = (
                f"{source.name}: {stream.damaged_bytes:,} damaged bytes in {stream.damaged} places were skipped "
                "(a wrong checksum or length)"
            )
            self.notes.append(ReadNote("damaged_records", stream.damaged, text))
        if self.not_records:
            text = f"{source.name}: {self.not_records:,} records have broken content and were left out"
            self.notes.append(ReadNote("damaged_records", self.not_records, text))
        if stream.cut_bytes:
            text = f"{source.name}: the last record is unfinished ({stream.cut_bytes:,} bytes) and was left out"
            self.notes.append(ReadNote("torn_line", 1, text))

    def _add_record(self, record: bytes) -> None:
        for part in messages(record, 0, len(record)):
            if part.number == _HISTORY:
                self._add_row(record, part)
            elif part.number == _SUMMARY:
                self.summary.update(self.items.parse(record, part.start, part.end))
            elif part.number == _CONFIG:
                self._add_config(record, part)
            elif part.number == _RUN:
                for config in messages(record, part.start, part.end, 4):
                    self._add_config(record, config)
            elif part.number == _METRIC:
                for step in messages(record, part.start, part.end, 4):
                    self.step_metrics[text_of(record, step)] += 1
            elif part.number == _EXIT:
                session = self.sessions[-1]
                session.exit_code, session.exit_record = whole_number(record, part, 1), self.records

    def _add_row(self, record: bytes, part: Field) -> None:
        numbers: list[tuple[str, float]] = []
        for name, text in self.items.parse(record, part.start, part.end):
            found = numbers_of(name, text)
            numbers += found
            self.not_numbers += not found and text[:1] in (b"{", b"[")
        if "_step" not in dict(numbers):
            for step in messages(record, part.start, part.end, 2):
                numbers.append(("_step", float(whole_number(record, step, 1))))
        if numbers:
            self.table.add_row(self.records, numbers)

    def _add_config(self, record: bytes, part: Field) -> None:
        for item in messages(record, part.start, part.end):
            name, text = parse_item(record, item.start, item.end)
            if item.number == 2:
                self.config.pop(name, None)
            elif item.number == 1 and name != "_wandb":
                self.config[name] = value_of(text)

    def to_log(self, name: str) -> RawLog:
        """All rows. Raises LogError if there is none."""
        if not len(self.table):
            raise LogError(f"{name} is a W&B run file, but nothing was logged to it yet.")
        self._add_summary()
        own = [step.lower() for step, _ in self.step_metrics.most_common() if not is_epoch(step)]
        log = self.table.to_log(
            name,
            WandbReader.name,
            config=self.config,
            notes=self.notes,
            step_names=(*own, *explicit_steps_first(self.table, "_step")),
        )
        log.events.extend(self._events(log))
        if self.not_numbers:
            text = f"{self.not_numbers:,} images, histograms, tables and other values are not numbers; left out"
            log.notes.append(ReadNote("other_summaries", self.not_numbers, text))
        return log

    def _add_summary(self) -> None:
        """Results that were put into the summary only belong to the last row."""
        logged = set(self.table.names)
        own = [
            (name, value)
            for name, text in self.summary.items()
            for name, value in numbers_of(name, text)
            if name not in logged and not name.startswith("_") and name.rpartition(".")[0] not in logged
        ]
        self.table.extend_row(own)

    def _events(self, log: RawLog) -> Iterator[Event]:
        for before, session in zip(self.sessions, self.sessions[1:], strict=False):
            if session.first_row < len(log.steps):
                step = int(log.steps[session.first_row])
                ended = "" if not before.exit_code else f" after exit code {before.exit_code}"
                yield Event("resume", step, session.first_record, f"the W&B run was resumed{ended}")
        last = self.sessions[-1]
        if last.exit_code is not None:
            step = int(log.steps[-1])
            if last.exit_code == 0:
                yield Event("finished", step, last.exit_record, "W&B: the run finished (exit code 0)")
            elif last.exit_code == _INTERRUPTED:
                yield Event("note", step, last.exit_record, "W&B: the run was interrupted (exit code 255)")
            else:
                yield Event("crash", step, last.exit_record, f"W&B: the process ended with exit code {last.exit_code}")


def _start_time(record: bytes, run: Field) -> float:
    for part in messages(record, run.start, run.end, 17):
        return whole_number(record, part, 1) + 1e-9 * whole_number(record, part, 2)
    return 0.0


READER = WandbReader()
