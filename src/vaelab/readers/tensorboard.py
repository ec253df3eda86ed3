"""TensorBoard event files, of torch, TensorFlow 2 or any other writer: every scalar point, without tensorboard.

Records of one tag differ only in time, step and value. So a record's layout is worked out once (``event_proto``), and
every record with the same bytes around its value is decoded with numpy. Records that fit no known layout are parsed
field by field; both ways give the same points.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vaelab.errors import LogError
from vaelab.readers.base import RawColumn, RawLog
from vaelab.readers.config_text import parse_config_text
from vaelab.readers.event_proto import Value, parse_event
from vaelab.readers.folder import tag_prefix
from vaelab.readers.points import Series, log_of
from vaelab.readers.source import Source
from vaelab.readers.tfrecord import HEADER, Records, RecordStream, is_record
from vaelab.run import Event, FloatArray, IntArray, ReadNote

ByteArray = npt.NDArray[np.uint8]

LEARN = 256  # records of a new length that are looked at one by one before the rest is decoded at once
TEXT_LIMIT = 1 << 20  # bytes; a text summary longer than this is not a config


class TensorBoardReader:
    name = "tensorboard"
    title = "TensorBoard event file"

    def sniff(self, head: bytes, source: Source) -> float:
        return 1.0 if is_record(head) else 0.0

    def first_time(self, source: Source) -> float:
        """Unix time of the first record: files of one run are read in this order."""
        head = source.head(HEADER + 9)
        return struct.unpack_from("<d", head, HEADER + 1)[0] if head[HEADER : HEADER + 1] == b"\x09" else 0.0

    def read(self, source: Source) -> list[RawLog]:
        points = _Points()
        points.add_file(source)
        return [points.to_log(source.name)]

    def read_together(self, sources: Sequence[Source], name: str) -> list[RawLog]:
        """Several files of one run; the tags of one in a folder ``validation`` begin with ``val/``."""
        points = _Points()
        for source in sources:
            before = len(points.parts)
            points.add_file(source, tag_prefix(source.path) if source.path else "")
            points.note_start(before)
        return [points.to_log(name)]


class _Layout(NamedTuple):
    """Where the value lies in a record's body (the bytes after the step): its offset, width and numpy type."""

    length: int
    offset: int
    width: int
    dtype: str


_Point = tuple[int, int, int, float]  # place among the records, tag number, step, value


