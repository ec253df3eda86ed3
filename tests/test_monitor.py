"""vaelab.Monitor: the judgement inside a loop; it never raises into it, and its file reads as any log does."""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vaelab
from forked_processes import Forked, finished
from vaelab import Monitor
from vaelab.live import Change
from vaelab.live.alerts import Alert, Alerts
from vaelab.monitor import capture
from vaelab.monitor.observed import Observed, usual_range
from vaelab.monitor.rows import Rows
from vaelab.monitor.settings import plain_settings

RANK_VARIABLES = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    made = Monitor(interval=0.01)
    yield made
    made.close()


def healthy(step: int) -> dict[str, float]:
    noise = np.random.default_rng(step).normal()
    return {"rec_loss": 0.3 / (1 + step / 20) + 0.002 * noise, "kl_loss": 900 + noise, "lr": 1e-4}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def same_run(a: vaelab.Run, b: vaelab.Run) -> None:
    assert a.steps.tolist() == b.steps.tolist()
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
        assert a.columns[name].original == b.columns[name].original
        np.testing.assert_array_equal(a.columns[name].lines, b.columns[name].lines)
    assert (a.config, a.trainer, a.format, a.smoothing) == (b.config, b.trainer, b.format, b.smoothing)


# The judgement -------------------------------------------------------------------------------------------------------


def test_a_healthy_loop(monitor: Monitor) -> None:
    assert monitor.status == "cannot-tell" and monitor.diagnosis is None and monitor.headline == ""
    for step in range(100):
        monitor.log(step, healthy(step))
    assert monitor.wait() == "healthy"
    assert monitor.diagnosis is not None and len(monitor.diagnosis.run) == 100
    assert monitor.headline and repr(monitor) == "Monitor(healthy, 100 rows)"


def test_nan_is_told_by_the_thread_without_wait(monitor: Monitor) -> None:
    told = threading.Event()
    changes: list[Change] = []

    @monitor.on_change
    def tell(change: Change) -> None:
        changes.append(change)
        if change.new == "stop":
            told.set()

    for step in range(60):
        monitor.log(step, healthy(step))
    monitor.wait()
    for step in range(60, 70):
        monitor.log(step, {"rec_loss": float("nan"), "kl_loss": float("nan"), "lr": 1e-4})
    assert told.wait(60)
    assert monitor.status == "stop"
    assert [c.new for c in changes if c.kind == "status"][-1] == "stop"
    assert any(c.kind == "finding" and "NUM501" in (c.new or "") for c in changes)


def collapsed_at_first(step: int) -> dict[str, float]:
    """The latent of a healthy run carries next to nothing in the first fifty steps."""
    return {**healthy(step), "kl_loss": 0.5 if step < 50 else 500.0 + step % 7}


@pytest.mark.parametrize(("last", "told"), [(60, []), (150, ["healthy"])])
def test_the_first_steps_are_no_alarm(last: int, told: list[str]) -> None:
    changes: list[Change] = []
    monitor = Monitor({"kl_weight": 1e-6, "latent_shape": [4, 8, 8]}, callbacks=[changes.append], interval=0.0)
    for step in range(last):
        row = collapsed_at_first(step)
        monitor.log(
            step, {"train/rec_loss": row["rec_loss"], "train/kl_loss": row["kl_loss"], "aeloss": row["rec_loss"]}
        )
        if step % 10 == 9:
            assert monitor._engine is not None
            monitor._engine.judge()
    assert [c.new for c in changes if c.kind == "status"] == told
    monitor.close()


def test_nan_in_the_first_steps_is_told(monitor: Monitor) -> None:
    for step in range(10):
        monitor.log(step, {"rec_loss": float("nan"), "kl_loss": float("nan")})
    assert monitor._engine is not None
    monitor._engine.judge()
    assert monitor.status == "stop"


def test_report(tmp_path: Path, monitor: Monitor) -> None:
    assert monitor.report(tmp_path / "early") == []
    for step in range(30):
        monitor.log(step, healthy(step))
    names = {path.name for path in monitor.report(tmp_path / "report")}
    assert {"report.md", "report.html", "diagnosis.json"} <= names
    assert json.loads((tmp_path / "report" / "diagnosis.json").read_text())


