"""Whatever a text log holds, reading it ends in rows or in one sentence, and lines read together are read as one by one.

Each example is one of the small logs ``corpus/text_*`` in which bytes were changed, taken out, doubled or put in. CI tries some dozens for
each reader; ``make fuzz`` as many as VAELAB_FUZZ_EXAMPLES says, with other seeds each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import key_value, metric_logger, numeric_scan, radiodiff_log
from vaelab.readers.base import RawLog, Reader
from vaelab.readers.building import build_runs
from vaelab.readers.lexer import Unreadable, parse_number

CORPUS = sorted((Path(__file__).parent / "corpus").glob("text_*"))
EXAMPLES = int(os.environ.get("VAELAB_FUZZ_EXAMPLES", "40"))
READERS: list[Reader] = [key_value.READER, metric_logger.READER, radiodiff_log.READER]
TOKENS = [
    b"\n", b"\r", b"\x1b[32m", b"\xff", b"\0", b"\t", b"  ", b" " * 200, b"-", b"+", b".", b"..", b",", b":", b"=", b"/", b"|", b"(", b"[", b"{'a': ", b"}", b"%|",
    b"nan", b"-nan(ind)", b"1.#INF", b"inf", b"None", b"1e999", b"1e-400", b"9" * 400, b"99999999999999999999", b"1,000", b"0,51", b"12.5k", b"5e-05", b"0.1/2", b"3/4",
    b"tensor([0.5, 0.1], ", b"tensor(0.5)", b"step ", b"epoch 999999999 ", b"Epoch: [", b"[Train Step] 10/600: ", b"Namespace(a=1, b=[", b"val: ", b"loss: ", b"global_step=",
    b"\xe2\x88\x92", b"\xd9\xa1", b"\xc2\xa0", b"\xe2\x96\x88", b"Traceback (most recent call last):\n", b"Resume checkpoint at epoch 1, the global optmization step is 9",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """One of the logs, with a few changes."""
    data = bytearray(draw(st.sampled_from(CORPUS)).read_bytes())
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([1, 2, 8, 40, 200, 1000])))
        kind = draw(st.sampled_from(["put in", "put in", "change", "change", "take out", "double", "cut", "move"]))
        if kind == "put in":
            data[at:at] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        elif kind == "change" and at < len(data):
            data[at] = draw(st.sampled_from(b"0123456789.,-+: e/([x") | st.integers(0, 255))
        elif kind == "take out":
            del data[at:end]
        elif kind == "double":
            data[at:at] = data[at:end]
        elif kind == "cut":
            del data[at:]
        elif kind == "move":
            piece = data[at:end]
            del data[at:end]
            data.extend(piece)
    return bytes(data)


class InMemory:
    """A log in memory, in pieces of ``piece`` bytes."""

    name, path, size = "damaged.log", None, None

    def __init__(self, data: bytes, piece: int) -> None:
        self.data, self.piece = data, piece

    def head(self, n: int = 65536) -> bytes:
        return self.data[:n]

    def chunks(self, size: int = 0) -> Iterator[bytes]:
        return (self.data[i : i + self.piece] for i in range(0, len(self.data), self.piece))


def read(reader: Reader, data: bytes, piece: int) -> RawLog | None:
    source = InMemory(data, piece)
    assert 0 <= reader.sniff(source.head(), source) <= 1  # type: ignore[arg-type]
    try:
        (raw,) = reader.read(source)  # type: ignore[arg-type]
    except LogError as error:
        assert "damaged.log" in str(error) and "\n" not in str(error)
        return None
    build_runs(raw)
    return raw


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], database=None, print_blob=True)
@given(data=damaged(), piece=st.sampled_from([100, 1000, 1 << 20]))
def test_text(reader: Reader, data: bytes, piece: int) -> None:
    together = read(reader, data, piece)
    limit = numeric_scan.MIN_GROUP
    try:
        numeric_scan.MIN_GROUP = 10**9
        one_by_one = read(reader, data, piece)
    finally:
        numeric_scan.MIN_GROUP = limit
    assert (together is None) == (one_by_one is None)
    if together is None or one_by_one is None:
        return
    assert np.array_equal(together.steps, one_by_one.steps)
    values = {column.original: column for column in one_by_one.columns}
    assert sorted(values) == sorted(column.original for column in together.columns)
    for column in together.columns:
        assert np.array_equal(column.values, values[column.original].values, equal_nan=True), column.original
        assert np.isnan(column.values[~column.logged]).all()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], database=None, print_blob=True)
@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=4), max_size=6).map(b"".join))
def test_tokens(token: bytes) -> None:
    value = parse_number(token)
    assert value is None or isinstance(value, float | Unreadable)
