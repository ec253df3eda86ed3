"""MetricLogger text: the numbers, the global step, resumes, ranks, and the fast scanner against the careful parser."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vaelab
from vaelab.errors import LogError
from vaelab.readers import numeric_scan
from vaelab.readers.base import RawLog
from vaelab.readers.building import build_runs
from vaelab.readers.metric_logger import READER, parse_line
from vaelab.readers.namespace import parse_config_line
from vaelab.readers.source import Source
from vaelab.run import Smoothing

DATA = Path(__file__).parent / "data"


def read(path: Path, text: str | bytes) -> RawLog:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (log,) = READER.read(Source(path))
    return log


@pytest.fixture
def log(tmp_path: Path):
    return lambda text: read(tmp_path / "train.log", text)


def line(epoch: int, i: int, n: int = 100, loss: float = 0.5, extra: str = "", prefix: str = "") -> str:
    return (
        f"{prefix}Epoch: [{epoch}]  [{i:{len(str(n))}d}/{n}]  eta: 0:00:16  lr: 0.000100  vae_loss: {loss:.4f} ({loss / 2:.4f})"
        f"{extra}  time: 0.1503  data: 0.0000  max mem: 41210\n"
    )


def column(raw: RawLog, name: str):
    return next(c for c in raw.columns if c.original == name)


def test_lines_without_an_eta(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    rows = [line(epoch, i) for epoch in (0, 1) for i in range(0, 100, 10)]
    path.write_text("".join(rows))
    usual = vaelab.read(path)
    path.write_text("".join(row.replace("eta: 0:00:16  ", "") for row in rows))
    run = vaelab.read(path)
    assert run.format == usual.format == "metric_logger"
    assert run.steps.tolist() == usual.steps.tolist() and run["total_loss"].tolist() == usual["total_loss"].tolist()
    assert run.columns["total_loss"].smoothing == usual.columns["total_loss"].smoothing


def test_real_log_of_a_run_with_a_gan() -> None:
    source = Source(DATA / "pf_gan.log")
    assert READER.sniff(source.head(), source) > 0.9
    (raw,) = READER.read(source)
    (run,) = build_runs(raw)
    text = (DATA / "pf_gan.log").read_text().splitlines()
    assert len(run) == sum("eta:" in row for row in text)
    assert run.trainer == "pyramid_flow"
    assert run.steps[0] == 10 and run.steps[-1] == 590
    assert run.config["kl_weight"] == 1e-06 and run.config["disc_start"] == 300
    assert run.raw_config["latent_channels"] == 8 and run.raw_config["warmup_steps"] == 100
    assert run.raw_config["image_gpus"] == 0 and run.raw_config["video_gpus"] == 1
    assert run.raw_config["num_training_steps"] == 600
    assert "betas" not in run.raw_config["optimizer_config"] if "optimizer_config" in run.raw_config else True
    assert run.raw_config["optimizer_config.lr"] == 0.003
    disc = run.columns["disc_loss"]
    assert run.steps[disc.logged].min() == 310, "the discriminator's columns begin at disc_start"
    assert disc.smoothing == Smoothing("window_median", 10)
    assert run.columns["rec_loss"].smoothing == Smoothing("window_median", 20)
    assert run.columns["lr"].smoothing == Smoothing() and run.columns["lr"].decimals == 6
    assert run.columns["rec_loss"].decimals == 4
    last = len(run) - 1
    assert text[run.line("d_weight", last) - 1].startswith("Epoch: [5]  [ 90/100]")
    assert [e.kind for e in run.events] == ["epoch_start"] * 6 + ["finished"]


def test_real_log_that_stopped_at_nan() -> None:
    (raw,) = READER.read(Source(DATA / "pf_nan.log"))
    stop = next(e for e in raw.events if e.kind == "non_finite_stop")
    assert stop.step == 130 and stop.text == "Loss is nan, stopping training"
    assert (DATA / "pf_nan.log").read_text().splitlines()[stop.line - 1] == stop.text


def test_every_number_of_the_real_log_is_the_printed_one() -> None:
    (raw,) = READER.read(Source(DATA / "pf_gan.log"))
    text = (DATA / "pf_gan.log").read_bytes().splitlines()
    for row, number in enumerate(raw.columns[0].lines):
        printed = {name: float(text[number - 1][a:b]) for name, a, b in parse_line(text[number - 1]) if name}
        for c in raw.columns:
            assert c.logged[row] == (c.original in printed)
            if c.logged[row]:
                assert c.values[row] == printed[c.original]
                if c.epoch_mean is not None:
                    assert c.epoch_mean[row] == printed[c.original + " (epoch mean)"]


numbers = st.one_of(
    st.floats(-1e6, 1e6),
    st.floats(-1e15, 1e15),
    st.sampled_from([0.0, -0.0, 99999999.5, 9999999.5, 1e7, 1e8, 123456789.25, math.nan, math.inf, -math.inf]),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=60),
    decimals=st.integers(1, 8),
    chunk=st.integers(1, 4000),
)
def test_what_was_printed_is_read_back_exactly(rows, decimals, chunk) -> None:
    texts = [tuple(f"{v:.{decimals}f}" for v in row) for row in rows]
    log = "".join(
        f"Epoch: [{i // 7}]  [{i % 7}/7]  eta: 1 day, 0:00:{i:02d}  acc1: {a} ({b})  l1-loss: {c}  time: 0.1  data: 0.2\n"
        for i, (a, b, c) in enumerate(texts)
    ).encode()
    raw = _assembled([log[k : k + chunk] for k in range(0, len(log), chunk)])
    assert raw.steps.tolist() == list(range(len(rows)))
    assert column(raw, "acc1").lines.tolist() == list(range(1, len(rows) + 1))
    for name, got, printed in (
        ("acc1", column(raw, "acc1").values, [t[0] for t in texts]),
        ("acc1", column(raw, "acc1").epoch_mean, [t[1] for t in texts]),
        ("l1-loss", column(raw, "l1-loss").values, [t[2] for t in texts]),
    ):
        expected = np.array([float(t) for t in printed])
        assert np.array_equal(got, expected, equal_nan=True), name
        assert np.array_equal(np.signbit(got), np.signbit(expected)) or np.isnan(expected).any()
    if all(math.isfinite(v) for row in rows for v in row):
        assert column(raw, "acc1").decimals == decimals


def _assembled(chunks: list[bytes]) -> RawLog:
    class Pieces:
        name = "train.log"

        def chunks(self, size: int = 0):
            return iter(chunks)

    (raw,) = READER.read(Pieces())  # type: ignore[arg-type]
    return raw


def test_lines_of_one_shape_that_differ_elsewhere_go_to_the_careful_parser() -> None:
    """Equal but for digits, spaces and minus signs: the group must not be read by the first line's places."""
    same = [line(0, i).encode() for i in range(20)]
    odd = [
        same[3].replace(b"0.5000 (", b"0.5 000("),
        same[4].replace(b"0.5000", b"0.50000"),
        same[5].replace(b"0.5000", b"--0.5000"),
        same[6].replace(b"[0]", b"[-0]"),
        same[7].replace(b"lr: 0.000100", b"lr: 0.0001 00"),
        same[8].replace(b"max mem: 41210", b"max mem: 412 10"),
        same[9].replace(b"Epoch: [0]", b"Epoch: [999999999999]"),
    ]
    for one in odd:
        scan = numeric_scan.scan_text(b"".join([*same, one]), parse_line)
        good = parse_line(one.rstrip())
        rows = sum(len(b.lines) for b in scan.blocks)
        assert rows == 20 + (good is not None)
        assert len(scan.others) == (good is None)
        for block in scan.blocks:
            loss = block.values[block.columns.index("vae_loss")]
            assert set(loss) <= {0.5, float(one.split(b"vae_loss: ")[1].split()[0]) if good else 0.5}


