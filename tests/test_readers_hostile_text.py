"""Whatever bytes a text log holds: rows that are right, or a LogError; never another exception."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import key_value, metric_logger, radiodiff_log
from vaelab.readers.base import RawLog
from vaelab.readers.building import build_runs
from vaelab.readers.named_lines import parse_line

DATA = Path(__file__).parent / "data"
READERS = [metric_logger.READER, radiodiff_log.READER, key_value.READER]
SAMPLES = {
    metric_logger.READER: (DATA / "pf_nan.log").read_bytes(),
    radiodiff_log.READER: (DATA / "rd_gan.log").read_bytes()[:6000],
    key_value.READER: (DATA / "kv_diffusers_bar.log").read_bytes(),
}
WORDS = [
    b"Epoch: [0]  [ 10/100]  eta: 0:00:10  ", b"Epoch: [", b"lr: 0.000303  ", b"vae_loss: 2.4834 (2.8511)  ", b"nan", b"-inf",
    b"time: 0.1129  data: 0.0000", b"\n", b"\r", b"\r\n", b"\x1b[32m", b"\x1b", b"\xff", b"\x00", b"Namespace(a=1, b=[",
    b"{'a': ", b"[Train Step] 10/600: ", b"train/rec_loss: 0.30683, ", b"2026-11-21 10:00:12,803 ", b"-", b" ", b"1", b"9" * 400,
    b"0.5", b"1e999", b"1e99999", b"loss=", b"Epoch 3:  12%|#2  | 600/5000 [10:12<1:14:10, 1.0s/it, ", b"]", b"step 999999999999999999: ",
    b"kl: 3.2", b"Traceback (most recent call last):\n", b"Loss is nan, stopping training", b"epoch 999999999 ",
    b"Resume checkpoint at epoch 1, the global optmization step is 99999999999999999999", b"Set warmup steps = 9", b"LR = 1.2.3",
]  # fmt: skip


class Text:
    """A log in memory, in pieces of ``size`` bytes."""

    name, path, size = "hostile.log", None, None

    def __init__(self, data: bytes, piece: int = 1 << 20) -> None:
        self.data, self.piece = data, piece

    def head(self, n: int = 65536) -> bytes:
        return self.data[:n]

    def chunks(self, size: int = 0) -> Iterator[bytes]:
        return (self.data[i : i + self.piece] for i in range(0, len(self.data), self.piece))


def read(reader, data: bytes, piece: int = 1 << 20) -> RawLog | None:
    """The log, or None where the reader says that there is none; checks what must always hold."""
    source = Text(data, piece)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0.0 <= reader.sniff(source.head(), source) <= 1.0
        try:
            (raw,) = reader.read(source)
        except LogError as error:
            assert "hostile.log" in str(error) and "\n" not in str(error)
            return None
        for column in raw.columns:
            assert len(column.values) == len(column.logged) == len(raw.steps)
            assert column.values.dtype == np.float64 and column.logged.dtype == np.bool_
            assert np.isnan(column.values[~column.logged]).all()
            assert column.lines is not None and (np.diff(column.lines) >= 0).all()
        assert raw.steps.dtype == np.int64
        try:
            build_runs(raw)
        except LogError as error:  # rows that hold no number
            assert "hostile.log" in str(error) and "\n" not in str(error)
    return raw


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
@settings(max_examples=150, deadline=None)
@given(data=st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=12)), max_size=40), piece=st.integers(1, 300))
def test_words_of_such_logs_in_any_order(reader, data: list[bytes], piece: int) -> None:
    read(reader, b"".join(data), piece)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=2000))
def test_random_bytes(reader, data: bytes) -> None:
    read(reader, data)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.name)
def test_a_log_cut_at_any_byte_gives_only_rows_of_the_whole_log(reader) -> None:
    data = SAMPLES[reader]
    whole = read(reader, data)
    assert whole is not None
    rows = set(_rows(whole))
    every = max(0, len(data) - 300)  # from here on every byte: names, numbers and what stands between them
    for cut in [*range(0, every, 1 + every // 100), *range(every, len(data))]:
        raw = read(reader, data[:cut])
        if raw is not None:
            assert rows.issuperset(_rows(raw)), cut


def _rows(raw: RawLog) -> list[tuple]:
    """Rows as comparable values. The time per step is left out: it is worked out from two rows."""
    columns = sorted((c for c in raw.columns if c.original != "time" or c.decimals), key=lambda c: c.original)
    return [
        (int(step), *((c.original, repr(float(c.values[i]))) for c in columns if c.logged[i]))
        for i, step in enumerate(raw.steps)
    ]


@pytest.mark.parametrize("reader", READERS[:2], ids=lambda r: r.name)
def test_lines_shuffled_repeated_and_damaged(reader) -> None:
    lines = SAMPLES[reader].splitlines(keepends=True)
    rng = random.Random(0)
    for _ in range(40):
        some = [rng.choice(lines) for _ in range(rng.randrange(1, 60))]
        data = bytearray(b"".join(some))
        for _ in range(rng.randrange(0, 30)):
            data[rng.randrange(len(data))] = rng.choice(b"0123456789.-() :\n\r[],/xe\xff")
        read(reader, bytes(data), rng.randrange(1, 5000))


@pytest.mark.parametrize("reader", READERS[:2], ids=lambda r: r.name)
def test_the_fast_scanner_and_the_careful_parser_agree_on_damaged_lines(reader, monkeypatch) -> None:
    module = metric_logger if reader is READERS[0] else radiodiff_log
    pattern = b"Epoch: [" if reader is READERS[0] else b"[Train Step]"
    lines = [line for line in SAMPLES[reader].splitlines() if pattern in line and b"total_loss" in line]
    rng = random.Random(1)
    from vaelab.readers import numeric_scan

    for _ in range(60):
        some = [bytearray(rng.choice(lines)) for _ in range(30)]
        for line in rng.sample(some, rng.randrange(0, 6)):
            line[rng.randrange(line.index(pattern), len(line))] = rng.choice(b"0123456789.-() :")
        text = b"\n".join(some) + b"\n"
        fast = _numbers(numeric_scan.scan_text(text, module.parse_line))
        monkeypatch.setattr(numeric_scan, "MIN_GROUP", 10**9)
        careful = _numbers(numeric_scan.scan_text(text, module.parse_line))
        monkeypatch.setattr(numeric_scan, "MIN_GROUP", 8)
        assert fast == careful


def _numbers(scan) -> dict[int, dict[str, str]]:
    return {
        int(line): {name: repr(float(block.values[j, row])) for j, name in enumerate(block.columns)}
        for block in scan.blocks
        for row, line in enumerate(block.lines)
    }


@pytest.mark.parametrize(
    "line", [b"x::" * 20000 + b": 1", b"a[" * 30000 + b"]: 1", b"f(" * 30000, b"ab. " * 15000, b"[" + b"1, " * 20000]
)
def test_a_long_line_of_what_may_be_names_does_not_hang(line: bytes) -> None:
    assert parse_line(line) is None
