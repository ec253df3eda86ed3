"""Rows of plain numbers parsed at once: a piece of a table is made a JSON array, which orjson reads quickly and exactly.

JSON's grammar of numbers is strict: a cell that is anything but one whole number (or empty, or NaN) is an error, and the piece is
read row by row instead.
"""

from __future__ import annotations

import numpy as np
import orjson

from vaelab.readers.base import BoolArray
from vaelab.run import FloatArray


def plain_cells(body: bytes, lines: int, delimiter: bytes, width: int) -> tuple[FloatArray, BoolArray | None] | None:
    """``(values, present)`` of so many lines with ``width`` cells each, both (rows, width); present is None where none is empty.

    None if the piece is not that plain: words, other numbers than JSON's, rows of another length, an unfinished last line.
    """
    if not body.endswith(b"\n"):
        return None
    if b'"' in body and (body := _without_quotes(body, lines, delimiter, width)) == b"":
        return None
    # "true" marks the end of a row, "null" an empty cell and "false" a NaN: the log itself must hold none of them
    if b"u" in body or b"l" in body or (delimiter != b"," and b"," in body):
        return None
    text = body.replace(delimiter, b",") if delimiter != b"," else body
    text = text.replace(b"\r\n", b"\n").replace(b"\n", b",true,")
    if has_nan := b"a" in text or b"A" in text:
        text = text.replace(b"nan", b"false").replace(b"NaN", b"false")
    has_empty = b",," in text or text.startswith(b",")
    if has_empty:
        text = (b"null" if text.startswith(b",") else b"") + text.replace(b",,", b",null,").replace(b",,", b",null,")
    try:
        cells = orjson.loads(b"[" + text[:-1] + b"]")
    except ValueError:
        return None
    rows, rest = divmod(len(cells), width + 1)
    ends = cells[width :: width + 1]
    if rest or rows != lines or ends.count(True) != rows or set(map(type, ends)) != {bool}:
        return None
    values = np.array(cells, np.float64)
    if has_empty:
        present = ~np.isnan(values)  # so far only None has become NaN
    if has_nan:
        values[[i for i, cell in enumerate(cells) if cell is False]] = np.nan
    values = values.reshape(rows, width + 1)[:, :width]
    return values, present.reshape(rows, width + 1)[:, :width] if has_empty else None


def _without_quotes(body: bytes, rows: int, delimiter: bytes, width: int) -> bytes:
    """The piece without its quotes if every cell is in quotes, and nothing but numbers can be in them; else nothing."""
    between = b'"' + delimiter + b'"'
    at_ends = body.count(b'"\n') + body.count(b'"\r\n'), body.count(b'\n"') + body.startswith(b'"')
    inside = (width - 1) * rows
    if at_ends != (rows, rows) or body.count(between) != inside or body.count(delimiter) != inside:
        return b""
    return body.replace(b'"', b"") if body.count(b'"') == 2 * width * rows else b""