def test_steps_are_counted_on_when_the_epoch_length_changes(log) -> None:
    raw = log(
        line(0, 0) + line(0, 50) + line(1, 0) + line(1, 50, 100) + line(2, 0, 40) + line(3, 0, 40) + line(3, 39, 40)
    )
    assert raw.steps.tolist() == [0, 50, 100, 150, 200, 240, 279]
    note = next(n for n in raw.notes if n.kind == "iterations_per_epoch")
    assert "from 100 to 40 at epoch 2" in note.text and note.first_line == 5


def test_a_resume_goes_on_and_its_line_is_an_event(log) -> None:
    text = "".join(line(e, i) for e in (0, 1) for i in range(0, 100, 10))
    text += "Auto resume checkpoint: /ckpt/checkpoint.pth\n"
    text += "Resume checkpoint at epoch 1, the global optmization step is 100\n"
    text += "".join(line(e, i, loss=0.25) for e in (1, 2) for i in range(0, 100, 10))
    raw = log(text)
    resumes = [e for e in raw.events if e.kind == "resume"]
    assert [(e.step, e.line) for e in resumes] == [(100, 22)]
    (run,) = build_runs(raw)
    assert run.steps.tolist() == list(range(0, 300, 10))
    assert run["total_loss"][10] == 0.25, "the rows after the resume count"


def test_a_log_that_begins_with_a_resume_after_the_epoch_length_changed(log) -> None:
    text = "Resume checkpoint at epoch 5, the global optmization step is 1000\n" + line(5, 0, 40) + line(5, 39, 40)
    assert log(text).steps.tolist() == [1000, 1039]


