"""What is looked at to see that a log has grown, for logs of every kind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from live_runs import healthy_rows, write
from vaelab.live import Watcher
from vaelab.live.units import look_up


def test_a_file_and_what_stands_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    assert look_up(str(log)) == ({}, f"{log} does not exist yet: waiting for it.")
    write(log, healthy_rows(0, 50))
    before, _ = look_up(str(log))
    write(tmp_path / "events.jsonl", ["{}"])
    after, _ = look_up(str(log))
    assert list(before) == list(after) == [str(log)] and before != after


def test_new_rows_of_an_mlflow_store_stand_in_files_of_their_own(tmp_path: Path) -> None:
    run = tmp_path / "mlruns/0/0123456789abcdef0123456789abcdef"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: 0123456789abcdef0123456789abcdef\nstatus: 1\n")

    def log(first: int, last: int) -> None:
        write(run / "metrics/rec_loss", (f"17000000{s:05d} {0.02 + 1 / (s + 10)} {s}" for s in range(first, last, 10)))

    log(0, 500)
    watcher = Watcher([tmp_path], clock=lambda: 0.0)
    watcher.poll()
    (watched,) = watcher.runs.values()
    assert watched.step == 490
    log(500, 600)
    watcher.poll()
    assert watched.step == 590


def test_new_rows_of_a_database_may_stand_in_its_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE rows (value REAL)")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before, _ = look_up(str(path))
    database.execute("INSERT INTO rows VALUES (1.0)")
    database.commit()
    after, _ = look_up(str(path))
    database.close()
    assert before != after


def test_a_folder_has_a_unit_for_every_run_in_it(tmp_path: Path) -> None:
    for name in ("a", "a/version_0", "b", "b/tensorboard", "b/inner"):
        (tmp_path / name).mkdir()
    for name in ("a/version_0/metrics.csv", "b/train.log", "b/tensorboard/events.out.tfevents.1", "b/inner/train.log"):
        (tmp_path / name).write_text("x\n")
    units, _ = look_up(str(tmp_path))
    assert list(units) == [str(tmp_path / name) for name in ("a", "b", "b/inner")]
    assert [Path(entry[0]).name for entry in units[str(tmp_path / "b")]].count("train.log") == 1


def test_a_pattern_may_name_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write(tmp_path / "x/metrics.jsonl", healthy_rows(0, 50))
    write(tmp_path / "y.jsonl", healthy_rows(0, 50))
    units, _ = look_up(str(tmp_path / "*"))
    assert list(units) == [str(tmp_path / "x"), str(tmp_path / "y.jsonl")]
    assert look_up(str(tmp_path / "*.csv")) == ({}, f"no file matches {tmp_path / '*.csv'} yet: waiting for one.")


def test_a_file_without_rows_is_there(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("RuntimeError: CUDA out of memory\n")
    units, why = look_up(str(log))
    assert list(units) == [str(log)] and why == f"{log} holds no row yet: waiting for the first."
