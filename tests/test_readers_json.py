"""JSON records: Pyramid-Flow's log.txt, any JSON lines, arrays, and trainer_state.json."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import read
from vaelab.run import Run

DATA = Path(__file__).parent / "data"


def read_text(folder: Path, text: str, name: str = "metrics.jsonl") -> Run:
    path = folder / name
    path.write_text(text)
    return read(path)


def note(run: Run, kind: str) -> int:
    return sum(n.count for n in run.notes if n.kind == kind)


def test_pyramid_flow_writes_one_object_an_epoch() -> None:
    path = DATA / "jsonl_pyramid_flow.txt"
    run = read(path)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert (run.format, run.trainer, run.step_unit) == ("pyramid_flow_json", "pyramid_flow", "epoch")
    assert run.steps.tolist() == [record["epoch"] for record in records]
    assert run["rec_loss"].tolist() == [record["train_rec_loss"] for record in records]
    assert run.smoothing["rec_loss"].kind == "epoch_mean"
    assert run.raw_config["n_parameters"] == records[0]["n_parameters"]
    assert "n_parameters" not in run


def test_nested_names_and_odd_values(tmp_path: Path) -> None:
    rows = [
        '{"step": 1, "loss": {"rec": 0.5, "kl": NaN}, "flag": true, "name": "a", "list": [1]}',
        '{"step": 2, "loss": {"rec": Infinity, "kl": null}, "lr": "nan"}',
    ]
    run = read_text(tmp_path, "\n".join(rows) + "\n")
    assert set(run) == {"rec_loss", "loss/kl", "lr", "list"}
    np.testing.assert_array_equal(run["rec_loss"], [0.5, np.inf])
    assert run.columns["loss/kl"].logged.tolist() == [True, False]
    assert run.columns["lr"].logged.tolist() == [False, True]


def test_vaelabs_own_log(tmp_path: Path) -> None:
    rows = [{"step": s, "rec_loss": 1 / (s + 1), "kl_nats_per_element": 0.1} for s in range(0, 50, 10)]
    run = read_text(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert run.trainer == "vaelab"
    assert run["rec_loss"].tolist() == [row["rec_loss"] for row in rows]


def test_a_config_record(tmp_path: Path) -> None:
    run = read_text(tmp_path, '{"config": {"loss": {"kl_weight": 1e-6}}}\n{"step": 1, "rec_loss": 1}\n')
    assert run.config == {"kl_weight": 1e-6}
    assert run.steps.tolist() == [1]


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects(tmp_path: Path, indent: int | None) -> None:
    rows = [{"step": s, "rec_loss": s / 3, "kl_loss": 1} for s in range(5)]
    run = read_text(tmp_path, json.dumps(rows, indent=indent))
    assert run["rec_loss"].tolist() == [row["rec_loss"] for row in rows]


def test_lists_under_one_object(tmp_path: Path) -> None:
    run = read_text(tmp_path, '{"epoch": [0, 1, 2], "loss": [3, 2, 1], "val_loss": [4, 3, null]}', "history.json")
    assert run["total_loss"].tolist() == [3, 2, 1]
    assert run.columns["val/total_loss"].logged.tolist() == [True, True, False]


def test_foreign_and_torn_lines_are_counted(tmp_path: Path) -> None:
    rows = [json.dumps({"step": s, "rec_loss": s, "lr": 1}) for s in range(20)]
    rows.insert(7, "Loading checkpoint")
    run = read_text(tmp_path, "\n".join(rows) + '\n{"step": 20, "rec_lo')
    assert len(run) == 20
    assert note(run, "foreign_lines") == 1
    assert note(run, "torn_line") == 1
    assert run.line("rec_loss", 7) == 9


def test_trainer_state() -> None:
    run = read(DATA / "hf_trainer_state.json")
    assert run.format == "trainer_state"
    assert run.steps.tolist() == [5, 10, 15]
    assert run["total_loss"].tolist() == [2.5, 2.25, 2.0]
    assert run.columns["grad_norm"].logged.all() and np.isnan(run["grad_norm"][1])
    assert run.series("val/total_loss")[1].tolist() == [2.125]
    assert run.config["total_steps"] == 40


def test_a_trainer_state_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_bytes((DATA / "hf_trainer_state.json").read_bytes()[:300])
    with pytest.raises(LogError, match="not whole JSON"):
        read(path)


@pytest.mark.parametrize(
    "text", ['{"lr": 0.1, "disc_start": 5000}', '{"a": 1}\n{"b": "c"}\n', "[1, 2, 3]", "{}", "[[" * 9]
)
def test_json_without_a_log_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(LogError):
        read(path)


def test_deep_nesting_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1, "a": 1}\n' + '{"a":' * 30_000 + "1" + "}" * 30_000 + "\n" + '{"step": 2, "a": 1}\n')
    assert read(path).steps.tolist() == [1, 2]


def test_numbers_in_text_and_in_lists(tmp_path: Path) -> None:
    rows = [
        {"step": "1,000", "loss": "0.294", "lr": "1e-4", "kl": [3], "s": "12.5k", "v": [1, 2], "none": "None"},
        {"step": "2,000", "loss": "-inf", "lr": "NaN", "kl": [4.5], "s": "a1", "v": [1, 2], "none": "null"},
    ]
    run = read_text(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert (run.steps.tolist(), run.step_unit) == ([1000, 2000], "step")
    assert run["total_loss"].tolist() == [0.294, -np.inf]
    assert run["kl_loss"].tolist() == [3, 4.5]
    assert np.isnan(run["lr"][1]) and run.columns["lr"].logged.all()
    assert not {"s", "v", "none"} & set(run)
    assert note(run, "unparsed_value") == 4


def test_numbers_beyond_the_largest_float(tmp_path: Path) -> None:
    text = '{"step": 1, "loss": 1e999, "kl": %s}\n{"step": 2, "loss": -1e999, "kl": 3}\n' % ("9" * 400)
    run = read_text(tmp_path, text)
    assert run["total_loss"].tolist() == [np.inf, -np.inf]
    assert run["kl_loss"].tolist() == [np.inf, 3]


def test_glued_and_broken_records(tmp_path: Path) -> None:
    text = (
        '\ufeff{"step": 1, "loss": 0.5, "x": {"y": 1}}\n{"step": 2, "loss": 0.4}{"step": 3, "loss": 0.3}\n'
        '{"step": 4, "x": {"y": 2}, "lo{"step": 5, "loss": 0.2}\n{"step": 6, "loss": 0.1}\n{"step": 7, "lo'
    )
    run = read_text(tmp_path, text)
    assert run.steps.tolist() == [1, 2, 3, 5, 6]
    assert run["total_loss"].tolist() == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert run.rows("x/y").tolist() == [0]  # what is nested in a broken record is no record
    assert (note(run, "foreign_lines"), note(run, "torn_line")) == (1, 1)


def test_names_can_be_shown(tmp_path: Path) -> None:
    run = read_text(
        tmp_path, "".join(json.dumps({"step": i, "a\ud800\x1b[31m": 1, "loss": 2}) + "\n" for i in range(3))
    )
    (name,) = set(run) - {"total_loss"}
    assert name.isprintable() and name.encode() and run[name].tolist() == [1, 1, 1]


def test_a_broken_object_among_printed_ones(tmp_path: Path) -> None:
    objects = [json.dumps({"step": i, "loss": i / 2, "lr": 1}, indent=2) for i in range(5)]
    objects[2] = objects[2][:20]
    run = read_text(tmp_path, "\n".join(objects), "m.json")
    assert run.steps.tolist() == [0, 1, 3, 4]
    assert note(run, "foreign_lines") == 1


def test_rows_of_validation_have_names_of_their_own(tmp_path: Path) -> None:
    rows = [{"mode": m, "epoch": e, "iter": i, "loss": x} for m, e, i, x in
            [("train", 1, 100, 0.5), ("train", 1, 200, 0.45), ("val", 1, 200, 0.6), ("train", 2, 300, 0.4)]]  # fmt: skip
    run = read_text(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert run["total_loss"].tolist() == [0.5, 0.45, 0.4]
    assert run.series("val/total_loss")[1].tolist() == [0.6]
    assert note(run, "split_rows") == 1


def test_one_value_a_record(tmp_path: Path) -> None:
    rows = [{"step": s, "metric": m, "value": v} for s, m, v in [(1, "loss", 0.5), (1, "kl_loss", 3), (2, "loss", 0.4)]]
    run = read_text(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert run["total_loss"].tolist() == [0.5, 0.4]
    assert run.series("kl_loss")[1].tolist() == [3]


def test_a_keras_history_counts_epochs(tmp_path: Path) -> None:
    run = read_text(tmp_path, '{"loss": [3, 2, 1], "val_loss": [4, 3, 2]}', "history.json")
    assert (run.steps.tolist(), run.step_unit) == ([0, 1, 2], "epoch")
    assert run["val/total_loss"].tolist() == [4, 3, 2]


def test_fractional_epochs_are_no_steps(tmp_path: Path) -> None:
    rows = [{"loss": 1 / (i + 1), "lr": 0.1, "epoch": round(0.02 * (i + 1), 2)} for i in range(60)]
    run = read_text(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert (len(run), run.step_unit) == (60, "record")
    assert run.epochs is not None and run.epochs.tolist() == [int(row["epoch"]) for row in rows]


def test_the_summary_of_a_trainer_is_no_row(tmp_path: Path) -> None:
    state = {
        "log_history": [
            {"loss": 1.0, "step": 1},
            {"loss": 0.5, "step": 2},
            {"train_loss": 0.7, "train_runtime": 9.0, "step": 2},
        ]
    }
    run = read_text(tmp_path, json.dumps(state), "trainer_state.json")
    assert run["total_loss"].tolist() == [1, 0.5]
    assert note(run, "averaged_stats") == 1


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-(2**60), 2**60))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(["rec_loss", "x/y", "é", "q"]), NUMBERS, min_size=1), min_size=2))
def test_sparse_records_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float | None]]
) -> None:
    rows = [{**row, "step": step, "always": 1.0, "also": 2.0} for step, row in enumerate(rows)]
    path = tmp_path_factory.mktemp("json") / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read(path)
    for name in ("rec_loss", "x/y", "é", "q"):
        expected = {row["step"]: float(v) for row in rows if (v := row.get(name)) is not None}
        gone = np.isnan(list(expected.values()))
        # NaN between numbers, time and again, stands for "not logged" (``nan_for_empty``)
        if expected and np.count_nonzero(gone[:-1] & ~gone[1:]) < 2:
            logged = run.rows(name)
            assert run.steps[logged].tolist() == list(expected)
            np.testing.assert_array_equal(run[name][logged], list(expected.values()))


def test_every_cut_reads_or_says_why(tmp_path: Path) -> None:
    data = (DATA / "jsonl_pyramid_flow.txt").read_bytes()[:1700]
    path = tmp_path / "log.txt"
    for cut in range(1, len(data), 3):
        path.write_bytes(data[:cut])
        try:
            run = read(path)
        except LogError:
            assert b"}" not in data[:cut]
        else:
            whole_lines = data[:cut].count(b"\n")
            assert len(run) == whole_lines + data[:cut].endswith(b"}")


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_read_or_raise_a_log_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("json") / "m.jsonl"
    for before in (b'{"step": 1, "a": 2, "b": 3}\n', b'[{"step": 1, "a": 2},', b'{"log_history": [{"a": 1}'):
        path.write_bytes(before + data)
        for format in ("json_lines", "trainer_state", "pyramid_flow_json"):
            with contextlib.suppress(LogError):
                read(path, format=format)
