"""The record framing of TensorBoard event files: lengths, CRC32C checksums, and going on after a damaged stretch.

A record is: length (uint64), masked CRC32C of the length (uint32), data, masked CRC32C of the data (uint32), all little
endian (tensorflow/core/lib/io/record_writer.h). Checksums are computed for many records at once with numpy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from vaelab.run import IntArray

HEADER = 12  # bytes before the data
FRAME = 16  # bytes around the data

_LENGTH = struct.Struct("<Q")
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_MASK_DELTA = 0xA282EAD8

UInt32Array = npt.NDArray[np.uint32]
ByteArray = npt.NDArray[np.uint8]


def _crc_table() -> UInt32Array:
    table: UInt32Array = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _crc_table()
_PAIRS = np.arange(1 << 16, dtype=np.uint32)
_PAIR_TABLE = _TABLE[_PAIRS & 0xFF] ^ (_PAIRS >> 8)  # two bytes at once
_PAIR_TABLE = _TABLE[_PAIR_TABLE & 0xFF] ^ (_PAIR_TABLE >> 8)


def masked_crc(data: ByteArray, starts: IntArray, length: int) -> UInt32Array:
    """Masked CRC32C, uint32 (n,), of the ``length`` bytes that begin at each of ``starts`` in ``data``."""
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    if len(starts):
        rows = sliding_window_view(data, length)[starts]
        pairs = np.ascontiguousarray(rows[:, : length // 2 * 2]).view("<u2")
        for pair in np.ascontiguousarray(pairs.T):
            crc = _PAIR_TABLE[(crc ^ pair) & 0xFFFF] ^ (crc >> 16)
        if length % 2:
            crc = _TABLE[(crc ^ rows[:, -1]) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    turned: UInt32Array = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return turned + np.uint32(_MASK_DELTA)


def stored_uint32(data: ByteArray, starts: IntArray) -> UInt32Array:
    """The little-endian uint32 at each of ``starts``."""
    parts = [data[starts + i].astype(np.uint32) << np.uint32(8 * i) for i in range(4)]
    return parts[0] | parts[1] | parts[2] | parts[3]


def is_record(head: bytes) -> bool:
    """Whether ``head`` begins with a record whose length has the right checksum."""
    if len(head) < HEADER:
        return False
    data, zero = np.frombuffer(head[:HEADER], np.uint8), np.zeros(1, np.int64)
    return bool(masked_crc(data, zero, 8)[0] == stored_uint32(data, zero + 8)[0])


@dataclass
class Records:
    """The whole records of one piece of the file. ``starts``/``lengths``: where the data of each lies in ``buffer``."""

    buffer: bytes
    starts: IntArray
    lengths: IntArray

    def intact(self, limit: int = 256) -> npt.NDArray[np.bool_]:
        """Bool (n,), False where the data has a wrong checksum. Records longer than ``limit`` bytes are not scalars
        and would take long: they are not checked."""
        data = np.frombuffer(self.buffer, np.uint8)
        good = np.ones(len(self.starts), bool)
        for length in np.unique(self.lengths[self.lengths <= limit]).tolist():
            same = np.flatnonzero(self.lengths == length)
            starts = self.starts[same]
            good[same] = masked_crc(data, starts, length) == stored_uint32(data, starts + length)
        return good


class RecordStream:
    """Iterates over a file's records, a piece at a time.

    damaged: stretches whose length field has a wrong checksum; they were skipped up to the next good record
    (``damaged_bytes`` in all). cut_bytes: bytes of an unfinished record at the end of the file.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.damaged = 0
        self.damaged_bytes = 0
        self.cut_bytes = 0

    def __iter__(self) -> Iterator[Records]:
        rest, searching = b"", False
        for chunk in self._chunks:
            buffer = rest + chunk if rest else chunk
            position = 0
            while True:
                if searching:
                    found = _next_record(buffer, position)
                    skipped_to = len(buffer) - (HEADER - 1) if found is None else found
                    skipped_to = max(skipped_to, position)
                    self.damaged_bytes += skipped_to - position
                    position = skipped_to
                    if found is None:
                        break
                    searching = False
                starts, position, good = _whole_records(buffer, position)
                if len(starts):
                    yield Records(buffer, starts + HEADER, _lengths(buffer, starts))
                if good:
                    break
                self.damaged += 1
                self.damaged_bytes += 1
                position += 1
                searching = True
            rest = buffer[position:]
        if searching:
            self.damaged_bytes += len(rest)
        else:
            self.cut_bytes = len(rest)


def _whole_records(buffer: bytes, position: int) -> tuple[IntArray, int, bool]:
    """Starts of the whole records from ``position`` on, where they end, and whether what follows can be a record."""
    starts: list[int] = []
    add, unpack, end = starts.append, _LENGTH.unpack_from, len(buffer)
    last = end - FRAME
    while position <= last:
        following = position + FRAME + unpack(buffer, position)[0]
        if following > end:
            break
        add(position)
        position = following
    found = np.array(starts, np.int64)
    data = np.frombuffer(buffer, np.uint8)
    wrong = np.flatnonzero(masked_crc(data, found, 8) != stored_uint32(data, found + 8))
    if len(wrong):
        return found[: wrong[0]], int(found[wrong[0]]), False
    unfinished = buffer[position : position + HEADER]
    return found, position, len(unfinished) < HEADER or is_record(unfinished)


def _lengths(buffer: bytes, starts: IntArray) -> IntArray:
    # the upper half of the length is zero: the record lies in the buffer
    return stored_uint32(np.frombuffer(buffer, np.uint8), starts).astype(np.int64)


def _next_record(buffer: bytes, position: int, window: int = 1 << 20) -> int | None:
    """First place from ``position`` on where a length with the right checksum stands, or None."""
    data = np.frombuffer(buffer, np.uint8)
    last = len(data) - HEADER
    for first in range(position, last + 1, window):
        places = np.arange(first, min(first + window, last + 1))
        match = np.flatnonzero(masked_crc(data, places, 8) == stored_uint32(data, places + 8))
        if len(match):
            return int(places[match[0]])
    return None