def test_alerts_get_the_changes() -> None:
    got: list[Alert] = []
    monitor = Monitor(alerts=Alerts([got.append]), interval=0.01)
    for step in range(40):
        monitor.log(step, {"rec_loss": 0.1 if step < 20 else float("nan"), "kl_loss": 10.0})
    monitor.close()
    assert any(alert.status == "stop" for alert in got)
    assert "ended at step 39: stop" in got[-1].text


# The file ------------------------------------------------------------------------------------------------------------


def test_the_file_reads_as_the_monitor_saw_it(tmp_path: Path) -> None:
    monitor = Monitor({"loss": {"kl_weight": 1e-6, "disc_start": 500}, "wandb_key": "secret"}, path=tmp_path / "run")
    for step in range(0, 400, 10):
        monitor.log(step, {**healthy(step), "train": {"g_loss": float("inf")}}, grad_norm=np.float32(0.25))
        if step == 100:
            monitor.observe(x=np.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16), latent=np.zeros((2, 4, 2, 2)))
    monitor.wait()
    assert monitor.diagnosis is not None
    run = vaelab.read(tmp_path / "run")
    same_run(run, monitor.diagnosis.run)
    assert run.config["clip_shape"] == [1, 16, 16] and run.config["latent_shape"] == [4, 2, 2]
    assert run.config["input_range"] == [-1.0, 1.0] and run.config["kl_weight"] == 1e-6
    assert "secret" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    diagnosis = vaelab.diagnose(run)
    assert diagnosis.headline == monitor.diagnosis.headline
    assert [f.message for f in diagnosis.findings] == [f.message for f in monitor.diagnosis.findings]
    monitor.close()


names = st.text(min_size=1, max_size=12).filter(lambda s: s.strip() != "")
numbers = st.floats(width=64) | st.integers(-(10**30), 10**30)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dictionaries(names, numbers, min_size=1, max_size=4), min_size=2, max_size=8))
def test_any_row_reads_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    monitor = Monitor(path=folder)
    for step, row in enumerate(rows):
        monitor.log(step, row)
    monitor.wait()
    monitor.close()
    try:
        read = vaelab.read(folder / "metrics.jsonl", format="json_lines")
    except vaelab.LogError:
        assert monitor.diagnosis is None
        return
    assert monitor.diagnosis is not None
    same_run(read, monitor.diagnosis.run)


def test_rows_are_on_the_disk_after_a_kill(tmp_path: Path) -> None:
    script = """
import os, sys, time
from vaelab import Monitor
monitor = Monitor(path=sys.argv[1])
for step in range(300):
    monitor.log(step, {"rec_loss": 1.0 / (1 + step), "kl_loss": 5.0})
while sum(1 for _ in open(sys.argv[1] + "/metrics.jsonl")) < 300:
    time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60)
    assert vaelab.read(tmp_path).steps.tolist() == list(range(300))


def test_the_last_rows_are_written_and_judged_at_exit(tmp_path: Path) -> None:
    script = """
import sys
from vaelab import Monitor
def tell(change):
    if change.kind == "status":
        print(change.new, flush=True)
monitor = Monitor(path=sys.argv[1], callbacks=[tell], interval=1000)
monitor.log(0, {"rec_loss": 0.5, "kl_loss": 5.0})
monitor.wait()
for step in range(1, 50):
    monitor.log(step, {"rec_loss": float("nan") if step > 30 else 0.5, "kl_loss": 5.0})
raise RuntimeError("the loop broke")
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "the loop broke" in done.stderr
    assert done.stdout.split()[-1] == "stop"
    assert len(vaelab.read(tmp_path)) == 50


def test_a_second_start_continues_the_file(tmp_path: Path) -> None:
    for first in (0, 30):  # steps 30 to 49 are logged twice
        monitor = Monitor({"kl_weight": 1e-6}, path=tmp_path / "metrics.jsonl")
        for step in range(first, first + 50):
            monitor.log(step, {"rec_loss": first + step / 100, "kl_loss": 3.0})
        monitor.wait()
        monitor.close()
    assert monitor.diagnosis is not None
    run = monitor.diagnosis.run
    assert run.steps.tolist() == list(range(80)) and run["rec_loss"][40] == 30.4
    assert [e.kind for e in run.events] == ["resume"]
    same_run(vaelab.read(tmp_path / "metrics.jsonl"), run)


