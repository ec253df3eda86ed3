"""trackio's database, written by the real library."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vaelab.errors import LogError
from vaelab.readers import detect, read, read_all
from vaelab.readers.source import Source
from write_tracker_runs import STEPS, rec


@pytest.fixture(scope="module")
def folder(tracker_runs: Callable[[str], Path]) -> Path:
    return tracker_runs("trackio")


@pytest.fixture
def database(folder: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    with sqlite3.connect(folder / "vae.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Path(shutil.copy(folder / "vae.db", tmp_path / "vae.db"))


def test_the_runs_of_a_project(folder: Path) -> None:
    first, second = read_all(folder)
    assert (first.source, second.source) == (f"{folder / 'vae.db'}[first]", f"{folder / 'vae.db'}[second]")
    assert detect(Source(folder / "vae.db"))[0][:2] == ("trackio", 1.0)
    assert first.steps.tolist() == list(range(0, 10 * STEPS, 10))
    np.testing.assert_array_equal(first["rec_loss"], [rec(i) for i in range(STEPS)])
    np.testing.assert_array_equal(first["disc_loss"], [np.nan if i == 3 else np.inf for i in range(STEPS)])
    assert set(first) == {"rec_loss", "kl_loss", "disc_loss"}
    assert first.config == {"lr": 1e-4, "kl_weight": 1e-6, "disc_start": 50}
    assert not any(key.startswith("_") for key in first.raw_config)


def test_reading_leaves_no_file_beside_the_database(database: Path) -> None:
    assert len(read_all(database)) == 2
    assert [path.name for path in database.parent.iterdir()] == ["vae.db"]


def test_a_database_of_an_older_version(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE old AS SELECT id, timestamp, run_name, step, metrics FROM metrics")
        connection.execute("DROP TABLE metrics")
        connection.execute("ALTER TABLE old RENAME TO metrics")
        connection.execute("DROP TABLE configs")
    connection.close()
    assert [len(run) for run in read_all(database)] == [STEPS, 5]


def test_rows_that_are_no_records(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE metrics SET metrics = '{broken' WHERE step = 20")
        connection.execute("UPDATE metrics SET run_name = 'same'")
    connection.close()
    first, second = read_all(database)
    assert first.source != second.source and "[same " in first.source
    assert 20 not in first.steps
    assert [n.count for n in first.notes if n.kind == "foreign_lines"] == [1]
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM metrics")
    connection.close()
    with pytest.raises(LogError, match="no metric in it yet"):
        read(database)


def test_a_packed_database(database: Path) -> None:
    import gzip

    packed = database.with_suffix(".db.gz")
    packed.write_bytes(gzip.compress(database.read_bytes()))
    assert len(read_all(packed)) == 2
