"""Tables of named numbers: which column counts what, and the limit on columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vaelab.readers import read, table
from vaelab.readers.base import RawLog
from vaelab.readers.counters import is_epoch, step_rank
from vaelab.readers.points import Points
from vaelab.readers.table import Table, columns_kept


def log_of(**columns: list[float]) -> RawLog:
    found = Table()
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        found.add_row(i + 1, [(name, value) for name, value in zip(columns, row, strict=True) if not np.isnan(value)])
    return found.to_log("a", "test")


@pytest.mark.parametrize(
    "name",
    ["step", "Global Step", "trainer/global_step", "train/step", "iteration", "iter_num", "num_updates", "n_iter", "_step",
     "train_steps", "current_iter", "optimizer_step", "total_steps", "batch_idx", "itr", "i", "training-step"],
)  # fmt: skip
def test_names_that_count_steps(name: str) -> None:
    assert step_rank(name) is not None
    assert log_of(**{name: [10, 20, 30], "loss": [3, 2, 1]}).steps.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "name", ["step_time", "loss_step", "disc_start_step_loss", "steps_per_sec", "batch_size", "iteration_time"]
)
def test_names_that_do_not(name: str) -> None:
    assert step_rank(name) is None and not is_epoch(name)


@pytest.mark.parametrize(
    ("columns", "steps", "unit"),
    [
        ({"_step": [0, 1, 2], "trainer/global_step": [0, 50, 100]}, [0, 50, 100], "step"),
        ({"batch": [64, 64, 64], "iter": [1, 2, 3]}, [1, 2, 3], "step"),
        ({"total_steps": [9, 9, 9], "step": [1, 2, 3]}, [1, 2, 3], "step"),  # a constant counts nothing
        ({"step": [0.5, 1, 1.5], "epoch": [1, 2, 3]}, [1, 2, 3], "epoch"),
        ({"update": [0.1, 0.2, 0.3], "num_updates": [100, 200, 300]}, [100, 200, 300], "step"),
        ({"epoch": [0.1, 0.2, 0.3]}, [0, 1, 2], "record"),
        ({"epoch": [1, 1, 1]}, [0, 1, 2], "record"),
        ({"epoch": [1, 2, 3]}, [1, 2, 3], "epoch"),
        ({"samples_seen": [64, 128, 192], "epoch": [0, 0, 0]}, [64, 128, 192], "sample"),
        ({"lr": [1, 1, 1]}, [0, 1, 2], "record"),
    ],
)
def test_counts_are_told_apart(columns: dict[str, list[float]], steps: list[int], unit: str) -> None:
    log = log_of(**columns, loss=[3, 2, 1])
    assert (log.steps.tolist(), log.step_unit) == (steps, unit)
    left = {column.original for column in log.columns} - {"lr", "samples_seen"}
    assert left == {"loss"}


def test_a_nan_in_the_step_column_is_no_step() -> None:
    found = Table()
    for line, step in enumerate([5.0, float("nan"), 6.0]):
        found.add_row(line, [("step", step), ("loss", 1.0)])
    assert found.to_log("a", "test").steps.tolist() == [5, 5, 6]


def test_counts_that_are_left_out_are_named() -> None:
    log = log_of(step=[1, 2, 3], _step=[0, 1, 2], loss=[1, 1, 1])
    assert any(note.kind == "other_counter" and "'_step'" in note.text for note in log.notes)


def test_the_columns_logged_most_often_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_COLUMNS", 3)
    kept, notes = columns_kept({"a": 1, "b": 9, "c": 2, "d": 9, "e": 1}, rows=9)
    assert kept == {"b", "d", "c"}
    assert notes[0].count == 2 and "'a'" in notes[0].text and "2 times" in notes[0].text
    assert columns_kept({"a": 1, "b": 1, "c": 1}, rows=1)[1] == []


def test_sparse_columns_are_kept_as_far_as_their_rows_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FREE_CELLS", 1000)
    rows = 100
    counts = {"loss": rows} | {f"k{i}": 1 for i in range(rows)}
    kept, _ = columns_kept(counts, rows)
    assert "loss" in kept and len(kept) * rows <= table.MOST_CELLS_EACH * sum(counts.values())


def test_a_new_name_in_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_NAMES", 3000)
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"step": i, "rec_loss": 0.5, f"k{i}": 1.0}) + "\n" for i in range(4000)))
    run = read(path)
    assert len(run) == 4000 and len(run.columns) == table.MOST_COLUMNS
    assert sum(note.count for note in run.notes if note.kind == "too_many_columns") == 3000 - 1 - 2000 + 4000 - 2998


def test_points_have_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_COLUMNS", 2)
    points = Points()
    for step in range(5):
        points.add("loss", step, 1.0)
        points.add("epoch", step, 0.0)
        points.add(f"k{step}", step, 1.0)
    log = points.to_log("a", "test")
    assert [column.original for column in log.columns] == ["loss", "k0"]
    assert log.epochs is not None and log.notes[0].count == 4


def test_steps_beyond_what_a_float_holds_are_counted() -> None:
    points = Points()
    for step in (0, 2**62, -(2**62) - 1, 1, 2**70):
        points.add("loss", step, 1.0)
    log = points.to_log("a", "test")
    assert log.steps.tolist() == [0, 1]
    assert [note.count for note in log.notes] == [3]


def test_a_step_with_fractions_is_refused_with_the_reason() -> None:
    log = log_of(step=[10.5, 11.5, 12.5], loss=[3, 2, 1])
    (text,) = [note.text for note in log.notes if note.kind == "no_step_column"]
    assert "'step' is no count of steps: it has 10.5" in text