@dataclass
class _Points:
    """The scalar points of one or several files."""

    tags: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[ReadNote] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    records: int = 0
    damaged: int = 0
    not_scalar: int = 0
    prefix: str = ""
    parts: list[Series] = field(default_factory=list)
    # for each body length: layout -> {bytes around the value: tag number}
    layouts: dict[int, dict[_Layout, dict[bytes, int]]] = field(default_factory=dict)

    def add_file(self, source: Source, prefix: str = "") -> None:
        self.prefix, self.damaged = prefix, 0
        self.layouts.clear()  # the tag numbers in it belong to the prefix
        stream, before = RecordStream(source.raw_chunks()), self.records
        for records in stream:
            self.parts.append(self._decode(records))
            self.records += len(records.starts)
        if self.records == before:
            raise LogError(f"{source.name} holds no whole TensorBoard record: it is cut short or not an event file.")
        if stream.damaged:
            text = (
                f"{source.name}: {stream.damaged_bytes:,} damaged bytes in {stream.damaged} places were skipped "
                "(the record lengths there have a wrong checksum)"
            )
            self.notes.append(ReadNote("damaged_records", stream.damaged, text))
        if self.damaged:
            text = f"{source.name}: {self.damaged:,} records have a wrong checksum or broken content and were left out"
            self.notes.append(ReadNote("damaged_records", self.damaged, text))
        if stream.cut_bytes:
            text = f"{source.name}: the last record is unfinished ({stream.cut_bytes:,} bytes) and was left out"
            self.notes.append(ReadNote("torn_line", 1, text))

    def note_start(self, first: int) -> None:
        """Note a resume where the parts from ``first`` on go on with the tags of those before: each start of a trainer opens a file."""
        before, after = self.parts[:first], self.parts[first:]
        old = np.unique(np.concatenate([part.tag for part in before])) if before else np.empty(0, np.int64)
        begin, end = ([part.step[np.isin(part.tag, old)] for part in parts] for parts in (after, before))
        if not any(map(len, begin)) or not len(after[0].record):
            return
        step = min(int(steps.min()) for steps in begin if len(steps))
        if step > max(int(steps.max()) for steps in end if len(steps)):
            line = int(after[0].record[0]) - 1  # before the first row of the file
            self.events.append(Event("resume", step, line, f"another event file goes on from step {step:,}"))

    def _decode(self, records: Records) -> Series:
        """The points in one piece of the file."""
        data = np.frombuffer(records.buffer, np.uint8)
        good = records.intact()
        self.damaged += int((~good).sum())
        steps, bodies = _steps(data, records.starts, records.lengths)
        lengths = records.starts + records.lengths - bodies
        tag = np.full(len(steps), -1, np.int64)
        value = np.full(len(steps), np.nan)
        rest: list[_Point] = []
        for index in np.flatnonzero(good & (bodies < 0)).tolist():
            rest.extend(self._parse(records, index, None))
        usable = np.flatnonzero(good & (bodies >= 0))
        usable = usable[np.argsort(lengths[usable], kind="stable")]
        for group in np.split(usable, np.flatnonzero(np.diff(lengths[usable])) + 1):
            if not len(group):
                continue
            length = int(lengths[group[0]])
            layouts = self.layouts.setdefault(length, {})
            if not layouts:
                rest.extend(self._one_by_one(records, group[:LEARN], bodies, length, tag, value))
                group = group[LEARN:]
            for layout, keys in list(layouts.items()):
                tag[group] = _look_up(records.buffer, bodies[group], layout, keys)
                _read_values(data, bodies, layout, group[tag[group] >= 0], value)
                group = group[tag[group] < 0]
            rest.extend(self._one_by_one(records, group, bodies, length, tag, value))
        fast = np.flatnonzero(tag >= 0)
        times = _times(data, records.starts)
        if not rest:
            return Series(tag[fast], steps[fast], value[fast], fast + self.records + 1, times[fast])
        places, tags, at, values = (np.array(column) for column in zip(*rest, strict=True))
        places = np.concatenate([fast, places])
        order = np.argsort(places, kind="stable")
        return Series(
            np.concatenate([tag[fast], tags])[order],
            np.concatenate([steps[fast], at])[order],
            np.concatenate([value[fast], values])[order],
            places[order] + self.records + 1,
            times[places[order]],
        )

    def _one_by_one(
        self, records: Records, group: IntArray, bodies: IntArray, length: int, tag: IntArray, value: FloatArray
    ) -> list[_Point]:
        """Records of one body length: those of a known layout go into ``tag`` and ``value``, the rest are returned."""
        rest: list[_Point] = []
        layouts = self.layouts[length]
        found: dict[_Layout, list[int]] = {}
        for index in group.tolist():
            body = int(bodies[index])
            for layout, keys in layouts.items():
                number = keys.get(_key(records.buffer, body, layout))
                if number is not None:
                    tag[index] = number
                    found.setdefault(layout, []).append(index)
                    break
            else:
                rest.extend(self._parse(records, index, body))
        data = np.frombuffer(records.buffer, np.uint8)
        for layout, indices in found.items():
            _read_values(data, bodies, layout, np.array(indices, np.int64), value)
        return rest

    def _parse(self, records: Records, index: int, body: int | None) -> list[_Point]:
        """Parse one record field by field, and remember its layout if it holds one plain scalar."""
        start = int(records.starts[index])
        end = start + int(records.lengths[index])
        try:
            event = parse_event(records.buffer, start, end)
        except ValueError:
            self.damaged += 1
            return []
        points = []
        for value in event.values:
            if value.number is None:
                self._keep_text(value)
                continue
            number = self.tags.setdefault(self.prefix + value.tag, len(self.tags))
            points.append((index, number, event.step, value.number))
            if body is not None and len(event.values) == 1 and value.payload is not None:
                offset, width, dtype = value.payload
                layout = _Layout(end - body, offset - body, width, dtype)
                keys = self.layouts.setdefault(layout.length, {}).setdefault(layout, {})
                keys[_key(records.buffer, body, layout)] = number
        return points

    def _keep_text(self, value: Value) -> None:
        if value.hparams:
            self.config.update(value.hparams)
        elif value.text is not None and len(value.text) <= TEXT_LIMIT:
            self.config.update(parse_config_text(value.text.decode("utf-8", "replace")))
        else:
            self.not_scalar += 1

    def to_log(self, name: str) -> RawLog:
        """All points as rows. Raises LogError if there is no scalar."""
        series = Series(*(np.concatenate(column) for column in zip(*self.parts, strict=True)))
        if not len(series.tag):
            raise LogError(f"{name} is a TensorBoard event file, but there is no scalar in it.")
        if self.not_scalar:
            text = f"{self.not_scalar:,} images, histograms, graphs and other summaries are not scalars; left out"
            self.notes.append(ReadNote("other_summaries", self.not_scalar, text))
        log = log_of(series, list(self.tags), name, "tensorboard", dict(self.config))
        if len(log.columns) > 1:
            log.columns = [column for column in log.columns if not _is_placeholder(column)]
        log.notes.extend(self.notes)
        log.events.extend(self.events)
        return log


