"""The protobuf wire format: the fields of a message, whatever it is. Trackers write their logs in it.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field: its number, wire type, and where its content lies. ``varint`` is set for varints only."""

    number: int
    wire: int
    start: int
    end: int
    varint: int = 0


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in ``data[start:end]``. Raises ValueError if it is not well formed."""
    position = start
    while position < end:
        key, position = varint(data, position, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            first = position
            content, position = varint(data, position, end)
            yield Field(number, wire, first, position, content)
            continue
        if wire == BYTES:
            length, position = varint(data, position, end)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} is not used any more")
        if position + length > end:
            raise ValueError("a field is longer than the message it is in")
        yield Field(number, wire, position, position + length)
        position += length


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """``(number, position after it)``. Raises ValueError if it is cut short."""
    result = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    raise ValueError("a number is cut short")


def varints(data: bytes, start: int, end: int) -> list[int]:
    """The numbers of a packed field. Raises ValueError if one is cut short."""
    values = []
    while start < end:
        value, start = varint(data, start, end)
        values.append(value)
    return values


def signed(value: int) -> int:
    """int32, int64 and bool are written as the 64-bit two's complement."""
    return value - (1 << 64) if value >= 1 << 63 else value
