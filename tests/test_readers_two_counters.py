"""Training counted in iterations and validation in epochs under one name of a step, and logs that only look like that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from dialect_logs import write_wandb
from vaelab.readers import read, read_all
from vaelab.readers.points import Points
from vaelab.run import Run

EPOCHS, LENGTH = 10, 16  # iterations an epoch
Point = tuple[str, int, float]

TRAIN, VAL = "train/rec_loss", "val/rec_loss"


def trained(first: int = 0, last: int = EPOCHS, counted: bool = True) -> list[Point]:
    """Training at iterations 1, 2, ... and validation after each epoch, in the order of writing; counted: in epochs."""
    found: list[Point] = []
    for epoch in range(first, last):
        found += [(TRAIN, epoch * LENGTH + i, 1.0 / (epoch * LENGTH + i)) for i in range(1, LENGTH + 1)]
        found.append((VAL, epoch if counted else (epoch + 1) * LENGTH, float(epoch)))
    return found


def events(folder: Path, points: Iterable[Point], clock: bool = True, start: int = 0) -> Path:
    """An event file of the points; without a clock they all have one time."""
    writer = EventFileWriter(str(folder))
    for at, (tag, step, value) in enumerate(points, start=start):
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=1.7e9 + at * clock, step=step, summary=summary))
    writer.close()
    return folder


def held_out(run: Run) -> dict[int, float]:
    steps, values = run.series(VAL)
    return dict(zip(steps.tolist(), values.tolist(), strict=True))


def note(run: Run) -> str:
    (found,) = [n.text for n in run.notes if n.kind == "two_counters"]
    return found


def untouched(run: Run) -> bool:
    return not any(n.kind == "two_counters" for n in run.notes)


AT_THE_END_OF_EPOCHS = {(epoch + 1) * LENGTH: float(epoch) for epoch in range(EPOCHS)}


@pytest.mark.parametrize(("clock", "by"), [(True, "by time"), (False, "by the order of the log")])
def test_validation_by_epochs_is_placed_where_it_was_written(tmp_path: Path, clock: bool, by: str) -> None:
    run = read(events(tmp_path, trained(), clock))
    assert held_out(run) == AT_THE_END_OF_EPOCHS
    assert run.steps.tolist() == list(range(1, EPOCHS * LENGTH + 1))
    assert f"'{VAL}' counted 0 to 9 (epochs) while '{TRAIN}' went to 160: placed {by}" in note(run)


def test_writers_in_two_folders_are_placed_by_their_times(tmp_path: Path) -> None:
    for folder, tag in (("train", TRAIN), ("val", VAL)):
        writer = EventFileWriter(str(tmp_path / folder))
        for at, (name, step, value) in enumerate(trained()):
            if name == tag:
                summary = Summary(value=[Summary.Value(tag="rec_loss", simple_value=value)])
                writer.add_event(Event(wall_time=1.7e9 + at, step=step, summary=summary))
        writer.close()
    assert held_out(read(tmp_path)) == AT_THE_END_OF_EPOCHS


def test_training_rows_far_apart(tmp_path: Path) -> None:
    """A logger that writes every 50th step, epochs of 16: the validation stands between the steps before and after."""
    points = [p for p in trained(last=40) if p[0] == VAL or p[1] % 50 == 0]
    writer = EventFileWriter(str(tmp_path))
    for tag, step, value in points:
        at = step if tag == TRAIN else (step + 1) * LENGTH
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=1.7e9 + at, step=step, summary=summary))
    writer.close()
    assert list(held_out(read(tmp_path))) == list(range(LENGTH, 40 * LENGTH + 1, LENGTH))


def test_training_by_epochs_and_validation_by_iterations(tmp_path: Path) -> None:
    points = [p for e in range(EPOCHS) for p in ((TRAIN, e, 1.0 / (e + 1)), (VAL, (e + 1) * LENGTH, float(e)))]
    run = read(events(tmp_path, points))
    assert held_out(run) == AT_THE_END_OF_EPOCHS
    steps = run.series("rec_loss")[0]
    assert len(steps) == EPOCHS and (np.abs(steps - LENGTH * np.arange(1, EPOCHS + 1)) <= LENGTH / 2).all()


def test_a_resume_goes_back_in_both_counters(tmp_path: Path) -> None:
    events(tmp_path / "a", trained(0, 7), start=0)
    path = next((tmp_path / "a").iterdir())
    events(tmp_path / "b", trained(5, EPOCHS), start=500)
    next((tmp_path / "b").iterdir()).rename(path.with_name(path.name + ".2"))
    run = read(tmp_path / "a")
    assert held_out(run) == AT_THE_END_OF_EPOCHS
    assert [event.kind for event in run.events] == ["resume"]


def test_rows_of_a_table_are_placed_by_their_order(tmp_path: Path) -> None:
    rows = [f"{step},{value if tag == TRAIN else ''},{value if tag == VAL else ''}" for tag, step, value in trained()]
    log = tmp_path / "metrics.csv"
    log.write_text("\n".join([f"step,{TRAIN},{VAL}", *rows]) + "\n")
    run = read(log)
    assert held_out(run) == AT_THE_END_OF_EPOCHS
    assert "placed by the order of the rows" in note(run)
    log.write_text("\n".join([f"step,{TRAIN},{VAL}", *rows, *rows]) + "\n")
    assert [held_out(run) for run in read_all(log)] == [AT_THE_END_OF_EPOCHS] * 2


def test_points_of_a_tracker_are_placed_by_their_order() -> None:
    points = Points()
    for number, (tag, step, value) in enumerate(trained()):
        points.add(tag, step, value, number)
    log = points.to_log("run", "mlflow_files")
    (column,) = [c for c in log.columns if c.original == VAL]
    assert log.steps[column.logged].tolist() == list(AT_THE_END_OF_EPOCHS)


def lists(folder: Path) -> Path:
    """What a notebook dumps: all the losses, and those of each epoch."""
    path = folder / "history.json"
    path.write_text(json.dumps({tag: [v for name, _, v in trained() if name == tag] for tag in (TRAIN, VAL)}))
    return path


def joined(folder: Path) -> Path:
    """A table joined by the number of the step."""
    val = {step: value for tag, step, value in trained() if tag == VAL}
    rows = [f"{step},{value},{val.get(step, '')}" for tag, step, value in [(TRAIN, 0, 2.0), *trained()] if tag == TRAIN]
    path = folder / "metrics.csv"
    path.write_text("\n".join([f"step,{TRAIN},{VAL}", *rows]) + "\n")
    return path


def tag_after_tag(folder: Path) -> Path:
    return events(folder, sorted(trained(), key=lambda point: point[0]))


@pytest.mark.parametrize("log", [lists, joined, tag_after_tag])
def test_where_nothing_shows_the_place_nothing_is_paired(tmp_path: Path, log) -> None:  # type: ignore[no-untyped-def]
    run = read(log(tmp_path))
    assert not any(name.startswith("val") and "other counter" not in name for name in run)
    column = run.columns[f"{VAL} (other counter)"]
    assert column.values[column.logged].tolist() == list(AT_THE_END_OF_EPOCHS.values())
    assert column.role.name == "unknown" and "rec_loss" in run
    assert "compared with no training row" in note(run)


def test_one_counter_stays_as_it_is(tmp_path: Path) -> None:
    run = read(events(tmp_path, trained(counted=False)))
    assert untouched(run) and held_out(run) == AT_THE_END_OF_EPOCHS


def test_what_is_logged_only_at_the_start_stays_there(tmp_path: Path) -> None:
    points: list[Point] = []
    for point in trained(counted=False):
        points += [point, ("warmup_loss", point[1], 1.0)] if point[0] == TRAIN and point[1] <= 20 else [point]
    run = read(events(tmp_path, points))
    assert untouched(run) and run.series("warmup_loss")[0].tolist() == list(range(1, 21))


def test_an_evaluation_that_lags_behind_training_keeps_its_steps(tmp_path: Path) -> None:
    """A second process that evaluates old checkpoints: its steps are those of training."""
    points: list[Point] = []
    for step in range(100, 20_001, 100):
        points.append((TRAIN, step, 1.0))
        if step % 2000 == 0:
            points.append((VAL, step // 4, 1.0))
    run = read(events(tmp_path, points))
    assert untouched(run) and list(held_out(run)) == list(range(500, 5001, 500))


@pytest.mark.parametrize("ends", [60, 160])
def test_a_table_of_epochs_in_which_the_validation_stops_early(tmp_path: Path, ends: int) -> None:
    rows = [f"{e},{1 / (e + 1)},{e if e < ends else ''}" for e in range(160)]
    (tmp_path / "metrics.csv").write_text("\n".join([f"epoch,{TRAIN},{VAL}", *rows]) + "\n")
    run = read(tmp_path / "metrics.csv")
    assert untouched(run) and len(held_out(run)) == ends


def test_a_step_of_ones_own_in_wandb(tmp_path: Path) -> None:
    """W&B's own count rises with every call; the step that the trainer names is an iteration or an epoch."""
    rows = [{"step": step, tag: value} for tag, step, value in trained()]
    run = read(write_wandb(tmp_path, range(len(rows)), rows))
    assert held_out(run) == AT_THE_END_OF_EPOCHS