def test_two_monitors_on_one_path_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Monitor(path=tmp_path), Monitor(path=tmp_path)
    first.log(0, healthy(0))
    first.wait()
    second.log(0, healthy(0))
    second.wait()
    assert [text for text in warnings_of(caplog) if "another Monitor" in text and "its own path" in text]
    first.close()
    second.close()
    caplog.clear()
    third = Monitor(path=tmp_path)  # one after the other is a run that goes on
    third.log(1, healthy(1))
    third.wait()
    third.close()
    assert not warnings_of(caplog)


def test_rows_that_wait_have_a_bound(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("vaelab.monitor.engine.MOST_WAITING", 5)
    hangs, goes_on = threading.Event(), threading.Event()

    def slow(rows: Rows) -> None:
        hangs.set()
        goes_on.wait(60)

    monkeypatch.setattr(Rows, "open", slow)
    monitor = Monitor()
    monitor.log(0, healthy(0))
    hangs.wait(60)
    for step in range(1, 21):
        monitor.log(step, healthy(step))
    goes_on.set()
    monitor.close()
    assert [text for text in warnings_of(caplog) if text.startswith("vaelab: 16 rows were dropped while 5 waited")]


def test_a_torn_last_line_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    monitor = Monitor(path=path)
    for step in range(5):
        monitor.log(step, {"rec_loss": 1.0, "kl_loss": 2.0})
    monitor.close()
    path.write_bytes(path.read_bytes()[:-9])
    monitor = Monitor(path=path)
    monitor.log(5, {"rec_loss": 1.0, "kl_loss": 2.0})
    monitor.wait()
    assert monitor.diagnosis is not None
    assert monitor.diagnosis.run.steps.tolist() == [0, 1, 2, 3, 5]
    same_run(vaelab.read(path), monitor.diagnosis.run)
    monitor.close()


def test_another_programs_file_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "loss": 1.0}\n')
    monitor = Monitor(path=tmp_path)
    monitor.log(1, {"loss": 0.5})
    monitor.wait()
    assert path.read_text() == '{"step": 0, "loss": 1.0}\n'
    assert monitor.diagnosis is not None and len(monitor.diagnosis.run) == 1
    assert any("is not a file of vaelab.Monitor" in text for text in warnings_of(caplog))
    monitor.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    monitor = Monitor(path=tmp_path / "file" / "run")
    monitor.log(1, {"rec_loss": 0.5})
    monitor.wait()
    assert monitor.diagnosis is not None
    assert any("cannot be written" in text for text in warnings_of(caplog))
    monitor.close()