def test_a_restart_in_the_same_file_is_another_run(log) -> None:
    namespace = "Namespace(lr=0.1, disc_start=5)\n"
    once = "".join(line(e, i) for e in (0, 1) for i in range(0, 100, 10))
    raw = log(namespace + once + namespace.replace("0.1", "0.2") + once)
    first, second = build_runs(raw)
    assert len(first) == len(second) == 20
    assert (first.raw_config["lr"], second.raw_config["lr"]) == (0.1, 0.2)
    assert any(n.kind == "config_changed" and "lr" in n.text for n in raw.notes)


@pytest.mark.parametrize("form", ["[rank{}]: ", "[default{}]:", "{}: ", "[1,{}]<stdout>:"])
def test_lines_of_other_ranks_are_left_out_by_their_prefix(log, form: str) -> None:
    text = "".join(
        line(0, i, loss=rank + 1, prefix=form.format(rank)) for i in range(0, 100, 10) for rank in (1, 0, 3, 2)
    )
    raw = log(text)
    assert raw.steps.tolist() == list(range(0, 100, 10))
    assert set(column(raw, "vae_loss").values) == {1.0}
    assert next(n for n in raw.notes if n.kind == "other_rank").count == 30


def test_lines_of_other_ranks_without_a_prefix(log) -> None:
    raw = log("".join(line(e, i, loss=1 + r) for e in (0, 1) for i in range(0, 100, 10) for r in range(3)))
    assert raw.steps.tolist() == list(range(0, 200, 10))
    assert set(column(raw, "vae_loss").values) == {1.0}
    assert next(n for n in raw.notes if n.kind == "other_rank").count == 40


def test_a_single_step_back_is_a_resume_and_not_a_rank(log) -> None:
    raw = log("".join(line(0, i) for i in [0, 10, 20, 30, 20, 30, 40]))
    assert raw.steps.tolist() == [0, 10, 20, 30, 20, 30, 40]
    assert not any(n.kind == "other_rank" for n in raw.notes)


def test_columns_that_begin_later_and_values_that_are_not_finite(log) -> None:
    text = "".join(line(0, i) for i in range(10)) + "".join(
        line(0, i, extra="  disc_loss: nan (inf)  logits_fake: -inf (-0.5000)") for i in range(10, 20)
    )
    raw = log(text)
    disc, fake = column(raw, "disc_loss"), column(raw, "logits_fake")
    assert disc.logged.tolist() == [False] * 10 + [True] * 10
    assert np.isnan(disc.values[10:]).all() and np.isinf(disc.epoch_mean[10:]).all()
    assert (fake.values[10:] == -np.inf).all() and (fake.epoch_mean[10:] == -0.5).all()
    assert disc.decimals is None and fake.decimals == 4


def test_lines_of_other_programs_are_counted(log) -> None:
    raw = log(
        "hello\n" + line(0, 0) + "\nwandb: syncing\n" + line(0, 10) + "Averaged stats: lr: 0.1  vae_loss: 0.5 (0.5)\n"
    )
    notes = {n.kind: n for n in raw.notes}
    assert notes["foreign_lines"].count == 2 and notes["foreign_lines"].first_line == 1
    assert notes["averaged_stats"].count == 1
    assert raw.steps.tolist() == [0, 10]
    assert raw.columns[0].lines.tolist() == [2, 5]


def test_evaluation_lines_are_not_training(log) -> None:
    raw = log(line(0, 0) + "Test:  [ 0/10]  eta: 0:00:01  loss: 9.0000 (9.0000)  time: 0.1  data: 0.1\n" + line(0, 10))
    assert raw.steps.tolist() == [0, 10]
    assert {n.kind for n in raw.notes} == {"evaluation_lines"}


@pytest.mark.parametrize(
    "tail",
    [
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nRuntimeError: CUDA error: device\n',
        '[rank0]: Traceback (most recent call last):\n[rank0]:   File "a.py", line 1\n[rank0]: RuntimeError: CUDA error: x\n',
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate\n",
        "Killed\n",
        "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***\n",
    ],
)
def test_a_crash_at_the_end_is_an_event(log, tail: str) -> None:
    raw = log(line(0, 0) + line(0, 10) + tail)
    (crash,) = [e for e in raw.events if e.kind == "crash"]
    assert crash.step == 10 and crash.text in tail


def test_an_error_that_training_survived_is_no_crash(log) -> None:
    raw = log(line(0, 0) + "Traceback (most recent call last):\n  File x\nValueError: bad clip\n" + line(0, 10))
    assert not [e for e in raw.events if e.kind == "crash"]
    assert {n.kind for n in raw.notes} == {"errors_survived"}


