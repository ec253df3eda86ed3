"""Runs that write into one text log, told apart only by a word or a bracket in front of their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaelab.errors import LogError
from vaelab.readers import read, read_all
from vaelab.run import Run

LOSS = {"A": 1.0, "B": 2.0}


def runs_in(path: Path, text: str) -> list[Run]:
    path.write_text(text)
    return read_all(path)


def rows(form: str, tags: tuple[str, ...] = ("A", "B"), n: int = 20, stride: int = 1) -> str:
    """``form`` for each step and each of the tags; the loss tells which of them a row is of."""
    return "".join(
        form.format(t=tag, s=step * (1 + k * (stride - 1)), v=(k + 1) / (step + 1), c=f"2025-05-01 10:00:{step:02d}")
        + "\n"
        for step in range(n)
        for k, tag in enumerate(tags)
    )


def counts(run: Run) -> dict[str, int]:
    return {note.kind: note.count for note in run.notes}


@pytest.mark.parametrize(
    "form",
    ["train{t} step {s} loss {v:.4f}", "train run {t} - step {s} loss {v:.4f}", "[exp{t}] step {s} loss {v:.4f}", "run_{t}: step {s}: loss={v:.4f}", "{c} - exp_{t} - INFO - step {s} loss {v:.4f}",
     "[{t}] {c} Epoch {s} loss: {v:.4f}", "INFO:exp_{t}:step {s} loss {v:.4f}", "({t}) {{'step': {s}, 'loss': {v:.4f}}}", "{t} | [{s}/100] loss: {v:.4f}",
     "{t} Epoch: [0]  [ {s}/100]  eta: 0:00:01  loss: {v:.4f} (0.5)  time: 0.1503  data: 0.0000"],
)  # fmt: skip
def test_two_runs_line_by_line(tmp_path: Path, form: str) -> None:
    first, second = runs_in(tmp_path / "a.log", rows(form))
    for number, run in enumerate((first, second), start=1):
        assert run.steps.tolist() == list(range(20))
        assert run["total_loss"].tolist() == [round(number / (s + 1), 4) for s in range(20)]
        assert run.source != str(tmp_path / "a.log")
    assert first.source != second.source and {run.line("total_loss", 19) for run in (first, second)} == {39, 40}


def test_counters_of_their_own_speed(tmp_path: Path) -> None:
    first, second = runs_in(tmp_path / "a.log", rows("[exp{t}] step {s} loss {v:.4f}", stride=7))
    assert (first.steps[-1], second.steps[-1]) == (19, 133)


@pytest.mark.parametrize(
    ("form", "tags"),
    [("gpu{t} step {s} loss {v:.4f}", ("1", "0")), ("[worker {t}] step {s} loss {v:.4f}", ("3", "12")), ("{t}: step {s} loss {v:.4f}", ("0", "1")),
     ("(trainer pid={t}) step {s} loss {v:.4f}", ("4001", "4002")), ("rank{t}: step {s} loss {v:.4f}", ("0", "1")),
     ("[Rank {t}] step {s} loss {v:.4f}", ("0", "1"))],
)  # fmt: skip
def test_processes_are_one_run(tmp_path: Path, form: str, tags: tuple[str, str]) -> None:
    (run,) = runs_in(tmp_path / "a.log", rows(form, tags))
    lowest = 1 if int(tags[0]) < int(tags[1]) else 2
    assert run["total_loss"].tolist() == [round(lowest / (s + 1), 4) for s in range(20)]
    assert counts(run)["other_rank"] == 20


def test_where_it_cannot_be_told_the_counts_are_said(tmp_path: Path) -> None:
    (run,) = runs_in(tmp_path / "a.log", rows("{t}: loss={v:.4f}", ("expA", "expB")))
    (note,) = [note for note in run.notes if note.kind == "mixed_runs"]
    assert note.count == 40 and "'expA' (20)" in note.text and "'expB' (20)" in note.text


@pytest.mark.parametrize(
    "text",
    [
        rows("{t}: step {s}: {t}_loss={v:.4f}", ("g", "d")),  # parts of one record
        rows("{t} step {s} loss {v:.4f}", ("train", "val")),
        "".join(f"{'image' if s % 2 else 'video'}: step {s} loss 0.{100 + s}\n" for s in range(40)),  # one counter
        "".join(
            f"[09-21 11:05:{s:02d}][solver][INFO] - Train | Epoch {s // 5} | {s % 5}/5 | mel 1.{s}\n"
            + (
                f"[09-21 11:05:{s:02d}][solver][INFO] - Train Summary | Epoch {s // 5} | mel 1.{s}\n"
                if s % 5 == 4
                else ""
            )
            for s in range(40)
        ),
        "".join(f"[{e}] step {e * 10 + s} loss 0.{100 + s}\n" for e in range(4) for s in range(10)),
        "".join(f"ep{e}: step {s} loss 0.{100 + s}\n" for e in range(4) for s in range(10)),
        "".join(f"{'warmup' if s < 20 else 'main'}: step {s} loss 0.{100 + s}\n" for s in range(40)),
    ],
)
def test_what_is_one_run_stays_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.log").write_text(text)
    found = read_all(tmp_path / "a.log")
    assert not any(note.kind in ("mixed_runs", "other_rank") for run in found for note in run.notes)
    assert all("[" not in Path(run.source).name for run in found)


def test_a_validation_line_with_a_step_is_no_training_line(tmp_path: Path) -> None:
    (run,) = runs_in(tmp_path / "a.log", rows("{t} step {s} loss {v:.4f}", ("train", "val")))
    assert run["total_loss"].tolist() == [round(1 / (s + 1), 4) for s in range(20)]
    assert run["val/total_loss"].tolist() == [round(2 / (s + 1), 4) for s in range(20)]


def test_lines_of_no_run_go_to_all_and_rows_of_none_are_counted(tmp_path: Path) -> None:
    text = (
        "Namespace(kl_weight=1e-06, lr=0.1)\n"
        + rows("{t} | step {s} | loss {v:.4f}")
        + "step 7 loss 0.9\nTraining finished\n"
    )
    for run in runs_in(tmp_path / "a.log", text):
        assert run.config["kl_weight"] == 1e-6 and run.events[-1].kind == "finished" and len(run) == 20
        assert counts(run)["mixed_runs"] == 1


def test_a_folder_with_such_a_log(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(rows("[exp{t}] step {s} loss {v:.4f}"))
    assert len(read_all(tmp_path)) == 2
    with pytest.raises(LogError, match="holds 2 runs"):
        read(tmp_path / "a.log")
