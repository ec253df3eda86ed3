"""The fields of a TensorBoard event that hold numbers and configs, parsed from the protobuf wire format.

Field numbers: tensorflow/core/util/event.proto, framework/{summary,tensor,tensor_shape}.proto and tensorboard's
plugins/hparams/plugin_data.proto.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaelab.readers.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, fields, signed, varints

# TensorProto.dtype -> numpy type of its tensor_content
_CONTENT = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?",
    17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
_STRING, _BFLOAT16 = 7, 14
_FLOAT_VAL, _DOUBLE_VAL = 5, 6
_INT_VALS = (7, 10, 11, 16, 17)  # int_val, int64_val, bool_val, uint32_val, uint64_val: all varints
_HALF_VAL = 13


@dataclass
class Value:
    """One entry of a summary. ``number`` is None unless it is a scalar; ``payload`` is where the scalar's bytes lie as
    plain numbers (offset, width in bytes, numpy type); ``text`` holds the strings of a text summary."""

    tag: str = ""
    number: float | None = None
    payload: tuple[int, int, str] | None = None
    text: bytes | None = None
    hparams: dict[str, Any] | None = None


@dataclass
class Event:
    step: int = 0
    values: list[Value] = field(default_factory=list)


def parse_event(data: bytes, start: int, end: int) -> Event:
    """The event in ``data[start:end]``. Raises ValueError if it is not well formed."""
    event = Event()
    for item in fields(data, start, end):
        if item.number == 2 and item.wire == VARINT:
            event.step = signed(item.varint)
        elif item.number == 5 and item.wire == BYTES:
            for part in fields(data, item.start, item.end):
                if part.number == 1 and part.wire == BYTES:
                    event.values.append(_parse_value(data, part.start, part.end))
    return event


def _parse_value(data: bytes, start: int, end: int) -> Value:
    value = Value()
    for item in fields(data, start, end):
        if item.number == 1 and item.wire == BYTES:
            value.tag = data[item.start : item.end].decode("utf-8", "replace")
        elif item.number == 2 and item.wire == FIXED32:
            value.number = float(struct.unpack_from("<f", data, item.start)[0])
            value.payload = (item.start, 4, "<f4")
        elif item.number == 8 and item.wire == BYTES:
            _parse_tensor(data, item.start, item.end, value)
        elif item.number == 9 and item.wire == BYTES:
            value.hparams = _parse_metadata(data, item.start, item.end)
    return value


def _parse_tensor(data: bytes, start: int, end: int, value: Value) -> None:
    """Set ``number`` (and ``payload``) if the tensor holds one number, ``text`` if it holds strings."""
    dtype, numbers, texts = 0, [], []
    payload: tuple[int, int, str] | None = None
    content: Field | None = None
    for item in fields(data, start, end):
        if item.number == 1 and item.wire == VARINT:
            dtype = item.varint
        elif item.number == 4 and item.wire == BYTES:
            content = item
        elif item.number in (_FLOAT_VAL, _DOUBLE_VAL) and item.wire in (BYTES, FIXED32, FIXED64):
            kind = "<f4" if item.number == _FLOAT_VAL else "<f8"
            width = int(kind[-1])
            if (item.end - item.start) % width:
                raise ValueError("a packed field has a broken length")
            numbers.extend(np.frombuffer(data[item.start : item.end], kind).tolist())
            payload = (item.start, width, kind)
        elif item.number in (*_INT_VALS, _HALF_VAL) and item.wire in (VARINT, BYTES):
            packed = [item.varint] if item.wire == VARINT else varints(data, item.start, item.end)
            numbers.extend(_half(v, dtype) if item.number == _HALF_VAL else float(signed(v)) for v in packed)
        elif item.number == 8 and item.wire == BYTES:
            texts.append(data[item.start : item.end])
    if dtype == _STRING:
        value.text = b"\n".join(texts)
    elif content is not None and dtype in _CONTENT:
        width = np.dtype(_CONTENT[dtype]).itemsize
        if content.end - content.start == width:
            value.payload = (content.start, width, _CONTENT[dtype])
            value.number = float(np.frombuffer(data[content.start : content.end], _CONTENT[dtype])[0])
    elif len(numbers) == 1:
        value.number, value.payload = numbers[0], payload


def _half(bits: int, dtype: int) -> float:
    """float16 and bfloat16 values are written as their 16 bits in an integer."""
    if dtype == _BFLOAT16:
        return float(np.array([(bits & 0xFFFF) << 16], np.uint32).view(np.float32)[0])
    return float(np.array([bits & 0xFFFF], np.uint16).view(np.float16)[0])


def _parse_metadata(data: bytes, start: int, end: int) -> dict[str, Any] | None:
    """The hyper-parameters in a value's metadata, where the hparams plugin wrote it."""
    for item in fields(data, start, end):
        if item.number != 1 or item.wire != BYTES:
            continue
        parts = {f.number: f for f in fields(data, item.start, item.end) if f.wire == BYTES}
        if 1 in parts and 2 in parts and data[parts[1].start : parts[1].end] == b"hparams":
            return _parse_hparams(data, parts[2].start, parts[2].end)
    return None


def _parse_hparams(data: bytes, start: int, end: int) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for session in fields(data, start, end):
        if session.number != 3 or session.wire != BYTES:
            continue
        for entry in fields(data, session.start, session.end):
            if entry.number == 1 and entry.wire == BYTES:
                parts = {f.number: f for f in fields(data, entry.start, entry.end) if f.wire == BYTES}
                if 1 in parts and 2 in parts:
                    name = data[parts[1].start : parts[1].end].decode("utf-8", "replace")
                    found[name] = _parse_json_value(data, parts[2].start, parts[2].end)
    return found or None


def _parse_json_value(data: bytes, start: int, end: int) -> Any:
    """google.protobuf.Value, scalars only."""
    for item in fields(data, start, end):
        if item.number == 2 and item.wire == FIXED64:
            return struct.unpack_from("<d", data, item.start)[0]
        if item.number == 3 and item.wire == BYTES:
            return data[item.start : item.end].decode("utf-8", "replace")
        if item.number == 4 and item.wire == VARINT:
            return bool(item.varint)
    return None
