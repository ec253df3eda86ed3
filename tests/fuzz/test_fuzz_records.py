"""Whatever a file of records or of a tracker holds, reading it ends in runs or in one sentence.

Each example is a small real file (``corpus/``) in which bytes were changed, taken out, doubled or put in. CI tries some dozens for each
format; ``make fuzz`` as many as VAELAB_FUZZ_EXAMPLES says, with other seeds each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vaelab.errors import ConfigError, LogError
from vaelab.readers import read_all

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = int(os.environ.get("VAELAB_FUZZ_EXAMPLES", "40"))
# what readers look for, and what numbers and text can be like at their worst
TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b"'", b",", b";", b"|", b":", b"\n", b"\r", b"\0", b"\t", b"\\", b"#", b"-", b"nan", b"NaN", b"null",
    b"1e999", b"-1e999", b"9" * 400, b"9223372036854775808", b"9" * 18, b"-" + b"8" * 18, b"-2147483649", b"0.1234", b"1,000", b"0,51", b"12.5k", b"1.#QNAN", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\xe2\x88\x92", b"\xd9\xa1", b"\xc2\xa0", b"\xff", b"\\ud800", b'"step": ', b'"epoch": 0.5, ', b'"value": ', b"tensor(",
    b"{'a': ", b'{"step": 1, "a": ', b"[[[[[[[[", b'{"a":' * 50, b"step", b"val", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", b"%s" * 9,
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, *names: str) -> bytes:
    """One of the files, with a few changes."""
    data = bytearray((CORPUS / draw(st.sampled_from(names))).read_bytes())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([1, 2, 8, 40, 200])))
        kind = draw(st.sampled_from(["put in", "put in", "change", "take out", "double", "cut", "repeat"]))
        if kind == "put in":
            data[at:at] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        elif kind == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "take out":
            del data[at:end]
        elif kind == "double":
            data[at:at] = data[at:end]
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at:end] * 30
    return bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@contextlib.contextmanager
def runs_or_one_sentence() -> Iterator[None]:
    try:
        yield
    except (LogError, ConfigError) as error:
        text = str(error)
        assert text and "Traceback" not in text and len(text) < 4000 and text.count("\n") < 3


def fuzz(function: Callable[..., None]) -> Callable[..., None]:
    return settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck], database=None, print_blob=True
    )(function)


def look(path: Path, *formats: str) -> None:
    """Read the file as what it looks like, and as each of the formats."""
    for format in (None, *formats):
        with runs_or_one_sentence():
            assert read_all(path, format=format)


@fuzz
@given(damaged("csv_lightning.csv", "csv_semicolon.csv", "csv_markdown.md"))
def test_tables(folder: Path, data: bytes) -> None:
    path = folder / "metrics.csv"
    path.write_bytes(data)
    look(path, "csv")


@fuzz
@given(
    damaged("json_lines.jsonl", "json_history.json", "pyramid_flow_json.txt", "trainer_state.json", "dict_lines.log")
)
def test_records(folder: Path, data: bytes) -> None:
    path = folder / "metrics.jsonl"
    path.write_bytes(data)
    look(path, "json_lines", "dict_lines", "trainer_state", "pyramid_flow_json", "vaelab_run")


@fuzz
@given(damaged("tensorboard.tfevents"))
def test_tensorboard(folder: Path, data: bytes) -> None:
    path = folder / "events.out.tfevents.1"
    path.write_bytes(data)
    look(path, "tensorboard")


@fuzz
@given(damaged("wandb.wandb"))
def test_wandb(folder: Path, data: bytes) -> None:
    path = folder / "run-a.wandb"
    path.write_bytes(data)
    look(path, "wandb")


@fuzz
@given(damaged("comet.messages.json"), st.booleans())
def test_comet(folder: Path, data: bytes, packed: bool) -> None:
    look(_member(folder, "messages.json", data, {"experiment.json": b"{}"}, packed), "comet")


@fuzz
@given(damaged("clearml.metrics.jsonl"), damaged("json_history.json"), st.booleans())
def test_clearml(folder: Path, data: bytes, task: bytes, packed: bool) -> None:
    look(_member(folder, "metrics.jsonl", data, {"task.json": task, "log.jsonl": task}, packed), "clearml")


def _member(folder: Path, name: str, data: bytes, beside: dict[str, bytes], packed: bool) -> Path:
    """The file alone, or in an archive with others."""
    path = folder / ("run.zip" if packed else name)
    if not packed:
        path.write_bytes(data)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {name: data, **beside}.items():
            archive.writestr(member, content)
    return path


@fuzz
@given(damaged("mlflow.metric"), damaged("dict_lines.log"))
def test_mlflow_files(folder: Path, metric: bytes, meta: bytes) -> None:
    run = folder / "mlruns" / "1" / ("a" * 32)
    (run / "metrics").mkdir(parents=True, exist_ok=True)
    (run / "metrics" / "rec_loss").write_bytes(metric)
    (run / "meta.yaml").write_bytes(b"run_id: " + b"a" * 32 + b"\nrun_name: x\n" + meta)
    look(run, "mlflow_files")
    look(run / "meta.yaml", "mlflow_files")


VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=8), st.binary(max_size=8))


@fuzz
@given(st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), max_size=6), damaged("json_lines.jsonl"), st.data())
def test_databases(folder: Path, rows: list[tuple[object, ...]], text: bytes, data: st.DataObject) -> None:
    path = folder / "store.db"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        if data.draw(st.booleans(), "trackio"):
            database.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_name, step, metrics)")
            lines = [(b, c, d) for _, b, c, d in rows] + [("a", i, line) for i, line in enumerate(text.split(b"\n"))]
            lines += [("a", 9, json.dumps({"rec_loss": 0.5}))]
            database.executemany("INSERT INTO metrics (run_name, step, metrics) VALUES (?, ?, ?)", lines)
        else:
            database.execute("CREATE TABLE experiments (experiment_id, name)")
            database.execute("CREATE TABLE runs (run_uuid, name, status, experiment_id, lifecycle_stage, start_time)")
            database.execute('CREATE TABLE metrics ("key", step, value, is_nan, timestamp, run_uuid)')
            database.execute('CREATE TABLE params ("key", value, run_uuid)')
            database.execute("INSERT INTO runs VALUES ('r', 'n', 'FINISHED', 1, 'active', 0)")
            database.execute("INSERT INTO metrics VALUES ('rec_loss', 1, 0.5, 0, 0, 'r')")
            database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, 0, 'r')", rows)
            database.executemany("INSERT INTO params VALUES (?, ?, 'r')", [(a, b) for a, b, _, _ in rows])
        database.commit()
    if data.draw(st.booleans(), "damage"):
        content = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
            content[at] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content))
    look(path, "trackio", "mlflow_sqlite")