def test_a_device_is_no_file(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").symlink_to("/dev/full")  # reading it would never end
    monitor = Monitor(path=tmp_path / "run.jsonl")
    monitor.log(0, {"rec_loss": 1.0})
    monitor.close()
    assert monitor.diagnosis is not None
    assert any("is no file" in text for text in warnings_of(caplog))


def test_a_disk_that_becomes_full(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    monitor = Monitor(path=tmp_path)
    for step in range(20):
        monitor.log(step, healthy(step))
        monitor.wait()
        if step == 9:
            assert monitor._engine is not None
            monitor._engine.rows._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    assert monitor.diagnosis is not None and len(monitor.diagnosis.run) == 20
    assert sum("can no longer be written" in text for text in warnings_of(caplog)) == 1
    assert monitor.state_dict()["rows"] is not None
    monitor.close()
    assert len(vaelab.read(tmp_path)) == 10


# What is logged ------------------------------------------------------------------------------------------------------


def test_kinds_of_numbers(monitor: Monitor) -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    row = {
        "a": 1, "b": True, "c": np.float32(0.5), "d": np.array([0.25]), "e": torch.tensor(3, dtype=torch.int64),
        "f": weight * 2, "g": torch.tensor([1.5], dtype=torch.bfloat16), "h": None, "j": 10**400, "k": np.int64(7),
    }  # fmt: skip
    monitor.log(0, row)
    monitor.wait()
    assert monitor.diagnosis is not None
    run = monitor.diagnosis.run
    found = {name: run[name][0] for name in run}
    assert found == {"a": 1, "b": 1, "c": 0.5, "d": 0.25, "e": 3, "f": 4, "g": 1.5, "j": float("inf"), "k": 7}


def test_later_changes_in_place_do_not_reach_the_row(monitor: Monitor) -> None:
    running, values = torch.tensor(1.0), {"rec_loss": 0.0}
    for step in range(5):
        running += 1
        values["rec_loss"] = running
        monitor.log(step, values)
    array = np.array(9.0)
    monitor.log(5, {"rec_loss": array})
    array += 1
    monitor.wait()
    assert monitor.diagnosis is not None
    assert monitor.diagnosis.run["rec_loss"].tolist() == [2, 3, 4, 5, 6, 9]


class OnDevice:
    """Stands for a scalar tensor on a GPU: reading it waits for the device, copying it does not."""

    shape, dtype, is_cpu = (), "torch.float32", False

    def __init__(self, value: float, reads: list[str]) -> None:
        self.value, self.reads = value, reads

    def numel(self) -> int:
        return 1

    def detach(self) -> OnDevice:
        return self

    def clone(self) -> OnDevice:
        return OnDevice(self.value, self.reads)

    def __float__(self) -> float:
        self.reads.append(threading.current_thread().name)
        return self.value


def test_a_number_on_a_gpu_is_read_by_the_thread() -> None:
    monitor, reads = Monitor(interval=0.01), list[str]()
    for step in range(20):
        monitor.log(step, {"rec_loss": OnDevice(0.5, reads), "kl_loss": 1.0})
    monitor.close()
    assert reads == ["vaelab-rows"] * 20
    assert monitor.diagnosis is not None and monitor.diagnosis.run["rec_loss"].tolist() == [0.5] * 20


def test_text_and_odd_values_are_named_once(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    for step in range(3):
        monitor.log(step, {"phase": "vae", "odd": object(), "z": 1 + 2j, "loss": torch.ones(8), "rec_loss": 0.1})
    monitor.wait()
    said = warnings_of(caplog)
    for name in ("'phase'", "'odd'", "'z'", "'loss'"):
        assert sum(name in text for text in said) == 1, said
    assert monitor.diagnosis is not None and list(monitor.diagnosis.run) == ["rec_loss"]


def test_notes_have_an_end(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    for step in range(100):
        monitor.log(step, {f"caption {step}": "a street", "rec_loss": 0.1})
    monitor.wait()
    said = [text for text in warnings_of(caplog) if "recorded" in text or "notes" in text]
    assert len(said) == 21 and "left out" in said[-1]


def test_a_distributed_tensor_is_never_read() -> None:
    class Distributed(OnDevice):
        def full_tensor(self) -> None:
            raise AssertionError("a collective call")

    taken = capture.Captured(0)
    taken.add({"grad_norm": Distributed(1.0, [])}, with_values=True)
    assert not taken.numbers and "full_tensor" in taken.ignored["grad_norm"]


@pytest.mark.parametrize("step", [-1, 2**60, float("nan"), "ten", None])
def test_bad_steps_do_not_raise(monitor: Monitor, step: object, caplog: pytest.LogCaptureFixture) -> None:
    monitor.log(step, {"rec_loss": 1.0})  # type: ignore[arg-type]
    monitor.log(3, {"rec_loss": 1.0, "step": 77, "global_step": 88})
    monitor.wait()
    assert monitor.diagnosis is not None and monitor.diagnosis.run.steps.tolist() == [3]
    assert len(warnings_of(caplog)) == 1


def test_inner_errors_are_one_warning(
    monitor: Monitor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("inside")

    monkeypatch.setattr("vaelab.monitor.engine.diagnose", broken)
    for step in range(10):
        monitor.log(step, {"rec_loss": 1.0})
        monitor.log(step, 5)  # type: ignore[arg-type]
        monitor.wait()
    said = warnings_of(caplog)
    assert sum("LookupError" in text for text in said) == 1 and sum("Monitor.log failed" in text for text in said) == 1
    assert monitor.status == "cannot-tell"


def test_a_broken_callback_does_not_stop_the_others(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    got: list[Change] = []

    @monitor.on_change
    def broken(change: Change) -> None:
        raise ValueError("mine")

    monitor.on_change(got.append)
    for step in range(30):
        monitor.log(step, healthy(step))
    monitor.wait()
    assert got and sum("callback broken failed" in text for text in warnings_of(caplog)) == 1


# Shapes and ranges ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "clip", "channels"),
    [
        ((4, 3, 32, 48), [1, 32, 48], 3),
        ((2, 3, 17, 32, 32), [17, 32, 32], 3),
        ((2, 17, 3, 32, 32), [17, 32, 32], 3),  # frames first
        ((4, 32, 48, 1), [1, 32, 48], 1),
        ((2, 9, 32, 32, 3), [9, 32, 32], 3),
        ((2, 13, 32, 32), [1, 32, 32], 13),  # many bands
    ],
)
def test_layouts_of_inputs(shape: tuple[int, ...], clip: list[int], channels: int) -> None:
    observed = Observed()
    observed.add(capture.Tensor("x", shape, "float32"))
    assert observed.settings() == {"clip_shape": clip, "input_channels": channels}


@pytest.mark.parametrize(
    ("shape", "latent"),
    [((2, 16, 3, 4, 4), [16, 3, 4, 4]), ((2, 4, 8, 8), [4, 8, 8]), ((2, 64), [64, 1, 1]), ((2, 256, 8), [8, 256, 1])],
)
def test_layouts_of_latents(shape: tuple[int, ...], latent: list[int]) -> None:
    observed = Observed()
    observed.add(capture.Tensor("mu", shape, "float32"))
    assert observed.settings() == {"latent_shape": latent, "latent_channels": latent[0]}


@pytest.mark.parametrize(
    ("low", "high", "span"),
    [
        (0.0, 1.0, [0.0, 1.0]), (0.02, 0.6, [0.0, 1.0]), (-1.0, 1.0, [-1.0, 1.0]), (-0.93, 0.4, [-1.0, 1.0]),
        (0.0, 250.0, [0.0, 255.0]), (-0.5, 0.5, [-0.5, 0.5]), (-2.118, 2.64, [-2.118, 2.64]), (0.0, 1.5, [0.0, 1.5]),
        (3.0, 3.0, None),
    ],
)  # fmt: skip
def test_usual_ranges(low: float, high: float, span: list[float] | None) -> None:
    assert usual_range(low, high) == span


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_range_holds_what_was_seen(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    span = usual_range(low, high)
    if span is not None:
        margin = 0.021 * (span[1] - span[0]) + 1e-3 * max(abs(low), abs(high))
        assert span[0] - margin <= low and high <= span[1] + margin


def test_psnr_needs_no_declared_range(monitor: Monitor) -> None:
    monitor.observe(x=torch.rand(2, 3, 16, 16), reconstruction=torch.rand(2, 3, 16, 16))
    monitor.observe(x=torch.full((2, 3, 16, 16), 0.5, dtype=torch.bfloat16))
    for step in range(20):
        monitor.log(
            step, {"rec_mse": 0.01 + step / 1e6, "rec_loss": 0.05, "logits_real": torch.full((2, 1, 4, 4), 0.5)}
        )
    monitor.wait()
    assert monitor.diagnosis is not None
    run = monitor.diagnosis.run
    assert run.config["input_range"] == [0.0, 1.0] and run.config["input_channels"] == 3
    assert run["logits_real"].tolist() == [0.5] * 20  # the mean of a map of logits
    psnr = next(f for f in monitor.diagnosis.statements if f.name == "psnr")
    assert psnr.value == pytest.approx(20.0, abs=0.1)


def test_unequal_shapes_are_told(monitor: Monitor, caplog: pytest.LogCaptureFixture) -> None:
    for step in range(4):
        monitor.log(step, {"x": torch.zeros(2, 1, 8, 8), "recon": torch.zeros(2, 8, 8, 1), "rec_loss": 0.1})
    monitor.wait()
    assert sum("broadcast" in text for text in warnings_of(caplog)) == 1


def test_a_declared_shape_wins_and_the_difference_is_told(caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor({"z_channels": 3, "latent_shape": [3, 8, 8]}, interval=0.01)
    monitor.log(0, {"rec_loss": 0.1, "latent": np.zeros((2, 4, 8, 8))})
    monitor.wait()
    assert monitor.diagnosis is not None and monitor.diagnosis.run.config["latent_shape"] == [3, 8, 8]
    assert any(
        "latent_shape is declared as [3, 8, 8], but the tensors have [4, 8, 8]" in t for t in warnings_of(caplog)
    )
    monitor.close()


# Settings ------------------------------------------------------------------------------------------------------------


@dataclass
class Options:
    kl_weight: float = 1e-6
    name: str = "first"


def test_forms_of_settings(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model:\n  loss: {kl_weight: 1.0e-6}\nname: first\n")
    forms = [
        {"kl_weight": 1e-6, "name": "first"}, argparse.Namespace(kl_weight=1e-6, name="first"), Options(),
        {"loss": Options()}, tmp_path / "run.yaml", str(tmp_path / "run.yaml"),
    ]  # fmt: skip
    for form in forms:
        assert list(plain_settings(form).values()) == [1e-6], form
    assert plain_settings(None) == {}


@pytest.mark.parametrize("config", [5, ["a"], "no-such-file.yaml", print])
def test_settings_that_cannot_be_read(config: object, caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(config)
    monitor.log(0, {"rec_loss": 1.0})
    monitor.close()
    assert len(warnings_of(caplog)) == 1 and monitor.diagnosis is not None


def test_settings_declared_later(tmp_path: Path) -> None:
    monitor = Monitor({"kl_weight": 1e-6}, path=tmp_path)
    monitor.log(0, {"rec_loss": 1.0, "kl_loss": 2.0})
    monitor.declare(total_steps=5000)
    monitor.log(1, {"rec_loss": 1.0, "kl_loss": 2.0})
    monitor.close()
    assert vaelab.read(tmp_path).config == {"kl_weight": 1e-6, "total_steps": 5000}


# Checkpoints ---------------------------------------------------------------------------------------------------------


def test_state_without_a_file(tmp_path: Path) -> None:
    first = Monitor({"kl_weight": 1e-6}, interval=0.01)
    first.observe(x=np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8)))
    for step in range(40):
        first.log(step, healthy(step))
    first.log(40, {"rec_loss": float("nan"), "val/rec_loss": 0.2})
    first.wait()
    torch.save({"monitor": first.state_dict()}, tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["monitor"]
    assert json.loads(json.dumps(state)) is not None

    changes: list[Change] = []
    second = Monitor(callbacks=[changes.append], interval=0.01)
    second.load_state_dict(state)
    assert json.dumps(second.state_dict()) == json.dumps(state)  # nothing was logged since
    second.log(41, {"rec_loss": float("nan")})
    second.wait()
    assert first.diagnosis is not None and second.diagnosis is not None
    run = second.diagnosis.run
    assert run.steps.tolist() == list(range(42))
    np.testing.assert_array_equal(run["rec_loss"][:41], first.diagnosis.run["rec_loss"])
    assert run.config == first.diagnosis.run.config
    assert second.status == first.status == "stop"
    assert [c for c in changes if c.kind == "status"] == []  # it was told before the checkpoint
    first.close()
    second.close()


def test_state_with_a_file_holds_no_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Monitor(path=tmp_path / "a")
    for step in range(20):
        first.log(step, healthy(step))
    state = first.state_dict()
    assert state["rows"] is None
    first.log(20, healthy(20))  # after the checkpoint
    first.close()
    second = Monitor(path=tmp_path / "a")
    second.load_state_dict(state)
    second.log(20, {"rec_loss": 0.5})
    second.close()
    assert second.diagnosis is not None and second.diagnosis.run.steps.tolist() == list(range(21))
    assert second.diagnosis.run["rec_loss"][20] == 0.5
    elsewhere = Monitor(path=tmp_path / "b")
    elsewhere.load_state_dict(state)
    elsewhere.log(20, {"rec_loss": 0.5})
    elsewhere.close()
    assert any("rows before the checkpoint are not here" in text for text in warnings_of(caplog))


def test_pickle(monitor: Monitor) -> None:
    monitor.declare(kl_weight=1e-6)
    monitor.on_change(lambda change: None)
    for step in range(30):
        monitor.log(step, healthy(step))
    copy = pickle.loads(pickle.dumps(monitor))
    copy.log(30, healthy(30))
    copy.wait()
    assert len(copy.diagnosis.run) == 31 and copy.diagnosis.run.config == {"kl_weight": 1e-6}
    copy.close()


@pytest.mark.parametrize("state", [{}, {"version": 99}, {"version": 1}, {"version": 1, "settings": {}, "rows": 5}])
def test_a_bad_state_does_not_raise(monitor: Monitor, state: dict[str, object]) -> None:
    monitor.load_state_dict(state)
    monitor.log(0, {"rec_loss": 1.0})
    monitor.wait()
    assert monitor.diagnosis is not None


# Processes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "main"),
    [
        ({"RANK": "0", "LOCAL_RANK": "0"}, True), ({"RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"RANK": "0", "SLURM_PROCID": "3"}, True), ({"SLURM_PROCID": "2", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False), ({"OMPI_COMM_WORLD_RANK": "1"}, False), ({}, True),
        ({"RANK": "none"}, True),
    ],
)  # fmt: skip
def test_ranks(variables: dict[str, str], main: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monitor = Monitor(path=tmp_path / "run")
    monitor.log(0, {"rec_loss": 1.0})
    monitor.close()
    assert (tmp_path / "run" / "metrics.jsonl").exists() == main
    assert (monitor.diagnosis is not None) == main
    assert monitor.status == "cannot-tell"


def log_one_row(rank: int, folder: Path) -> None:
    """One rank of two, which only torch.distributed knows."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    monitor = Monitor(path=folder / f"rank-{rank}")
    monitor.log(0, {"rec_loss": 1.0})
    if rank == 0:  # a collective call would wait for rank 1, which does neither
        monitor.wait()
        monitor.state_dict()
    monitor.close()
    dist.barrier()


def test_torch_distributed_decides_and_nothing_is_collective(tmp_path: Path) -> None:
    for worker in [Forked(log_one_row, rank, tmp_path) for rank in (0, 1)]:
        finished(worker)
    assert (tmp_path / "rank-0" / "metrics.jsonl").exists() and not (tmp_path / "rank-1").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_nothing(tmp_path: Path) -> None:
    script = """
import os, sys
from vaelab import Monitor
monitor = Monitor(path=sys.argv[1])
for step in range(50):
    monitor.log(step, {"rec_loss": 1.0, "kl_loss": 2.0})
    if step % 10 == 5 and os.fork() == 0:
        monitor.log(1000, {"rec_loss": 5.0})
        monitor.wait(); monitor.state_dict(); monitor.observe(x=None)
        sys.exit(0)  # runs what is registered for the exit
for _ in range(5):
    assert os.wait()[1] == 0
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert vaelab.read(tmp_path).steps.tolist() == list(range(50))


def test_importing_and_logging_needs_no_torch() -> None:
    script = """
import sys
import vaelab
assert "numpy" not in sys.modules
monitor = vaelab.Monitor()
monitor.log(0, {"rec_loss": 1.0})
monitor.wait()
assert monitor.diagnosis is not None
assert not {"torch", "matplotlib", "scipy", "tensorboard"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_loop_of_several_threads(tmp_path: Path) -> None:
    monitor = Monitor(path=tmp_path)
    threads = [
        threading.Thread(
            target=lambda k=k: [monitor.log(i * 8 + k, {"rec_loss": 1.0, "kl_loss": 2.0}) for i in range(50)]
        )
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monitor.close()
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert sorted(steps) == list(range(400))


def test_diagnoses_keep_to_their_budget() -> None:
    monitor = Monitor(budget=1e-6, interval=0.0)
    for step in range(200):
        monitor.log(step, healthy(step))
    engine = monitor._engine
    assert engine is not None
    engine.judge()
    assert engine._delay() > 100  # a diagnosis of a few milliseconds is a millionth of hours
    monitor.close()


def test_threads_end(monitor: Monitor) -> None:
    before = threading.active_count()
    for _ in range(3):
        other = Monitor()
        other.log(0, {"rec_loss": 1.0})
        del other
    assert threading.active_count() == before


def test_a_loop_that_declares_its_reductions_gets_natural_units() -> None:
    rng = np.random.default_rng(0)
    monitor = Monitor({"kl_reduction": "mean", "pixel_loss": "mse"}, interval=0.0)
    x, latent = rng.uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32), np.zeros((2, 4, 4, 4), np.float32)
    for i in range(40):
        monitor.log(10 * i, {"rec_loss": 0.04 + 1e-4 * rng.normal(), "kl_loss": 3.0}, x=x, latent=latent)
    monitor.wait()
    units = {v.metric: (v.natural_now, v.natural_unit) for v in monitor.diagnosis.metrics}
    monitor.close()
    assert units["kl_loss"] == (pytest.approx(3.0), "nats/element")
    assert units["rec_loss"] == (pytest.approx(10 * np.log10(4 / 0.04), abs=0.1), "dB")
