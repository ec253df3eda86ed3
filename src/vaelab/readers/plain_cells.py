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
    cells, filled_in = _loads(text), False
    if cells is None:
        text = text.replace(b"\r\n", b"\n").replace(b"nan", b"false").replace(b"NaN", b"false")
        cells, filled_in = _loads(text, empty=True), True
    if cells is None:
        return None
    rows, rest = divmod(len(cells), width + 1)
    ends = cells[width :: width + 1]
    if rest or rows != lines or ends.count(True) != rows or set(map(type, ends)) != {bool}:
        return None
    try:
        values = np.array(cells, np.float64)
    except (ValueError, TypeError):  # a cell with brackets, a list or an object to JSON
        return None
    if not filled_in:
        return values.reshape(rows, width + 1)[:, :width], None
    present = ~np.isnan(values)  # so far only None has become NaN
    values[[i for i, cell in enumerate(cells) if cell is False]] = np.nan
    return values.reshape(rows, width + 1)[:, :width], present.reshape(rows, width + 1)[:, :width]


def _loads(text: bytes, empty: bool = False) -> list[float | bool | None] | None:
    """The cells of lines as one list, with True after each line; None if a cell is not a number of JSON. empty: cells may be."""
    text = text.replace(b"\n", b",true,")
    if empty:
        text = (b"null" if text.startswith(b",") else b"") + text.replace(b",,", b",null,").replace(b",,", b",null,")
    try:
        cells = orjson.loads(b"".join((b"[", text, b"0]")))
    except ValueError:
        return None
    cells.pop()  # what stands behind the last comma
    return cells


def _without_quotes(body: bytes, rows: int, delimiter: bytes, width: int) -> bytes:
    """The piece without its quotes if every cell is in quotes, and nothing but numbers can be in them; else nothing."""
    between = b'"' + delimiter + b'"'
    at_ends = body.count(b'"\n') + body.count(b'"\r\n'), body.count(b'\n"') + body.startswith(b'"')
    inside = (width - 1) * rows
    if at_ends != (rows, rows) or body.count(between) != inside or body.count(delimiter) != inside:
        return b""
    return body.replace(b'"', b"") if body.count(b'"') == 2 * width * rows else b""