def test_data_errors_are_counted_and_the_first_is_an_event(log) -> None:
    text = line(0, 0) + "Load video: /v/1.mp4 Error, Exception x\nLoading Video Error with {e}\n" + line(0, 10)
    raw = log(text)
    assert [(e.kind, e.line, e.step) for e in raw.events] == [("data_error", 2, 0)]
    assert next(n for n in raw.notes if n.kind == "data_errors").count == 2


def test_terminal_colours_carriage_returns_and_windows_line_ends(log) -> None:
    text = (
        "100%|##| 5/5 [00:01<00:00]\r"
        + line(0, 0)
        + "\x1b[32m"
        + line(0, 10).replace("\n", "\x1b[0m\r\n")
        + line(0, 20)
    )
    raw = log(text)
    assert raw.steps.tolist() == [0, 10, 20]
    assert raw.columns[0].lines.tolist() == [1, 2, 3]
    assert next(n for n in raw.notes if n.kind == "ansi").count == 1


def test_a_last_line_that_was_cut_is_no_row(log) -> None:
    whole = line(0, 0) + line(0, 10)
    assert log(whole.rstrip("\n")).steps.tolist() == [0], "nothing shows that 41210 is not the start of 412101"
    for cut in range(1, len(line(0, 10))):
        raw = log(whole[:-cut])
        assert raw.steps.tolist() == [0]
        assert cut > len(line(0, 10)) - 8 or [n.kind for n in raw.notes] == ["torn_line"]
    no_memory = whole.replace("  max mem: 41210", "")
    assert log(no_memory.rstrip("\n")).steps.tolist() == [0, 10], "the last number has all its decimals"


def test_two_lines_run_together(log) -> None:
    raw = log(line(0, 0)[:40] + line(0, 10) + line(0, 20).rstrip("\n") + "Load video: x Error\n")
    assert raw.steps.tolist() == [10, 20]


def test_records_glued_together_and_clocks_between_meters(log) -> None:
    one = "Epoch: [0]  [{:2d}/40]  eta: 0:00:10  elapsed: 0:01:00  rec_loss: 0.5{} (0.5)  time: 0.1  data: 0.0"
    raw = log("".join(one.format(i, i) for i in range(5)) + "\n" + one.format(5, 5) + "\n")
    assert raw.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert column(raw, "rec_loss").values.tolist() == [0.50, 0.51, 0.52, 0.53, 0.54, 0.55]


def test_lines_of_another_trainer_are_counted(log) -> None:
    raw = log(line(0, 0) + "step 5: total_loss=0.5 kl_loss=3\n" + line(0, 10))
    assert [(n.kind, n.count) for n in raw.notes] == [("other_format", 1)]


def test_a_log_without_training_lines_says_so(log) -> None:
    with pytest.raises(LogError, match="no training line"):
        log("Namespace(lr=0.1)\nEpoch: [0]  [ 10/100]  eta: 0:0")


def test_config_lines() -> None:
    text = "Namespace(a=1, b='x, (y', c=[0.9, 0.95], d=None, e=device(type='cuda'), f=Namespace(g=-1e-06), h={'i': (1, 2)})"
    assert parse_config_line(text) == {
        "a": 1,
        "b": "x, (y",
        "c": [0.9, 0.95],
        "d": None,
        "e": "device(type='cuda')",
        "f": {"g": -1e-06},
        "h": {"i": (1, 2)},
    }
    assert parse_config_line("x {'a': {'b': 1}} y") == {"a": {"b": 1}}
    assert parse_config_line("Namespace(a=1, b='cut") == {"a": 1, "b": "'cut"}
    assert parse_config_line("Namespace(a=__import__('os').system('x'))") == {"a": "__import__('os').system('x')"}
    assert parse_config_line("no config") is None


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="Namespce(){}[]'\",=: \\ab1.", max_size=80))
def test_config_lines_never_raise(text: str) -> None:
    parse_config_line("Namespace(" + text)
    parse_config_line("{" + text)


def test_two_rows_in_one_line_without_a_header_between_are_left_out_and_shift_nothing(tmp_path: Path) -> None:
    def row(i: int) -> str:
        return f"Epoch: [0]  [{i:3d}/100]  eta: 0:00:01  vae_loss: {i}.5000 ({i}.2500)  time: 0.1503  data: 0.0000  max mem: 41210"

    lines = [row(i) for i in range(12)]
    lines[3] = lines[3].split("  data")[0] + "  data: 0.00  eta:" + lines[4].split("eta:")[1]
    lines[6] = lines[6].split("  time")[0]
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    run = vaelab.read(path)
    assert [(int(s), v) for s, v in zip(run.steps, run["total_loss"], strict=True) if v == v] == [
        (i, i + 0.5) for i in range(12) if i != 3
    ]
    assert any(note.kind == "torn_line" and note.count == 1 for note in run.notes)
