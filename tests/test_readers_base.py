"""build_runs: rows of one step merged, resumes stitched, restarts split, canonical names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers.base import RawColumn, RawLog, flatten
from vaelab.readers.building import build_runs
from vaelab.run import Event, Run

NAN = float("nan")


def raw_log(steps: list[int], columns: dict[str, list[float | None]], **fields: object) -> RawLog:
    """A RawLog whose row i stands on line i + 1; None is an empty cell."""
    lines = np.arange(1, len(steps) + 1, dtype=np.int64)
    return RawLog(
        "log",
        "csv",
        np.array(steps, np.int64),
        [
            RawColumn(
                name,
                np.array([NAN if v is None else v for v in values], float),
                np.array([v is not None for v in values]),
                lines,
            )
            for name, values in columns.items()
        ],
        **fields,  # type: ignore[arg-type]
    )


def only(raw: RawLog) -> Run:
    (run,) = build_runs(raw)
    return run


def kinds(run: Run) -> list[str]:
    return [note.kind for note in run.notes]


def test_rows_of_one_step_are_merged() -> None:
    run = only(raw_log([0, 0, 10, 10], {"train/rec_loss": [1, None, 2, None], "train/disc_loss": [None, 3, None, 4]}))
    assert run.steps.tolist() == [0, 10]
    assert run["rec_loss"].tolist() == [1, 2]
    assert run["disc_loss"].tolist() == [3, 4]
    assert run.line("disc_loss", 1) == 4
    assert not run.notes


def test_the_last_of_repeated_values_is_used_and_counted() -> None:
    run = only(raw_log([0, 10, 10, 20], {"rec_loss": [1, 2, 3, 4], "lr": [0.1, 0.1, 0.1, 0.1]}))
    assert run["rec_loss"].tolist() == [1, 3, 4]
    (note,) = run.notes
    assert (note.kind, note.count, note.first_line) == ("duplicate_steps", 1, 3)


def test_equal_repeats_are_not_worth_a_note() -> None:
    assert not only(raw_log([0, 0, 10], {"lr": [NAN, NAN, 0.1]})).notes


def test_a_resume_is_stitched_with_the_later_rows() -> None:
    run = only(raw_log([0, 10, 20, 30, 40, 50, 30, 40, 50, 60], {"rec_loss": [*range(10)]}))
    assert run.steps.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert run["rec_loss"].tolist() == [0, 1, 2, 6, 7, 8, 9]
    (event,) = run.events
    assert (event.kind, event.step, event.line) == ("resume", 30, 7)
    (note,) = run.notes
    assert (note.kind, note.count) == ("backward_steps", 3)


def test_rows_after_the_checkpoint_belong_to_the_abandoned_branch() -> None:
    run = only(raw_log([*range(0, 1000, 10), 500, 510], {"rec_loss": [*range(102)]}))
    assert run.steps.tolist() == [*range(0, 520, 10)]
    assert run["rec_loss"][-2:].tolist() == [100, 101]


def test_several_resumes() -> None:
    steps = [*range(0, 100, 10), *range(50, 120, 10), *range(40, 150, 10)]
    run = only(raw_log(steps, {"rec_loss": [*range(len(steps))]}))
    assert run.steps.tolist() == [*range(0, 150, 10)]
    assert run["rec_loss"].tolist() == [0, 1, 2, 3, *range(17, 28)]
    assert [event.step for event in run.events] == [50, 40]


def test_a_resume_that_the_log_announces_is_not_announced_twice() -> None:
    raw = raw_log([0, 10, 20, 30, 10, 20], {"rec_loss": [*range(6)]}, events=[Event("resume", 10, 5, "Resume")])
    run = only(raw)
    assert [event.text for event in run.events] == ["Resume"]
    assert "backward_steps" in kinds(run)


@pytest.mark.parametrize("again", [0, 1])
def test_a_restart_is_another_run(again: int) -> None:
    first, second = build_runs(raw_log([0, 10, 20, 30, 40, 50, again, 10], {"rec_loss": [*range(8)]}))
    assert (first.source, second.source) == ("log#1", "log#2")
    assert first["rec_loss"].tolist() == [0, 1, 2, 3, 4, 5]
    assert second.steps.tolist() == [again, 10]
    assert second.events[0].kind == "restart"
    assert second.events[0].line == 7
    assert kinds(second) == ["restart"]


def test_events_stay_with_their_run() -> None:
    raw = raw_log(
        [0, 10, 20, 30, 40, 50, 0, 10],
        {"rec_loss": [0, 1, 2, 3, 4, 5, 6, 7]},
        events=[Event("crash", 50, 6, "killed"), Event("note", None, 7, "hello"), Event("finished", 10, 8, "done")],
    )
    first, second = build_runs(raw)
    assert [e.text for e in first.events] == ["killed"]
    assert [e.text for e in second.events if e.kind != "restart"] == ["hello", "done"]


def test_a_late_row_is_sorted_in() -> None:
    run = only(raw_log([0, 10, 30, 20, 40, 50], {"rec_loss": [*range(6)]}))
    assert run["rec_loss"].tolist() == [0, 1, 3, 2, 4, 5]
    assert kinds(run) == ["backward_steps"]
    assert not run.events


def test_one_metric_after_the_other_is_no_restart() -> None:
    run = only(raw_log([0, 1, 2, 0, 1, 2], {"a": [1, 2, 3, None, None, None], "b": [None, None, None, 4, 5, 6]}))
    assert run["a"].tolist() == [1, 2, 3]
    assert run["b"].tolist() == [4, 5, 6]
    assert not run.notes


def test_the_same_metric_under_two_names() -> None:
    run = only(raw_log([0, 1], {"vae_loss": [1, 2], "total_loss": [1, 2]}))
    assert list(run) == ["total_loss"]
    assert run.columns["total_loss"].original == "total_loss"
    assert kinds(run) == ["duplicate_column"]
    assert "vae_loss" in run.notes[0].text and "total_loss" in run.notes[0].text


def test_two_names_on_different_rows_are_merged() -> None:
    run = only(raw_log([0, 1], {"recon_loss": [1, None], "rec_loss": [None, 2]}))
    assert run["rec_loss"].tolist() == [1, 2]
    assert kinds(run) == ["merged_column"]


def test_two_names_with_other_values_both_stay() -> None:
    run = only(raw_log([0, 1], {"loss": [5, 6], "train/total_loss": [1, 2]}))
    assert run["total_loss"].tolist() == [1, 2]
    assert run["loss"].tolist() == [5, 6]


def test_epoch_means_do_not_hide_the_step_values() -> None:
    run = only(raw_log([0, 1, 1], {"train/rec_loss_step": [1, 2, None], "train/rec_loss_epoch": [None, None, 1.5]}))
    assert run["rec_loss"].tolist() == [1, 2]
    assert run["epoch/rec_loss"].tolist()[1] == 1.5


def test_non_finite_values_count_as_logged() -> None:
    run = only(raw_log([0, 1, 2], {"rec_loss": [1, NAN, None], "g_loss": [1, 1, float("inf")]}))
    assert run.columns["rec_loss"].logged.tolist() == [True, True, False]


def test_rows_without_a_value_are_left_out() -> None:
    assert only(raw_log([0, 1, 2, 1], {"rec_loss": [1, None, 2, None]})).steps.tolist() == [0, 2]


def test_epochs_follow_their_rows() -> None:
    raw = raw_log([0, 0, 1], {"a": [1, None, 2], "b": [None, 1, None]}, epochs=np.array([-1, 3, 4]))
    epochs = only(raw).epochs
    assert epochs is not None and epochs.tolist() == [3, 4]


def test_a_log_without_a_value_is_an_error() -> None:
    with pytest.raises(LogError, match="no metric"):
        build_runs(raw_log([0, 1], {"rec_loss": [None, None]}))


def test_config_is_flattened() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}
    run = only(raw_log([0], {"rec_loss": [1]}, config={"model": {"kl_weight": 1e-6}}))
    assert run.raw_config == {"model.kl_weight": 1e-6}
    assert run.config["kl_weight"] == 1e-6


@given(
    st.lists(
        st.tuples(st.integers(-5, 30), st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.floats())), min_size=1
    )
)
def test_any_order_of_steps_gives_increasing_steps_and_no_invented_value(
    rows: list[tuple[int, float | None, float | None]],
) -> None:
    steps, a, b = (list(column) for column in zip(*rows, strict=True))
    if all(v is None for v in a + b):
        return
    runs = build_runs(raw_log(steps, {"a": a, "b": b}))  # type: ignore[arg-type]
    for run in runs:
        assert np.all(np.diff(run.steps) > 0)
        for name in run:
            column = run.columns[name]
            assert column.lines is not None
            for row in run.rows(name):
                step, *cells = rows[column.lines[row] - 1]
                assert step == run.steps[row]
                np.testing.assert_equal(column.values[row], cells["ab".index(name)])
    # the last value written is never lost
    last = max(i for i, (_, x, y) in enumerate(rows) if x is not None or y is not None)
    assert last + 1 in {run.line(name, row) for run in runs for name in run for row in run.rows(name)}
