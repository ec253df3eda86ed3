"""The parts of W&B's records that hold numbers and configs. Field numbers: wandb/proto/wandb_internal.proto."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from vaelab.readers.base import flatten
from vaelab.readers.protobuf import BYTES, FIXED64, VARINT, Field, fields, signed
from vaelab.readers.record_columns import numbers_in

_KEY, _NESTED_KEY, _INTEGER, _NUMBER, _JSON, _VALUE_JSON = 1, 2, 5, 6, 8, 16
_VALUE_TAG = b"\x82\x01"  # field 16, bytes


class Items:
    """Parses the items of histories and summaries.

    Two items of one metric differ in their value only. So an item is parsed field by field once, and every other one with
    the same bytes before its value by looking these up.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def parse(self, data: bytes, start: int, end: int) -> list[tuple[str, bytes]]:
        """``(name, JSON text)`` of every item (field 1) of the message in ``data[start:end]``.

        A nested name is joined with dots, as W&B shows it. Raises ValueError if it is not well formed.
        """
        found = []
        names = self._names
        while start < end - 1 and data[start] == 0x0A and data[start + 1] < 0x80:  # field 1, shorter than 128 bytes
            first, start = start + 2, start + 2 + data[start + 1]
            if start > end:
                raise ValueError("an item is longer than the message it is in")
            mark = data.find(_VALUE_TAG, first, start)
            name = names.get(data[first:mark]) if mark >= 0 else None
            if name is None or data[mark + 2] != start - mark - 3:
                found.append(self._parse_one(data, first, start))
            else:
                found.append((name, data[mark + 3 : start]))
        for item in messages(data, start, end, 1):
            found.append(self._parse_one(data, item.start, item.end))
        return found

    def _parse_one(self, data: bytes, start: int, end: int) -> tuple[str, bytes]:
        name, text = parse_item(data, start, end)
        mark = data.find(_VALUE_TAG, start, end)
        if mark >= 0 and mark + 3 + len(text) == end and len(text) < 0x80:
            self._names[data[start:mark]] = name
        return name, text


def parse_item(data: bytes, start: int, end: int) -> tuple[str, bytes]:
    """Name and JSON text of one item of a history, a summary or a config. Raises ValueError if it is not well formed."""
    name, text = "", b""
    for part in fields(data, start, end):
        if part.wire == BYTES and part.number in (_KEY, _NESTED_KEY):
            name = f"{name}.{text_of(data, part)}" if name else text_of(data, part)
        elif part.wire == BYTES and part.number in (_JSON, _VALUE_JSON):
            text = data[part.start : part.end]
        elif part.wire == FIXED64 and part.number == _NUMBER:
            text = repr(struct.unpack_from("<d", data, part.start)[0]).encode()
        elif part.wire == VARINT and part.number == _INTEGER:
            text = str(part.varint >> 1 ^ -(part.varint & 1)).encode()
    return name, text


def messages(data: bytes, start: int, end: int, number: int | None = None) -> Iterator[Field]:
    """The fields that hold bytes (messages, text), those with ``number`` only if given."""
    for part in fields(data, start, end):
        if part.wire == BYTES and (number is None or part.number == number):
            yield part


def text_of(data: bytes, part: Field) -> str:
    return data[part.start : part.end].decode("utf-8", "replace")


def whole_number(data: bytes, message: Field, number: int) -> int:
    """The whole number in field ``number`` of a message; 0 is not written."""
    for part in fields(data, message.start, message.end):
        if part.number == number and part.wire == VARINT:
            return signed(part.varint)
    return 0


def value_of(text: bytes) -> Any:
    """What a JSON text holds, None if it is broken."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def numbers_of(name: str, text: bytes) -> list[tuple[str, float]]:
    """The number in a JSON text under its name, or those of a dict; none of an image, a table or a text."""
    try:
        return [(name, float(text))]
    except ValueError:
        value = value_of(text)
    if isinstance(value, dict):
        return [] if "_type" in value else numbers_in(flatten({name: value}))
    return numbers_in({name: value})
