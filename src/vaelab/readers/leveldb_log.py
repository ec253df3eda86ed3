"""The record framing of LevelDB's log, in which W&B keeps a run: blocks of 32 KiB, records cut into fragments that fit.

A fragment is: CRC-32 of type and data (uint32), length (uint16), type (uint8), data, all little endian
(github.com/google/leveldb/blob/main/doc/log_format.md). W&B puts its own seven bytes before the first fragment and uses
zlib's CRC-32 where LevelDB uses CRC-32C.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
_FRAGMENT = struct.Struct("<IHB")


class LogRecords:
    """Iterates over the records of a file given in pieces; its first ``preface`` bytes are no fragment.

    damaged: places where a checksum or a length is wrong; what is left of the block is skipped there (``damaged_bytes``
    in all). cut_bytes: bytes of an unfinished record at the end of the file.
    """

    def __init__(self, chunks: Iterable[bytes], preface: int = 0) -> None:
        self._chunks = chunks
        self._preface = preface
        self.damaged = 0
        self.damaged_bytes = 0
        self.cut_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        parts: list[bytes] = []  # fragments of a record that is not whole yet
        position = self._preface
        for block in _blocks(self._chunks):
            while len(block) - position >= _FRAGMENT.size:
                checksum, length, kind = _FRAGMENT.unpack_from(block, position)
                start = position + _FRAGMENT.size
                end = start + length
                if (checksum, length, kind) == (0, 0, 0):  # the rest of the block was not used
                    position = len(block)
                    break
                if end > len(block) and len(block) < BLOCK:  # the file ends within the record
                    break
                if end > len(block) or not FULL <= kind <= LAST or zlib.crc32(block[start - 1 : end]) != checksum:
                    self.damaged += 1
                    self.damaged_bytes += len(block) - position
                    position, parts = len(block), []
                    break
                data, position = block[start:end], end
                if kind == FULL:
                    parts = []
                    yield data
                elif kind == FIRST:
                    parts = [data]
                elif parts:  # the middle and the end of a record whose beginning was damaged are of no use
                    parts.append(data)
                    if kind == LAST:
                        yield b"".join(parts)
                        parts = []
            if len(block) < BLOCK:
                self.cut_bytes = len(block) - position
            position = 0
        self.cut_bytes += sum(map(len, parts))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of ``BLOCK`` bytes; the last one may be shorter."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole = len(rest) - len(rest) % BLOCK
        for start in range(0, whole, BLOCK):
            yield rest[start : start + BLOCK]
        rest = rest[whole:]
    if rest:
        yield rest
