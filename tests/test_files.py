"""Only regular files are opened: a pipe or a device where a file should be ends in one sentence, or is left out."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import vaelab
from vaelab.cli.app import app
from vaelab.errors import ConfigError, LogError
from vaelab.files import open_regular, read_bytes, read_text
from vaelab.monitor.settings import plain_settings
from vaelab.readers import read, read_all
from vaelab.readers.measured import read_measured
from vaelab.readers.source import Source
from vaelab.readers.vaelab_run import event_records, read_events
from vaelab.web.run_files import run_files

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")

DATA = Path(__file__).parent / "data"
ROWS = "".join(f"{step},{1 / (step + 1):.6f}\n" for step in range(0, 400, 10))


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """A pipe that is opened would be waited on for ever: the test then fails."""

    def waited(*_: object) -> None:
        raise AssertionError("a pipe or a device was read")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def csv(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"step,rec_loss\n{ROWS}")
    return path


# --- the one door ---------------------------------------------------------------------------------------------------------


def test_what_is_no_regular_file_is_refused_in_words(tmp_path: Path) -> None:
    for place, said in ((pipe(tmp_path / "pipe"), "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "directory")):
        with pytest.raises(OSError) as caught:
            open_regular(place)
        assert said in str(caught.value.strerror)


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\n" * 700_000)
    assert len(read_bytes(tmp_path / "file")) == 2_100_000
    assert read_text(tmp_path / "file")[:4] == "a\na\n"
    with pytest.raises(OSError, match="more than 1 MiB"):
        read_bytes(tmp_path / "file", limit=1 << 20)


# --- logs -----------------------------------------------------------------------------------------------------------------


def test_a_pipe_that_was_named_is_read_and_one_that_was_not_is_left_out(tmp_path: Path) -> None:
    named = pipe(tmp_path / "live.csv")
    writer = threading.Thread(target=lambda: named.write_text(f"step,rec_loss\n{ROWS}"))
    writer.start()
    assert len(read(named)) == 40
    writer.join()
    csv(tmp_path / "a" / "metrics.csv")
    assert [len(run) for run in read_all(tmp_path)] == [40]
    with pytest.raises(LogError, match="is a pipe, not a log file"):
        read_all(str(tmp_path / "*.csv"))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_one_sentence(device: str) -> None:
    with pytest.raises(LogError, match=f"{device} is a device, not a log file"):
        read(device)


def test_standard_input_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = Path("/dev/zero").open("rb")  # noqa: SIM115

    monkeypatch.setattr("sys.stdin", Stdin)
    with pytest.raises(LogError, match="begins with a million zero bytes"):
        read("-")


@pytest.mark.parametrize("name", ["log.jsonl", "task.json"])
def test_pipes_and_devices_in_an_offline_session_of_clearml(name: str, tmp_path: Path) -> None:
    (session,) = (DATA / "clearml").glob("offline-*")
    whole = read(session / "metrics.jsonl")
    for kind, put in (("pipe", os.mkfifo), ("device", lambda path: path.symlink_to("/dev/zero"))):
        folder = tmp_path / kind
        shutil.copytree(session, folder)
        (folder / name).unlink()
        put(folder / name)
        assert len(read(folder / "metrics.jsonl")) == len(read(folder)) == len(whole)


@pytest.mark.parametrize("name", ["config.yaml", "hparams.yaml", "x-project.yaml", "args.yml"])
def test_settings_beside_a_log(name: str, tmp_path: Path) -> None:
    csv(tmp_path / "metrics.csv")
    pipe(tmp_path / name)
    assert len(read(tmp_path / "metrics.csv")) == len(read(tmp_path)) == 40


@pytest.mark.parametrize("name", ["events.jsonl", "probe.json", "evaluation.json", "config.yaml"])
def test_files_beside_the_log_of_a_run_of_our_own(name: str, tmp_path: Path) -> None:
    rows = "".join(f'{{"step": {i}, "rec_mse": 0.1, "clip_coefficient": 1.0, "rec_loss": 0.1}}\n' for i in range(30))
    (tmp_path / "metrics.jsonl").write_text(rows)
    pipe(tmp_path / name)
    assert len(read(tmp_path)) == 30
    assert read_events(event_records(tmp_path / "events.jsonl")) == ([], [])


def test_files_of_mlflow(tmp_path: Path) -> None:
    for folder in ("metrics", "params"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    values = "".join(f"1700000000000 {1 / (step + 1)} {step}\n" for step in range(20))
    (tmp_path / "run" / "metrics" / "rec_loss").write_text(values)
    (tmp_path / "run" / "meta.yaml").write_text("run_id: a\nlifecycle_stage: active\n")
    pipe(tmp_path / "run" / "metrics" / "kl_loss")
    pipe(tmp_path / "run" / "params" / "lr")
    assert len(read(tmp_path / "run")) == 20
    (tmp_path / "run" / "meta.yaml").unlink()
    pipe(tmp_path / "run" / "meta.yaml")
    with pytest.raises(LogError, match="no training log"):
        read(tmp_path / "run")


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_pipe_beside_a_database(end: str, tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "mlflow.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE metrics (key TEXT)")
    database.commit()
    database.close()
    pipe(tmp_path / f"mlflow.db{end}")
    with pytest.raises(LogError, match="is not a file"):
        read(tmp_path / "mlflow.db")


# --- what else is named on the command line -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["diagnose", "LOG", "--config", "PIPE"],
        ["diagnose", "LOG", "--probe", "PIPE"],
        ["lint", "PIPE"],
        ["lint", "FOLDER"],
        ["import-config", "PIPE"],
        ["train", "PIPE"],
        ["smoke", "PIPE"],
        ["probe", "PIPE"],
    ],
)
def test_every_command_ends_with_one_sentence(command: list[str], tmp_path: Path) -> None:
    log = csv(tmp_path / "log" / "metrics.csv")
    pipe(tmp_path / "config.yaml")
    named = {"LOG": log, "PIPE": tmp_path / "config.yaml", "FOLDER": tmp_path}
    shown = CliRunner().invoke(app, [str(named.get(part, part)) for part in command])
    assert shown.exit_code == 2 and "Traceback" not in shown.stderr
    assert shown.stderr.startswith("vaelab: ") and str(tmp_path) in shown.stderr and len(shown.stderr) < 600


def test_settings_that_start_from_a_pipe_are_one_sentence(tmp_path: Path) -> None:
    pipe(tmp_path / "base.py")
    (tmp_path / "vae.py").write_text('_base_ = ["base.py"]\nvae_loss_config = dict(kl_loss_weight=1e-6)\n')
    shown = CliRunner().invoke(app, ["lint", str(tmp_path / "vae.py")])
    assert shown.exit_code in (0, 1, 2) and "Traceback" not in shown.output


@pytest.mark.parametrize("reads", [read_measured, plain_settings, vaelab.read])
def test_a_device_named_to_the_library_is_one_sentence(reads: Callable[[Path], object]) -> None:
    with pytest.raises((LogError, ConfigError), match="a device"):
        reads(Path("/dev/zero"))


def test_the_live_page_leaves_a_pipe_out(tmp_path: Path) -> None:
    pipe(tmp_path / "validation.md")
    pipe(tmp_path / "events.jsonl")
    assert run_files(tmp_path).table == []


def test_a_source_takes_no_pipe_that_nobody_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="is a pipe"):
        Source(pipe(tmp_path / "pipe"))
