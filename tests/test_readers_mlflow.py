"""MLflow's file store and its database, written by the real library: several runs, how they ended, live and broken files."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import detect, read, read_all, sqlite_file
from vaelab.readers.mlflow_sqlite import READER
from vaelab.readers.source import Source
from vaelab.run import Run
from write_tracker_runs import STEPS, rec


@pytest.fixture(scope="module")
def store(tracker_runs: Callable[[str], Path]) -> Path:
    return tracker_runs("mlflow")


@pytest.fixture
def database(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(store / "mlflow.db", tmp_path / "mlflow.db"))


def by_name(runs: list[Run]) -> dict[str, Run]:
    return {run.source.rpartition("[")[2].removesuffix("]"): run for run in runs}


@pytest.fixture(scope="module", params=["mlruns", "mlflow.db"])
def runs(request: pytest.FixtureRequest, store: Path) -> dict[str, Run]:
    return by_name(read_all(store / request.param))


def test_every_run_with_a_metric_is_read(runs: dict[str, Run]) -> None:
    assert set(runs) == {"done", "failed", "killed", "live"}  # not the empty and the deleted one
    assert {run.format for run in runs.values()} <= {"mlflow_files", "mlflow_sqlite"}


def test_values_steps_and_epochs(runs: dict[str, Run]) -> None:
    run = runs["done"]
    assert run.steps.tolist() == list(range(0, 10 * STEPS, 10))
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(STEPS)])
    np.testing.assert_array_equal(run["disc_loss"], [np.nan if i == 3 else np.inf for i in range(STEPS)])
    assert run.epochs is not None and run.epochs.tolist() == [i // 10 for i in range(STEPS)]
    assert run.columns["rec_loss"].original == "train/rec_loss"


def test_parameters_are_the_config(runs: dict[str, Run]) -> None:
    assert runs["done"].config == {"lr": 1e-4, "kl_weight": 1e-6}


def test_the_status_is_an_event(runs: dict[str, Run]) -> None:
    kinds = {name: [(event.kind, event.step) for event in run.events] for name, run in runs.items()}
    assert kinds == {
        "done": [("finished", 290)],
        "failed": [("crash", 40)],
        "killed": [("note", 40)],
        "live": [],
    }


def test_metrics_of_the_machine_are_left_out_and_counted(runs: dict[str, Run]) -> None:
    assert not any("cpu" in name for name in runs["done"])
    assert [n.count for n in runs["done"].notes if n.kind == "other_summaries"] == [1]


def test_a_run_by_its_folder_and_by_its_file(store: Path) -> None:
    named = {run.source: run for run in read_all(store / "mlruns")}
    (source,) = [s for s in named if s.endswith("[done]")]
    folder = Path(source.rpartition("[")[0])
    assert len(read(folder)) == len(read(folder / "meta.yaml")) == STEPS
    assert list(read(folder / "metrics" / "train" / "rec_loss")) == list(read(folder))
    with pytest.raises(LogError, match="not in a run of MLflow's file store"):
        read(store / "mlflow.db", format="mlruns")
    assert detect(Source(folder / "meta.yaml"))[0][:2] == ("mlflow_files", 1.0)
    assert detect(Source(store / "mlflow.db"))[0][:2] == ("mlflow_sqlite", 1.0)


def test_a_run_that_is_being_written(store: Path, tmp_path: Path) -> None:
    (source,) = [run.source for run in read_all(store / "mlruns") if run.source.endswith("[done]")]
    folder = Path(shutil.copytree(source.rpartition("[")[0], tmp_path / "run"))
    metric = folder / "metrics" / "kl_loss"
    metric.write_bytes(metric.read_bytes()[:-3])
    (folder / "metrics" / "d_weight").write_text("nonsense\n1795278362269 0.5 280\n\n")
    run = read(folder)
    assert run.series("kl_loss")[0].tolist() == list(range(0, 10 * STEPS - 10, 10))
    assert {n.kind for n in run.notes} >= {"torn_line", "foreign_lines"}
    metric.unlink()
    metric.symlink_to("/etc/passwd")
    assert "kl_loss" not in read(folder)


def test_a_restart_under_one_run_is_seen(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        (run,) = connection.execute("SELECT run_uuid FROM runs WHERE name = 'failed'").fetchone()
        rows = [("train/rec_loss", 9.0 + i, 2 * 10**12 + i, run, 10 * i, 0) for i in range(2, 8)]
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    run = by_name(read_all(database))["failed"]
    assert run["rec_loss"].tolist() == [1, 0.5, 11, 12, 13, 14, 15, 16]
    assert "resume" in [event.kind for event in run.events]


def test_runs_of_one_name_and_of_two_experiments(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET name = 'done'")
    names = list(by_name(read_all(database)))
    assert len(set(names)) == 4 and all(name.startswith("done ") for name in names)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET name = status, experiment_id = 0 WHERE status != 'FINISHED'")
    names = list(by_name(read_all(database)))
    assert "Default/FAILED" in names and "vae/done" in names


def test_the_newest_rows_of_a_live_database_are_read(database: Path) -> None:
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute(
        "INSERT INTO metrics SELECT 'new', 1.0, timestamp, run_uuid, step, 0 FROM metrics WHERE key = 'kl_loss'"
    )
    writer.commit()
    before = sorted(path.name for path in database.parent.iterdir())
    assert "new" in by_name(read_all(database))["done"]
    assert sorted(path.name for path in database.parent.iterdir()) == before
    copy = database.parent / "copy"
    copy.mkdir()
    for path in (database, database.with_name("mlflow.db-wal")):
        shutil.copy(path, copy)
    assert "new" in by_name(read_all(copy))["done"]  # copied while it was written, or its machine died
    assert sorted(path.name for path in copy.iterdir()) == ["mlflow.db", "mlflow.db-wal"]
    writer.close()
    assert "new" in by_name(read_all(database))["done"]
    assert sorted(path.name for path in database.parent.iterdir()) == ["copy", "mlflow.db"]


def test_a_locked_database_says_so(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "LOCK_SECONDS", 0.01)
    writer = sqlite3.connect(database)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LogError, match="is locked by the program that writes it"):
        read(database)
    writer.close()


def test_databases_that_are_no_store(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE films (name TEXT)")
    with pytest.raises(LogError, match="SQLite database without the tables of MLflow or trackio"):
        read(tmp_path / "other.db")
    with sqlite3.connect(tmp_path / "endless.db") as connection:  # a view that never ends is no table
        for table in ("experiments", "runs", "params"):
            connection.execute(f"CREATE TABLE {table} (x)")
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
        connection.execute(f"CREATE VIEW metrics AS {endless}")
    with pytest.raises(LogError, match="without the tables"):
        read(tmp_path / "endless.db")
    with sqlite3.connect(tmp_path / "columns.db") as connection:
        for table in ("experiments", "runs", "params", "metrics"):
            connection.execute(f"CREATE TABLE {table} (x)")
    with pytest.raises(LogError, match="no such column"):
        read(tmp_path / "columns.db")
    (tmp_path / "text.db").write_text("step,rec_loss\n")
    with pytest.raises(LogError, match="damaged SQLite database"):
        read(tmp_path / "text.db", format="mlflow")


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_cut_or_damaged_database_is_read_or_refused(store: Path, data: st.DataObject) -> None:
    whole = (store / "mlflow.db").read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(16, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        broken[data.draw(st.integers(16, len(broken) - 1)) if len(broken) > 17 else 15] ^= 0xFF
    (store / "broken").mkdir(exist_ok=True)
    path = store / "broken" / "mlflow.db"
    path.write_bytes(broken)
    try:
        READER.read(Source(path))
    except LogError as error:
        assert str(path) in str(error)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(st.binary(max_size=30), st.just(b"1795278362269 0.5 3")), max_size=6))
def test_any_bytes_in_a_metric_file(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "meta.yaml").write_text("run_id: a\nlifecycle_stage: active\nstatus: 1\n")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "rec_loss").write_bytes(b"\n".join([*lines, b""]))
    try:
        run = read(folder)
    except LogError:
        assert b"1795278362269 0.5 3" not in lines
    else:
        assert len(run)
