"""Logs whose records are drawn tables of keys and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaelab.errors import LogError
from vaelab.readers import read
from vaelab.run import Run


def read_text(folder: Path, text: str) -> Run:
    path = folder / "log.txt"
    path.write_text(text, encoding="utf-8")
    return read(path)


def audiotools(step: int, bar: str = "\u2502") -> str:
    rows = {"mel/loss": 3.0 - step / 1000, "adv/gen_loss": 2.5, "loss": 50.25}
    text = f"          Iteration {step}\n              train\n       \u2577     \u2577\n"
    for title in ("", "            val\n"):
        text += (
            title + f"  key   {bar} value  {bar} mean\n\u2576\u2500\u2500\u253c\u2500\u2500\u253c\u2500\u2500\u2574\n"
        )
        text += "".join(
            f"  {name}    {bar}   {value + (title > ''):.6f} {bar}  {1.5 * value:.6f}\n" for name, value in rows.items()
        )
        text += "     \u2575      \u2575\n"
    return text


@pytest.mark.parametrize("bar", ["\u2502", "|", "\u2503"])
def test_tables_of_key_value_and_mean(tmp_path: Path, bar: str) -> None:
    run = read_text(tmp_path, "".join(audiotools(step, bar) for step in range(100, 1100, 100)))
    assert (run.format, run.trainer, run.step_unit) == ("drawn_tables", "dac", "step")
    assert run.steps.tolist() == list(range(100, 1100, 100))
    assert (run["rec_loss"][[0, -1]].tolist(), run["val/rec_loss"][[0, -1]].tolist()) == ([2.9, 2.0], [3.9, 3.0])
    assert run["total_loss"].tolist() == [50.25] * 10
    assert [note.count for note in run.notes if note.kind == "means"] == [60]


def test_tables_with_the_step_in_a_row(tmp_path: Path) -> None:
    rule = "-" * 24 + "\n"
    text = "Logging to /tmp/x\n"
    for i in range(1, 9):
        text += (
            rule
            + f"| grad_norm | 0.{i}    |\n| kl_loss  | 1.{i}e+03 |\n"
            + (f"| eval_loss | 0.{i} |\n" if i % 2 else "")
        )
        text += f"| loss  | 0.{i} |\n| step | {i}00  |\n" + rule
    run = read_text(tmp_path, text)
    assert run.steps.tolist() == list(range(100, 900, 100))
    assert run["kl_loss"].tolist() == [1000.0 + 100 * i for i in range(1, 9)]
    assert len(run.series("val/total_loss")[0]) == 4


def test_groups_and_rules_between_rows(tmp_path: Path) -> None:
    text = "".join(
        f"+---+---+\n| train/  |    |\n+---+---+\n|   loss | 0.{i} |\n+---+---+\n|   kl_loss | nan |\n+---+---+\n| time/ | |\n"
        f"|   iterations | {i}0 |\n+---+---+\n"
        for i in range(1, 9)
    )
    run = read_text(tmp_path, text)
    assert run.steps.tolist() == list(range(10, 90, 10))
    assert run.columns["total_loss"].original == "train/loss"


def test_a_table_without_a_step_counts_records(tmp_path: Path) -> None:
    run = read_text(tmp_path, "".join(f"----\n| loss | 0.{i} |\n| kl | 2.{i} |\n----\n" for i in range(1, 9)))
    assert (run.steps.tolist(), run.step_unit) == (list(range(8)), "record")


def test_a_row_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    run = read_text(tmp_path, "".join(audiotools(step) for step in range(100, 600, 100)) + "  mel/loss | 2.8")
    assert [note.count for note in run.notes if note.kind == "torn_line"] == [1]


def test_a_markdown_table_is_none_of_them(tmp_path: Path) -> None:
    run = read_text(tmp_path, "| step | loss |\n|---|---|\n" + "".join(f"| {i} | 0.{i} |\n" for i in range(1, 9)))
    assert run.format == "csv"


def test_no_table(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("step 1: loss 0.5\n")
    with pytest.raises(LogError, match="no drawn table"):
        read(path, format="drawn_tables")
