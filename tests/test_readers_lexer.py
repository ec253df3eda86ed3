"""The grammar of numbers in text: a value is read whole or not at all."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import numeric_scan
from vaelab.readers.key_value import READER
from vaelab.readers.lexer import UNREADABLE, decimals_of, items, parse_number, plain, uses_decimal_comma
from vaelab.readers.named_lines import parse_line
from vaelab.readers.source import Source

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5), ("-1.5e-3", -1.5e-3), ("+2", 2.0), (".5", 0.5), ("5.", 5.0), ("1.5D+03", 1500.0), ("\u22120.5", -0.5), ("０.５", 0.5),
        ("1e-1١", 1e-11), ("28,500", 28500.0), ("1,234,567.5", 1234567.5), ("12.5k", 12500.0), ("1.2M", 1.2e6), ("24.51dB", 24.51),
        ("24.51 dB", 24.51), ("2040.123 ms", 2040.123), ("3.53 it/sec", 3.53), ("1.35s/it", 1.35), ("50%", 50.0), ("60.3GB", 60.3), ("5e-05,", 5e-5),
        ("0.5678:", 0.5678), ("401.4885.", 401.4885), ("0.1234/0.2345", 0.1234), ("'0.294'", 0.294), ("[0.5]", 0.5), ("(5e-05,)", 5e-5),
        ("tensor([427.9], device='cuda:0')", 427.9), ("tensor(0.5, grad_fn=<NllLossBackward0>)", 0.5), ("array(0.5)", 0.5), ("np.float64(0.5)", 0.5),
        ("0.5±0.1", 0.5), ("0.5 +/- 0.1", 0.5), ("\u00a00.5", 0.5), ("inf", INF), ("Infinity", INF), ("+inf", INF), ("-inf", -INF), ("∞", INF), ("1.#INF", INF),
        ("-1.#INF00", -INF), ("1e999", INF), ("1.1x10^-3", 1.1e-3), ("1.1×10^-3", 1.1e-3), ("1.5*10^-3", 1.5e-3), ("-2.5 x 10**4", -2.5e4), ("1.1·10⁻³", 1.1e-3), ("12.5 k", 12500.0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert parse_number(text) == value
    assert parse_number(text.encode()) == value


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "-nan(ind)", "nan(snan)", "1.#QNAN", "-1.#IND", "1.#IND00", "tensor(nan)"]
)
def test_not_a_number(text: str) -> None:
    value = parse_number(text)
    assert isinstance(value, float) and math.isnan(value)


@pytest.mark.parametrize("text", ["None", "null", "N/A", "-", "--", "", "  "])
def test_nothing_was_logged(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "0,51", "1.2.3", "10:00:12", "2024-05-01", "1 000", "12/500", "10²", "2^10", "1.5x10", "1.5x10-3", "1.5x2^3", "1.5x10^-3.5", "1200.5m", "0.5→0.4", "1.5×1.5", "0x1f", "1_000", "5B", "12abc", "0.5-0.3",
        "tensor([0.1, 0.2])", "tensor([0.1, nan])", "(5e-05,6e-05)", "abc", "--0.5", "1e5e5", "1,23,456",
    ],
)  # fmt: skip
def test_not_read_in_part(text: str) -> None:
    assert parse_number(text) is UNREADABLE


@pytest.mark.parametrize(
    ("token", "decimals"),
    [
        (b"0.50", 2),
        (b"12", 0),
        (b"2.01e+4", -2),
        (b"12.5k", -2),
        (b"nan", None),
        (b"1.#QNAN", None),
        (b"1.1x10^-3", 4),
        (b"12.5 k", -2),
    ],
)
def test_decimals(token: bytes, decimals: int | None) -> None:
    assert decimals_of(token) == decimals


def names(line: str) -> dict[str, str]:
    text = plain(line.encode())
    return {item.name: text[item.start : item.end].decode() for item in items(text)}


def test_the_words_before_a_value_are_its_name() -> None:
    line = "soundstream total loss: 9.1, recon: 0.3 | discr (scale 1) loss: 1.9 | discr (scale 0.5) loss: 2.5 | Acc@1   0.39 (  0.24)"
    assert names(line) == {
        "soundstream total loss": "9.1",
        "recon": "0.3",
        "discr (scale 1) loss": "1.9",
        "discr (scale 0.5) loss": "2.5",
        "Acc@1": "0.39",
    }
    assert names("Data (t): 0.0032, 123.77/s/gpu Batch (t): 0.2592 peak_memory(GB): 60.3 psnr: 24.5 dB kl = 3") == {
        "Data (t)": "0.0032",
        "Batch (t)": "0.2592",
        "peak_memory(GB)": "60.3",
        "psnr": "24.5",
        "kl": "3",
    }


def columns(line: str) -> dict[str, str]:
    text = plain(line.encode())
    return {c: text[a:b].decode() for c, a, b in parse_line(text) or [] if c is not None and b > a}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Train | Epoch 1 | 200/2000 | 3.53 it/sec | l1 0.090 | mel 1.8", {"[epoch]": "1", "[step]": "200", "[total]": "2000", "l1": "0.090", "mel": "1.8"}),
        ("Valid | Epoch 1 | 20/50 | l1 0.090", {"[epoch]": "1", "val/l1": "0.090"}),
        ("10/01 12:01:00 - mmengine - INFO - Iter(train) [   100/20000]  loss: 0.9", {"[step]": "100", "[total]": "20000", "loss": "0.9"}),
        ("Train Epoch: 1 [6400/60000 (11%)]\tLoss: 172.9", {"[epoch]": "1", "[step]": "6400", "[total]": "60000", "Loss": "172.9"}),
        ("2024-05-01 08:01:00,469 INFO: [VQ..][epoch:  0, iter:  28,500, lr:(5e-05,5e-05,)] l_g_pix: 1.9e-01",
         {"[epoch]": "0", "[step]": "28,500", "lr": "5e-05", "l_g_pix": "1.9e-01"}),
        ("25036: total loss: 0.5", {"[step]": "25036", "total loss": "0.5"}),
        ("INFO:mi-test:[200, 9.9e-05]", {"[global step]": "200", "lr": "9.9e-05"}),
        ("2024-03-02 09:14:00.120 | INFO     | codec.trainer:train:113 - [EPOCH 0: Training loss 0.29", {"[epoch]": "0", "Training loss": "0.29"}),
        ("2024-07-14 10:01:55,341 (trainerGAN:333) INFO: (Steps: 201000) train/train/ppl_0 = 401.4885.", {"[step]": "201000", "train/train/ppl_0": "401.4885"}),
        ("Training epoch 0, iteration 99/9999 | global_step: 99 | reduced_train_loss: 0.7 | train_step_timing in s: 1.2",
         {"[epoch]": "0", "[step]": "99", "[total]": "9999", "[global step]": "99", "reduced_train_loss": "0.7", "train_step_timing in s": "1.2"}),
        ("epoch: 1 step: 100, loss is 0.271401", {"[epoch]": "1", "[step]": "100", "loss": "0.271401"}),
        ("train: loss: 0.5 acc: 0.9 | val: loss: 0.4", {"loss": "0.5", "acc": "0.9", "val/loss": "0.4"}),
        ("step 5: loss: tensor(0.5, device='cuda:0') v_num=3 rank: 2", {"[step]": "5", "loss": "0.5"}),
        ("lr: 0.1 batch_size: 4", {}),
        ("python train.py --loss_weight 0.5 --lr 1e-4", {}),
    ],
)  # fmt: skip
def test_what_a_line_says(line: str, found: dict[str, str]) -> None:
    assert columns(line) == found


def test_decimal_commas_only_where_all_numbers_have_them() -> None:
    assert uses_decimal_comma(b"loss=0,51 kl=3,5\nloss=0,52 kl=3,5\n")
    assert not uses_decimal_comma(b"loss=0,51 kl=3,5\nloss=0,52 kl=3.5\n")
    assert not uses_decimal_comma(b"step: 1,000\nstep: 2,000\nstep: 3,000\n")


# Whatever stands around a value --------------------------------------------------------------------------------------

PRINTED = st.one_of(
    st.floats(-1e6, 1e6).flatmap(lambda v: st.sampled_from([f"{v:.4f}", f"{v:.3g}", f"{v:.4e}", repr(v), f"{v:+.2f}"])),
    st.integers(0, 10**12).map(lambda v: f"{v:,}"),
    st.integers(0, 10**7).map(str),
    st.sampled_from(["nan", "inf", "-inf", "NaN", "1e999"]),
)
JUNK = st.text("0123456789.,:;qQ^_#-+eE", max_size=3)
BEFORE = st.sampled_from(["", "2024-05-01 10:00:00,123 - INFO - ", "[rank0]: ", "Epoch 3 | ", "(a:33) ", "x: 5, "])
SIGN = st.sampled_from([": ", "=", " = ", ": tensor(", " is "])
AFTER = st.sampled_from(
    ["", ", kl: 3.5", " kl=2", " | lr 0.1", "dB", " it/s", ")", "]", "; y: 1.5", " (0.5)", "/0.7", "%"]
)


def read_as(token: str) -> float | None:
    """What a token may be read as, if at all, by a rule of its own."""
    token = re.split(r"[,;](?![-+.]?\d)", token)[0].strip()
    while token and token[-1] in ".,:;" and not re.fullmatch(r"[-+]?\d+\.", token):
        token = token[:-1]
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?([eE][-+]?\d+)?", token):
        token = token.replace(",", "")
    try:
        return None if "_" in token else float(token)
    except ValueError:
        return None


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.tuples(PRINTED, JUNK), min_size=1, max_size=30),
    before=BEFORE,
    sign=SIGN,
    after=AFTER,
    junk=st.booleans(),
)
def test_a_value_reads_back_as_itself_or_is_left_out(
    values: list[tuple[str, str]],
    before: str,
    sign: str,
    after: str,
    junk: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tokens = [printed + (odd if junk else "") for printed, odd in values]
    lines = [f"step {i}: total_loss{sign}{token}{after}" for i, token in enumerate(tokens)]
    path = tmp_path_factory.getbasetemp() / "surrounded.log"
    path.write_text("".join(f"{before if before[:1] != 'E' else ''}{line}\n" for line in lines))
    try:
        (raw,) = READER.read(Source(path))
    except LogError:
        return
    column = next((c for c in raw.columns if c.original.split("/")[-1] == "total_loss"), None)
    if column is None:
        return
    assert column.lines is not None
    left_out = sum(n.count for n in raw.notes if n.kind in ("unparsed_value", "foreign_lines"))
    read = {
        int(line) - 1: float(v)
        for line, v in zip(column.lines[column.logged], column.values[column.logged], strict=True)
    }
    for i, value in read.items():
        expected = read_as(tokens[i])
        assert expected is not None and np.array_equal(value, expected, equal_nan=True), (lines[i], value)
    if not junk and len(raw.steps) == len(tokens):
        assert len(read) + left_out >= len(tokens), "a value that was not read is counted"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(PRINTED, PRINTED, st.sampled_from(["", "k", "dB", " ms"])), min_size=8, max_size=60), st.data()
)
def test_lines_read_together_are_read_as_one_by_one(rows: list[tuple[str, str, str]], data: st.DataObject) -> None:
    text = "".join(
        f"12:00:{i % 60:02d} step {i} rec_loss: {a}{u}, kl_loss={b} (0.5) lr:1e-0{i % 9}\n"
        for i, (a, b, u) in enumerate(rows)
    )
    damaged = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        if damaged[at] != 10:
            damaged[at] = data.draw(st.sampled_from(b"0123456789.,-+: e/([x"))
    limit = numeric_scan.MIN_GROUP
    together = _values(numeric_scan.scan_text(bytes(damaged), parse_line))
    try:
        numeric_scan.MIN_GROUP = 10**9
        alone = _values(numeric_scan.scan_text(bytes(damaged), parse_line))
    finally:
        numeric_scan.MIN_GROUP = limit
    assert together == alone


def _values(scan: numeric_scan.Scan) -> dict[int, dict[str, str]]:
    return {
        int(line): {name: repr(float(block.values[j, row])) for j, name in enumerate(block.columns)}
        for block in scan.blocks
        for row, line in enumerate(block.lines)
    }
