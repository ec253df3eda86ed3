"""Text with a dict in each line: Hugging Face's Trainer, fairseq, prints of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import read
from vaelab.readers.printed_dict import printed_dicts
from vaelab.run import Run


def read_text(folder: Path, text: str) -> Run:
    path = folder / "train.log"
    path.write_text(text)
    return read(path)


def note(run: Run, kind: str) -> int:
    return sum(n.count for n in run.notes if n.kind == kind)


def test_the_dicts_of_a_hugging_face_trainer(tmp_path: Path) -> None:
    rows = [{"loss": 1 / (i + 1), "kl_loss": i, "learning_rate": 1e-4, "epoch": 0.02 * (i + 1)} for i in range(60)]
    bar = "  1%|#  | {0}/6000 [00:01<00:10,  1.2it/s]\r"
    text = "".join(bar.format(i) + f"{row}\n" for i, row in enumerate(rows))
    run = read_text(tmp_path, text + "{'train_runtime': 12.3, 'train_loss': 0.3, 'epoch': 1.2}\n")
    assert (run.format, len(run), run.step_unit) == ("dict_lines", 60, "record")
    assert run["total_loss"].tolist() == [row["loss"] for row in rows]
    assert run["lr"].tolist() == [1e-4] * 60
    assert note(run, "averaged_stats") == 1


def test_the_json_of_fairseq(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "update": i / 100, "loss": f"{1 / i:.3f}", "num_updates": f"{100 * i}"} for i in range(1, 9)]
    text = "".join(f"2023-05-01 10:0{i}:00 | INFO | train_inner | {json.dumps(row)}\n" for i, row in enumerate(rows))
    valid = '2023-05-01 10:09:00 | INFO | valid | {"epoch": 1, "valid_loss": "0.7", "valid_num_updates": "800"}\n'
    run = read_text(tmp_path, "2023-05-01 10:00:00 | INFO | fairseq_cli.train | loading\n" + text + valid)
    assert run.steps.tolist() == [100 * i for i in range(1, 9)]
    assert run["total_loss"].tolist() == [float(str(row["loss"])) for row in rows]
    assert run.series("val/total_loss")[1].tolist() == [0.7]
    assert note(run, "foreign_lines") == 1


@pytest.mark.parametrize(
    "before", ["train {} ", "step {}: ", "INFO 10:00:00 Iteration {}/20,000 - ", "{}: ", "[a.py:12] global_step={} "]
)
@pytest.mark.parametrize("thousands", [False, True])
def test_the_step_in_front(tmp_path: Path, before: str, thousands: bool) -> None:
    steps = [500, 1000, 28500]
    text = "".join(
        f"{before.format(f'{s:,}' if thousands else s)}{{'loss': tensor({1 / s}, device='cuda:0'), 'kl': np.float64(3.5)}}\n"
        for s in steps
    )
    run = read_text(tmp_path, text)
    assert (run.steps.tolist(), run.step_unit) == (steps, "step")
    assert run["total_loss"].tolist() == [1 / s for s in steps]


def test_a_split_in_front(tmp_path: Path) -> None:
    text = "".join(f"train {s} {{'loss': {s}, 'kl': 1}}\nvalid {s} {{'loss': {2 * s}}}\n" for s in (100, 200, 300))
    run = read_text(tmp_path, text)
    assert (run["total_loss"].tolist(), run["val/total_loss"].tolist()) == ([100, 200, 300], [200, 400, 600])


def test_settings_are_no_row(tmp_path: Path) -> None:
    text = "config: {'lr': 0.1, 'kl_weight': 1e-06}\n" + "".join(f"{{'step': {s}, 'loss': {s}}}\n" for s in range(5))
    run = read_text(tmp_path, text)
    assert len(run) == 5
    assert run.config["kl_weight"] == 1e-6


def test_a_torn_dict_is_counted(tmp_path: Path) -> None:
    rows = [f"{{'step': {s}, 'loss': {s}, 'x': {{'y': 1}}}}" for s in range(6)]
    rows[2] = rows[2][:-8] + rows[2]
    rows[4] = rows[4][:-1]
    run = read_text(tmp_path, "\n".join(rows) + "\n")
    assert run.steps.tolist() == [0, 1, 2, 3, 5]
    assert note(run, "torn_line") == 2
    assert note(run, "foreign_lines") == 0


def test_a_printed_history(tmp_path: Path) -> None:
    run = read_text(tmp_path, "done\n{'loss': [3.0, 2.0, 1.0], 'val_loss': [4.0, 3.0, 2.0]}\n")
    assert (run.steps.tolist(), run.step_unit) == ([0, 1, 2], "epoch")
    assert run["total_loss"].tolist() == [3, 2, 1]


@pytest.mark.parametrize("text", ["{}", "{'a': 1}", "{{{{", "{a:" + "[" * 1000, "no dict: 1", "{'step': 3}"])
def test_text_without_metrics_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.log"
    path.write_text(text + "\n")
    with pytest.raises(LogError):
        read(path, format="dict_lines")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5), ("tensor(0.5)", 0.5), ("tensor([427.9], device='cuda:0')", [427.9]), ("np.float32(-1e-3)", -1e-3),
        ("array(0.25, dtype=float32)", 0.25), ("tensor(2., grad_fn=<MeanBackward0>)", 2.0), ("None", None), ("-inf", -np.inf),
        ("tensor([1., 2.])", [1.0, 2.0]), ("(0.5,)", [0.5]), ("datetime.datetime(2024, 5, 1)", "datetime.datetime(2024, 5, 1)"),
        ("True", True), ("'a, b'", "a, b"), ("Decimal('0.5')", "0.5"),
    ],
)  # fmt: skip
def test_values(text: str, value: Any) -> None:
    ((start, end, content),), broken = printed_dicts(f"x {{'a': {text}, 'b': 1}} y")
    assert (start, end, broken) == (2, len(text) + 17, 0)
    assert content == {"a": value, "b": 1}


NAMES = st.sampled_from(["loss", "a b", "x/y", "é", "k{", "c:d", "q'"])


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.dictionaries(NAMES, st.one_of(st.floats(allow_nan=False), st.none(), NAMES), min_size=1), max_size=3)
)
def test_printed_dicts_read_back(dicts: list[dict[str, Any]]) -> None:
    found, broken = printed_dicts(" and ".join(map(repr, dicts)))
    assert [content for _, _, content in found] == dicts
    assert not broken


def test_a_number_before_the_dict_belongs_to_its_name_and_tells_the_split(tmp_path: Path) -> None:
    text = "".join(
        f"lr: [1e-05]\nEpoch {i} train_vae_loss 0.{i}: {{'recons_loss': 0.2{i}, 'kl_loss': 1{i}.0}}.\n"
        f"Epoch {i} val_vae_loss 1.{i}: {{'recons_loss': 1.2{i}, 'kl_loss': 2{i}.0}}.\n"
        for i in range(1, 9)
    )
    run = read_text(tmp_path, text)
    assert (run.steps.tolist(), run.step_unit) == (list(range(1, 9)), "epoch")
    last = {column.original: column.values[-1] for column in run.columns.values()}
    assert last == {
        "recons_loss": 0.28, "kl_loss": 18.0, "train_vae_loss": 0.8, "val/recons_loss": 1.28, "val/kl_loss": 28.0, "val_vae_loss": 1.8
    }  # fmt: skip
