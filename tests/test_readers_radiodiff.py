"""RadioDiff's text log: two lines a step, the time per step, what a progress bar repeats, the config line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.building import build_runs
from vaelab.readers.radiodiff_log import READER
from vaelab.readers.source import Source
from vaelab.run import Smoothing

DATA = Path(__file__).parent / "data"


@pytest.fixture
def log(tmp_path: Path):
    def read(text: str) -> RawLog:
        path = tmp_path / "2026-01-01-10-00_.log"
        path.write_bytes(text.encode())
        (raw,) = READER.read(Source(path))
        return raw

    return read


def column(raw: RawLog, name: str):
    return next(c for c in raw.columns if c.original == name)


def pair(step: int, total: float = 8123.45605, disc: float = 0.0, clock: str = "") -> str:
    head = f"{clock}[Train Step] {step}/150000: "
    return (
        f"{head}train/total_loss: {total:.5f}, train/rec_loss: 0.12395, train/g_loss: -0.01234, lr: 0.00000, \n"
        f"{head}train/disc_loss: {disc:.5f}, train/logits_fake: -0.00450, lr: 0.00000, \n"
    )


def test_real_log() -> None:
    source = Source(DATA / "rd_gan.log")
    assert READER.sniff(source.head(), source) > 0.9
    (raw,) = READER.read(source)
    (run,) = build_runs(raw)
    assert run.trainer == "radiodiff"
    assert run.steps.tolist() == list(range(0, 350, 10))
    text = (DATA / "rd_gan.log").read_text().splitlines()
    for name in ("train/total_loss", "train/d_weight", "train/disc_loss"):
        c = column(raw, name)
        for row in np.flatnonzero(c.logged):
            assert f"{name}: {c.values[row]:.5f}, " in text[c.lines[row] - 1]
        assert c.decimals == 5 and c.smoothing == Smoothing()
    assert run.config["kl_weight"] == 1e-06 and run.config["disc_start"] == 300
    assert run.raw_config["trainer.train_num_steps"] == 600


def test_the_time_per_step_comes_from_the_clock(log) -> None:
    raw = log(
        pair(0, clock="2026-01-31 23:59:58,900 ")
        + pair(500, clock="2026-02-01 00:00:03,900 ")
        + pair(1000, clock="2026-02-01 00:00:13,900 ")
    )
    time = column(raw, "time")
    assert time.values[time.logged].tolist() == pytest.approx([0.01, 0.02])
    assert raw.steps[time.logged].tolist() == [500, 1000]
    assert time.smoothing == Smoothing("window_mean", 500) and time.decimals is None
    assert not any(c.original == "time" for c in log(pair(0) + pair(500)).columns)


def test_console_form_and_total_steps(log) -> None:
    raw = log(pair(0) + pair(500))
    assert raw.steps.tolist() == [0, 0, 500, 500]
    assert raw.config["train_num_steps"] == 150000
    (run,) = build_runs(raw)
    assert run.steps.tolist() == [0, 500]
    assert column(raw, "lr").decimals == 5


def test_a_progress_bar_repeats_lines(log) -> None:
    lines = (pair(500) + pair(1000, total=7000.5)).splitlines()
    bars = "".join(
        f"{lines[1]}:   0%|{'#' * (i % 3)}      | {500 + i}/150000 [00:{i:02d}<1:00, 3.2it/s]\r" for i in range(40)
    )
    raw = log("\n".join(lines[:2]) + "\n" + bars + "\n" + "\n".join(lines[2:]) + "\n")
    assert raw.steps.tolist() == [500, 500, 1000, 1000]
    assert raw.notes == []


def test_lines_that_begin_behind_an_open_bar(log) -> None:
    """``python train_vae.py 2>&1 | tee console.log``: the bar leaves no line end, so that logging goes on in its line."""
    text = "".join(
        f"\r{pair(step, 100.0 - step).splitlines()[1]}: {step}%|#   | {step}/150000 [00:01<01:06,  4.46it/s, rank=0]"
        f"{pair(step + 2, 98.0 - step)}"
        for step in range(0, 10, 2)
    )
    (run,) = build_runs(log(pair(0, 100.0) + text))
    assert run.steps.tolist() == [0, 2, 4, 6, 8, 10]
    assert run["total_loss"].tolist() == [100.0, 98.0, 96.0, 94.0, 92.0, 90.0]


def test_a_second_process_is_left_out(log) -> None:
    raw = log("".join(pair(s, total=t) for s in range(0, 5000, 500) for t in (1.0, 2.0)))
    assert set(column(raw, "train/total_loss").values[column(raw, "train/total_loss").logged]) == {1.0}
    assert next(n for n in raw.notes if n.kind == "other_rank").count == 10


def test_a_cut_last_line_is_no_row(log) -> None:
    text = pair(0) + pair(500)
    for cut in range(1, 60):
        raw = log(text[:-cut])
        whole = cut <= 2  # only the line end, or it and the space before, are missing
        assert raw.steps.tolist() == [0, 0, 500, 500][: 3 + whole]
        assert len([n for n in raw.notes if n.kind == "torn_line"]) == (not whole)


def test_no_training_lines(log) -> None:
    with pytest.raises(LogError, match="no complete training line"):
        log("[Train Step] 0/100: train/tot")


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.floats(-1e9, 1e9), st.one_of(st.floats(-1, 1), st.sampled_from([float("nan"), float("inf")]))),
        min_size=1,
        max_size=40,
    )
)
def test_what_was_printed_is_read_back_exactly(values) -> None:
    lines = [
        f"2026-01-01 10:{i // 60:02d}:{i % 60:02d},123 [Train Step] {i}/99: train/a: {a:.5f}, train/b2: {b:.5f}, \n"
        for i, (a, b) in enumerate(values)
    ]

    class Text:
        name = "x.log"

        def chunks(self, size: int = 0):
            return iter(["".join(lines).encode()])

    (raw,) = READER.read(Text())  # type: ignore[arg-type]
    assert raw.steps.tolist() == list(range(len(values)))
    for name, j in (("train/a", 0), ("train/b2", 1)):
        expected = np.array([float(f"{v[j]:.5f}") for v in values])
        assert np.array_equal(column(raw, name).values, expected, equal_nan=True)