def _is_placeholder(column: RawColumn) -> bool:
    """Whether it is the -1 that Lightning writes at step 0 so that TensorBoard shows the hyper-parameters."""
    return column.original == "hp_metric" and bool(np.all(column.values[column.logged] == -1))


def _steps(data: ByteArray, starts: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Step of each record and where its body (the summary) begins; -1 if it is not laid out as time, step, summary."""
    ends, last = starts + lengths, len(data) - 1
    place = starts + 9
    timed = (lengths > 10) & (data[np.minimum(starts, last)] == 0x09)
    more = timed & (data[np.minimum(place, last)] == 0x10)  # step 0 is not written
    value = np.zeros(len(starts), np.uint64)
    place = np.where(more, place + 1, place)
    for shift in range(0, 70, 7):
        if not more.any():
            break
        byte = data[np.minimum(place, last)]
        value |= np.where(more, byte & 0x7F, 0).astype(np.uint64) << np.uint64(shift)
        place = place + more
        more = more & (byte >= 0x80)
    usable = timed & ~more & (place < ends) & (data[np.minimum(place, last)] == 0x2A)
    return value.view(np.int64), np.where(usable, place, -1)


def _times(data: ByteArray, starts: IntArray) -> FloatArray:
    """Unix time of each record, NaN where it does not begin with one."""
    timed = (starts + 9 <= len(data)) & (data[np.minimum(starts, len(data) - 1)] == 0x09)
    times = np.full(len(starts), np.nan)
    times[timed] = data[starts[timed][:, None] + np.arange(1, 9)].view("<f8")[:, 0]
    return times


def _key(buffer: bytes, body: int, layout: _Layout) -> bytes:
    value = body + layout.offset
    return buffer[body:value] + buffer[value + layout.width : body + layout.length]


def _look_up(buffer: bytes, bodies: IntArray, layout: _Layout, keys: dict[bytes, int]) -> list[int]:
    """Tag number of each record whose bytes around the value are known, else -1."""
    get, offset = keys.get, layout.offset
    if offset + layout.width == layout.length:  # the value comes last: torch
        return [get(buffer[body : body + offset], -1) for body in bodies.tolist()]
    return [get(_key(buffer, body, layout), -1) for body in bodies.tolist()]


def _read_values(data: ByteArray, bodies: IntArray, layout: _Layout, indices: IntArray, out: FloatArray) -> None:
    places = (bodies[indices] + layout.offset)[:, None] + np.arange(layout.width)
    out[indices] = data[places].view(layout.dtype)[:, 0]


READER = TensorBoardReader()
